import assert from 'node:assert/strict';
import type { Block } from '../../src/ledger/block.ts';
import { Committer } from '../../src/ports/committer.ts';
import { blocksLost, transactionLanded } from '../../src/ports/in-doubt.ts';
import { WriteAhead } from '../../src/ports/journal.ts';
import type { PortChange } from '../../src/ports/plan.ts';
import { settingsDiffer } from '../../src/ports/settings.ts';
import { SwitchView } from '../../src/ports/switch-view.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { MemorySwitch } from '../support/memory-switch.ts';
import { cause, cluster, wantedOf } from '../support/ports-fixtures.ts';
import { refusedWith } from '../support/refused.ts';

const wanted = wantedOf(100, 0, { tag: 10 });
type Kind = PortChange['kind'] | 'repair';

/** A switch on which every kind of change has something to do. */
class World {
  readonly ovs = new MemorySwitch('ovsbr0');
  readonly view = new SwitchView(() => this.ovs.reader);
  readonly store = new MemoryLedgerStore();
  #txns = 0;

  constructor() {
    this.view.apply(this.ovs.contents());
    this.ovs.onChanges = (changes) => {
      this.view.apply(changes);
    };
  }

  change(kind: Kind): PortChange {
    if (kind === 'attach') return { kind, wanted, after: [] };
    const uuid = this.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 20 });
    const row = this.view.byUuid(uuid)!;
    switch (kind) {
      case 'adopt':
        return { kind, wanted, row };
      case 'replace':
        return { kind, wanted: wantedOf(100, 0, { mode: 'port' }), row, after: [] };
      case 'detach':
        return { kind, port: wanted.port, row };
      case 'set':
      case 'repair':
        return { kind: 'set', wanted, row, differences: settingsDiffer(wanted, row), drift: kind === 'repair' };
    }
  }

  committer(ledger: Awaited<ReturnType<typeof openLedger>>): Committer {
    const committer: Committer = new Committer({
      switch: this.ovs,
      view: this.view,
      recorder: ledger,
      journal: new WriteAhead({
        recorder: ledger,
        host: 'pve1',
        settle: () => committer.settleInDoubt(),
        onLedgerGap: assert.ifError,
      }),
      clock: new FakeClock(),
      cluster: () => cluster,
      newTxn: () => `txn${++this.#txns}`,
      onCommitted: () => undefined,
    });
    return committer;
  }

  /** The service dies while a change is under way: before the switch was told, or before it heard the answer. */
  async dieDuring(change: PortChange, when: 'before' | 'after'): Promise<Block> {
    const transact = this.ovs.transact.bind(this.ovs);
    this.ovs.transact = async (operations) => {
      if (when === 'after') await transact(operations);
      return new Promise(() => undefined);
    };
    void this.committer(await openLedger(this.store)).commit([change], cause);
    for (let turn = 0; turn < 20; turn++) await settled();
    const [block, another] = (await openLedger(this.store)).inDoubt();
    assert.ok(block !== undefined && another === undefined, 'one block is in doubt');
    return block;
  }
}

describe('a block in doubt', () => {
  for (const kind of ['attach', 'adopt', 'replace', 'set', 'repair', 'detach'] as const) {
    it(`of ${kind} is told by the switch: done, or never done`, async () => {
      for (const when of ['before', 'after'] as const) {
        const world = new World();
        const block = await world.dieDuring(world.change(kind), when);
        assert.deepEqual(blocksLost([block], world.view), when === 'after' ? [] : [block], when);
      }
    });
  }

  it('of a change that was made is settled also when somebody has edited the row since', async () => {
    for (const kind of ['set', 'repair'] as const) {
      const world = new World();
      const block = await world.dieDuring(world.change(kind), 'after');
      world.ovs.edit('veth100i0', { tag: 30 });
      assert.deepEqual(blocksLost([block], world.view), []);
    }
  });

  it('says that the columns are as it set them, also when somebody has wiped the marks since', async () => {
    const world = new World();
    const block = await world.dieDuring(world.change('set'), 'after');
    world.ovs.wipeMarks('veth100i0');
    assert.deepEqual(blocksLost([block], world.view), []);
    world.ovs.edit('veth100i0', { tag: 30 });
    assert.deepEqual(blocksLost([block], world.view), [block]);
  });

  it('of a row that is gone was not done, as far as anybody can see', async () => {
    for (const kind of ['adopt', 'set', 'repair'] as const) {
      const world = new World();
      const block = await world.dieDuring(world.change(kind), 'after');
      world.ovs.unplug('veth100i0');
      assert.deepEqual(blocksLost([block], world.view), [block]);
    }
  });

  it('is done when another of its transaction is, and when its change was made without it', async () => {
    const world = new World();
    const block = await world.dieDuring(world.change('adopt'), 'after');
    const other = { ...block, data: { ...block.data, row: 'another, gone since' } };
    assert.deepEqual(blocksLost([other, block], world.view), []);
    assert.deepEqual(blocksLost([{ ...other, data: { ...other.data, txn: 'txn9' } }, block], world.view).length, 1);
    const attached = new World();
    const unacknowledged = await attached.dieDuring(attached.change('attach'), 'after');
    assert.deepEqual(blocksLost([{ ...unacknowledged, hash: 'of a block that was cut off' }], attached.view), []);
  });

  it('of anything but ports is nobody’s here', async () => {
    const world = new World();
    const block = await world.dieDuring(world.change('attach'), 'before');
    for (const other of [{ category: 'guest' }, { action: 'failed' }, { category: 'drift', action: 'report' }]) {
      assert.deepEqual(blocksLost([{ ...block, ...other }], world.view), []);
    }
  });
});

describe('a change whose reply was lost', () => {
  it('was made when a proof of any change of its transaction is there', () => {
    const world = new World();
    const uuids = ['veth100i0', 'veth101i0'].map((row) =>
      world.ovs.plug({ bridge: 'ovsbr0', row, ...(row === 'veth100i0' ? { portIds: { txn: 'txn1' } } : {}) }),
    );
    const changes = uuids.map((uuid, index) => ({
      change: { kind: 'adopt', wanted: wantedOf(100 + index), row: world.view.byUuid(uuid)! } as const,
      seed: '',
    }));
    const gone = { change: { kind: 'detach', port: null, row: { ...changes[0]!.change.row, portUuid: 'gone' } } as const, seed: '' }; // prettier-ignore
    assert.equal(transactionLanded(changes, 'txn1', world.view), true);
    assert.equal(transactionLanded(changes, 'txn2', world.view), false);
    assert.equal(transactionLanded([gone], 'txn2', world.view), true, 'nobody knows better');
    assert.equal(transactionLanded([gone, ...changes], 'txn2', world.view), false);
  });

  it('that adopts only for the marks of the Interface is not taken for made when it was not', async () => {
    const world = new World();
    const { row } = world.change('adopt') as PortChange & { kind: 'adopt' };
    const committer = world.committer(await openLedger(world.store));
    await committer.commit([{ kind: 'adopt', wanted, row }], cause);
    world.ovs.faults.push('lost');
    const again = { kind: 'adopt' as const, wanted, row: world.view.byUuid(row.portUuid)! };
    await assert.rejects(committer.commit([again], cause), refusedWith('Timeout', 'no reply'));
  });
});
