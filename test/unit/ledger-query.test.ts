import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Block, BlockDraft } from '../../src/ledger/block.ts';
import { categories, parseBlock } from '../../src/ledger/block.ts';
import { matches, narrow, networkCategories, queryBlocks } from '../../src/ledger/query.ts';
import type { BlockQuery } from '../../src/ledger/query.ts';
import { attach, chunksOf, fileOf, linesOf, openLedger, startMs } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';

const drafts: BlockDraft[] = [
  attach(100),
  attach(1000),
  attach(100, { action: 'detach', metadata: { user: 'admin' } }),
  attach(101, { category: 'bridge', action: 'create', data: { bridge: 'ovsbr0' } }),
  attach(102, { category: 'storage', action: 'mount', data: { text: '"vmid":100', nested: { vmid: 100 } } }),
  attach(100, { category: 'guest', action: 'start' }),
];
const lines = linesOf(drafts);
const file = fileOf(lines);
const blocks = lines.map((line) => parseBlock(line));

const heights = async (query: BlockQuery): Promise<number[]> =>
  (await queryBlocks(chunksOf(file, 300), query)).map(({ height }) => height);

describe('a query', () => {
  const rows: [string, BlockQuery, number[]][] = [
    ['everything, newest first', {}, [5, 4, 3, 2, 1, 0]],
    ['everything, oldest first', { order: 'oldest' }, [0, 1, 2, 3, 4, 5]],
    ['the two newest', { limit: 2 }, [5, 4]],
    ['the two oldest', { limit: 2, order: 'oldest' }, [0, 1]],
    ['a range of heights', { from: 1, to: 3 }, [3, 2, 1]],
    ['the newest two of a range', { from: 0, to: 3, limit: 2 }, [3, 2]],
    ['a range beyond the end', { from: 4, to: 99 }, [5, 4]],
    ['an empty range', { from: 3, to: 2 }, []],
    ['a hash', { hash: blocks[3]!.hash }, [3]],
    ['a hash nobody has', { hash: 'f'.repeat(64) }, []],
    ['a category', { category: 'port' }, [2, 1, 0]],
    ['the network group', { category: 'network' }, [3, 2, 1, 0]],
    ['an action', { action: 'attach' }, [1, 0]],
    ['a vmid, not its prefix, not text that looks like it', { vmid: 100 }, [5, 2, 0]],
    ['a port', { port: 'vi1000' }, [1]],
    ['a netdev', { port: 'veth1000i0' }, [1]],
    ['a user', { user: 'admin' }, [2]],
    ['a time from', { sinceMs: startMs + 4_000 }, [5, 4]],
    ['a time before', { untilMs: startMs + 2_000 }, [1, 0]],
    ['several at once', { vmid: 100, category: 'port', user: 'root' }, [0]],
  ];
  for (const [what, query, expected] of rows) {
    it(`finds ${what}`, async () => {
      assert.deepEqual(await heights(query), expected);
    });
  }

  it('finds what a plain filter over all blocks finds, whatever is asked', async () => {
    await fc.assert(
      fc.asyncProperty(anyQuery(), fc.integer({ min: 1, max: 700 }), async (query, chunkBytes) => {
        const all = blocks.filter((block) => matches(block, query));
        const limit = query.limit ?? 100;
        const expected = query.order === 'oldest' ? all.slice(0, limit) : all.reverse().slice(0, limit);
        assert.deepEqual(await queryBlocks(chunksOf(file, chunkBytes), query), expected);
        assert.deepEqual(await queryBlocks(chunksOf(file, chunkBytes), narrow(query, blocks.length)), expected);
      }),
    );
  });

  it('refuses a limit out of range', async () => {
    for (const limit of [0, -1, 1.5, 10_001, Number.NaN]) {
      await assert.rejects(heights({ limit }), hasCode('InvalidArgument'));
    }
  });

  it('stops reading once nothing more can be found', async () => {
    let chunks = 0;
    async function* counted(): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of chunksOf(file, 100)) {
        chunks++;
        yield chunk;
      }
    }
    await queryBlocks(counted(), { limit: 1, order: 'oldest' });
    assert.equal(chunks, Math.ceil((lines[0]!.length + 1) / 100));
    chunks = 0;
    await queryBlocks(counted(), { to: 1 });
    assert.equal(chunks, Math.ceil((lines[0]!.length + lines[1]!.length + 2) / 100));
  });

  it('names the network categories among the known ones', () => {
    assert.ok(networkCategories.every((name) => (categories as readonly string[]).includes(name)));
  });
});

describe('a ledger', () => {
  it('gives a block by height and by hash', async () => {
    const ledger = await openLedger(new MemoryLedgerStore(file));
    assert.deepEqual(await ledger.blockAt(2), blocks[2]);
    assert.equal(await ledger.blockAt(6), null);
    assert.deepEqual(await ledger.blockWithHash(blocks[4]!.hash), blocks[4]);
    assert.equal(await ledger.blockWithHash('0'.repeat(64)), null);
  });

  it('answers from what was acknowledged when it was asked', async () => {
    const ledger = await openLedger(new MemoryLedgerStore(file));
    const asked = ledger.query({ limit: 1 });
    const appended = ledger.append(attach(103));
    assert.deepEqual(await asked, [blocks[5] as Block]);
    assert.deepEqual(await ledger.query({ limit: 1 }), [await appended]);
  });
});

function anyQuery(): fc.Arbitrary<BlockQuery> {
  return fc.record(
    {
      from: fc.nat(7),
      to: fc.nat(7),
      category: fc.constantFrom('port', 'network', 'guest', 'none'),
      action: fc.constantFrom('attach', 'detach'),
      vmid: fc.constantFrom(100, 1000, 7),
      port: fc.constantFrom('vi100', 'veth100i0'),
      user: fc.constantFrom('root', 'admin'),
      sinceMs: fc.integer({ min: startMs, max: startMs + 7_000 }),
      untilMs: fc.integer({ min: startMs, max: startMs + 7_000 }),
      limit: fc.integer({ min: 1, max: 7 }),
      order: fc.constantFrom('newest', 'oldest'),
    },
    { requiredKeys: [] },
  );
}
