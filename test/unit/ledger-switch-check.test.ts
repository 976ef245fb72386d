import assert from 'node:assert/strict';
import type { Block } from '../../src/ledger/block.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { checkAgainstSwitch, parseOwnComment } from '../../src/ledger/switch-check.ts';
import type { OwnTransaction, SwitchLog } from '../../src/ledger/switch-check.ts';
import { attach, chunksOf, fileOf, linesOf, openLedger, startMs } from '../support/ledger-fixtures.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { refusedWith } from '../support/refused.ts';

/** A ledger and a switch's log of changes that were made. */
class World {
  readonly store = new MemoryLedgerStore();
  readonly own: OwnTransaction[] = [];
  ledger!: Ledger;
  fromMs: number | null = startMs;

  static async start(): Promise<World> {
    const world = new World();
    world.ledger = await openLedger(world.store);
    return world;
  }

  /** Written ahead; then the switch has it, or refuses it. */
  async change(name: string, how: 'made' | 'refused' | 'claimed' = 'made', vmid = 100): Promise<void> {
    const draft = attach(vmid);
    const work = this.ledger.writeAhead({ ...draft, data: { ...draft.data, txn: name } }, (block: Block) => {
      if (how === 'refused') return Promise.reject(new Error('refused'));
      if (how === 'made') this.seen(name, Date.parse(block.timestamp) + 5);
      return Promise.resolve();
    });
    await work.catch(() => undefined);
  }

  seen(name: string, dateMs: number): void {
    const { tree_size, sha256_root_hash } = this.ledger.treeHead();
    this.own.push({ name, dateMs, tree: { size: tree_size, rootHash: sha256_root_hash.toString('base64') } });
  }

  log(own: readonly OwnTransaction[] = this.own): SwitchLog {
    return { fromMs: this.fromMs, toMs: startMs + 1e6, isCompacted: false, transactions: 99, own };
  }

  check(bytes: Uint8Array = this.store.disk, log = this.log(), later = log) {
    return checkAgainstSwitch(chunksOf(bytes, 500), log, () => Promise.resolve(later));
  }
}

const twelve = async (): Promise<World> => {
  const world = await World.start();
  for (let n = 1; n <= 12; n++) await world.change(`a-${n}`, n % 4 === 0 ? 'refused' : 'made', 100 + n);
  return world;
};

describe('a ledger against the log of its switch', () => {
  it('agrees when both were left alone, whatever failed and whatever else was recorded', async () => {
    const world = await twelve();
    await world.ledger.append({ ...attach(900), category: 'guest', action: 'post-start' });
    const { log, ...found } = await world.check();
    assert.deepEqual(found, { checked: 9, older: 0, unrecorded: 0, contradictions: [] });
    assert.deepEqual({ ...log, own: world.own }, world.log());
  });

  it('contradicts it when blocks were cut off its end, at every block', async () => {
    const world = await twelve();
    const lines = world.store.disk.toString().trimEnd().split('\n');
    const seen = world.own.at(-1)!.tree!.size;
    for (let blocks = 0; blocks < seen; blocks++) {
      const cut = Buffer.from(lines.slice(0, blocks).map((line) => `${line}\n`).join('')); // prettier-ignore
      const { contradictions, older } = await world.check(cut);
      // An empty ledger claims nothing, and knows nothing of what was before it.
      if (blocks === 0) assert.equal(older, 9);
      else
        assert.match(contradictions.join(), new RegExp(`names a ledger of ${seen} blocks, and this one has ${blocks}`));
    }
  });

  it('contradicts it when it was written anew, with whatever was changed', async () => {
    const world = await twelve();
    const drafts = Array.from({ length: 20 }, (_, n) => {
      const draft = attach(n === 0 ? 666 : 101 + n);
      return { ...draft, data: { ...draft.data, txn: `a-${n + 1}` } };
    });
    const { contradictions } = await world.check(fileOf(linesOf(drafts)));
    assert.match(contradictions[0]!, /^transaction a-1 of .* names another root of the first 1 blocks/);
  });

  it('names a transaction that it does not know', async () => {
    const world = await twelve();
    world.seen('forged-1', startMs + 900_000);
    assert.deepEqual((await world.check()).contradictions, [
      `transaction forged-1 of ${new Date(startMs + 900_000).toISOString()} is not in the ledger`,
    ]);
  });

  it('names a block that claims a change of which the switch has nothing', async () => {
    const world = await twelve();
    await world.change('b-1', 'claimed', 200);
    await world.change('a-13');
    const { contradictions } = await world.check();
    assert.equal(contradictions.length, 1);
    assert.match(contradictions[0]!, /^block \d+ \(attach of "vi200", .*\) is of transaction b-1, which the switch's log does not have/); // prettier-ignore
  });

  it('leaves alone what came while it was read, and what may be under way', async () => {
    const world = await twelve();
    const log = world.log([...world.own]);
    await world.change('a-13');
    await world.change('a-14');
    assert.deepEqual((await world.check(world.store.disk, log, world.log())).contradictions, []);
    await world.change('a-15', 'claimed');
    assert.deepEqual((await world.check()).contradictions, [], 'the last one is in doubt');
  });

  it('says nothing of what the log cannot tell: from before its first record, and from before this ledger', async () => {
    const world = await World.start();
    await world.change('old', 'claimed');
    world.fromMs = startMs + 1500;
    await world.change('a-1');
    await world.change('a-2');
    assert.deepEqual((await world.check()).contradictions, []);
    const before = { name: 'z-9', dateMs: startMs - 1e6, tree: { size: 500, rootHash: `${'A'.repeat(43)}=` } };
    const { older, contradictions } = await world.check(world.store.disk, world.log([before, ...world.own]));
    assert.deepEqual([older, contradictions], [1, []]);
    world.fromMs = null;
    assert.deepEqual((await world.check(world.store.disk, world.log([]))).contradictions, [], 'an empty log');
  });

  it('reads the log again only for blocks that it does not have', async () => {
    const world = await twelve();
    let reads = 0;
    const again = (): Promise<SwitchLog> => {
      reads++;
      return Promise.resolve(world.log());
    };
    await checkAgainstSwitch(chunksOf(world.store.disk, 500), world.log(), again);
    assert.equal(reads, 0);
    await world.change('b-1', 'claimed', 200);
    await world.change('a-13');
    const { contradictions } = await checkAgainstSwitch(chunksOf(world.store.disk, 500), world.log(), again);
    assert.deepEqual([reads, contradictions.length], [1, 1]);
  });

  it('counts what was made while it took no blocks', async () => {
    const world = await twelve();
    world.own.push({ name: 'gap-1', dateMs: startMs + 900_000, tree: null });
    const { unrecorded, contradictions } = await world.check();
    assert.deepEqual([unrecorded, contradictions], [1, []]);
  });

  it('does not believe what callers added themselves', async () => {
    const world = await twelve();
    const draft = attach(100);
    await world.ledger.append({ ...draft, metadata: { plugin: 'external' }, data: { txn: 'forged-2' } });
    world.seen('forged-2', startMs + 900_000);
    assert.match((await world.check()).contradictions.join(), /forged-2 .* is not in the ledger/);
  });

  it('cannot be told of a ledger that does not hold by itself', async () => {
    const world = await twelve();
    const bad = Buffer.from(world.store.disk.toString().replace('"vmid":102', '"vmid":103'));
    await assert.rejects(world.check(bad), refusedWith('Unavailable', 'block 1 at byte'));
  });

  it('reads the comments that the agent writes, and no others', () => {
    const rootHash = `${'B'.repeat(42)}A=`;
    assert.deepEqual(parseOwnComment(`ovs-port-agent txn 0a-7 ledger 12 ${rootHash}`), {
      name: '0a-7',
      tree: { size: 12, rootHash },
    });
    assert.deepEqual(parseOwnComment('ovs-port-agent txn 0a-7'), { name: '0a-7', tree: null });
    assert.equal(parseOwnComment('ovs-vsctl: add-br x\novs-port-agent txn 0a-7\nmore')?.name, '0a-7', 'a line of many');
    assert.equal(parseOwnComment(`ovs-port-agent txn ${'a'.repeat(64)}`)?.name.length, 64);
    for (const other of [
      'ovs-port-agent',
      'ovs-port-agent txn ',
      'ovs-port-agent txn a b',
      `ovs-port-agent txn ${'a'.repeat(65)}`,
      `ovs-port-agent txn a ledger 12 ${rootHash}x`,
      `ovs-port-agent txn a ledger 12345678901234567 ${rootHash}`,
      'ovs-vsctl: x',
      `xovs-port-agent txn a`,
      `ovs-port-agent txn a ledger 1 x`,
    ]) {
      assert.equal(parseOwnComment(other), null, other);
    }
  });
});
