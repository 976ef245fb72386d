import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../support/wait-for.ts';
import { installPackage } from './package.ts';
import { makeContainer, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

const net = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=10.9.0.100/24,tag=10,type=veth';

describe('the drop-ins for systemd and LXC, on a whole node', function () {
  this.timeout(60_000);
  let node: TestNode;

  before(async function () {
    this.timeout(16 * 60_000);
    node = await TestNode.boot();
    await makeProxmox(node);
    await makeContainer(node, { vmid: 100, hostname: 'web01', nets: [net], hookscript: false });
    await installPackage(node);
    // Writes the container's LXC configuration, as a first start by Proxmox VE does.
    await node.run('pct', 'start', '100');
    await node.run('pct', 'stop', '100');
    await phasesHeard();
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  let blocksSeen = 0;

  /** Phases that the ledger got since the last call. */
  async function phasesHeard(): Promise<string[]> {
    const listed = await node.run('ovs-port-agent', 'ledger', 'list', '--category', 'guest', '--output-format', 'json');
    const blocks = JSON.parse(listed) as { height: number; action: string }[];
    const heard = blocks.sort((a, b) => a.height - b.height).slice(blocksSeen);
    blocksSeen += heard.length;
    return heard.map(({ action }) => action);
  }

  async function untilHeard(...phases: readonly string[]): Promise<void> {
    const heard: string[] = [];
    await waitFor(
      `the phases ${phases.join(', ')}`,
      async () => {
        heard.push(...(await phasesHeard()));
        return heard.length >= phases.length;
      },
      20_000,
    );
    assert.deepEqual(heard, phases);
  }

  const unitState = async (): Promise<string> => (await node.try('systemctl', 'is-active', 'pve-container@100')).stdout;
  const portNames = async (): Promise<string> => node.run('ovs-port-agent', 'list');

  it('tell of a start through systemd', async () => {
    await node.run('systemctl', 'start', 'pve-container@100');
    await node.run('lxc-wait', '-n', '100', '-s', 'RUNNING', '-t', '20');
    await untilHeard('pre-start', 'post-start');
    assert.equal(await portNames(), 'vi100');
  });

  it('tell of a reboot from inside', async () => {
    // It may end with the container before it has ended itself.
    await node.try('lxc-attach', '--name', '100', '--', 'reboot');
    await untilHeard('post-start');
    await waitFor('the port', async () => (await portNames()) === 'vi100');
  });

  it('tell of a container that was killed, and its port goes', async () => {
    await node.run('systemctl', 'kill', '--signal=KILL', 'pve-container@100');
    await untilHeard('post-stop');
    await waitFor('no port', async () => (await portNames()) === '');
  });

  it('tell of a start and an end in the unit of `pct start --debug`', async () => {
    await node.run('systemctl', 'reset-failed');
    await node.run('systemctl', 'start', 'pve-container-debug@100');
    await untilHeard('pre-start', 'post-start');
    await waitFor('the port', async () => (await portNames()) === 'vi100');
    await node.run('lxc-stop', '-n', '100', '--kill');
    await untilHeard('post-stop');
    await waitFor('no port', async () => (await portNames()) === '');
  });

  it('let containers start and stop when the package went away and they stayed', async () => {
    await rm(join(node.root, 'usr/lib/ovs-port-agent'), { recursive: true });
    await node.run('systemctl', 'stop', 'ovs-port-agent');
    await node.run('systemctl', 'start', 'pve-container@100');
    await node.run('lxc-wait', '-n', '100', '-s', 'RUNNING', '-t', '20');
    await node.run('lxc-stop', '-n', '100', '--kill');
    await waitFor('the end of the unit', async () => !['active', 'deactivating'].includes(await unitState()));
    assert.equal(await unitState(), 'inactive');
  });
});
