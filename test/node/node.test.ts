import assert from 'node:assert/strict';
import { chmod, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../support/wait-for.ts';
import { installPackage } from './package.ts';
import { makeContainer, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

/** Building the image included; a boot takes 2 s. */
const setUpMsMax = 16 * 60_000;
/** What the agent may cost a guest's start, all its calls together. */
const startDelayMsMax = 3_000;

const net100 = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=10.9.0.100/24,tag=10,type=veth';
const net101 = 'name=eth0,bridge=ovsbr1,hwaddr=BC:24:11:00:01:01,ip=10.9.1.101/24,type=veth';
const net102 = 'name=eth0,bridge=ovsbr0,firewall=1,hwaddr=BC:24:11:00:01:02,ip=10.9.0.102/24,tag=10,type=veth';

describe('the installed service on a whole node', function () {
  this.timeout(60_000);
  let node: TestNode;
  /** How long a start takes that the agent has no part in. */
  let plainStartMs: number;

  before(async function () {
    this.timeout(setUpMsMax);
    node = await TestNode.boot();
    await makeProxmox(node);
    await makePeers();
    await makeContainer(node, { vmid: 100, hostname: 'web01', nets: [net100] });
    await makeContainer(node, { vmid: 101, hostname: 'db01', nets: [net101] });
    await makeContainer(node, { vmid: 102, hostname: 'fw01', nets: [net102] });
    await makeContainer(node, { vmid: 199, hostname: 'plain', nets: [], hookscript: false });
    plainStartMs = await timed(() => node.run('pct', 'start', '199'));
    await installPackage(node);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  const agent = (...args: readonly string[]): Promise<string> => node.run('ovs-port-agent', ...args);

  /** Foreign ports for the other end of a ping: one in the VLAN of 100 and 102, the bridge's own for 101. */
  async function makePeers(): Promise<void> {
    await node.run(
      'ovs-vsctl',
      'add-port',
      'ovsbr0',
      'mgmt10',
      'tag=10',
      '--',
      'set',
      'Interface',
      'mgmt10',
      'type=internal',
    );
    await node.run('ip', 'address', 'replace', '10.9.0.1/24', 'dev', 'mgmt10');
    await node.run('ip', 'address', 'replace', '10.9.1.1/24', 'dev', 'ovsbr1');
    for (const device of ['mgmt10', 'ovsbr1']) await node.run('ip', 'link', 'set', device, 'up');
  }

  async function timed(action: () => Promise<unknown>): Promise<number> {
    const startedAt = performance.now();
    await action();
    return performance.now() - startedAt;
  }

  async function call(...args: readonly string[]): Promise<string> {
    return node.run('busctl', 'call', 'dev.ovs.PortAgent1', '/dev/ovs/PortAgent1', 'dev.ovs.PortAgent1', ...args);
  }

  /** One column of the row with that name; null when there is no such row. Maps and sets come as OVSDB's JSON. */
  async function column(table: string, row: string, name: string): Promise<unknown> {
    const answer = await node.run(...['ovs-vsctl', '--format=json', `--columns=${name}`, 'find', table, `name=${row}`]);
    const { data } = JSON.parse(answer) as { data: unknown[][] };
    return data[0]?.[0] ?? null;
  }

  async function externalIds(table: string, row: string): Promise<Record<string, string>> {
    const ids = await column(table, row, 'external_ids');
    return ids === null ? {} : Object.fromEntries((ids as ['map', [string, string][]])[1]);
  }

  async function ports(bridge: string): Promise<string[]> {
    return (await node.run('ovs-vsctl', 'list-ports', bridge)).split('\n').filter(Boolean);
  }

  async function isAdopted(netdev: string, port: string): Promise<boolean> {
    const ids = await externalIds('Port', netdev);
    if (ids['owner'] !== 'dev.ovs.PortAgent1' || ids['port-name'] !== port) return false;
    return (await node.try('ip', 'link', 'show', 'dev', port)).exitCode === 0;
  }

  /** Only for what must come back: it may be the second packet, after the switch has learned. */
  async function ping(vmid: number, address: string): Promise<void> {
    await node.run('lxc-attach', '--name', String(vmid), '--', 'ping', '-c', '1', '-w', '5', address);
  }

  /** Phases of this guest's events that wait in the spool, sorted. */
  async function spooledPhases(vmid: number): Promise<string[]> {
    const names = await readdir(join(node.root, 'var/lib/ovs-port-agent/spool')).catch(() => []);
    return names
      .map((name) => /^[0-9]+-[0-9]+-([0-9]+)-(.+)$/.exec(name))
      .flatMap((match) => (match?.[1] === String(vmid) ? [match[2] ?? ''] : []))
      .sort();
  }

  describe('its unit', () => {
    it('has no fault that systemd knows', async () => {
      const { exitCode, stdout, stderr } = await node.try(
        'systemd-analyze',
        'verify',
        '--recursive-errors=no',
        // The node has no man(1) to look the unit's documentation up with.
        '--man=no',
        'ovs-port-agent.service',
      );
      assert.deepEqual([exitCode, stdout, stderr], [0, '', '']);
    });

    it('is exposed at 2.0 at most, as systemd counts', async () => {
      const report = await node.run('systemd-analyze', 'security', '--no-pager', 'ovs-port-agent.service');
      const exposure = /Overall exposure level for ovs-port-agent\.service: ([0-9.]+)/.exec(report)?.[1];
      assert.ok(Number(exposure) <= 2, report);
    });

    it('is started by the first D-Bus call', async () => {
      await node.run('systemctl', 'stop', 'ovs-port-agent');
      assert.equal((await node.try('systemctl', 'is-active', 'ovs-port-agent')).stdout, 'inactive');
      assert.equal(await call('ping'), 's "pong"');
      assert.equal(await node.run('systemctl', 'is-active', 'ovs-port-agent'), 'active');
    });

    it('lets other users call, and refuses them what changes ports', async () => {
      const { exitCode, stderr } = await node.try(
        ...['runuser', '--user', 'nobody', '--', 'busctl', 'call', 'dev.ovs.PortAgent1', '/dev/ovs/PortAgent1'],
        ...['dev.ovs.PortAgent1', 'NotifyLifecycle', 'us', '100', 'post-stop'],
      );
      assert.equal(exitCode, 1);
      assert.match(stderr, /root/);
    });
  });

  describe('when `pct start` runs a container', () => {
    let taskLog: string;

    before(async () => {
      taskLog = await node.run('pct', 'start', '100');
    });

    it('tells the task log', () => {
      assert.match(taskLog, /^CT 100: net0 is vi100 on ovsbr0, tag 10$/m);
    });

    it('leaves the row to Proxmox and marks it', async () => {
      assert.deepEqual(await ports('ovsbr0'), ['mgmt10', 'veth100i0']);
      assert.equal(await column('Port', 'veth100i0', 'tag'), 10);
      const port = await externalIds('Port', 'veth100i0');
      assert.equal(port['owner'], 'dev.ovs.PortAgent1');
      assert.equal(port['port-name'], 'vi100');
      assert.equal(port['vm-id'], '100');
      const card = await externalIds('Interface', 'veth100i0');
      assert.equal(card['vm-id'], '100');
      assert.match(card['iface-id'] ?? '', /-100-net0$/);
      assert.equal(card['attached-mac'], 'bc:24:11:00:01:00');
      assert.equal(card['iface-status'], 'active');
      assert.deepEqual(await externalIds('Port', 'mgmt10'), {});
    });

    it('gives the device its second name', async () => {
      assert.match(await node.run('ip', '-oneline', 'link', 'show', 'dev', 'vi100'), / veth100i0@.* altname vi100/);
    });

    it('lists the port for the network view, and keeps the rest of the file and its mode', async () => {
      const stanza = [
        'iface vi100 inet manual',
        '\tovs_bridge ovsbr0',
        '\tovs_options tag=10',
        '\tovs_type OVSPort',
        '#ovs-port-agent: CT 100 net0 (veth100i0) web01',
      ].join('\n');
      await waitFor('the stanza', async () =>
        (await node.read('/etc/network/interfaces')).includes(`\n\n${stanza}\n\n`),
      );
      assert.match(await node.read('/etc/network/interfaces'), /^auto lo\niface lo inet loopback\n/);
      assert.equal(await node.run('stat', '--format=%a %U:%G', '/etc/network/interfaces'), '644 root:root');
    });

    it('answers on the command line and over D-Bus', async () => {
      assert.match(await agent('list'), /^vi100\b/m);
      assert.equal(await call('list_ports'), 'as 1 "vi100"');
      assert.match(await agent('status'), /./);
    });

    it('has written a ledger that verifies', async () => {
      assert.match(await agent('ledger', 'verify'), /^VALID\b/);
    });

    it('lets packets through', async () => {
      await ping(100, '10.9.0.1');
    });

    it('puts a lost row back, with its VLAN and marks', async () => {
      await node.run('ovs-vsctl', 'del-port', 'veth100i0');
      await waitFor('the port', () => isAdopted('veth100i0', 'vi100'), 4_000);
      assert.equal(await column('Port', 'veth100i0', 'tag'), 10);
      await ping(100, '10.9.0.1');
    });

    it('adopts again what `pct set` plugs anew', async () => {
      await node.run('pct', 'set', '100', '-net0', net100.replace('tag=10', 'tag=20'));
      await waitFor('the port', () => isAdopted('veth100i0', 'vi100'), 4_000);
      assert.equal(await column('Port', 'veth100i0', 'tag'), 20);
      await waitFor('the stanza', async () =>
        (await node.read('/etc/network/interfaces')).includes('ovs_options tag=20'),
      );
      await node.run('pct', 'set', '100', '-net0', net100);
      await waitFor('the port', () => isAdopted('veth100i0', 'vi100'), 4_000);
    });

    it('adopts again after a reboot from inside, which calls no hook', async () => {
      const before = await node.read('/sys/class/net/veth100i0/ifindex');
      // It may end with the container before it has ended itself.
      await node.try('lxc-attach', '--name', '100', '--', 'reboot');
      await waitFor(
        'a new device, adopted',
        async () =>
          (await node.read('/sys/class/net/veth100i0/ifindex')) !== before && (await isAdopted('veth100i0', 'vi100')),
        10_000,
      );
      await ping(100, '10.9.0.1');
    });
  });

  describe('with more guests', () => {
    it('puts 101 on ovsbr1 and lists the ports in order', async () => {
      assert.match(await node.run('pct', 'start', '101'), /^CT 101: net0 is vi101 on ovsbr1$/m);
      assert.deepEqual(await ports('ovsbr1'), ['veth101i0']);
      assert.equal(await call('list_ports'), 'as 2 "vi100" "vi101"');
      await ping(101, '10.9.1.1');
    });

    describe('behind the Proxmox firewall', () => {
      let taskLog: string;

      before(async () => {
        taskLog = await node.run('pct', 'start', '102');
      });
      after(() => node.run('pct', 'stop', '102'));

      it('names the port that the firewall bridge reaches the switch by', async () => {
        assert.match(taskLog, /^CT 102: net0 is vi102 on ovsbr0, tag 10$/m);
        assert.ok(await isAdopted('fwln102o0', 'vi102'));
        assert.deepEqual(await ports('ovsbr0'), ['fwln102o0', 'mgmt10', 'veth100i0']);
        await ping(102, '10.9.0.1');
      });

      it('makes that port and its device again when they were lost, and never plugs the device behind it', async () => {
        await node.run('ovs-vsctl', 'del-port', 'fwln102o0');
        await waitFor('the port', () => isAdopted('fwln102o0', 'vi102'), 4_000);
        assert.equal(await column('Port', 'fwln102o0', 'tag'), 10);
        assert.deepEqual(await ports('ovsbr0'), ['fwln102o0', 'mgmt10', 'veth100i0']);
        await waitFor('the way through', () => ping(102, '10.9.0.1').then(() => true), 10_000);
      });
    });

    it('is not disturbed by a guest whose configuration is garbage', async () => {
      await node.write(
        '/etc/pve/lxc/103.conf',
        '\0\u00ff: net0\nnet0: bridge=;rm -rf /,tag=5000\n[[[\nnet1\n'.repeat(100),
      );
      await node.run('pct', 'reboot', '101');
      assert.ok(await isAdopted('veth101i0', 'vi101'));
      assert.equal(await call('list_ports'), 'as 2 "vi100" "vi101"');
      await node.run('rm', '/etc/pve/lxc/103.conf');
    });
  });

  describe('when things break', () => {
    it('converges after SIGKILL, with a row lost meanwhile', async () => {
      await node.run('systemctl', 'kill', '--signal=KILL', 'ovs-port-agent');
      await node.run('ovs-vsctl', 'del-port', 'veth100i0');
      await waitFor('the port', () => isAdopted('veth100i0', 'vi100'), 10_000);
      assert.match(await agent('ledger', 'verify'), /^VALID\b/);
      assert.equal(await call('list_ports'), 'as 2 "vi100" "vi101"');
    });

    it('plugs everything again after the database was wiped', async () => {
      await node.run('systemctl', 'stop', 'openvswitch-switch', 'ovs-vswitchd', 'ovsdb-server');
      await node.run('rm', '/etc/openvswitch/conf.db');
      await node.run('systemctl', 'start', 'openvswitch-switch');
      for (const bridge of ['ovsbr0', 'ovsbr1']) {
        await node.run('ovs-vsctl', 'add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev');
      }
      for (const vmid of [100, 101]) {
        await waitFor(`vi${vmid}`, () => isAdopted(`veth${vmid}i0`, `vi${vmid}`), 5_000);
      }
      assert.equal(await column('Port', 'veth100i0', 'tag'), 10);
      const listed = await agent('ledger', 'list', '--category', 'connectivity', '--output-format', 'json');
      const seen = (JSON.parse(listed) as { action: string; data: { peer: string } }[])
        .filter(({ data }) => data.peer === 'switch')
        .map(({ action }) => action);
      assert.deepEqual(seen.slice(0, 2), ['regained', 'lost']);
      assert.match(await agent('ledger', 'verify'), /^VALID\b/);
      await makePeers();
      await ping(100, '10.9.0.1');
    });

    it('comes back when the bus was killed, though systemd ends it then', async () => {
      await node.run('systemctl', 'kill', '--signal=KILL', 'dbus.service');
      await node.run('ovs-vsctl', 'del-port', 'veth101i0');
      // Not by a call of ours: that would start the service.
      await waitFor('the port', () => isAdopted('veth101i0', 'vi101'), 10_000);
      assert.equal(await call('list_ports'), 'as 2 "vi100" "vi101"');
    });

    it('says what is wrong with its configuration, and is not started over and over', async () => {
      const config = await node.read('/etc/ovs-port-agent/config.toml');
      await node.write('/etc/ovs-port-agent/config.toml', `${config}bridge_nam = "ovsbr0"\n`);
      const { exitCode } = await node.try('systemctl', 'restart', 'ovs-port-agent');
      assert.equal(exitCode, 1);
      assert.equal((await node.try('systemctl', 'is-failed', 'ovs-port-agent')).stdout, 'failed');
      const logged = await node.run('journalctl', '--unit=ovs-port-agent', '--lines=20', '--output=cat');
      assert.match(logged, /config\.toml:[0-9]+:1: bridge_nam: unknown key; did you mean bridge_name\?/);
      await node.write('/etc/ovs-port-agent/config.toml', config);
      await node.run('systemctl', 'start', 'ovs-port-agent');
    });

    describe('with a watchdog of 4 s', () => {
      const property = (name: string): Promise<string> =>
        node.run('systemctl', 'show', '--value', `--property=${name}`, 'ovs-port-agent');

      before(async () => {
        await node.write('/run/systemd/system/ovs-port-agent.service.d/fast.conf', '[Service]\nWatchdogSec=4s\n');
        await node.run('systemctl', 'daemon-reload');
        await node.run('systemctl', 'restart', 'ovs-port-agent');
      });
      after(async () => {
        await node.run('rm', '--recursive', '/run/systemd/system/ovs-port-agent.service.d');
        await node.run('systemctl', 'daemon-reload');
        await node.run('systemctl', 'restart', 'ovs-port-agent');
      });

      it('keeps beating while it is well', async () => {
        const [pid, since] = [await property('MainPID'), Number(await property('WatchdogTimestampMonotonic'))];
        await waitFor(
          'beats for longer than the watchdog waits',
          async () => Number(await property('WatchdogTimestampMonotonic')) > since + 5_000_000,
          10_000,
        );
        assert.equal(await property('MainPID'), pid);
      });

      it('costs a start at most 3 s when it hangs, and is restarted', async () => {
        const pid = await property('MainPID');
        await node.run('systemctl', 'kill', '--signal=STOP', '--kill-whom=main', 'ovs-port-agent');
        await node.run('pct', 'stop', '101');
        const elapsedMs = await timed(() => node.run('pct', 'start', '101'));
        assert.ok(elapsedMs < plainStartMs + startDelayMsMax, `${elapsedMs} ms, without the agent ${plainStartMs} ms`);
        await waitFor('another process', async () => !['0', pid].includes(await property('MainPID')), 15_000);
        await waitFor('the port', () => isAdopted('veth101i0', 'vi101'), 10_000);
      });
    });

    describe('when it is stopped and masked', () => {
      before(async () => {
        await node.run('pct', 'stop', '100');
        await node.run('systemctl', 'mask', '--runtime', '--now', 'ovs-port-agent');
      });

      it('lets guests start, at most 3 s later, and keeps the events', async () => {
        const elapsedMs = await timed(() => node.run('pct', 'start', '100'));
        assert.ok(elapsedMs < plainStartMs + startDelayMsMax, `${elapsedMs} ms, without the agent ${plainStartMs} ms`);
        await ping(100, '10.9.0.1');
        assert.deepEqual(await spooledPhases(100), ['post-start', 'pre-start']);
      });

      it('catches up when it is back, and records the events', async () => {
        await node.run('systemctl', 'unmask', '--runtime', 'ovs-port-agent');
        await node.run('systemctl', 'start', 'ovs-port-agent');
        await waitFor('the port', () => isAdopted('veth100i0', 'vi100'), 5_000);
        await waitFor('an empty spool', async () => (await spooledPhases(100)).length === 0, 5_000);
        assert.match(await agent('ledger', 'verify'), /^VALID\b/);
      });
    });

    it('lets guests start when it was removed and only the snippet is left', async () => {
      await node.run('pct', 'stop', '101');
      const hook = join(node.root, 'usr/lib/ovs-port-agent/hook/ovs-port-agent');
      await chmod(hook, 0o644);
      await node.run('pct', 'start', '101');
      await chmod(hook, 0o755);
      await waitFor('the port', () => isAdopted('veth101i0', 'vi101'), 5_000);
    });
  });

  describe('when `pct stop` ends a container', () => {
    it('leaves neither row nor stanza nor anything in the list', async () => {
      await node.run('pct', 'stop', '100');
      assert.deepEqual((await ports('ovsbr0')).includes('veth100i0'), false);
      await waitFor('the stanza to go', async () => !(await node.read('/etc/network/interfaces')).includes('vi100'));
      assert.equal(await call('list_ports'), 'as 1 "vi101"');
      await node.run('pct', 'stop', '101');
      await waitFor('the block to go', async () => !(await node.read('/etc/network/interfaces')).includes('vi101'));
      assert.match(await node.read('/etc/network/interfaces'), /^auto lo\niface lo inet loopback\n/);
    });

    it('never lost sight of the devices, though many came and went', async () => {
      const logged = await node.run('journalctl', '--unit=ovs-port-agent', '--output=cat');
      assert.doesNotMatch(logged, /cannot observe network devices/);
    });

    it('has recorded it all', async () => {
      assert.match(await agent('ledger', 'verify'), /^VALID\b/);
    });
  });
});
