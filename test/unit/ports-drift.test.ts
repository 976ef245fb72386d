import assert from 'node:assert/strict';
import { parseNetdevName } from '../../src/model/names.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { attached, blocksOf, passes, vmid } from '../support/running-engine.ts';
import type { World } from '../support/running-engine.ts';

const driftsOf = ({ events }: World): string[] => events.filter((event) => event.startsWith('drift'));

describe('drift', () => {
  for (const [who, look] of [
    ['a hook', ({ engine }: World) => engine.notifyLifecycle(vmid, 'post-start', cause)],
    ['a handover', ({ engine }: World) => engine.addPort(parseNetdevName('veth100i0'), null, cause)],
    ['an operator', ({ engine }: World) => engine.reconcile(cause)],
  ] as const) {
    it(`that the pass of ${who} puts back is told and recorded once`, async () => {
      const world = await attached();
      world.ovs.edit('veth100i0', { tag: 20 });
      await look(world);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 10);
      await passes(world, 3000);
      assert.deepEqual(driftsOf(world), ['drift vi100 tag: wanted 10, got 20; put back']);
      assert.deepEqual(await blocksOf(world, 'drift'), ['drift repair']);
    });

    it(`that the pass of ${who} finds and leaves is told and recorded once`, async () => {
      // The change itself wakes nobody: this pass is the first that sees it.
      const world = await attached({ drift: 'report', switchWakes: false });
      world.ovs.edit('veth100i0', { tag: 20 });
      await look(world);
      assert.deepEqual(driftsOf(world), ['drift vi100 tag: wanted 10, got 20; left as it is']);
      await passes(world, 3000);
      assert.equal(driftsOf(world).length, 1);
      assert.deepEqual(await blocksOf(world, 'drift'), ['drift report']);
    });
  }

  it('that two passes put back at once is told and recorded once', async () => {
    const world = await attached();
    world.ovs.edit('veth100i0', { tag: 20 });
    await Promise.all([1, 2].map(() => world.engine.notifyLifecycle(vmid, 'post-start', cause)));
    await passes(world, 3000);
    assert.deepEqual(driftsOf(world), ['drift vi100 tag: wanted 10, got 20; put back']);
    assert.deepEqual(await blocksOf(world, 'drift'), ['drift repair']);
  });

  for (const mode of ['repair', 'report'] as const) {
    it(`that a changed configuration overwrites is told and recorded, when it is to ${mode}`, async () => {
      const world = await attached({ drift: mode });
      world.configure(guestOf(100, [{ tag: 30 }]));
      world.ovs.edit('veth100i0', { tag: 20, trunks: [40] });
      await passes(world, 3000);
      assert.deepEqual([world.ovs.columnsOf('veth100i0').tag, world.ovs.columnsOf('veth100i0').trunks], [30, []]);
      assert.deepEqual(driftsOf(world), ['drift vi100 tag: wanted 30, got 20; trunks: wanted none, got 40; put back']);
      assert.deepEqual(await blocksOf(world, 'drift'), ['drift repair']);
      assert.deepEqual(world.engine.status().problems, []);
    });
  }

  it('is no longer drift when the configuration says what somebody has written', async () => {
    const world = await attached();
    world.configure(guestOf(100, [{ tag: 20 }]));
    world.ovs.edit('veth100i0', { tag: 20 });
    await passes(world, 3000);
    assert.deepEqual(driftsOf(world), []);
    world.ovs.edit('veth100i0', { tag: 21 });
    await passes(world, 3000);
    assert.deepEqual(driftsOf(world), ['drift vi100 tag: wanted 20, got 21; put back']);
  });

  it('is not told of when it could not be put back', async () => {
    const world = await attached();
    world.ovs.edit('veth100i0', { tag: 20 });
    world.ovs.faults.push('refused');
    await world.engine.notifyLifecycle(vmid, 'post-start', cause);
    assert.equal(world.ovs.columnsOf('veth100i0').tag, 20);
    assert.deepEqual(driftsOf(world), []);
  });

  it('leaves no problem behind that a hook’s own pass found gone', async () => {
    const world = await attached();
    world.ovs.unplug('veth100i0');
    world.ovs.plug({ bridge: 'ovsbr1', row: 'veth100i0' });
    await passes(world, 600);
    assert.equal(world.engine.status().problems.length, 1);
    world.configure(guestOf(100, [{ bridge: 'ovsbr1' }]));
    await world.engine.notifyLifecycle(vmid, 'post-start', cause);
    assert.deepEqual(world.engine.status().problems, []);
  });
});
