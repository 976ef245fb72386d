import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeBlock, parseBlock, zeroHash } from '../../src/ledger/block.ts';
import type { BlockDraft, Category, JsonObject } from '../../src/ledger/block.ts';
import { verifyLine } from '../../src/ledger/chain.ts';
import { lineBytesMax } from '../../src/ledger/limits.ts';
import { attach, startMs } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';

/** Hashed with sha256sum, not with this program. */
const knownHash = 'fecb671efc369b01bb32d3826e72570aeefbade68344af9627232032fe19395b';
const knownLine =
  '{"height":0,"prev_hash":"0000000000000000000000000000000000000000000000000000000000000000",' +
  '"timestamp":"2025-10-14T12:00:00.000Z","category":"port","action":"attach",' +
  '"metadata":{"user":"root","uid":0},"data":{"vmid":100,"port":"vi100","note":"Grüße \\"\\\\"},' +
  `"hash":"${knownHash}"}`;
const knownDraft: BlockDraft = {
  category: 'port',
  action: 'attach',
  metadata: { user: 'root', uid: 0 },
  data: { vmid: 100, port: 'vi100', note: 'Grüße "\\' },
};

describe('a block', () => {
  it('is one line of known bytes and known hash', () => {
    const { line, hash } = encodeBlock(knownDraft, 0, zeroHash, startMs);
    assert.equal(line.toString(), knownLine);
    assert.equal(hash, knownHash);
  });

  it('is read back field by field, the keys of its data in their order', () => {
    const block = parseBlock(Buffer.from(knownLine));
    assert.deepEqual(block, {
      height: 0,
      prev_hash: zeroHash,
      timestamp: '2025-10-14T12:00:00.000Z',
      hash: knownHash,
      ...knownDraft,
    });
    assert.deepEqual(Object.keys(block.data), ['vmid', 'port', 'note']);
  });

  it('encodes and parses to the same, whatever a draft holds', () => {
    fc.assert(
      fc.property(draft(), fc.nat(), fc.integer({ min: 0, max: 253402300799999 }), (any, height, timeMs) => {
        const { line, hash } = encodeBlock(any, height, knownHash, timeMs);
        const expected = JSON.parse(JSON.stringify(any)) as BlockDraft;
        const timestamp = new Date(timeMs).toISOString();
        const block = { height, prev_hash: knownHash, timestamp, ...expected, hash };
        assert.deepEqual(verifyLine(line, height, knownHash), { hash, block });
        assert.equal(line.includes('\n'), false);
      }),
    );
  });

  it('never throws anything but InvalidArgument for bytes that are no block', () => {
    const mutated = fc
      .tuple(fc.nat(knownLine.length - 1), fc.nat(3), fc.uint8Array({ maxLength: 3 }))
      .map(([at, drop, insert]) => {
        const bytes = Buffer.from(knownLine);
        return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + drop)]);
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), mutated), (bytes) => {
        try {
          parseBlock(bytes);
        } catch (thrown) {
          assert.ok(hasCode('InvalidArgument')(thrown), String(thrown));
        }
      }),
    );
  });

  const edits: [string, (line: string) => string][] = [
    ['a field is missing', (line) => line.replace('"metadata":{"user":"root","uid":0},', '')],
    ['fields are out of order', (line) => line.replace(/("category":"port"),("action":"attach")/, '$2,$1')],
    ['a field was added', (line) => line.replace(',"hash"', ',"extra":1,"hash"')],
    ['the height stands twice', (line) => line.replace(',"hash"', ',"height":1,"hash"')],
    ['the height is no number', (line) => line.replace('"height":0', '"height":"0"')],
    ['the height has a leading zero', (line) => line.replace('"height":0', '"height":00')],
    ['there is white space', (line) => line.replace('"height":0,', '"height":0, ')],
    ['prev_hash is in capitals', (line) => line.replace(zeroHash, 'A'.repeat(64))],
    ['the time has no milliseconds', (line) => line.replace('00.000Z', '00Z')],
    ['data is an array', (line) => line.replace(/"data":\{.*\},"hash"/, '"data":[],"hash"')],
    ['metadata is null', (line) => line.replace('{"user":"root","uid":0}', 'null')],
    ['the JSON does not end', (line) => line.slice(0, -1)],
    ['something follows', (line) => `${line} `],
    ['it is empty', () => ''],
  ];
  for (const [what, edit] of edits) {
    it(`is refused when ${what}`, () => {
      const line = edit(knownLine);
      assert.notEqual(line, knownLine);
      assert.throws(() => parseBlock(Buffer.from(line)), hasCode('InvalidArgument'));
    });
  }

  it('is refused when it is not UTF-8', () => {
    const line = Buffer.from(knownLine);
    line[line.indexOf('ü') + 1] = 0x41;
    assert.throws(() => parseBlock(line), /not UTF-8/);
  });
});

describe('a draft', () => {
  const refused: [string, Partial<BlockDraft>, RegExp][] = [
    ['a category nobody knows', { category: 'ports' as Category }, /category "ports" is not known/],
    ['an empty action', { action: '' }, /action "" is not valid/],
    ['an action with a quote', { action: 'a"b' }, /is not valid/],
    ['an action of 65 characters', { action: 'a'.repeat(65) }, /at most 64/],
    ['a lone surrogate in a value', { data: { name: 'x\ud800' } }, /lone surrogate/],
    ['a lone surrogate in a key', { metadata: { 'x\udfff': 1 } }, /lone surrogate/],
    ['an array as data', { data: [] as unknown as JsonObject }, /data must be an object/],
    ['data that is not JSON', { data: { n: 1n } as unknown as JsonObject }, /data cannot be written as JSON/],
    ["the ledger's own mark", { metadata: { ahead: 1 } }, /"ahead" is set by the ledger alone/],
  ];
  for (const [what, part, message] of refused) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => encodeBlock(attach(100, part), 0, zeroHash, startMs), {
        code: 'InvalidArgument',
        message,
      });
    });
  }

  it('may hold what merely looks like an escaped surrogate', () => {
    const { line } = encodeBlock(attach(100, { data: { text: '\\ud800', emoji: '\u{1f600}' } }), 0, zeroHash, startMs);
    assert.deepEqual(parseBlock(line).data, { text: '\\ud800', emoji: '\u{1f600}' });
  });

  it('fits or does not fit whatever its height', () => {
    const room = (bytes: number): BlockDraft => attach(100, { metadata: {}, data: { text: 'x'.repeat(bytes) } });
    let largest = 65_000;
    for (;;) {
      try {
        encodeBlock(room(largest + 1), 0, zeroHash, startMs);
      } catch (thrown) {
        assert.ok(hasCode('InvalidArgument')(thrown));
        break;
      }
      largest++;
    }
    const { line } = encodeBlock(room(largest), Number.MAX_SAFE_INTEGER, zeroHash, startMs);
    assert.ok(line.length <= lineBytesMax, `${line.length} bytes`);
    assert.equal(parseBlock(line).height, Number.MAX_SAFE_INTEGER);
    assert.throws(() => encodeBlock(room(largest + 1), 0, zeroHash, startMs), /at most 65535/);
  });

  it('is refused at a time that has no timestamp', () => {
    for (const timeMs of [Number.NaN, Infinity, Date.UTC(10_000, 0), -1e15]) {
      assert.throws(() => encodeBlock(attach(100), 0, zeroHash, timeMs), /is not between the years/);
    }
  });
});

function draft(): fc.Arbitrary<BlockDraft> {
  const json = fc
    .dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ stringUnit: 'grapheme' }), { maxKeys: 5 })
    .filter((value) => !Object.hasOwn(value, 'ahead')) as fc.Arbitrary<JsonObject>;
  return fc.record({
    category: fc.constantFrom('port', 'storage', 'apply_state'),
    action: fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/),
    metadata: json,
    data: json,
  });
}
