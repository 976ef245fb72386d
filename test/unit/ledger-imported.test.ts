import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { BlockDraft } from '../../src/ledger/block.ts';
import { importedLedgers, isAsCommitted } from '../../src/ledger/imported.ts';
import { attach, chunksOf, fileOf, linesOf } from '../support/ledger-fixtures.ts';

const older = Buffer.from('{"timestamp":1,"height":0}\n');
const sha256 = hash('sha256', older);

function imported(more: Partial<BlockDraft> = {}): BlockDraft {
  return {
    category: 'storage',
    action: 'imported',
    metadata: { plugin: 'ledger' },
    data: { file: 'ledger.imported-01234567.jsonl', length: older.length, sha256 },
    ...more,
  };
}

const nothing = (): void => assert.fail('every block is there');
const find = (drafts: readonly BlockDraft[]) => importedLedgers(chunksOf(fileOf(linesOf(drafts)), 100), nothing);

describe('ledgers of the older tool', () => {
  it('are those that blocks of the ledger itself commit to, wherever they stand', async () => {
    const [first, second] = await find([imported(), attach(100), imported({ data: { file: 'b', length: 0, sha256 } })]);
    assert.deepEqual(first, { file: 'ledger.imported-01234567.jsonl', length: older.length, sha256, height: 0 });
    assert.deepEqual(second, { file: 'b', length: 0, sha256, height: 2 });
  });

  it('are not what callers added themselves, other kinds of blocks, or blocks that leave something out', async () => {
    const none = [
      imported({ metadata: { plugin: 'external' } }),
      imported({ metadata: {} }),
      imported({ category: 'guest' }),
      imported({ action: 'torn' }),
      ...[{ file: 7 }, { length: '27' }, { sha256: null }].map((wrong) =>
        imported({ data: { file: 'a', length: 1, sha256, ...wrong } }),
      ),
      imported({ data: {} }),
    ];
    assert.deepEqual(await find([...none, attach(100)]), []);
  });

  it('are looked for up to the first bad line, and behind segments that were moved away', async () => {
    const lines = linesOf([imported(), attach(100), imported()]);
    lines[1] = Buffer.from('no block');
    assert.equal((await importedLedgers(chunksOf(fileOf(lines), 64), nothing)).length, 1);
    const later = linesOf([
      attach(100),
      { category: 'storage', action: 'segment', metadata: { plugin: 'ledger' }, data: {} },
      imported(),
    ]);
    const unseen: unknown[] = [];
    const found = await importedLedgers(chunksOf(fileOf(later.slice(1)), 64), (blocks) => unseen.push(blocks));
    assert.deepEqual([found.map(({ height }) => height), unseen], [[2], [{ from: 0, to: 1 }]]);
  });

  it('are as committed when length and hash are, in whatever chunks they are read', async () => {
    const [ledger] = await find([imported()]);
    assert.ok(ledger !== undefined);
    for (const chunkBytes of [1, 5, 100]) assert.equal(await isAsCommitted(ledger, chunksOf(older, chunkBytes)), true);
    const flipped = Buffer.from(older);
    flipped[3]! ^= 1;
    for (const other of [flipped, older.subarray(1), Buffer.concat([older, older])]) {
      assert.equal(await isAsCommitted(ledger, chunksOf(other, 5)), false);
    }
    assert.equal(await isAsCommitted({ ...ledger, length: 1 }, chunksOf(older, 5)), false);
  });
});
