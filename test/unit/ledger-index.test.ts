import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BlockDraft } from '../../src/ledger/block.ts';
import type { Ledger, LedgerOptions } from '../../src/ledger/ledger.ts';
import { findAlteration } from '../../src/ledger/load.ts';
import { queryBlocks } from '../../src/ledger/query.ts';
import type { BlockQuery } from '../../src/ledger/query.ts';
import { pageBytes } from '../../src/ledger/search/pages.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { attach, chunksOf, openLedger, startMs } from '../support/ledger-fixtures.ts';
import { MemoryIndexFiles } from '../support/memory-index-files.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { MemoryTreeFiles } from '../support/memory-tree-files.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { waitFor } from '../support/wait-for.ts';

const [key] = nodeKeys;
const runBlocks = 8;

/** What stays on a node from one start to the next, and how many bytes of the ledger were read. */
class Node {
  store = new MemoryLedgerStore();
  readonly tree = new MemoryTreeFiles();
  index = new MemoryIndexFiles();
  bytesRead = 0;

  open(more: Partial<LedgerOptions> = {}): Promise<Ledger> {
    const { store } = this;
    const read = store.read.bind(store);
    this.bytesRead = 0;
    store.read = (from, to) => {
      this.bytesRead += Math.min(to, store.disk.length) - from;
      return read(from, to);
    };
    return openLedger(store, {
      tree: new StoredTree(this.tree),
      index: { files: this.index, runBlocks },
      key,
      ...more,
    });
  }

  /** As a new process finds it. */
  restart(more: Partial<LedgerOptions> = {}): Promise<Ledger> {
    this.store = this.store.restarted();
    return this.open(more);
  }

  get runs(): string[] {
    return [...this.index.files.keys()].sort((a, b) => parseInt(a) - parseInt(b));
  }
}

async function filled(blocks: number): Promise<Node> {
  const node = new Node();
  const ledger = await node.open();
  for (let at = 0; at < blocks; at++) await ledger.append(draftOf(at));
  await ledger.close();
  return node;
}

/** Blocks of several kinds, some said in other words than plain ASCII. */
function draftOf(at: number): BlockDraft {
  const vmid = 100 + (at % 5);
  if (at % 7 === 3)
    return { category: 'storage', action: 'mount', metadata: { user: 'Grüße\n"' }, data: { text: 'vi100' } };
  if (at % 13 === 7) return { category: 'settings', action: 'set', metadata: {}, data: {} };
  if (at % 13 === 8) return attach(vmid, { metadata: { user: 0 }, data: { vmid: '100', port: 100, netdev: null } });
  if (at % 11 === 5)
    return attach(vmid, { category: 'bridge', action: 'create', data: { port: 'a', netdev: 'a', nested: { vmid } } });
  if (at % 4 === 1) return attach(vmid, { action: 'detach', metadata: { user: 'admin' } });
  return attach(vmid);
}

async function scanned(node: Node, query: BlockQuery): Promise<unknown> {
  return queryBlocks(chunksOf(node.store.disk, 5_000), query);
}

/** A few conditions of all at a time: with more of them hardly a block is found, and time is never what decides. */
function anyQuery(blocks: number): fc.Arbitrary<BlockQuery> {
  const timeMs = fc.integer({ min: startMs - 2_000, max: startMs + (blocks + 3) * 1_000 });
  const all = fc.record({
    from: fc.nat(blocks + 2),
    to: fc.nat(blocks + 2),
    category: fc.constantFrom('port', 'network', 'storage', 'bridge', 'none'),
    action: fc.constantFrom('attach', 'detach', 'mount', 'none'),
    vmid: fc.constantFrom(100, 103, 7),
    port: fc.constantFrom('vi100', 'veth102i0', 'a', 'none'),
    user: fc.constantFrom('root', 'admin', 'Grüße\n"'),
    sinceMs: timeMs,
    untilMs: timeMs,
    limit: fc.integer({ min: 1, max: blocks + 1 }).map((limit) => Math.min(limit, 1_000)),
    order: fc.constantFrom('newest', 'oldest'),
  });
  const names = ['from', 'to', 'category', 'action', 'vmid', 'port', 'user', 'sinceMs', 'untilMs', 'limit', 'order'] as const; // prettier-ignore
  return fc
    .tuple(all, fc.subarray([...names], { maxLength: 4 }))
    .map(([query, chosen]): BlockQuery => Object.fromEntries(chosen.map((name) => [name, query[name]])));
}

describe('the index of a ledger', () => {
  const blocks = 43;
  let node: Node;

  beforeEach(async () => {
    node = await filled(blocks);
  });

  it('answers every query as reading the whole ledger does', async () => {
    const ledger = await node.restart();
    const { bytesRead } = node;
    await fc.assert(
      fc.asyncProperty(anyQuery(blocks), async (query) => {
        assert.deepEqual(await ledger.query(query), await scanned(node, query));
      }),
      { numRuns: 500 },
    );
    assert.equal(node.bytesRead, bytesRead, 'without reading it');
  });

  it('answers so for any ledger, whichever way its clock goes', async () => {
    const anyDraft = fc.integer({ min: 0, max: 500 }).map(draftOf);
    const anyClock = fc.integer({ min: Date.UTC(0, 0), max: startMs });
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            anyDraft,
            fc.oneof(
              fc.nat(40_000).map((ms) => startMs + ms),
              anyClock,
            ),
          ),
          { maxLength: 40 },
        ),
        fc.array(anyQuery(40), { minLength: 5, maxLength: 5 }),
        async (drafts, queries) => {
          const any = new Node();
          let at = 0;
          const nowMs = (): number => drafts[at]?.[1] ?? startMs;
          const ledger = await any.open({ nowMs });
          for (const [draft] of drafts) {
            await ledger.append(draft);
            at++;
          }
          for (const query of queries) assert.deepEqual(await ledger.query(query), await scanned(any, query));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('answers so from files of many pages, a clock that leaps and blocks of one second included', async () => {
    const many = 1_500;
    const any = new Node();
    // As many seconds as blocks, most of them twice, and every 400 blocks the clock goes back by 300.
    let asked = 0;
    const nowMs = (): number => startMs + 1_000 * (2 * Math.floor(asked / 2) - 300 * Math.floor(asked / 400));
    const ledger = await any.open({ nowMs, index: { files: any.index, runBlocks: 700 } });
    for (; asked < many; asked++) {
      await ledger.append(asked % 3 === 0 ? draftOf(asked) : attach(1_000 + asked, { action: 'detach' }));
    }
    assert.deepEqual(any.runs, ['0-700.run', '700-1400.run']);
    const { bytesRead } = any;
    await fc.assert(
      fc.asyncProperty(anyQuery(many), async (query) => {
        assert.deepEqual(await ledger.query(query), await scanned(any, query));
      }),
      { numRuns: 200 },
    );
    const second = startMs + 700_000;
    for (const [sinceMs, untilMs] of [
      [second, second],
      [second, second + 5_000],
      [second + 1, second + 300_000],
      [startMs - 1_000, startMs],
      [startMs - 1_000, startMs + many * 1_000],
    ] as const) {
      for (const more of [{}, { action: 'detach' }, { category: 'network' }, { vmid: 100 }]) {
        const query: BlockQuery = { sinceMs, untilMs, ...more, limit: 1_000 };
        assert.deepEqual(await ledger.query(query), await scanned(any, query), JSON.stringify(query));
      }
    }
    for (let vmid = 1_000; vmid < 1_000 + many; vmid += 7) {
      const query: BlockQuery = { vmid };
      assert.deepEqual(await ledger.query(query), await scanned(any, query));
    }
    for (const height of [0, 1, 312, 313, 314, 699, 700, 1_013, 1_399, 1_400, 1_499]) {
      const block = await ledger.blockAt(height);
      assert.equal(block?.height, height);
      assert.deepEqual(await ledger.blockWithHash(block.hash), block);
    }
    assert.equal(any.bytesRead, bytesRead, 'without reading the ledger');
    await ledger.close();
  });

  it('finds every block by its height and by its hash', async () => {
    const ledger = await node.restart();
    const { bytesRead } = node;
    for (let height = 0; height < blocks; height++) {
      const block = await ledger.blockAt(height);
      assert.equal(block?.height, height);
      assert.deepEqual(await ledger.blockWithHash(block.hash), block);
      const [first = ''] = block.hash;
      assert.equal(await ledger.blockWithHash(block.hash.replace(first, first === 'a' ? 'b' : 'a')), null);
    }
    assert.equal(await ledger.blockWithHash('no hash'), null);
    assert.equal(node.bytesRead, bytesRead);
  });

  it('has one file for so many blocks, the newest in memory', () => {
    assert.deepEqual(node.runs, ['0-8.run', '8-16.run', '16-24.run', '24-32.run', '32-40.run']);
  });

  it('is never wrong for a byte flipped or a file cut anywhere, and is made anew', async () => {
    const names = node.runs;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(names.length - 1),
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        fc.array(anyQuery(blocks), { minLength: 3, maxLength: 3 }),
        async (which, place, mask, queries) => {
          const good = new Map(node.index.files);
          const damaged = Buffer.from(good.get(names[which]!)!);
          const at = place % damaged.length;
          // 0 changes nothing, so it stands for a cut.
          if (mask !== 0) damaged[at]! ^= mask;
          node.index.files.set(names[which]!, mask === 0 ? damaged.subarray(0, at) : damaged);
          const ledger = await node.restart();
          assert.equal(ledger.tampered, false);
          for (const query of queries) assert.deepEqual(await ledger.query(query), await scanned(node, query));
          for (const { height, hash } of await ledger.query({})) {
            assert.equal((await ledger.blockAt(height))?.hash, hash);
            assert.equal((await ledger.blockWithHash(hash))?.height, height);
          }
          await ledger.close();
          for (const query of queries)
            assert.deepEqual(await (await node.restart()).query(query), await scanned(node, query));
          for (const [name, bytes] of good) node.index.files.set(name, bytes);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('says nothing wrong of a page or a file that stands in the place of another', async () => {
    const good = new Map(node.index.files);
    const swapped = Buffer.from(good.get('8-16.run')!);
    swapped.copyWithin(2 * pageBytes, pageBytes, 2 * pageBytes);
    for (const [name, bytes] of [
      ['8-16.run', swapped],
      ['8-16.run', good.get('16-24.run')!],
    ] as const) {
      // prettier-ignore
      node.index.files.set(name, bytes);
      const ledger = await node.restart();
      for (let height = 0; height < blocks; height++) assert.equal((await ledger.blockAt(height))?.height, height);
      await ledger.close();
    }
  });

  for (const name of ['0-8.run', '16-24.run', '32-40.run']) {
    it(`is made anew when ${name} is missing`, async () => {
      const before = new Map(node.index.files);
      node.index.files.delete(name);
      const ledger = await node.restart();
      assert.deepEqual(await ledger.query({ vmid: 100 }), await scanned(node, { vmid: 100 }));
      await ledger.close();
      assert.deepEqual(new Map(node.index.files), before);
    });
  }

  it('takes no file for its own that is named otherwise, and leaves none of them', async () => {
    const run = node.index.files.get('0-8.run')!;
    const before = node.runs;
    for (const name of [
      '00-8.run',
      '0-08.run',
      '0-8.run.tmp',
      'x0-8.run',
      '0-8.run1',
      '0-0.run',
      '-8.run',
      '8-8.run',
    ]) {
      node.index.files.set(name, run);
    }
    const ledger = await node.restart();
    assert.deepEqual(node.runs, before);
    assert.deepEqual(await ledger.query({ vmid: 100 }), await scanned(node, { vmid: 100 }));
    await ledger.close();
  });

  it('that a query finds damaged is brought up beside the answers', async () => {
    const ledger = await node.restart();
    const name = '16-24.run';
    const good = node.index.files.get(name)!;
    const damaged = Buffer.from(good);
    damaged[pageBytes]! ^= 1;
    node.index.files.set(name, damaged);
    assert.equal((await ledger.blockAt(20))?.height, 20);
    await waitFor('the file', () => node.index.files.get(name)?.equals(good) === true && node.runs.length === 5);
    await waitFor('an answer without reading the ledger', async () => {
      const { bytesRead } = node;
      assert.deepEqual(await ledger.query({ port: 'a' }), await scanned(node, { port: 'a' }));
      return node.bytesRead === bytesRead;
    });
    const { bytesRead } = node;
    assert.equal((await ledger.append(attach(100))).height, blocks);
    assert.equal((await ledger.query({ vmid: 100 }))[0]?.height, blocks);
    assert.equal(node.bytesRead, bytesRead, 'what is appended is found as well');
    await ledger.close();
  });

  it('does not hold up a stop while it is brought up, and the next start does the rest', async () => {
    const ledger = await node.restart();
    node.index.files.get('0-8.run')![pageBytes]! ^= 1;
    assert.equal((await ledger.blockAt(3))?.height, 3);
    await ledger.close();
    assert.deepEqual(node.runs, []);
    await (await node.restart()).close();
    assert.equal(node.runs.length, 5);
  });

  it('is done without while its files cannot be written, and memory does not grow for it', async () => {
    node.index.isReadOnly = true;
    const ledger = await node.restart();
    for (let at = 0; at < 10 * runBlocks; at++) await ledger.append(draftOf(blocks + at));
    const query: BlockQuery = { port: 'a', limit: 100 };
    assert.deepEqual(await ledger.query(query), await scanned(node, query));
    node.index.isReadOnly = false;
    assert.deepEqual(await ledger.query(query), await scanned(node, query));
    await waitFor('its files', () => node.runs.at(-1) === '112-120.run');
    await ledger.close();
  });
});

describe('a start with an index', () => {
  const blocks = 43;
  let node: Node;

  beforeEach(async () => {
    node = await filled(blocks);
  });

  it('reads what is not in its files, and knows all that a start without it knows', async () => {
    const ledger = await node.restart();
    assert.ok(node.bytesRead < node.store.disk.length / 4, `${node.bytesRead} of ${node.store.disk.length} bytes`);
    const stats = ledger.stats();
    const head = ledger.treeHead();
    node.index.files.clear();
    const without = await node.restart();
    assert.deepEqual(without.stats(), stats);
    assert.deepEqual(without.treeHead(), head);
    assert.ok(node.bytesRead >= node.store.disk.length);
  });

  it('reads everything beyond the last checkpoint, whatever the index says', async () => {
    const early = new Map((await filled(20)).tree.files);
    node.tree.files.clear();
    for (const [path, bytes] of early) node.tree.files.set(path, bytes);
    const last = node.store.disk;
    const index = new Map(node.index.files);
    for (const height of [0, 14, 15, 16, 19, 20, 42]) {
      const lines = last.toString('latin1').split('\n');
      const offset = lines.slice(0, height).join('\n').length + (height === 0 ? 0 : 1);
      const flipped = Buffer.from(last);
      flipped[offset + 250]! ^= 1;
      node.store = new MemoryLedgerStore(flipped);
      node.index = new MemoryIndexFiles(index);
      const ledger = await node.open();
      // Files end with block 15, which is looked at: what is before is left to "verify". What is beyond the checkpoint
      // is a torn tail.
      assert.equal(ledger.tampered, height >= 15 && height < 20, `block ${height}`);
      if (height >= 20) assert.ok(node.store.sides.get('ledger.torn')?.equals(flipped.subarray(offset)));
      if (height < 15) assert.equal((await ledger.verify()).firstBad?.height, height);
    }
  });

  it('leaves an old block that was altered to "verify", and after that every start finds it', async () => {
    const offset = node.store.disk.indexOf('"vmid":102');
    node.store.disk[offset + 9] = 0x39;
    const ledger = await node.restart();
    assert.equal(ledger.tampered, false);
    assert.equal((await ledger.verify()).firstBad?.height, 2);
    assert.equal(ledger.tampered, true);
    assert.equal((await verifyLedger(chunksOf(node.store.disk, 5_000), null)).firstBad?.height, 2);
    assert.equal((await node.restart()).tamperedAt?.height, 2);
    assert.equal((await findAlteration(node.store.restarted(), new StoredTree(node.tree)))?.height, 2);
  });

  it('is tampered as without one when blocks that the checkpoint covers are cut off, at every length', async () => {
    const whole = node.store.disk;
    for (let length = 0; length < whole.length; length += 97) {
      const files = new Map(node.index.files);
      node.store = new MemoryLedgerStore(whole.subarray(0, length));
      const ledger = await node.open();
      assert.match(ledger.tamperedAt?.reason ?? '', /the checkpoint covers 43 blocks$/);
      node.index = new MemoryIndexFiles(files);
    }
  });

  it('is tampered as without one when another ledger stands in its place', async () => {
    const other = new Node();
    const ledger = await other.open();
    for (let at = 0; at < blocks; at++) await ledger.append(attach(100 + at));
    node.store = other.store.restarted();
    assert.match((await node.open()).tamperedAt?.reason ?? '', /rewritten|covers 43 blocks/);
  });

  it('reads everything when no checkpoint vouches for the index', async () => {
    node.tree.files.clear();
    const ledger = await node.restart();
    assert.equal(ledger.tampered, false);
    assert.ok(node.bytesRead >= node.store.disk.length);
    node.store.disk[node.store.disk.indexOf('"vmid":102') + 9] = 0x39;
    assert.equal((await node.restart()).tamperedAt?.height, 2);
  });

  it('remembers which changes were in doubt, and what lies beside the ledger', async () => {
    node = new Node();
    node.store.sides.set('ledger.torn', Buffer.from('torn'));
    const ledger = await node.open();
    for (let at = 0; at < 6; at++) await ledger.append(attach(100 + at));
    let inDoubt = -1;
    // Never resolves: the service is killed meanwhile.
    void ledger.writeAhead(attach(200), ({ height }) => {
      inDoubt = height;
      return new Promise(() => undefined);
    });
    await waitFor('the block', () => inDoubt === 7);
    const before = node.store.size;
    await ledger.append(attach(201));
    await ledger.prove(8);
    const again = await node.restart();
    assert.equal(node.bytesRead, node.store.size - before, 'the last block alone had to be read');
    assert.deepEqual(again.inDoubt().map(({ height }) => height), [7]); // prettier-ignore
    assert.equal(again.blocks, 9, 'the torn tail is not recorded again');
  });
});
