/** hook, doctor and setup on a whole node with the Debian package, and guests that start through what they made. */
import assert from 'node:assert/strict';
import { errorTable } from '../../src/model/errors.ts';
import { waitFor } from '../support/wait-for.ts';
import { installPackage } from './package.ts';
import { makeContainer, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

const setUpMsMax = 16 * 60_000;
const interfaces = '/etc/network/interfaces';
const snippets = '/var/lib/vz/snippets';
const dropIn = '/usr/lib/systemd/system/pve-container@.service.d/50-ovs-port-agent.conf';
const net = (vmid: number): string =>
  `name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:${vmid - 100},ip=10.9.0.${vmid}/24,type=veth`;
const bridges =
  'auto lo\niface lo inet loopback\n\n' +
  'auto ovsbr0\niface ovsbr0 inet manual\n\tovs_type OVSBridge\n\tovs_ports own0\n#the bridge\n\n' +
  'auto ovsbr1\niface ovsbr1 inet manual\n\tovs_type OVSBridge\n';

interface Report {
  readonly errors: number;
  readonly warnings: number;
  readonly checks: readonly {
    id: string;
    result: string;
    findings: { severity: string; message: string; remedy: string }[];
  }[];
}

describe('a node that is set up', function () {
  this.timeout(120_000);
  let node: TestNode;

  before(async function () {
    this.timeout(setUpMsMax);
    node = await TestNode.boot();
    await makeProxmox(node);
    await node.write(interfaces, bridges);
    for (const vmid of [110, 111]) {
      await makeContainer(node, { vmid, hostname: `ct${vmid}`, nets: [net(vmid)], hookscript: false });
    }
    // Says what it was called with, and may be told to fail.
    await node.write(
      `${snippets}/gpu.sh`,
      '#!/bin/sh\necho "gpu $*" >>/run/gpu.log\n[ "$2" != pre-start ] || [ ! -e /run/gpu-broken ] || exit 3\n',
      0o755,
    );
    await node.run('sed', '-i', '1i hookscript: local:snippets/gpu.sh', '/etc/pve/lxc/111.conf');
    await installPackage(node);
    await waitFor('the service', async () => (await node.try('ovs-port-agent', 'status')).exitCode === 0);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  async function doctor(): Promise<Report & { readonly exitCode: number }> {
    const { exitCode, stdout, stderr } = await node.try('ovs-port-agent', 'doctor', '--output-format', 'json');
    assert.equal(stderr, '');
    return { exitCode, ...(JSON.parse(stdout) as Report) };
  }

  /** Of the checks that can be well in a container that shares its host's clock. */
  const findings = ({ checks }: Report, ...ids: string[]): string[] =>
    checks
      .filter(({ id }) => id !== 'clock' && (ids.length === 0 || ids.includes(id)))
      .flatMap(({ id, findings: found }) =>
        found.filter(({ severity }) => severity !== 'note').map(({ message }) => `${id}: ${message}`),
      );

  it('is looked at as the package leaves it: bridges do not condone our ports yet', async () => {
    const report = await doctor();
    assert.deepEqual(findings(report), [
      'condone: ovsbr0 has no ovs-ports-condone-regex: an ifreload may delete ports of ours',
      'condone: ovsbr1 has no ovs-ports-condone-regex: an ifreload may delete ports of ours',
    ]);
    assert.equal(report.exitCode, 1);
  });

  it('is looked at with the service stopped and masked, and neither is changed by it', async () => {
    await node.run('systemctl', 'stop', 'ovs-port-agent');
    assert.match(findings(await doctor(), 'unit').join(), /the service does not run/);
    await node.run('systemctl', 'mask', 'ovs-port-agent');
    assert.match(findings(await doctor(), 'unit').join(), /the service is masked/);
    assert.equal((await node.try('systemctl', 'is-active', 'ovs-port-agent')).stdout, 'inactive');
    await node.run('systemctl', 'unmask', 'ovs-port-agent');
    await node.run('systemctl', 'start', 'ovs-port-agent');
  });

  it('has errors, exit 2, when the switch is away and a hookscript is missing', async () => {
    await node.run('sed', '-i', 's/gpu.sh/gone.sh/', '/etc/pve/lxc/111.conf');
    await node.run('systemctl', 'stop', 'ovs-vswitchd', 'ovsdb-server');
    const report = await doctor();
    assert.equal(report.exitCode, 2);
    assert.match(findings(report, 'switch').join(), /no such socket|refused/);
    assert.match(findings(report, 'hookscripts').join(), /CT 111 does not start/);
    await node.run('systemctl', 'start', 'openvswitch-switch');
    await node.run('sed', '-i', 's/gone.sh/gpu.sh/', '/etc/pve/lxc/111.conf');
  });

  describe('when setup is run', () => {
    let original: string;

    before(async () => {
      original = await interfacesText();
      await node.write('/usr/local/sbin/ovs-port-agent', '#!/bin/sh\n', 0o755);
      await node.run('rm', dropIn, `${snippets}/ovs-port-agent`);
    });

    /** Without the managed block, which is the service's. */
    async function interfacesText(): Promise<string> {
      return (await node.read(interfaces)).split('\n# BEGIN')[0] ?? '';
    }

    it('shows what it would do, and does nothing without a yes', async () => {
      const { stdout } = await node.try('/usr/bin/ovs-port-agent', 'setup', '--dry-run', '--attach', 'all');
      assert.match(stdout, /^ {6}\+\tovs-ports-condone-regex \^\(tap\|veth\|fwln\|vi\[0-9_\]\)$/m);
      assert.match(stdout, /move \/usr\/local\/sbin\/ovs-port-agent of the older tool/);
      const { exitCode } = await node.try('/usr/bin/ovs-port-agent', 'setup');
      assert.equal(exitCode, errorTable.InvalidArgument.exit);
      assert.equal(await interfacesText(), original);
    });

    it('makes the node ready', async () => {
      await node.run('/usr/bin/ovs-port-agent', 'setup', '--yes', '--attach', 'all');
      const condone = '\tovs-ports-condone-regex ^(tap|veth|fwln|vi[0-9_])\n';
      assert.equal(
        await interfacesText(),
        original
          .replace('own0\n', `own0\n${condone}`)
          .replace(/(ovsbr1 inet manual\n\tovs_type OVSBridge\n)/, `$1${condone}`),
      );
      assert.equal(await node.run('stat', '--format=%a %U:%G', interfaces), '644 root:root');
      assert.equal(await node.read(dropIn), await node.read('/usr/lib/ovs-port-agent/pve-container.conf'));
      assert.match(await node.read('/etc/pve/lxc/110.conf'), /^hookscript: local:snippets\/ovs-port-agent$/m);
      assert.match(await node.read('/etc/pve/lxc/111.conf'), /^hookscript: local:snippets\/ovs-port-agent\+gpu\.sh$/m);
      assert.deepEqual(findings(await doctor()), []);
      assert.match(await node.run('ovs-port-agent', 'setup', '--yes', '--attach', 'all'), /^nothing to do$/m);
    });

    it('is in the ledger, step by step', async () => {
      const listed = await node.run('ovs-port-agent', 'ledger', 'list', '--category', 'settings', '--action', 'setup');
      assert.equal(listed.split('\n').length >= 5, true, listed);
      assert.match(await node.run('ovs-port-agent', 'ledger', 'verify'), /^VALID/);
    });

    it('lets a guest start through ours and through the hookscript that it had', async () => {
      assert.match(await node.run('pct', 'start', '111'), /CT 111: net0 is vi111 on ovsbr0/);
      assert.equal(await node.read('/run/gpu.log'), 'gpu 111 pre-start\ngpu 111 post-start\n');
      await node.run('pct', 'stop', '111');
    });

    it('keeps a guest down whose own hookscript says so, as it was before', async () => {
      await node.write('/run/gpu-broken', '');
      assert.notEqual((await node.try('pct', 'start', '111')).exitCode, 0);
      await node.run('rm', '/run/gpu-broken');
      await node.run('pct', 'start', '111');
    });

    it('is taken back: every file and guest is as it was', async () => {
      await node.run('/usr/bin/ovs-port-agent', 'setup', '--undo', '--yes');
      assert.equal(await interfacesText(), original);
      assert.doesNotMatch(await node.read('/etc/pve/lxc/110.conf'), /hookscript/);
      assert.match(await node.read('/etc/pve/lxc/111.conf'), /^hookscript: local:snippets\/gpu\.sh$/m);
      assert.equal((await node.try('test', '-e', dropIn)).exitCode, 1);
      assert.equal((await node.try('test', '-e', `${snippets}/ovs-port-agent+gpu.sh`)).exitCode, 1);
      await node.run('test', '-x', '/usr/local/sbin/ovs-port-agent');
      await node.run('rm', '/usr/local/sbin/ovs-port-agent');
    });
  });

  describe('afterwards', () => {
    it('gives a new guest the hookscript by itself with auto_attach, and leaves the others', async () => {
      await node.run('/usr/bin/ovs-port-agent', 'setup', '--yes');
      await node.run('sed', '-i', '1i auto_attach = true', '/etc/ovs-port-agent/config.toml');
      await node.run('systemctl', 'restart', 'ovs-port-agent');
      await waitFor('the known guests', async () =>
        (await node.try('cat', '/var/lib/ovs-port-agent/auto-attach.json')).stdout.includes('111'),
      );
      await makeContainer(node, { vmid: 112, hostname: 'new', nets: [net(112)], hookscript: false });
      await waitFor(
        'the hookscript',
        async () => (await node.read('/etc/pve/lxc/112.conf')).includes('hookscript: local:snippets/ovs-port-agent'),
        30_000,
      );
      assert.doesNotMatch(await node.read('/etc/pve/lxc/110.conf'), /hookscript/);
      assert.match(await node.run('pct', 'start', '112'), /CT 112: net0 is vi112/);
      await node.run('ovs-port-agent', 'hook', 'detach', '112');
    });

    it('is in the ledger also when no service runs, by the command itself', async () => {
      await node.run('systemctl', 'stop', 'ovs-port-agent');
      await node.run('ovs-port-agent', 'hook', 'attach', '110');
      await node.run('ovs-port-agent', 'hook', 'detach', '110');
      await node.run('systemctl', 'start', 'ovs-port-agent');
      const listed = await node.run('ovs-port-agent', 'ledger', 'list', '--limit', '10', '--output-format', 'json');
      const blocks = JSON.parse(listed) as { action: string; metadata: { plugin: string; cause: string } }[];
      const own = blocks.filter(({ metadata }) => metadata.plugin === 'node' && metadata.cause === 'hook');
      assert.deepEqual(own.map(({ action }) => action).sort(), ['attach-hook', 'detach-hook']);
      assert.match(await node.run('ovs-port-agent', 'ledger', 'verify'), /^VALID/);
    });

    it('gives chained hookscripts back when the package is removed', async () => {
      await node.run('ovs-port-agent', 'hook', 'attach', '111');
      assert.match(await node.run('dpkg', '--remove', 'ovs-port-agent'), /^guest 111: hookscript detached$/m);
      assert.match(await node.read('/etc/pve/lxc/111.conf'), /^hookscript: local:snippets\/gpu\.sh$/m);
      assert.equal((await node.try('test', '-e', `${snippets}/ovs-port-agent+gpu.sh`)).exitCode, 1);
    });
  });
});
