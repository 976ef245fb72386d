import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { foreignPortColumns } from '../../src/ports/foreign-columns.ts';
import { engineOnSwitch } from '../support/engine-on-switch.ts';
import type { EngineOnSwitch } from '../support/engine-on-switch.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { vmid } from '../support/running-engine.ts';

describe('a row that is replaced on a real switch', () => {
  let ovs: PrivateSwitch;
  let world: EngineOnSwitch;

  beforeEach(async () => {
    ovs = await startPrivateSwitch();
    await ovs.vsctl('add-br', 'ovsbr0', '--', 'add-port', 'ovsbr0', 'veth100i0', 'tag=10');
    world = await engineOnSwitch(ovs.endpoint, { namingMode: 'port' });
    world.configure(guestOf(100, [{ tag: 10 }]));
    world.links.add('veth100i0');
    await world.engine.start();
  });
  afterEach(async () => {
    await world.close();
    await ovs.stop();
  });

  const column = async (table: string, row: string, name: string): Promise<string> =>
    ovs.vsctl('get', table, row, name);

  it('keeps Interface, number, VLAN and the keys of others, and every mirror goes on', async () => {
    await ovs.vsctl('set', 'port', 'veth100i0', 'external_ids:fabric=x');
    await ovs.vsctl(
      ...['--', '--id=@p', 'get', 'port', 'veth100i0', '--', '--id=@b', 'get', 'port', 'ovsbr0'],
      ...['--', '--id=@in', 'create', 'mirror', 'name=in', 'select_src_port=@p,@b', 'select_dst_port=@p'],
      ...['--', '--id=@out', 'create', 'mirror', 'name=out', 'select_src_port=@b', 'output_port=@p'],
      ...['--', 'set', 'bridge', 'ovsbr0', 'mirrors=@in,@out'],
    );
    const before = await Promise.all(['_uuid', 'ofport'].map((name) => column('interface', 'veth100i0', name)));
    assert.equal(
      await world.engine.notifyLifecycle(vmid, 'post-start', cause),
      'CT 100: net0 is vi100 on ovsbr0, tag 10',
    );
    const after = await Promise.all(['_uuid', 'ofport'].map((name) => column('interface', 'veth100i0', name)));
    assert.deepEqual(after, before);
    assert.deepEqual((await ovs.vsctl('list-ports', 'ovsbr0')).split('\n'), ['vi100']);
    assert.equal(await column('port', 'vi100', 'tag'), '10');
    assert.equal(await column('port', 'vi100', 'external_ids:fabric'), 'x');
    const uuid = await column('port', 'vi100', '_uuid');
    const bridge = await column('port', 'ovsbr0', '_uuid');
    assert.deepEqual(
      (await column('mirror', 'in', 'select_src_port')).slice(1, -1).split(', ').sort(),
      [uuid, bridge].sort(),
    );
    assert.equal(await column('mirror', 'in', 'select_dst_port'), `[${uuid}]`);
    assert.equal(await column('mirror', 'out', 'select_src_port'), `[${bridge}]`);
    assert.equal(await column('mirror', 'out', 'output_port'), uuid);
  });

  for (const [what, ...words] of [
    ['bond_mode', 'bond_mode=active-backup'],
    ['lacp', 'lacp=active'],
    ['other_config', 'other_config:priority-tags=always'],
    ['qos', 'qos=@q', '--', '--id=@q', 'create', 'qos', 'type=linux-noop'],
  ] as const) {
    it(`is not replaced while somebody’s ${what} stands there, and is as soon as it does not`, async () => {
      await ovs.vsctl('set', 'port', 'veth100i0', ...words);
      const answer = await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      assert.equal(
        answer,
        `CT 100: net0 is vi100 on ovsbr0, tag 10 (its row keeps the name veth100i0: somebody has set ${what} there)`,
      );
      assert.notEqual(await column('port', 'veth100i0', what), '[]');
      await ovs.vsctl('clear', 'port', 'veth100i0', what);
      assert.equal(
        await world.engine.notifyLifecycle(vmid, 'post-start', cause),
        'CT 100: net0 is vi100 on ovsbr0, tag 10',
      );
      assert.equal(await ovs.vsctl('list-ports', 'ovsbr0'), 'vi100');
    });
  }
});

/** Each with the columns of Open vSwitch's schema that it does not have. */
const olderSchemas = {
  'lacks what came last': ['protected', 'cvlans', 'bond_active_slave'],
  'has none of them': Object.keys(foreignPortColumns),
};

for (const [what, lacking] of Object.entries(olderSchemas)) {
  describe(`a row that is replaced on a switch whose schema ${what}`, () => {
    let ovs: PrivateSwitch;
    let world: EngineOnSwitch;

    beforeEach(async () => {
      ovs = await startPrivateSwitch({ schema: schemaWithout(lacking) });
      await ovs.vsctl('--no-wait', 'init');
      await ovs.startVswitchd();
      await ovs.vsctl('add-br', 'ovsbr0', '--', 'add-port', 'ovsbr0', 'veth100i0', 'tag=10');
      world = await engineOnSwitch(ovs.endpoint, { namingMode: 'port' });
      world.configure(guestOf(100, [{ tag: 10 }]));
      world.links.add('veth100i0');
      await world.engine.start();
    });
    afterEach(async () => {
      await world.close();
      await ovs.stop();
    });

    it('has its new name, and keeps Interface and VLAN', async () => {
      const before = await ovs.vsctl('get', 'interface', 'veth100i0', '_uuid', 'ofport');
      assert.equal(
        await world.engine.notifyLifecycle(vmid, 'post-start', cause),
        'CT 100: net0 is vi100 on ovsbr0, tag 10',
      );
      assert.equal(await ovs.vsctl('list-ports', 'ovsbr0'), 'vi100');
      assert.equal(await ovs.vsctl('get', 'port', 'vi100', 'tag'), '10');
      assert.equal(await ovs.vsctl('get', 'interface', 'veth100i0', '_uuid', 'ofport'), before);
    });
  });
}

function schemaWithout(lacking: readonly string[]): object {
  const schema = JSON.parse(readFileSync('/usr/share/openvswitch/vswitch.ovsschema', 'utf8')) as {
    tables: { Port: { columns: Record<string, unknown> } };
  };
  for (const column of lacking) {
    assert.ok(column in schema.tables.Port.columns, column);
    Reflect.deleteProperty(schema.tables.Port.columns, column);
  }
  return schema;
}
