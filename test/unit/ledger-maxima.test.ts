/** What has exactly the greatest size is taken; one more is refused. */
import assert from 'node:assert/strict';
import { addCheckpointBytesMax, lineBytesMax, proofBytesMax, proofHashesMax, witnessFileEntriesMax } from '../../src/ledger/limits.ts'; // prettier-ignore
import { LineSplitter, readLine } from '../../src/ledger/lines.ts';
import { isPlainBody } from '../../src/ledger/plain-body.ts';
import { parseAddCheckpoint, renderAddCheckpoint } from '../../src/ledger/tlog/add-checkpoint.ts';
import { parseTlogProof, renderTlogProof } from '../../src/ledger/tlog/proof-file.ts';
import { emptyWitnessFile, parseWitnessFile, renderWitnessFile } from '../../src/ledger/witness-file.ts';
import { chunksOf } from '../support/ledger-fixtures.ts';
import { refusedWith } from '../support/refused.ts';

describe('the greatest size', () => {
  /** Lengths of the lines that come out; null for one that is too long. */
  const linesFrom = (bytes: Buffer, chunkBytes: number): (number | null)[] => {
    const lengths: (number | null)[] = [];
    const splitter = new LineSplitter((line) => {
      lengths.push(line === null ? null : line.length);
      return true;
    });
    for (let at = 0; at < bytes.length; at += chunkBytes) splitter.push(bytes.subarray(at, at + chunkBytes));
    assert.equal(splitter.rest(), null);
    return lengths;
  };

  it('of a line is the same however it is cut into chunks', () => {
    for (const length of [lineBytesMax - 1, lineBytesMax, lineBytesMax + 1]) {
      const bytes = Buffer.concat([Buffer.alloc(length, 'x'), Buffer.from('\nrest\n')]);
      const expected = [length > lineBytesMax ? null : length, 4];
      for (const chunkBytes of [bytes.length, length, length + 1, 1_000, 65_534]) {
        assert.deepEqual(linesFrom(bytes, chunkBytes), expected, `${length} in ${chunkBytes}`);
      }
    }
  });

  it('of a line holds for one that is read by its number', async () => {
    const bytes = Buffer.concat([Buffer.from('a\n'), Buffer.alloc(lineBytesMax, 'x'), Buffer.from('\nb\n')]);
    assert.equal((await readLine(chunksOf(bytes, 999), 1)).length, lineBytesMax);
    assert.equal((await readLine(chunksOf(bytes, 999), 2)).toString(), 'b');
    await assert.rejects(readLine(chunksOf(bytes, 999), 3), refusedWith('Tampered', 'block 3 is not in the file'));
  });

  it('of a request and of a proof is that of their bytes and hashes', () => {
    const hashes = Array.from({ length: proofHashesMax }, () => Buffer.alloc(32));
    const request = (bytes: number, count: number): Buffer => {
      const consistency = hashes.concat(hashes).slice(0, count);
      const empty = renderAddCheckpoint({ old: 1, consistency, checkpoint: Buffer.alloc(0) });
      return renderAddCheckpoint({ old: 1, consistency, checkpoint: Buffer.alloc(bytes - empty.length) });
    };
    assert.equal(parseAddCheckpoint(request(addCheckpointBytesMax, proofHashesMax)).consistency.length, 63);
    assert.throws(() => parseAddCheckpoint(request(addCheckpointBytesMax + 1, 0)), refusedWith('InvalidArgument', '1005001 bytes, at most 1005000')); // prettier-ignore
    assert.throws(() => parseAddCheckpoint(request(10_000, proofHashesMax + 1)), refusedWith('InvalidArgument', 'more than 63 hashes')); // prettier-ignore

    const proof = (bytes: number, count: number): Buffer => {
      const audit_path = hashes.concat(hashes).slice(0, count);
      const whole = { leaf_index: 1, audit_path, extra: null };
      const empty = renderTlogProof({ ...whole, checkpoint: Buffer.alloc(0) });
      return renderTlogProof({ ...whole, checkpoint: Buffer.alloc(bytes - empty.length) });
    };
    assert.equal(parseTlogProof(proof(proofBytesMax, proofHashesMax)).audit_path.length, 63);
    assert.throws(() => parseTlogProof(proof(proofBytesMax + 1, 0)), refusedWith('InvalidArgument', '1100001 bytes, at most 1100000')); // prettier-ignore
    assert.throws(() => parseTlogProof(proof(10_000, proofHashesMax + 1)), refusedWith('InvalidArgument', 'more than 63 hashes')); // prettier-ignore
  });

  it("of a node's file for witnesses is that of each of its parts", () => {
    const entries = (count: number): Map<string, string> =>
      new Map(Array.from({ length: count }, (_, n) => [`${n}`, '']));
    const most = { ...emptyWitnessFile, requests: entries(witnessFileEntriesMax) };
    assert.deepEqual(parseWitnessFile(renderWitnessFile(most)), most);
    for (const part of ['requests', 'cosigned', 'refused'] as const) {
      const tooMany = renderWitnessFile({ ...emptyWitnessFile, [part]: entries(witnessFileEntriesMax + 1) });
      assert.throws(() => parseWitnessFile(tooMany), refusedWith('InvalidArgument', 'more than 64 entries'));
    }
  });

  it('of a plain body is that of its depth, in lists as in objects', () => {
    const nested = (depth: number, open: string, inner: string, close: string): boolean => {
      const text = `"metadata":{},"data":{"a":${open.repeat(depth)}${inner}${close.repeat(depth)}}`;
      return isPlainBody(text, 0, text.length);
    };
    for (const [open, inner, close] of [
      ['[', '1', ']'],
      ['{"b":', '1', '}'],
      ['[', '', ']'],
    ] as const) {
      assert.deepEqual(
        [16, 17].map((depth) => nested(depth, open, inner, close)),
        [true, false],
        open,
      );
    }
  });
});
