import assert from 'node:assert/strict';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

const container = (...options: string[]): string =>
  `hostname: guest\nnet0: ${['name=eth0', 'bridge=ovsbr0', ...options].join(',')}\n`;

describe('naming modes on real devices', function () {
  this.timeout(30_000);
  let w: AgentWorld;
  let spaces: string[];

  before(async () => {
    w = await AgentWorld.start({ isStarted: false });
    spaces = [];
    // 100 is plugged by Proxmox VE, 101 is left to the agent, dummy0 is handed over.
    for (const vmid of [100, 101]) {
      await w.addGuest(vmid, container('tag=10'));
      spaces.push(await w.addContainer(`veth${vmid}i0`, `192.0.2.${vmid}`));
    }
    await w.addDevice('dummy0');
    await w.plug('ovsbr0', 'veth100i0', 'tag=10');
    await w.startService();
    assert.match((await w.hook('100', 'post-start')).stdout, /net0 is vi100/);
    assert.match((await w.hook('101', 'post-start')).stdout, /net0 is vi101/);
    assert.deepEqual(await w.call('add_port', 's', ['dummy0']), ['vi_dummy0']);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
  });
  after(() => w.stop());

  /** What must not change when a row gets another name: the Interface row, its number, the VLAN. */
  async function identity(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const netdev of ['veth100i0', 'veth101i0', 'dummy0']) {
      const uuid = await w.ovs.vsctl('get', 'interface', netdev, '_uuid');
      const ofport = await w.ovs.vsctl('get', 'interface', netdev, 'ofport');
      const row = await w.ovs.vsctl('--bare', '--columns=tag', 'find', 'port', `interfaces=${uuid}`);
      found[netdev] = `${uuid} ${ofport} ${row}`;
    }
    return found;
  }
  const rowsAre = (...expected: string[]) =>
    waitFor(`rows ${expected.join(' ')}`, async () => (await w.rows('ovsbr0')).sort().join() === expected.join());

  for (const [mode, rows] of [
    ['port', ['vi100', 'vi101', 'vi_dummy0']],
    ['alias', ['dummy0', 'veth100i0', 'veth101i0']],
    ['port', ['vi100', 'vi101', 'vi_dummy0']],
    ['auto', ['veth100i0', 'veth101i0', 'vi_dummy0']],
  ] as const) {
    it(`${mode}: rows become ${rows.join(', ')} around the same Interfaces, and packets cross`, async () => {
      const before = await identity();
      await w.reconfigure('naming_mode', `"${mode}"`);
      await rowsAre(...rows);
      assert.deepEqual(await identity(), before);
      await waitFor('a packet from 100 to 101', () => w.reaches(spaces[0]!, '192.0.2.101'));
      assert.deepEqual(await w.ports(), ['vi100', 'vi101', 'vi_dummy0'], 'the names that users see stay');
      for (const port of ['vi100', 'vi101', 'vi_dummy0']) {
        const found = await w.ovs.vsctl('--bare', '--columns=name', 'find', 'port', `external_ids:port-name=${port}`);
        assert.ok((rows as readonly string[]).includes(found), `${port} is row ${found}`);
        assert.match(await w.ip('link', 'show', port), /veth10[01]i0|dummy0/);
      }
      const [json] = await w.call('Reconcile');
      assert.deepEqual(JSON.parse(String(json)), { changes: [], problems: {} });
      assert.deepEqual((await w.status()).problems, []);
    });
  }

  it('port: what is attached anew gets the port name at once, and goes with its device', async () => {
    await w.reconfigure('naming_mode', '"port"');
    await w.addGuest(102, container('tag=20'));
    await w.addDevice('veth102i0');
    assert.equal((await w.hook('102', 'post-start')).stdout, 'CT 102: net0 is vi102 on ovsbr0, tag 20');
    await rowsAre('vi100', 'vi101', 'vi102', 'vi_dummy0');
    await w.removeDevice('veth102i0');
    assert.equal((await w.hook('102', 'post-stop')).stdout, 'CT 102: removed vi102 from ovsbr0');
    await rowsAre('vi100', 'vi101', 'vi_dummy0');
  });

  for (const [what, vmid, columns] of [
    ['a queueing discipline', 110, ['qos=@q', '--', '--id=@q', 'create', 'qos', 'type=linux-noop']],
    ['other_config', 111, ['other_config:priority-tags=always']],
  ] as const) {
    it(`port: a row with ${what} keeps its name, is reported by name, and the others are served`, async () => {
      const netdev = `veth${vmid}i0`;
      await w.addGuest(vmid, container());
      await w.addDevice(netdev);
      await w.plug('ovsbr0', netdev, '--', 'set', 'port', netdev, ...columns);
      await waitFor('the report', async () =>
        (await w.status()).problems.some((problem) => problem.startsWith(`vi${vmid}: `)),
      );
      assert.ok((await w.rows('ovsbr0')).includes(netdev));
      await w.addGuest(112, container());
      await w.addDevice('veth112i0');
      assert.equal((await w.hook('112', 'post-start')).stdout, 'CT 112: net0 is vi112 on ovsbr0');
      await w.removeDevice('veth112i0');
      await w.hook('112', 'post-stop');
      assert.notEqual(await w.ovs.vsctl('get', 'port', netdev, columns[0].split(/[=:]/)[0]!), '[]');
      await w.removeDevice(netdev);
      await waitFor('the row to go', async () => !(await w.rows('ovsbr0')).includes(netdev));
    });
  }

  it('the ledger of all that is VALID', async () => {
    assert.match(await w.ledgerVerdict(), /^VALID/);
    assert.ok((await w.blocks()).filter((block) => block === 'port replace').length >= 8);
  });
});
