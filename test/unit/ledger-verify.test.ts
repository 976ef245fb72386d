import assert from 'node:assert/strict';
import { hashField, sha256Hex } from '../../src/ledger/block.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { attach, chunksOf, fileOf, linesOf, verifyBytes } from '../support/ledger-fixtures.ts';
import { headOf } from '../support/signed-logs.ts';

const lines = linesOf([attach(100), attach(101), attach(102)]);
const file = fileOf(lines);

/** A line that says something else under a hash that is right. */
function rehashed(line: Buffer, from: string, to: string): Buffer {
  const body = line.toString().slice(0, -75).replace(from, to);
  return Buffer.from(body + hashField(sha256Hex(body)));
}

describe('verifying a ledger', () => {
  it('holds against every checkpoint of its own', async () => {
    for (let size = 0; size <= 3; size++) {
      const { valid, firstBad } = await verifyLedger(chunksOf(file, 100), headOf(lines.slice(0, size)));
      assert.deepEqual([valid, firstBad], [true, undefined]);
    }
  });

  it('finds every truncation before a checkpoint, and names where', async () => {
    const checkpoint = headOf(lines);
    for (let length = 0; length < file.length; length++) {
      const { valid, firstBad } = await verifyLedger(chunksOf(file.subarray(0, length), 700), checkpoint);
      assert.equal(valid, false);
      assert.match(firstBad?.reason ?? '', /the checkpoint covers 3 blocks$/);
      assert.ok((firstBad?.offset ?? Infinity) <= length);
    }
  });

  it('finds another chain, of the same length or longer', async () => {
    const other = fileOf(linesOf([attach(100), attach(101), attach(999), attach(102)]));
    const { valid, firstBad } = await verifyLedger(chunksOf(other, 700), headOf(lines));
    assert.equal(valid, false);
    assert.match(firstBad?.reason ?? '', /rewritten/);
  });

  it('goes on behind a segment that is not there, and not at a block that only says so', async () => {
    const segment = { category: 'storage', action: 'segment', metadata: { plugin: 'ledger' }, data: {} } as const;
    const other = linesOf([attach(100), attach(666), segment, attach(103), segment, attach(105)]);
    const gap = await verifyBytes(fileOf([...lines.slice(0, 2), ...other.slice(4)]));
    assert.deepEqual([gap.valid, gap.blocks, gap.unseen], [true, 6, [{ from: 2, to: 4 }]]);
    // The height that comes next, and one that was before, are no gap: the hash before them must be right.
    for (const [before, height] of [
      [2, 2],
      [3, 3],
    ] as const) {
      const { valid, firstBad } = await verifyBytes(fileOf([...lines.slice(0, before), ...other.slice(2)]));
      assert.deepEqual([valid, firstBad?.height], [false, height]);
    }
    for (const forged of [
      { ...segment, metadata: { plugin: 'external' } },
      { ...segment, category: 'guest' as const },
      { ...segment, action: 'torn' },
    ]) {
      const [, , , , line] = linesOf([attach(1), attach(2), attach(3), attach(4), forged]);
      assert.equal((await verifyBytes(fileOf([...lines.slice(0, 2), line!]))).valid, false);
    }
  });

  it('names a bad line beyond the checkpoint as without one', async () => {
    const bytes = Buffer.concat([file, Buffer.from('bad\n')]);
    const { firstBad } = await verifyLedger(chunksOf(bytes, 700), headOf(lines));
    assert.deepEqual([firstBad?.height, firstBad?.offset], [3, file.length]);
    assert.deepEqual((await verifyBytes(bytes)).firstBad, firstBad);
  });

  for (const [what, from, to] of [
    ['a vmid without end', '"vmid":102', '"vmid":1}02'],
    ['metadata that is a list', '"metadata":{"user":"root","uid":0,"host":"pve1","plugin":"ports","cause":"hook post-start"}', '"metadata":[1]'], // prettier-ignore
    ['data that is a number', /"data":\{.*\}/.exec(lines[2]!.toString().slice(0, -75))![0], '"data":5'],
    ['a field too many', '"data":{', '"more":1,"data":{'],
    ['a height that stands twice', '"data":{', '"height":2,"height":7,"data":{'],
  ] as const) {
    it(`finds ${what} under a right hash`, async () => {
      const bytes = fileOf([lines[0]!, lines[1]!, rehashed(lines[2]!, from, to)]);
      const { valid, firstBad } = await verifyBytes(bytes);
      assert.deepEqual([valid, firstBad?.height], [false, 2]);
    });
  }
});
