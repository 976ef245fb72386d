/** scripts/install.sh on a whole node: what it makes, what it refuses, and how it takes an uplink back. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { waitFor } from '../support/wait-for.ts';
import { bringPackage } from './package.ts';
import { TestNode } from './test-node.ts';

const setUpMsMax = 16 * 60_000;
const interfaces = '/etc/network/interfaces';
const script = '/root/scripts/install.sh';
const loopback = 'auto lo\niface lo inet loopback\n';
const uplinkStanza = 'auto eth9\niface eth9 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n';

describe('scripts/install.sh', function () {
  this.timeout(60_000);
  let node: TestNode;
  let deb: string;

  before(async function () {
    this.timeout(setUpMsMax);
    node = await TestNode.boot();
    await node.write(script, await readFile(join(import.meta.dirname, '../../scripts/install.sh'), 'utf8'), 0o755);
    deb = await bringPackage(node);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  /** Without a terminal, as an administrator's own script would. */
  const install = (...args: readonly string[]) =>
    node.try(script, '--deb', deb, '--yes', '--datapath', 'netdev', ...args);
  const bridges = async (): Promise<string[]> => (await node.run('ovs-vsctl', 'list-br')).split('\n').filter(Boolean);
  const isInstalled = async (): Promise<boolean> =>
    (await node.try('dpkg-query', '--show', '--showformat=${db:Status-Status}', 'ovs-port-agent')).stdout ===
    'installed';

  async function addressesOf(device: string): Promise<string[]> {
    const lines = await node.run('ip', '-oneline', '-4', 'address', 'show', 'dev', device);
    return lines.split('\n').flatMap((line) => line.split(/\s+/)[3] ?? []);
  }

  it('shows examples with --help, and names what it does not know', async () => {
    const help = await execa('scripts/install.sh', ['--help']);
    assert.match(help.stdout, /Examples:/);
    for (const args of [
      ['--frobnicate'],
      ['--bridge'],
      ['--bridge', 'a b'],
      ['--bridge', 'x'.repeat(16)],
      ['--confirm-within', '0'],
    ]) {
      const { exitCode, stdout, stderr } = await execa('scripts/install.sh', args, { reject: false });
      assert.deepEqual([exitCode, stdout, stderr.split('\n').length], [64, '', 1], args.join(' '));
    }
  });

  it('changes nothing in a dry run, and nothing without a terminal or --yes', async () => {
    const dry = await install('--dry-run', '--with-ovsbr1');
    assert.equal(dry.exitCode, 0);
    assert.match(dry.stdout, /^ +\+iface ovsbr0 inet manual$/m);
    assert.equal((await node.try(script, '--deb', deb)).exitCode, 1);
    assert.deepEqual([await bridges(), await node.read(interfaces), await isInstalled()], [[], loopback, false]);
  });

  it('takes everything back when a step fails', async () => {
    // The node's kernel has no Open vSwitch, so that no device comes of a bridge of this kind.
    const { exitCode, stderr } = await install('--datapath', 'system');
    assert.equal(exitCode, 1);
    assert.match(stderr, /made no device ovsbr0/);
    assert.deepEqual([await bridges(), await node.read(interfaces), await isInstalled()], [[], loopback, false]);
  });

  it('leaves a file with pending changes, or a bridge of another kind, alone', async () => {
    await node.write(`${interfaces}.new`, loopback);
    assert.match((await install()).stderr, /interfaces\.new has changes that wait/);
    await node.run('rm', `${interfaces}.new`);
    await node.write(interfaces, `${loopback}\niface ovsbr0 inet manual\n\tbridge-ports none\n`);
    for (const option of ['--system', '--purge-bridges']) {
      assert.match((await install(option)).stderr, /ovsbr0 is there, and is no OVSBridge/);
    }
    await node.write(interfaces, loopback);
    assert.deepEqual([await bridges(), await isInstalled()], [[], false]);
  });

  describe('when it is run', () => {
    before(async () => {
      const { exitCode, stderr } = await install('--with-ovsbr1', '--system');
      assert.equal(exitCode, 0, stderr);
    });

    it('has installed the package, made the bridges and started the service', async () => {
      assert.deepEqual([await bridges(), await isInstalled()], [['ovsbr0', 'ovsbr1'], true]);
      assert.match(await node.run('ovs-port-agent', 'status'), /^switch: +connected/m);
    });

    it('has written the bridges for the next boot, and nothing else', async () => {
      const stanza = (name: string): string =>
        [
          `\nauto ${name}`,
          `iface ${name} inet manual`,
          `\tovs_extra set bridge ${name} datapath_type=netdev`,
          '\tovs_type OVSBridge',
          '\tovs-ports-condone-regex ^(tap|veth|fwln|vi[0-9_])\n',
        ].join('\n');
      assert.equal(await node.read(interfaces), `${loopback}${stanza('ovsbr0')}${stanza('ovsbr1')}`);
      assert.equal(await node.run('stat', '--format=%a %U:%G', interfaces), '644 root:root');
    });

    it('has written what ifupdown2 makes the same bridge of', async () => {
      await node.run('ovs-vsctl', 'del-br', 'ovsbr1');
      await node.run('ifup', 'ovsbr1');
      assert.equal(await node.run('ovs-vsctl', 'get', 'Bridge', 'ovsbr1', 'datapath_type'), 'netdev');
    });

    it('does nothing when it is run again', async () => {
      const before = await node.read(interfaces);
      const { exitCode, stdout } = await install('--with-ovsbr1');
      assert.equal(exitCode, 0);
      assert.match(stdout, /interfaces stays as it is/);
      assert.equal(await node.read(interfaces), before);
    });

    it('purges a bridge that is empty, and refuses one with a port', async () => {
      await node.run('ovs-vsctl', 'set', 'Bridge', 'ovsbr0', 'external_ids:old=1');
      assert.equal((await install('--purge-bridges')).exitCode, 0);
      assert.equal(await node.run('ovs-vsctl', 'get', 'Bridge', 'ovsbr0', 'external_ids'), '{}');
      await node.run('ovs-vsctl', 'add-port', 'ovsbr0', 'own0', '--', 'set', 'Interface', 'own0', 'type=internal');
      assert.match((await install('--purge-bridges')).stderr, /ovsbr0 has the port own0/);
      await node.run('ip', 'link', 'add', 'veth100i0', 'type', 'veth', 'peer', 'name', 'inside');
      await node.run('ovs-vsctl', 'add-port', 'ovsbr0', 'veth100i0');
      assert.match((await install('--purge-bridges', '--force-ovsctl')).stderr, /veth100i0 of a guest/);
      await node.run('ip', 'link', 'delete', 'veth100i0');
      await node.run('ovs-vsctl', '--if-exists', 'del-port', 'veth100i0', '--', 'del-port', 'own0');
    });
  });

  describe('with an uplink', () => {
    before(async () => {
      await node.run('ip', 'netns', 'add', 'gateway');
      await node.run('ip', 'link', 'add', 'eth9', 'type', 'veth', 'peer', 'name', 'lan0', 'netns', 'gateway');
      await node.run('ip', '-n', 'gateway', 'address', 'add', '192.0.2.1/24', 'dev', 'lan0');
      await node.run('ip', '-n', 'gateway', 'link', 'set', 'lan0', 'up');
      await node.write(interfaces, `${await node.read(interfaces)}\n${uplinkStanza}`);
      await node.run('ifup', 'eth9');
      await node.run('ping', '-c', '1', '-w', '5', '192.0.2.1');
    });

    async function isBack(): Promise<void> {
      assert.deepEqual([await addressesOf('eth9'), await addressesOf('ovsbr0')], [['192.0.2.10/24'], []]);
      assert.match(await node.run('ip', 'route', 'show', 'default'), /^default via 192\.0\.2\.1 dev eth9 /m);
      assert.ok((await node.read(interfaces)).includes(uplinkStanza));
      await node.run('ping', '-c', '1', '-w', '5', '192.0.2.1');
    }

    it('takes it back when nobody confirms', async () => {
      const { exitCode, stderr } = await install('--uplink', 'eth9', '--confirm-within', '4');
      assert.equal(exitCode, 1);
      assert.match(stderr, /nobody confirmed in 4 s/);
      await isBack();
    });

    it('takes it back at once when the gateway does not answer any more', async () => {
      await node.run('ovs-vsctl', 'set-fail-mode', 'ovsbr0', 'secure');
      await node.run('ovs-ofctl', 'del-flows', 'ovsbr0');
      const { exitCode, stderr } = await install('--uplink', 'eth9', '--confirm-within', '60');
      assert.equal(exitCode, 1);
      assert.match(stderr, /gateway 192\.0\.2\.1 does not answer/);
      await node.run('ovs-vsctl', 'del-fail-mode', 'ovsbr0');
      await isBack();
    });

    async function startInBackground(within: string): Promise<void> {
      await node.run(
        ...['systemd-run', '--unit=installer', '--collect', '--quiet', script, '--deb', deb, '--yes'],
        ...['--uplink', 'eth9', '--confirm-within', within],
      );
      await waitFor('the move', async () => (await addressesOf('ovsbr0')).length > 0, 30_000);
    }

    it('takes it back when the installer was killed, and the terminal with it', async () => {
      await startInBackground('10');
      await node.run('systemctl', 'kill', '--signal=KILL', 'installer');
      await waitFor('the way back', async () => (await addressesOf('eth9')).length > 0, 20_000);
      await isBack();
    });

    it('refuses what it cannot move', async () => {
      const text = await node.read(interfaces);
      for (const [from, to, reason] of [
        ['inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n', 'inet dhcp\n', /eth9 is dhcp/],
        ['\tgateway', '\tpost-up true\n\tgateway', /eth9 has "post-up"/],
        [uplinkStanza, `${uplinkStanza}\niface bond0 inet manual\n\tbond-slaves eth9 eth8\n`, /eth9 belongs to bond0/],
      ] as const) {
        await node.write(interfaces, text.replace(from, to));
        const { exitCode, stderr } = await install('--uplink', 'eth9');
        assert.equal(exitCode, 1);
        assert.match(stderr, reason);
      }
      await node.write(interfaces, text);
      await isBack();
    });

    it('keeps it when it is confirmed from another login, and writes it for the next boot', async () => {
      await startInBackground('60');
      await waitFor('the question', async () => (await node.try(script, '--confirm')).exitCode === 0, 10_000);
      assert.deepEqual([await addressesOf('eth9'), await addressesOf('ovsbr0')], [[], ['192.0.2.10/24']]);
      const text = await node.read(interfaces);
      assert.ok(text.includes('auto eth9\niface eth9 inet manual\n\tovs_bridge ovsbr0\n\tovs_type OVSPort\n'), text);
      assert.match(
        text,
        /^iface ovsbr0 inet static\n\taddress 192\.0\.2\.10\/24\n\tgateway 192\.0\.2\.1\n\tovs_ports eth9\n/m,
      );
      assert.equal(
        (await node.try('systemctl', 'is-active', 'ovs-port-agent-install-rollback.timer')).stdout,
        'inactive',
      );
      await node.run('ping', '-c', '1', '-w', '5', '192.0.2.1');
      assert.equal((await node.try(script, '--confirm')).exitCode, 1);
    });

    it('has written what ifupdown2 makes the same network of', async () => {
      await node.run('ovs-vsctl', 'del-br', 'ovsbr0');
      await node.run('ip', 'address', 'flush', 'dev', 'eth9');
      await node.run('ifup', '--all');
      assert.deepEqual(await addressesOf('ovsbr0'), ['192.0.2.10/24']);
      assert.match(await node.run('ovs-vsctl', 'list-ports', 'ovsbr0'), /^eth9$/m);
      await node.run('ping', '-c', '1', '-w', '5', '192.0.2.1');
    });
  });
});
