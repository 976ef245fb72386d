import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { Refusals } from '../../src/ports/refusals.ts';
import { cause, guestOf, rowOf, wantedOf } from '../support/ports-fixtures.ts';
import { attached, blocksOf, passes, running, vmid } from '../support/running-engine.ts';
import type { World } from '../support/running-engine.ts';

const hourMs = 3_600_000;

/** From now on the switch refuses every transaction; answers how many there were. */
function refuseAll({ ovs }: World): () => number {
  const before = ovs.transactions.length;
  const transact = ovs.transact.bind(ovs);
  ovs.transact = (operations) => {
    ovs.faults.splice(0, ovs.faults.length, 'refused');
    return transact(operations);
  };
  return () => ovs.transactions.length - before;
}

describe('a change that the switch refuses', () => {
  for (const [kind, prepare] of [
    [
      'attach',
      async () => {
        const world = await running();
        world.configure(guestOf(100));
        world.links.add('veth100i0');
        return world;
      },
    ],
    [
      'adopt',
      async () => {
        const world = await running();
        world.configure(guestOf(100));
        world.links.add('veth100i0');
        const tell = world.ovs.onChanges;
        world.ovs.onChanges = () => undefined;
        world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
        world.ovs.onChanges = tell;
        return world;
      },
    ],
    [
      'set',
      async () => {
        const world = await attached();
        world.ovs.edit('veth100i0', { tag: 20 });
        return world;
      },
    ],
    [
      'detach',
      async () => {
        const world = await attached();
        world.links.devices.delete('veth100i0');
        return world;
      },
    ],
  ] as const) {
    it(`is not repeated for an hour in which nothing happens, but said all the time (${kind})`, async () => {
      const world = await prepare();
      const tries = refuseAll(world);
      if (kind === 'adopt') world.engine.onSwitchChanges(world.ovs.contents());
      world.engine.onLinkChanges(['veth100i0']);
      for (let minute = 0; minute < 5; minute++) await passes(world, 2000);
      assert.equal(tries(), 1);
      for (let elapsedMs = 0; elapsedMs < hourMs; elapsedMs += 60_000) {
        await world.clock.advance(60_000);
        await passes(world, 50);
      }
      assert.equal(tries(), 1);
      assert.match(world.engine.status().problems.join(), /^vi100,OVSDB .* failed: constraint violation/);
    });
  }

  it('is tried again when the rows of the switch have changed, such as the foreign one in its way', async () => {
    const world = await running({ namingMode: 'port' });
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
    const tell = world.ovs.onChanges;
    const transact = world.ovs.transact.bind(world.ovs);
    // Somebody takes the name just before us, and gives it back before anybody has looked.
    world.ovs.transact = async (operations) => {
      const isFirst = operations.some(({ op }) => op === 'insert') && world.ovs.portRows().join() === 'veth100i0';
      if (!isFirst) return transact(operations);
      world.ovs.transact = transact;
      world.ovs.onChanges = () => undefined;
      world.ovs.plug({ bridge: 'ovsbr0', row: 'vi100', netdev: 'eth9' });
      try {
        return await transact(operations);
      } finally {
        world.ovs.unplug('vi100');
        world.ovs.onChanges = tell;
      }
    };
    await passes(world, 3000);
    assert.deepEqual(await blocksOf(world, 'port'), ['port adopt', 'port replace', 'port failed']);
    world.ovs.plug({ bridge: 'ovsbr0', row: 'eth7' });
    world.engine.wake('the timer');
    await passes(world, 2200);
    assert.deepEqual(world.ovs.portRows(), ['eth7', 'vi100']);
    assert.deepEqual(world.engine.status().problems, []);
  });

  it('is tried again when something else is wanted, and when a hook or a person asks', async () => {
    const world = await attached();
    world.ovs.edit('veth100i0', { tag: 20 });
    const tries = refuseAll(world);
    await passes(world, 3000);
    assert.equal(tries(), 1);
    world.configure(guestOf(100, [{ tag: 30 }]));
    world.engine.wake('configuration changed');
    await passes(world, 3000);
    assert.equal(tries(), 2);
    const answer = await world.engine.notifyLifecycle(vmid, 'post-start', cause);
    assert.match(answer, /^CT 100: net0 is vi100 on ovsbr0, tag 30 \(.*constraint violation/);
    assert.equal(tries(), 3);
    await world.engine.reconcile(cause);
    assert.equal(tries(), 4);
  });

  it('for the moment only, or because it cannot be reached, is tried again though nothing has changed', async () => {
    for (const code of ['Busy', 'Unavailable', 'Timeout'] as const) {
      const world = await attached();
      const transact = world.ovs.transact.bind(world.ovs);
      let tries = 0;
      world.ovs.transact = (operations) => {
        // What is asked to learn of a lost reply is no try.
        if (operations.length === 1 || ++tries > 2) return transact(operations);
        return Promise.reject(new AgentError(code, 'not now'));
      };
      world.ovs.edit('veth100i0', { tag: 20 });
      await passes(world, 6000);
      assert.deepEqual([tries, world.ovs.columnsOf('veth100i0').tag], [3, 10]);
    }
  });

  it('because Proxmox VE has plugged a moment before is looked at again at once, and adopted', async () => {
    const world = await running();
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    const transact = world.ovs.transact.bind(world.ovs);
    world.ovs.transact = (operations) => {
      if (world.ovs.portRows().length === 0) world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      return transact(operations);
    };
    assert.equal(await world.engine.notifyLifecycle(vmid, 'post-start', cause), 'CT 100: net0 is vi100 on ovsbr0');
    assert.deepEqual(await blocksOf(world, 'port'), ['port attach', 'port failed', 'port adopt']);
  });

  it('because somebody else is always quicker is looked at again a few times, then left for the next event', async () => {
    const world = await attached();
    const transact = world.ovs.transact.bind(world.ovs);
    let tag = 20;
    world.ovs.edit('veth100i0', { tag });
    let count = 0;
    const tries = (): number => count;
    const tell = world.ovs.onChanges;
    world.ovs.transact = async (operations) => {
      count++;
      // Its writes are heard of too late.
      world.ovs.onChanges = () => undefined;
      if (tag < 40) world.ovs.edit('veth100i0', { tag: ++tag });
      world.ovs.onChanges = tell;
      try {
        return await transact(operations);
      } finally {
        if (count % 3 === 0) tell(world.ovs.contents());
      }
    };
    const { problems } = await world.engine.reconcile(cause);
    assert.equal(tries(), 3);
    assert.match([...problems.values()].join(), /^OVSDB wait on Port failed: timed out/);
    await passes(world, 20_000);
    assert.equal(world.ovs.columnsOf('veth100i0').tag, 10, 'it wins in the end');
    assert.ok(tries() < 30, `${tries()} tries`);
  });

  it('is forgotten when it is not planned any more', () => {
    const refusals = new Refusals();
    const change = { kind: 'adopt' as const, wanted: wantedOf(100), row: rowOf('veth100i0') };
    refusals.note(change, 'no', 7);
    assert.deepEqual([refusals.reasonAgainst(change, 7), refusals.reasonAgainst(change, 8)], ['no', null]);
    refusals.retain([change]);
    assert.equal(refusals.reasonAgainst(change, 7), 'no');
    refusals.retain([]);
    assert.equal(refusals.reasonAgainst(change, 7), null);
  });
});
