/** What the agent costs a guest's start, whatever state it, the bus and the disk are in. */
import assert from 'node:assert/strict';
import { waitFor } from '../support/wait-for.ts';
import { bringPackage } from './package.ts';
import { portProblems } from './port-state.ts';
import { makeContainer, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

/** All calls of one start together. */
const startDelayMsMax = 3_000;
const filler = '/filler';
const fillDisk = `fallocate --length "$(df --output=avail --block-size=1 / | tail -1)" ${filler}; cat /dev/zero >>${filler} || :`;
const nic = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=10.9.0.100/24,tag=10,type=veth';

describe("a guest's start, on a whole node", function () {
  this.timeout(60_000);
  let node: TestNode;
  let plainMs: number;
  const measured: [state: string, ms: number][] = [];

  before(async function () {
    this.timeout(16 * 60_000);
    node = await TestNode.boot();
    await makeProxmox(node);
    // Apart from the root disk, which is filled: what Proxmox VE itself writes there at a start is not in question.
    await node.run('mount', '-t', 'tmpfs', 'tmpfs', '/var/lib/lxc');
    await makeContainer(node, { vmid: 100, hostname: 'web01', nets: [nic], hookscript: false });
    plainMs = await start();
    for (let round = 0; round < 2; round++) {
      await stop();
      plainMs = Math.min(plainMs, await start());
    }
    measured.push(['without the agent', plainMs]);
    await node.run('dpkg', '--install', await bringPackage(node));
    await node.run('sed', '-i', '1i hookscript: local:snippets/ovs-port-agent', '/etc/pve/lxc/100.conf');
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(async () => {
    const width = Math.max(...measured.map(([state]) => state.length));
    for (const [state, ms] of measured)
      process.stderr.write(`${state.padEnd(width)} ${ms.toFixed(0).padStart(6)} ms\n`);
    await node.stop();
  });

  const stop = (): Promise<unknown> => node.try('pct', 'stop', '100');

  /** In milliseconds. */
  async function start(): Promise<number> {
    const startedAt = performance.now();
    await node.run('pct', 'start', '100');
    return performance.now() - startedAt;
  }

  /** Nothing of what failed before may spare the calls of this start. */
  async function startsInTime(state: string, bringAbout: () => Promise<unknown>): Promise<void> {
    await stop();
    await node.run('rm', '--force', '/run/ovs-port-agent/unreachable-100');
    await bringAbout();
    const ms = await start();
    measured.push([state, ms]);
    assert.ok(ms < plainMs + startDelayMsMax, `${ms} ms ${state}, ${plainMs} ms without the agent`);
    await node.run('lxc-attach', '--name', '100', '--', 'true');
  }

  /** Its guests lose the hookscript with it; this one names it again, as one that was restored from a backup. */
  async function without(option: '--remove' | '--purge'): Promise<void> {
    const config = await node.read('/etc/pve/lxc/100.conf');
    await node.run('dpkg', option, 'ovs-port-agent');
    await node.write('/etc/pve/lxc/100.conf', config);
  }

  const isNamed = (): Promise<void> => waitFor('the port', async () => (await portProblems(node)).size === 0, 15_000);
  const service = (...args: readonly string[]): Promise<string> => node.run('systemctl', ...args, 'ovs-port-agent');

  it('takes its usual time, and the hook what it takes, while the service runs', async () => {
    await startsInTime('with the hook', () => Promise.resolve());
    await isNamed();
  });

  it('is in time when the service is stopped, and D-Bus starts it', async () => {
    await startsInTime('service stopped', () => service('stop'));
    await isNamed();
  });

  it('is in time when the service hangs', async () => {
    await startsInTime('service hung', () => service('kill', '--signal=STOP', '--kill-whom=main'));
    await service('kill', '--signal=CONT', '--kill-whom=main');
    await isNamed();
  });

  it('is in time when the service is masked', async () => {
    await startsInTime('service masked', () => service('mask', '--now', '--runtime'));
    await service('unmask', '--runtime');
    await service('start');
    await isNamed();
  });

  it('is in time when the bus hangs', async () => {
    await startsInTime('bus hung', () => node.run('systemctl', 'kill', '--signal=STOP', 'dbus'));
    await node.run('systemctl', 'kill', '--signal=CONT', 'dbus');
    await isNamed();
  });

  it('is in time on a full root disk, the port is named, and the ledger says what it lacks', async () => {
    try {
      await startsInTime('disk full', () => node.run('sh', '-c', fillDisk));
      await waitFor('the row', async () => (await node.run('ovs-port-agent', 'list')) === 'vi100', 15_000);
      const isMissing = async (): Promise<boolean> =>
        /missing in the ledger/.test(await node.run('ovs-port-agent', 'status'));
      // The last page of the ledger still takes some blocks.
      await waitFor('the report', async () => (await isMissing()) || (await stop(), await start(), false), 30_000);
    } finally {
      await node.run('rm', '--force', filler);
    }
    await startsInTime('disk with room again', () => Promise.resolve());
    await isNamed();
    assert.match(await node.run('ovs-port-agent', 'ledger', 'verify'), /^VALID\b/);
    assert.match(await node.run('ovs-port-agent', 'ledger', 'list', '--limit', '100'), / gap /);
  });

  it('is in time when the package was removed, and the snippet stayed for a guest that names it', async () => {
    await node.write('/etc/pve/nodes/pve2/lxc/200.conf', 'hookscript: local:snippets/ovs-port-agent\n');
    await startsInTime('package removed', () => without('--remove'));
  });

  it('is in time when the package was purged', async () => {
    await startsInTime('package purged', () => without('--purge'));
  });

  it('is in time on a node that has the snippet and nothing else of the package', async () => {
    const folders = ['/usr/lib/ovs-port-agent', '/var/lib/ovs-port-agent', '/run/ovs-port-agent'];
    await startsInTime('package absent', () => node.run('rm', '--recursive', '--force', ...folders));
  });
});
