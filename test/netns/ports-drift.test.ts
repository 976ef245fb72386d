import assert from 'node:assert/strict';
import { join } from 'node:path';
import { acquireFlock } from '../../src/platform/flock.ts';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

const container = (...options: string[]): string =>
  `hostname: guest\nnet0: ${['name=eth0', 'bridge=ovsbr0', ...options].join(',')}\n`;
/** A second of patience, and what the slowest machine needs beyond it. */
const repairMs = 2_000 + 1_000;

describe('drift on real devices', function () {
  this.timeout(30_000);
  let w: AgentWorld;

  before(async () => {
    w = await AgentWorld.start();
    // 100 and 101 are attached by the agent, 102 by Proxmox VE.
    for (const vmid of [100, 101, 102]) {
      await w.addGuest(vmid, container('tag=10'));
      await w.addDevice(`veth${vmid}i0`);
    }
    await w.plug('ovsbr0', 'veth102i0', 'tag=10');
    for (const vmid of [100, 101, 102]) {
      assert.equal(
        (await w.hook(String(vmid), 'post-start')).stdout,
        `CT ${vmid}: net0 is vi${vmid} on ovsbr0, tag 10`,
      );
    }
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
  });
  after(() => w.stop());

  const columns = async (netdev: string): Promise<string> =>
    (await w.ovs.vsctl('get', 'port', netdev, 'tag', 'trunks', 'vlan_mode')).replaceAll('\n', ' ');
  const isBack = (netdev: string) => async (): Promise<boolean> => (await columns(netdev)) === '10 [] []';
  const drifts = async (): Promise<string[]> => (await w.blocks()).filter((block) => block.startsWith('drift'));

  it('is put back within two seconds in a row that the agent attached, and only named in one of Proxmox VE', async () => {
    await w.ovs.vsctl('set', 'port', 'veth102i0', 'tag=20');
    await w.ovs.vsctl('set', 'port', 'veth100i0', 'tag=20', 'trunks=30,40', 'vlan_mode=trunk');
    await waitFor('tag 10 again', isBack('veth100i0'), repairMs);
    assert.equal(await columns('veth102i0'), '20 [] []');
    assert.deepEqual((await w.status()).problems, ['vi102: tag: wanted 10, got 20']);
    await w.ovs.vsctl('set', 'port', 'veth102i0', 'tag=10');
    await waitFor('no problem', async () => (await w.status()).problems.length === 0);
    assert.deepEqual(await drifts(), ['drift repair']);
    const [json] = await w.call('get_blocks_by_category', 's', ['drift']);
    const [block] = JSON.parse(String(json)) as { data: { port: string; differences: unknown } }[];
    assert.equal(block?.data.port, 'vi100');
    assert.deepEqual(block.data.differences, [
      { column: 'tag', wanted: '10', got: '20' },
      { column: 'trunks', wanted: 'none', got: '30,40' },
      { column: 'vlan_mode', wanted: 'none', got: 'trunk' },
    ]);
    assert.match(await w.ledgerVerdict(), /^VALID/);
  });

  it('waits, like a lost row, while Proxmox VE holds the lock of its guest, and no longer', async () => {
    const lock = await acquireFlock(join(w.lockPath, 'lxc/pve-config-100.lock'), { deadlineMs: 5000 });
    try {
      await w.ovs.vsctl('set', 'port', 'veth100i0', 'tag=20');
      await w.ovs.vsctl('set', 'port', 'veth101i0', 'tag=20');
      await waitFor('the guest that nobody works on', isBack('veth101i0'), repairMs);
      assert.equal(await columns('veth100i0'), '20 [] []');
      await w.ovs.vsctl('del-port', 'veth100i0');
      await w.ovs.vsctl('del-port', 'veth101i0');
      await waitFor('its row', async () => (await w.rows('ovsbr0')).includes('veth101i0'), repairMs);
      assert.ok(!(await w.rows('ovsbr0')).includes('veth100i0'));
    } finally {
      await lock.release();
    }
    await waitFor('the row of the other', async () => (await w.rows('ovsbr0')).includes('veth100i0'), repairMs);
    assert.equal(await columns('veth100i0'), '10 [] []');
  });

  it('is left as it is, and told once, when it is only to be reported', async () => {
    await w.reconfigure('drift', '"report"');
    const before = (await drifts()).length;
    await w.ovs.vsctl('set', 'port', 'veth100i0', 'tag=20');
    await waitFor('the report', async () =>
      (await w.status()).problems.some((text) => text.startsWith('vi100: drift')),
    );
    for (let round = 0; round < 3; round++) await w.call('Reconcile');
    assert.equal(await columns('veth100i0'), '20 [] []');
    assert.deepEqual((await drifts()).slice(before), ['drift report']);
    assert.match((await w.cli('status')).stdout, /vi100: drift: tag: wanted 10, got 20/);
    await w.ovs.vsctl('set', 'port', 'veth100i0', 'tag=10');
    await waitFor('no problem', async () => (await w.status()).problems.length === 0);
    assert.match(await w.ledgerVerdict(), /^VALID/);
  });

  it('is not the mtu of the bridge, which follows its smallest port: guests keep theirs', async () => {
    await w.addDevice('small0');
    await w.ip('link', 'set', 'small0', 'mtu', '1300');
    await w.plug('ovsbr0', 'small0');
    await waitFor('the mtu of the bridge', async () => (await w.ip('link', 'show', 'ovsbr0')).includes('mtu 1300'));
    await w.call('Reconcile');
    await w.ovs.vsctl('del-port', 'small0');
    await w.call('Reconcile');
    assert.match(await w.ip('link', 'show', 'veth100i0'), /mtu 1500/);
    await waitFor('the mtu of the bridge', async () => (await w.ip('link', 'show', 'ovsbr0')).includes('mtu 1500'));
  });

  it('is none when a port is attached with the mtu that Proxmox VE would have asked for', async () => {
    await w.ovs.vsctl('set', 'interface', 'ovsbr0', 'mtu_request=1400');
    await waitFor('the mtu of the bridge', async () => (await w.ip('link', 'show', 'ovsbr0')).includes('mtu 1400'));
    await w.addGuest(103, container());
    await w.addDevice('veth103i0');
    assert.equal((await w.hook('103', 'post-start')).stdout, 'CT 103: net0 is vi103 on ovsbr0');
    assert.equal(await w.ovs.vsctl('get', 'interface', 'veth103i0', 'mtu_request'), '1400');
    await waitFor('the mtu of the device', async () => (await w.ip('link', 'show', 'veth103i0')).includes('mtu 1400'));
  });
});
