import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Bus } from '../../src/platform/dbus/bus.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { Systemd } from '../../src/systemd1/systemd.ts';
import { TaskRunner } from '../../src/systemd1/task.ts';
import { parseUnitName } from '../../src/systemd1/unit-name.ts';
import type { TaskOutput } from '../../src/systemd1/contract.ts';
import type { Behaviour } from '../support/mock-systemd.ts';
import { TaskOutputFiles } from '../../src/platform/task-outputs.ts';
import { systemdSuite } from '../support/systemd-suite.ts';
import { waitFor } from '../support/wait-for.ts';
import { installPackage } from './package.ts';
import { makeContainer, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

/** Building the image included; a boot takes 2 s. */
const setUpMsMax = 16 * 60_000;

const net100 = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=10.9.0.100/24,tag=10,type=veth';

describe('systemd on a whole node', function () {
  this.timeout(120_000);
  let node: TestNode;

  before(async function () {
    this.timeout(setUpMsMax);
    node = await TestNode.boot();
    await makeProxmox(node);
    await makeContainer(node, { vmid: 100, hostname: 'web01', nets: [net100] });
    await makeContainer(node, { vmid: 101, hostname: 'stubborn', nets: [] });
    await node.write(
      '/var/lib/lxc/101/rootfs/etc/inittab',
      '::respawn:/bin/sleep 100000\n::shutdown:/bin/sleep 1000\n',
    );
    await installPackage(node);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  describe('and its client', () => {
    let bus: Bus;
    let systemd: Systemd;

    before(async () => {
      bus = await Bus.connect(
        { address: `unix:path=${join(node.root, 'run/dbus/system_bus_socket')}` },
        { deadlineMs: 5_000 },
      );
      systemd = new Systemd({ bus, clock: systemTimers });
    });
    after(() => {
      bus.close();
    });

    /** Written by systemd in the node, read from here. */
    const outputs = {
      async create(name: string): Promise<TaskOutput> {
        const inNode = '/run/suite';
        const output = await new TaskOutputFiles(join(node.root, inNode)).create(name);
        return { ...output, path: join(inNode, name) };
      },
    };
    const files: Readonly<Record<Behaviour, string>> = {
      runs: '[Service]\nExecStart=/bin/sleep 1000\n',
      exits: '[Service]\nType=oneshot\nExecStart=/bin/true\n',
      fails: '[Service]\nType=oneshot\nExecStart=/bin/sh -c "exit 3"\n',
      hangs: '[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n',
      needs:
        '[Unit]\nRequires=suite-broken.service\nAfter=suite-broken.service\n[Service]\nExecStart=/bin/sleep 1000\n',
      masked: '',
    };

    systemdSuite(() => ({
      systemd,
      tasks: new TaskRunner(systemd, outputs, systemTimers),
      async makeUnit(name, behaviour) {
        await node.write('/run/systemd/system/suite-broken.service', files.fails);
        if (behaviour === 'masked') await node.run('systemctl', 'mask', '--runtime', name);
        else await node.write(`/run/systemd/system/${name}`, files[behaviour]);
        await node.run('systemctl', 'daemon-reload');
        return parseUnitName(name);
      },
    }));

    it('hears units again after systemd was executed anew', async () => {
      const heard: unknown[] = [];
      await systemd.listen();
      const stop = systemd.onUnitChanged((unit) => heard.push(unit));
      await node.run('systemctl', 'daemon-reexec');
      await waitFor('the subscription', () => heard.includes(null), 20_000);
      await node.run('systemd-run', '--unit=suite-after-reexec', '/bin/true');
      await waitFor('the unit', () => heard.includes('suite-after-reexec.service'));
      stop();
    });
  });

  describe('and the guests', () => {
    const agent = (...args: readonly string[]) => node.try('ovs-port-agent', 'guest', ...args);
    const isActive = async (vmid: number): Promise<boolean> =>
      (await node.try('systemctl', 'is-active', `pve-container@${vmid}`)).exitCode === 0;
    const lxcConfig = '/var/lib/lxc/100/config';

    /** The guest's configuration is older than what LXC has, as a second after `pct start`. */
    async function settleConfiguration(): Promise<void> {
      await node.run('touch', '--date=-10 seconds', '/etc/pve/lxc/100.conf');
      await node.run('touch', '--date=-5 seconds', lxcConfig);
    }

    it('are heard by the service, from within its sandbox', async () => {
      await waitFor('the line', async () =>
        (await node.run('journalctl', '--unit=ovs-port-agent', '--output=cat')).includes('units are heard'),
      );
    });

    it('are started by pct when LXC has no configuration of them', async () => {
      const { stdout, stderr, exitCode } = await agent('start', '100');
      assert.deepEqual([exitCode, stderr], [0, '']);
      assert.equal(
        stdout,
        'CT 100 is running (start by pct, because it has no LXC configuration yet)\n' +
          'CT 100: net0 is vi100 on ovsbr0, tag 10',
      );
      assert.equal(await isActive(100), true);
      assert.equal((await agent('start', '100')).stdout, 'CT 100 is running already');
    });

    it('are shut down by pct, and started by systemd when nothing else is left to do', async () => {
      const down = await agent('shutdown', '100');
      assert.deepEqual([down.exitCode, down.stderr], [0, '']);
      assert.match(down.stdout, /^CT 100 is stopped \(shutdown by pct, because /);
      assert.equal(await isActive(100), false);
      assert.equal((await agent('stop', '100')).stdout, 'CT 100 is stopped already');
      await settleConfiguration();
      const { stdout, stderr } = await agent('start', '100');
      assert.equal(stderr, '');
      assert.equal(stdout, 'CT 100 is running (start by systemd)\nCT 100: net0 is vi100 on ovsbr0, tag 10');
      assert.match(await node.run('lxc-info', '--name', '100', '--state'), /RUNNING/);
    });

    it('are rebooted, and answer in JSON', async () => {
      const before = await node.read('/sys/class/net/veth100i0/ifindex');
      const { stdout } = await agent('reboot', '100', '--output-format', 'json');
      const { state, way } = JSON.parse(stdout) as { state: string; way: string };
      assert.deepEqual([state, way], ['running', 'pct']);
      assert.notEqual(await node.read('/sys/class/net/veth100i0/ifindex'), before);
    });

    it('that do not shut down in time go on running, and end by stop', async () => {
      assert.equal((await agent('start', '101')).exitCode, 0);
      const { exitCode, stderr } = await agent('shutdown', '101', '--timeout', '2');
      assert.equal(exitCode, 11);
      assert.match(stderr, /CT 101 did not shut down within 2 s and still runs; `guest stop 101`/);
      assert.equal(await isActive(101), true);
      assert.equal((await agent('stop', '101')).exitCode, 0);
      assert.equal(await isActive(101), false);
    });

    it('that die after lxc-start was executed did not start', async () => {
      await agent('stop', '100');
      const good = await node.read(lxcConfig);
      await node.write(lxcConfig, `${good}lxc.hook.pre-start = /bin/false\n`);
      await node.run('touch', '--date=-10 seconds', '/etc/pve/lxc/100.conf');
      const { exitCode, stderr } = await agent('start', '100');
      assert.equal(exitCode, 8);
      assert.match(stderr, /CT 100 did not start: lxc-start was executed and ended before it ran \(exit status 1\)/);
      assert.equal((await node.try('systemctl', 'is-active', 'ovs-port-agent-wait-100-*')).stdout, '');
      await node.write(lxcConfig, good);
      await node.run('systemctl', 'reset-failed');
      const blocks = await node.run('ovs-port-agent', 'ledger', 'list', '--category', 'unit', '--limit', '2');
      assert.match(blocks, / unit start .*\n.* unit failed /);
    });

    it('are not started while masked, or when what they need fails', async () => {
      await settleConfiguration();
      await node.run('systemctl', 'mask', '--runtime', 'pve-container@100.service');
      const masked = await agent('start', '100');
      assert.equal(masked.exitCode, 6);
      assert.match(masked.stderr, /pve-container@100\.service is masked/);
      await node.run('systemctl', 'unmask', '--runtime', 'pve-container@100.service');
      await node.write('/run/systemd/system/broken.service', '[Service]\nType=oneshot\nExecStart=/bin/false\n');
      const dropIn = '/run/systemd/system/pve-container@100.service.d/needs.conf';
      await node.write(dropIn, '[Unit]\nRequires=broken.service\nAfter=broken.service\n');
      await node.run('systemctl', 'daemon-reload');
      const needs = await agent('start', '100');
      assert.equal(needs.exitCode, 8);
      assert.match(needs.stderr, /a unit that pve-container@100\.service needs failed/);
      await node.run('rm', dropIn);
      await node.run('systemctl', 'daemon-reload');
    });

    it('are left alone while they are locked', async () => {
      await node.run('mkdir', '--parents', '/run/lock/lxc');
      await node.run('systemd-run', '--unit=holder', 'flock', '/run/lock/lxc/pve-config-100.lock', 'sleep', '1000');
      await waitFor('the lock', async () => (await agent('start', '100')).exitCode === 7);
      await node.run('systemctl', 'stop', 'holder');
      const config = await node.read('/etc/pve/lxc/100.conf');
      await node.write('/etc/pve/lxc/100.conf', `${config}lock: backup\n`);
      const { exitCode, stderr } = await agent('start', '100');
      assert.equal(exitCode, 7);
      assert.match(stderr, /locked \(backup\)/);
      await node.write('/etc/pve/lxc/100.conf', `${config}template: 1\n`);
      assert.equal((await agent('start', '100')).exitCode, 6);
      await node.write('/etc/pve/lxc/100.conf', config);
      assert.equal(await isActive(100), false);
    });

    it('that are not here are named', async () => {
      const { exitCode, stderr } = await agent('start', '4711');
      assert.deepEqual(
        [exitCode, stderr],
        [3, 'ovs-port-agent: guest 4711 does not exist: /etc/pve has no configuration of it'],
      );
      await node.write('/etc/pve/.vmlist', '{"version":1,"ids":{"4711":{"node":"pve2","type":"qemu","version":1}}}');
      assert.match((await agent('start', '4711')).stderr, /VM 4711 is on node pve2, not here/);
    });

    it('leave a ledger that verifies and no unit of ours', async () => {
      assert.match(await node.run('ovs-port-agent', 'ledger', 'verify'), /^VALID\b/);
      const units = await node.run('systemctl', 'list-units', '--all', '--no-legend', 'ovs-port-agent-*');
      assert.equal(units, '');
    });

    it("of LXC alone are started by LXC's own unit", async () => {
      await agent('stop', '101');
      await node.run('mv', '/etc/pve', '/etc/pve.away');
      const started = await agent('start', '101');
      assert.equal(started.stderr, '');
      assert.match(started.stdout, /^CT 101 is running \(start by systemd\)/);
      assert.equal(await node.run('systemctl', 'is-active', 'lxc@101'), 'active');
      const stopped = await agent('stop', '101');
      assert.match(stopped.stdout, /^CT 101 is stopped \(stop by lxc-stop/);
      await node.run('mv', '/etc/pve.away', '/etc/pve');
    });
  });
});
