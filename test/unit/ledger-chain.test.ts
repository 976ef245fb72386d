import assert from 'node:assert/strict';
import { sha256Hex, zeroHash } from '../../src/ledger/block.ts';
import { verifyLine } from '../../src/ledger/chain.ts';
import { lineBytesMax } from '../../src/ledger/limits.ts';
import { attach, fileOf, ledgerBytes, linesOf, verifyBytes } from '../support/ledger-fixtures.ts';

describe('the chain', () => {
  const lines = linesOf([attach(100), attach(101, { data: { name: 'Grüße' } }), attach(102), attach(103)]);
  const file = fileOf(lines);
  const offsets = lines.map((_, index) => fileOf(lines.slice(0, index)).length);
  const lastHash = lines.at(-1)!.subarray(-66, -2).toString();

  it('is valid when it is empty', async () => {
    assert.deepEqual(await verifyBytes(Buffer.alloc(0)), {
      valid: true,
      blocks: 0,
      bytes: 0,
      lastHash: zeroHash,
      wholeFromBad: 0,
    });
  });

  it('is valid however the file is cut into chunks', async () => {
    for (let chunkBytes = 1; chunkBytes <= file.length; chunkBytes++) {
      const report = await verifyBytes(file, chunkBytes);
      assert.deepEqual(report, { valid: true, blocks: 4, bytes: file.length, lastHash, wholeFromBad: 0 });
    }
  });

  it('shows every flipped bit, by the height and offset of its line', async () => {
    for (let at = 0; at < file.length; at++) {
      const height = offsets.findLastIndex((offset) => offset <= at);
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(file);
        flipped[at]! ^= 1 << bit;
        const { valid, blocks, firstBad } = await verifyBytes(flipped, 500);
        assert.equal(valid, false, `byte ${at} bit ${bit}`);
        assert.equal(blocks, height);
        assert.equal(firstBad?.height, height);
        assert.equal(firstBad.offset, offsets[height]);
      }
    }
  });

  it('tells a torn last line from a bad one, at every length', async () => {
    for (let length = 0; length < file.length; length++) {
      const { valid, blocks, firstBad } = await verifyBytes(file.subarray(0, length), 700);
      const whole = offsets.findLastIndex((offset) => offset <= length);
      assert.equal(blocks, whole);
      assert.equal(valid, length === offsets[whole]);
      if (!valid) assert.deepEqual([firstBad?.torn, firstBad?.offset], [true, offsets[whole]]);
    }
  });

  const rearranged: [string, number[], number, RegExp][] = [
    ['two lines changed places', [0, 2, 1, 3], 1, /height is 2, expected 1/],
    ['a line was removed', [0, 2, 3], 1, /height is 2, expected 1/],
    ['the first line was removed', [1, 2, 3], 0, /height is 1, expected 0/],
    ['a line stands twice', [0, 1, 1, 2, 3], 2, /height is 1, expected 2/],
  ];
  for (const [what, order, height, reason] of rearranged) {
    it(`shows that ${what}`, async () => {
      const { valid, firstBad } = await verifyBytes(fileOf(order.map((index) => lines[index]!)));
      assert.equal(valid, false);
      assert.equal(firstBad?.height, height);
      assert.match(firstBad.reason, reason);
    });
  }

  it('shows a block that was replaced by another with a right hash of its own', async () => {
    const forged = linesOf([attach(100), attach(999), attach(102)]);
    const { firstBad } = await verifyBytes(fileOf([lines[0]!, forged[1]!, lines[2]!, lines[3]!]));
    assert.equal(firstBad?.height, 2);
    assert.match(firstBad.reason, /prev_hash is not the hash of block 1/);
  });

  it('shows a first block that follows something', async () => {
    const line = Buffer.from(lines[0]!.toString().replace(zeroHash, 'f'.repeat(64)));
    assert.match((await verifyBytes(fileOf([line]))).firstBad!.reason, /block 0 is not 64 zeros/);
  });

  it('shows white space, an empty line and text that is no block', async () => {
    for (const junk of ['', ' ', 'null', '{}', 'x'.repeat(300)]) {
      const { firstBad, wholeFromBad } = await verifyBytes(
        Buffer.concat([fileOf([lines[0]!, Buffer.from(junk)]), fileOf(lines.slice(1))]),
      );
      assert.equal(firstBad?.height, 1);
      assert.equal(firstBad.torn, false);
      assert.equal(wholeFromBad, 3);
    }
  });

  it('does not keep a line that never ends', async () => {
    const endless = Buffer.concat([file, Buffer.alloc(3 * lineBytesMax, 'x'), Buffer.from('\n'), fileOf([lines[1]!])]);
    const { firstBad, wholeFromBad } = await verifyBytes(endless, 10_000);
    assert.deepEqual([firstBad?.height, firstBad?.offset, wholeFromBad], [4, file.length, 1]);
    assert.match(firstBad!.reason, /more than 65535 bytes/);
  });

  it('accepts a category of a newer version', async () => {
    const { line } = forgeCategory('weather');
    assert.equal((await verifyBytes(fileOf([line]))).valid, true);
  });

  it('reads a line in full, and says why it cannot', () => {
    assert.equal((verifyLine(lines[0]!, 0, zeroHash) as { block: { action: string } }).block.action, 'attach');
    assert.deepEqual(verifyLine(lines[0]!, 1, zeroHash), { bad: 'height is 0, expected 1' });
    const { line } = forge('"data":{"vmid":100', '"data":{"vmid":1e');
    assert.match((verifyLine(line, 0, zeroHash) as { bad: string }).bad, /not JSON/);
  });

  it('verifies a longer ledger', async () => {
    const report = await verifyBytes(ledgerBytes(2_000), 4_096);
    assert.deepEqual([report.valid, report.blocks], [true, 2_000]);
  });
});

function forgeCategory(category: string): { line: Buffer } {
  return forge('"category":"port"', `"category":"${category}"`);
}

/** Block 0 with its text changed and its hash made right again. */
function forge(from: string, to: string): { line: Buffer } {
  const text = linesOf([attach(100)])[0]!
    .toString()
    .slice(0, -75);
  assert.ok(text.includes(from));
  const changed = text.replace(from, to);
  return { line: Buffer.from(`${changed},"hash":"${sha256Hex(changed)}"}`) };
}
