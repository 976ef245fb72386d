/** Install, upgrade, downgrade, remove and purge under a guest that runs all the while. */
import assert from 'node:assert/strict';
import { errorTable } from '../../src/model/errors.ts';
import { waitFor } from '../support/wait-for.ts';
import { installPackage } from './package.ts';
import { makeContainer, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

const setUpMsMax = 16 * 60_000;
const net100 = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=10.9.0.100/24,type=veth';
const net101 = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:01,ip=10.9.0.101/24,type=veth';
const snippet = '/var/lib/vz/snippets/ovs-port-agent';
const interfaces = '/etc/network/interfaces';

describe('the package on a whole node', function () {
  this.timeout(60_000);
  let node: TestNode;
  /** Row UUID, OpenFlow port and device of the running guest: what must not change. */
  let port: string;
  let untouched: string;

  before(async function () {
    this.timeout(setUpMsMax);
    node = await TestNode.boot();
    await makeProxmox(node);
    await node.run('ip', 'address', 'replace', '10.9.0.1/24', 'dev', 'ovsbr0');
    await makeContainer(node, { vmid: 100, hostname: 'web01', nets: [net100] });
    await makeContainer(node, { vmid: 101, hostname: 'db01', nets: [net101] });
    await node.write(snippet, '#!/bin/sh\nexit 0\n# /usr/lib/ovs-port-agent/ of an older version\n', 0o755);
    await node.run('pct', 'start', '100');
    port = await portOf100();
    await node.run(
      'ovs-vsctl',
      'add-port',
      'ovsbr0',
      'foreign0',
      '--',
      'set',
      'Interface',
      'foreign0',
      'type=internal',
    );
    untouched = await daemons();
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  async function portOf100(): Promise<string> {
    const row = await node.run('ovs-vsctl', 'get', 'Port', 'veth100i0', '_uuid');
    const ofport = await node.run('ovs-vsctl', 'get', 'Interface', 'veth100i0', 'ofport');
    return [row, ofport, await node.read('/sys/class/net/veth100i0/ifindex')].join(' ');
  }

  /** Processes that no package script may restart. */
  function daemons(): Promise<string> {
    return node.run(
      'systemctl',
      'show',
      '--property=MainPID',
      'ovs-vswitchd',
      'ovsdb-server',
      'dbus',
      'pve-container@100',
    );
  }

  const mainPid = (): Promise<string> =>
    node.run('systemctl', 'show', '--value', '--property=MainPID', 'ovs-port-agent');
  const isActive = async (): Promise<string> => (await node.try('systemctl', 'is-active', 'ovs-port-agent')).stdout;
  const ping = (): Promise<string> =>
    node.run('lxc-attach', '--name', '100', '--', 'ping', '-c', '1', '-w', '5', '10.9.0.1');
  const exists = async (path: string): Promise<boolean> => (await node.try('test', '-e', path)).exitCode === 0;

  async function listed(): Promise<void> {
    await waitFor('the stanza', async () => (await node.read(interfaces)).includes('iface vi100 inet manual'));
  }

  /** Takes the step while the guest is pinged: none may be lost, and nothing of its port may change. */
  async function whileForwarding<T>(step: () => Promise<T>): Promise<T> {
    await node.run(
      ...['systemd-run', '--unit=pings', '--collect', '--quiet', '--property=Type=exec'],
      ...['--property=StandardOutput=truncate:/run/pings', 'ping', '-i', '0.05', '10.9.0.100'],
    );
    const result = await step();
    await node.run('systemctl', 'kill', '--signal=INT', 'pings');
    const statistics = /^(\d+) packets transmitted, (\d+) received/m;
    await waitFor('the count of pings', async () => statistics.test(await node.read('/run/pings')));
    const [, sent, received] = statistics.exec(await node.read('/run/pings')) ?? [];
    assert.ok(Number(sent) > 10);
    assert.equal(received, sent);
    assert.equal(await portOf100(), port);
    assert.equal(await daemons(), untouched);
    return result;
  }

  describe('when it is installed', () => {
    before(async () => {
      await whileForwarding(() => installPackage(node, '0.0.1'));
    });

    it('runs the service, now and at the next boot, and adopts the port of the running guest', async () => {
      assert.equal(await isActive(), 'active');
      assert.equal(await node.run('systemctl', 'is-enabled', 'ovs-port-agent'), 'enabled');
      await waitFor('the name', async () => (await node.try('ip', 'link', 'show', 'dev', 'vi100')).exitCode === 0);
      await listed();
      assert.match(await node.run('ovs-port-agent', 'list'), /^vi100$/m);
    });

    it('does not unlist under a service that would list the ports again', async () => {
      const { exitCode, stderr } = await node.try('ovs-port-agent', 'unlist');
      assert.equal(exitCode, errorTable.Busy.exit);
      assert.match(stderr, /the managed block was left in place/);
      await listed();
    });

    it('brings the snippet of a storage up to date, a regular file', async () => {
      assert.equal(await node.read(snippet), await node.read('/usr/lib/ovs-port-agent/snippet'));
      assert.equal(await node.run('stat', '--format=%F %a', snippet), 'regular file 755');
    });

    it('has manual pages and completion where they are looked for', async () => {
      for (const path of ['man/man1/ovs-port-agent.1.gz', 'bash-completion/completions/ovs-port-agent']) {
        assert.ok(await exists(`/usr/share/${path}`), path);
      }
      assert.equal(await node.run('dpkg', '--verify', 'ovs-port-agent'), '');
    });
  });

  describe('when it is upgraded', () => {
    let pid: string;

    before(async () => {
      await node.run('sh', '-c', 'echo "debounce_ms = 400" >>/etc/ovs-port-agent/config.toml');
      pid = await mainPid();
      await whileForwarding(() => installPackage(node));
    });

    it('runs the new service, with the configuration as it was edited', async () => {
      assert.equal(await isActive(), 'active');
      assert.notEqual(await mainPid(), pid);
      assert.match(await node.read('/etc/ovs-port-agent/config.toml'), /^debounce_ms = 400$/m);
      assert.match(await node.run('ovs-port-agent', 'ledger', 'verify'), /^VALID/);
    });

    it('leaves a service alone that is masked', async () => {
      await node.run('systemctl', 'mask', '--now', 'ovs-port-agent');
      await whileForwarding(() => installPackage(node));
      assert.equal(await isActive(), 'inactive');
      assert.equal((await node.try('systemctl', 'is-enabled', 'ovs-port-agent')).stdout, 'masked');
      await node.run('systemctl', 'unmask', 'ovs-port-agent');
      await node.run('systemctl', 'start', 'ovs-port-agent');
    });

    it('is installed although the configuration is wrong, and says so', async () => {
      const config = await node.read('/etc/ovs-port-agent/config.toml');
      await node.write('/etc/ovs-port-agent/config.toml', `${config}nonsense = 1\n`);
      await installPackage(node);
      assert.equal(
        await node.run('dpkg-query', '--show', '--showformat=${db:Status-Status}', 'ovs-port-agent'),
        'installed',
      );
      assert.equal(await isActive(), 'failed');
      await node.write('/etc/ovs-port-agent/config.toml', config);
      await node.run('systemctl', 'start', 'ovs-port-agent');
    });
  });

  describe('when it is downgraded', () => {
    it('runs, on the ledger and configuration of the newer one', async () => {
      await whileForwarding(() => installPackage(node, '0.0.1'));
      assert.equal(await isActive(), 'active');
      assert.match(await node.run('ovs-port-agent', 'ledger', 'verify'), /^VALID/);
      await installPackage(node);
      await listed();
    });
  });

  describe('when it is removed', () => {
    let said: string;

    before(async () => {
      // Another node's guest, and a snapshot: neither can be detached here.
      await node.write('/etc/pve/nodes/pve2/lxc/200.conf', 'hookscript: local:snippets/ovs-port-agent\n');
      await node.write('/etc/pve/lxc/102.conf', 'hookscript: local:snippets/other\n');
      said = await whileForwarding(() => node.run('dpkg', '--remove', 'ovs-port-agent'));
    });

    it('takes the managed block out, and nothing else of that file', async () => {
      assert.equal(await node.read(interfaces), 'auto lo\niface lo inet loopback\n');
    });

    it('detaches its hookscript from the guests of this node, and no other', async () => {
      assert.match(said, /^guest 100: hookscript detached$/m);
      assert.doesNotMatch(await node.read('/etc/pve/lxc/100.conf'), /hookscript/);
      assert.match(await node.read('/etc/pve/lxc/102.conf'), /^hookscript: local:snippets\/other$/m);
    });

    it('leaves the snippet while a guest anywhere names it, and it harms nobody', async () => {
      assert.match(said, /snippets\/ovs-port-agent stays: a guest names it/);
      assert.equal(await node.run(snippet, '100', 'pre-start'), '');
    });

    it('leaves no unit, and no bus name that could be called', async () => {
      assert.equal((await node.try('systemctl', 'cat', 'ovs-port-agent')).exitCode, 1);
      const { exitCode } = await node.try(
        'busctl',
        'call',
        'dev.ovs.PortAgent1',
        '/dev/ovs/PortAgent1',
        'dev.ovs.PortAgent1',
        'ping',
      );
      assert.equal(exitCode, 1);
      assert.equal(await exists('/run/systemd/system/ovs-port-agent.service'), false);
    });

    it('leaves foreign rows, the ledger and the configuration', async () => {
      assert.match(await node.run('ovs-vsctl', 'list-ports', 'ovsbr0'), /^foreign0$/m);
      assert.ok(await exists('/var/lib/ovs-port-agent/ledger.jsonl'));
      assert.ok(await exists('/etc/ovs-port-agent/config.toml'));
    });

    it('lets a guest start and stop that still names the snippet', async () => {
      await node.write(
        '/etc/pve/lxc/101.conf',
        `hookscript: local:snippets/ovs-port-agent\n${await node.read('/etc/pve/lxc/101.conf')}`,
      );
      await node.run('pct', 'start', '101');
      await node.run('pct', 'stop', '101');
      await node.run('pct', 'set', '101', '--delete', 'hookscript');
    });

    it('runs again when it is installed again', async () => {
      await whileForwarding(() => installPackage(node));
      assert.equal(await isActive(), 'active');
      await listed();
    });
  });

  describe('when it is purged', () => {
    before(async () => {
      await node.run('rm', '/etc/pve/nodes/pve2/lxc/200.conf');
      await whileForwarding(() => node.run('dpkg', '--purge', 'ovs-port-agent'));
    });

    it('leaves nothing of itself but the ledger, and the snippet only while it is named', async () => {
      const paths = [
        '/etc/ovs-port-agent',
        '/var/lib/ovs-port-agent',
        '/usr/lib/ovs-port-agent',
        '/run/ovs-port-agent',
        snippet,
      ];
      for (const path of paths) assert.equal(await exists(path), false, path);
      const kept = await node.run('find', '/var/backups', '-name', 'ledger.jsonl', '-path', '*/ovs-port-agent-*');
      assert.notEqual(kept, '');
      assert.equal(await node.run('stat', '--format=%a', kept.replace(/\/ledger\.jsonl$/, '')), '700');
      const left = await node.run('find', '/etc', '/usr', '-xdev', '-name', '*ovs-port-agent*');
      assert.equal(left, '');
    });

    it('leaves the guest on the network, and lets it stop and start', async () => {
      await ping();
      await node.run('pct', 'stop', '100');
      await node.run('pct', 'start', '100');
      await ping();
    });
  });
});
