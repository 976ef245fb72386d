import assert from 'node:assert/strict';
import { parseNetdevName, parseVmid } from '../../src/model/names.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { refusedWith } from '../support/refused.ts';
import { blocksOf, passes, running, soon, vmid } from '../support/running-engine.ts';
import type { World } from '../support/running-engine.ts';
import type { NewPort } from '../support/memory-switch.ts';

/** Guest 100 in naming mode `port`, just plugged by Proxmox VE. */
async function plugged(more: Partial<NewPort> = {}, isLocked = false): Promise<World> {
  const world = await running({ namingMode: 'port' });
  world.configure(guestOf(100, [{ tag: 10 }]));
  world.links.add('veth100i0');
  if (isLocked) world.locked.add(vmid);
  world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10, ...more });
  await soon(world);
  return world;
}

describe('a row that Proxmox VE plugged, in naming mode port', () => {
  it('is marked at once and replaced after a second, around the same Interface, columns and keys', async () => {
    const world = await plugged({ portIds: { fabric: 'x' }, trunks: [20, 30] });
    const { interfaceUuid } = world.ovs.columnsOf('veth100i0');
    await passes(world, 900);
    assert.deepEqual(world.ovs.portRows(), ['veth100i0'], 'Proxmox VE may not be done');
    assert.equal(world.ovs.idsOf('veth100i0')['port-name'], 'vi100');
    assert.deepEqual(world.links.devices.get('veth100i0')?.altnames, ['vi100']);
    await passes(world, 700);
    const after = world.ovs.columnsOf('vi100');
    assert.deepEqual([after.interfaceUuid, after.tag, after.trunks], [interfaceUuid, 10, [20, 30]]);
    assert.equal(world.ovs.idsOf('vi100')['fabric'], 'x');
    assert.deepEqual(await blocksOf(world, 'port'), ['port adopt', 'port replace']);
    assert.doesNotMatch(world.events.at(-1) ?? '', /^removed/, 'who follows the signals still has the port');
  });

  it('stays findable for Proxmox VE, which plugs by deleting and adding again', async () => {
    const world = await plugged();
    for (let round = 0; round < 3; round++) {
      await passes(world, 400);
      world.ovs.unplug('veth100i0');
      await passes(world, 100);
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
    }
    await passes(world, 2500);
    assert.deepEqual(world.ovs.portRows(), ['vi100']);
  });

  it('keeps its name while Proxmox VE holds the lock of the guest, and gets the other within two seconds of its end', async () => {
    const world = await plugged({}, true);
    await passes(world, 10_000);
    assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
    world.locked.delete(vmid);
    await passes(world, 2000);
    assert.deepEqual(world.ovs.portRows(), ['vi100']);
  });

  it('is replaced at once when the hook of its start asks, or a person, in one step with its marks', async () => {
    for (const ask of [
      (world: World) => world.engine.notifyLifecycle(vmid, 'post-start', cause),
      (world: World) => world.engine.reconcile(cause),
    ]) {
      const world = await running({ namingMode: 'port' });
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.locked.add(vmid);
      const tell = world.ovs.onChanges;
      world.ovs.onChanges = () => undefined;
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      world.engine.onSwitchChanges(world.ovs.contents());
      world.ovs.onChanges = tell;
      await ask(world);
      assert.deepEqual(world.ovs.portRows(), ['vi100']);
      await passes(world, 2000);
      assert.equal((await blocksOf(world, 'port')).at(-1), 'port replace');
    }
  });

  for (const [column, foreign] of [
    ['bond_mode', { bond_mode: 'active-backup' }],
    ['lacp', { lacp: 'active' }],
    ['other_config', { other_config: new Map([['priority-tags', 'always']]) }],
    ['protected', { protected: true }],
    ['qos', { qos: '00000000-0000-4000-8000-00000000abcd' }],
  ] as const) {
    it(`keeps its name while somebody’s ${column} stands there, is reported, and nothing is tried in vain`, async () => {
      const world = await plugged({ foreign });
      world.configure(guestOf(101));
      world.links.add('veth101i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth101i0' });
      await passes(world, 10_000);
      assert.deepEqual(world.ovs.portRows(), ['veth100i0', 'vi101']);
      assert.deepEqual(world.engine.status().problems, [
        ['vi100', `its row keeps the name veth100i0: somebody has set ${column} there`],
      ]);
      assert.equal((await blocksOf(world, 'port')).length, 3, 'two adoptions, one replacement');
      world.ovs.edit('veth100i0', {
        foreign: { [column]: column === 'protected' ? false : column === 'other_config' ? new Map() : null },
      });
      await passes(world, 2500);
      assert.deepEqual([world.ovs.portRows(), world.engine.status().problems], [['vi100', 'vi101'], []]);
    });
  }

  it('loses nothing that somebody writes between the plan and the transaction', async () => {
    for (const edit of [{ foreign: { lacp: 'active' } }, { tag: 30 }]) {
      const world = await plugged();
      const transact = world.ovs.transact.bind(world.ovs);
      let edits = 0;
      world.ovs.transact = (operations) => {
        if (operations.some(({ op }) => op === 'insert') && edits++ === 0) world.ovs.edit('veth100i0', edit);
        return transact(operations);
      };
      await passes(world, 4000);
      assert.equal(edits > 0, true);
      if ('tag' in edit) assert.equal(world.ovs.columnsOf('vi100').tag, 30);
      else assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
    }
  });
});

describe('a device in a bond', () => {
  it('is nobody’s to plug: reported by name, and nothing is tried', async () => {
    const world = await running();
    world.configure(guestOf(100));
    for (const name of ['veth100i0', 'dummy0']) world.links.add(name);
    world.ovs.plug({ bridge: 'ovsbr0', row: 'bond1', netdev: 'veth100i0', bondedWith: 'dummy0' });
    await passes(world, 5000);
    assert.deepEqual(world.engine.status().problems, [
      ['vi100', 'veth100i0 is plugged as a member of bond1, which is not ours'],
    ]);
    assert.equal(
      await world.engine.notifyLifecycle(vmid, 'post-start', cause),
      'CT 100: net0: veth100i0 is plugged as a member of bond1, which is not ours',
    );
    await assert.rejects(
      world.engine.addPort(parseNetdevName('dummy0'), null, cause),
      refusedWith('Conflict', 'a member of bond1'),
    );
    assert.equal(world.ovs.transactions.length, 0);
    world.ovs.unplug('bond1');
    await passes(world, 3000);
    assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
    assert.equal(world.engine.guest(parseVmid(100))?.vmid, 100);
  });
});
