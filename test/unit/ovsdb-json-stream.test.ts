import assert from 'node:assert/strict';
import fc from 'fast-check';
import { JsonStream } from '../../src/ovsdb/json-stream.ts';
import { refusedWith } from '../support/refused.ts';

interface Outcome {
  readonly values: unknown[];
  readonly isRefused: boolean;
}

const rows: { title: string; text: string; values: unknown[] }[] = [
  { title: 'nothing', text: '', values: [] },
  { title: 'one object', text: '{"id":1}', values: [{ id: 1 }] },
  { title: 'one array', text: '[1,[2,[]]]', values: [[1, [2, []]]] },
  { title: 'two replies with nothing between them', text: '{"id":1}{"id":2}', values: [{ id: 1 }, { id: 2 }] },
  { title: 'white space of every kind between messages', text: ' \t\r\n{}\n [] ', values: [{}, []] },
  { title: 'brackets inside strings', text: '{"a":"}{][","b":"]"}[]', values: [{ a: '}{][', b: ']' }, []] },
  {
    title: 'escaped quotes and backslashes',
    text: String.raw`{"a\"}":"\\"}["\\\""]`,
    values: [{ 'a"}': '\\' }, ['\\"']],
  },
  { title: 'characters of two, three and four bytes', text: '["é","€","🙂"]', values: [['é', '€', '🙂']] },
  { title: 'an escaped surrogate pair', text: String.raw`["\ud83d\ude42"]`, values: [['🙂']] },
  { title: 'an unpaired escaped surrogate', text: String.raw`["\ud83d"]`, values: [['\ud83d']] },
  { title: 'the name __proto__', text: '{"__proto__":{"a":1}}', values: [JSON.parse('{"__proto__":{"a":1}}')] },
];

/** What comes before the fault is delivered, the fault is told. */
const faults: { title: string; bytes: Uint8Array; values: unknown[] }[] = [
  { title: 'a bare word', bytes: Buffer.from('{}true'), values: [{}] },
  { title: 'a bare number', bytes: Buffer.from('1'), values: [] },
  { title: 'a bare string', bytes: Buffer.from('[1]"a"'), values: [[1]] },
  { title: 'a comma between messages', bytes: Buffer.from('{},{}'), values: [{}] },
  { title: 'a zero byte between messages', bytes: Buffer.from('[]\0[]'), values: [[]] },
  { title: 'a byte order mark', bytes: Buffer.from('\uFEFF{}'), values: [] },
  { title: 'a closing bracket too many', bytes: Buffer.from('{}]'), values: [{}] },
  { title: 'brackets that do not match', bytes: Buffer.from('[1}'), values: [] },
  { title: 'a trailing comma', bytes: Buffer.from('{"a":1,}'), values: [] },
  { title: 'a raw newline in a string', bytes: Buffer.from('["\n"]'), values: [] },
  { title: 'an unknown escape', bytes: Buffer.from(String.raw`["\x"]`), values: [] },
  { title: 'a byte that never is UTF-8', bytes: Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), values: [] },
  { title: 'a UTF-8 sequence cut short', bytes: Buffer.from([0x5b, 0x22, 0xe2, 0x82, 0x22, 0x5d]), values: [] },
  { title: 'an overlong UTF-8 sequence', bytes: Buffer.from([0x5b, 0x22, 0xc0, 0xaf, 0x22, 0x5d]), values: [] },
  { title: 'a surrogate in UTF-8', bytes: Buffer.from([0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d]), values: [] },
];

function split(chunks: Iterable<Uint8Array>, stream = new JsonStream()): Outcome {
  const values: unknown[] = [];
  try {
    for (const chunk of chunks) for (const value of stream.push(chunk)) values.push(value);
    return { values, isRefused: false };
  } catch (error) {
    refusedWith('SwitchError', 'OVSDB server sent what is not JSON-RPC')(error);
    return { values, isRefused: true };
  }
}

function* byteByByte(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i++) yield bytes.subarray(i, i + 1);
}

function inEveryChunking(bytes: Uint8Array, expected: Outcome): void {
  assert.deepEqual(split([bytes]), expected, 'whole');
  assert.deepEqual(split(byteByByte(bytes)), expected, 'byte by byte');
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(split([bytes.subarray(0, cut), bytes.subarray(cut)]), expected, `cut at ${cut}`);
  }
}

describe('splitting an OVSDB stream', () => {
  for (const { title, text, values } of rows) {
    it(`reads ${title}`, () => {
      inEveryChunking(Buffer.from(text), { values, isRefused: false });
    });
  }

  for (const { title, bytes, values } of faults) {
    it(`refuses ${title}, after what came before it`, () => {
      inEveryChunking(bytes, { values, isRefused: true });
    });
  }

  it('waits for the rest of a message, wherever it was cut', () => {
    const bytes = Buffer.from('[{"a":"\\"€"},1]');
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.deepEqual(split([bytes.subarray(0, cut)]), { values: [], isRefused: false }, `cut at ${cut}`);
    }
  });

  it('reads any sequence of values in any chunks', () => {
    const message = fc.oneof(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), fc.array(fc.jsonValue()));
    const space = fc.constantFrom('', ' ', '\n', '\r\n\t');
    fc.assert(
      fc.property(fc.array(fc.tuple(message, space)), fc.array(fc.nat()), (messages, cuts) => {
        const bytes = Buffer.from(messages.map(([value, gap]) => JSON.stringify(value) + gap).join(''));
        const edges = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
        const chunks = [...edges, bytes.length].map((edge, index) => bytes.subarray(edges[index - 1] ?? 0, edge));
        const values = messages.map(([value]): unknown => JSON.parse(JSON.stringify(value)));
        assert.deepEqual(split(chunks), { values, isRefused: false });
      }),
    );
  });

  it('makes of any bytes the same in any chunks', () => {
    const bracketed = fc
      .array(fc.constantFrom('{', '}', '[', ']', '"', ',', ':', '\\', ' ', '1', 'é'), { maxLength: 40 })
      .map((characters) => Buffer.from(characters.join('')));
    fc.assert(
      fc.property(fc.oneof(bracketed, fc.uint8Array()), fc.nat(), (bytes, cut) => {
        const whole = split([bytes]);
        const at = cut % (bytes.length + 1);
        assert.deepEqual(split(byteByByte(bytes)), whole);
        assert.deepEqual(split([bytes.subarray(0, at), bytes.subarray(at)]), whole);
      }),
    );
  });
});

describe('the limits of an OVSDB stream', () => {
  const limits = { messageBytesMax: 10, nestingMax: 3 };

  for (const [how, chunksOf] of [
    ['in one chunk', (bytes: Uint8Array) => [bytes]],
    ['byte by byte', byteByByte],
  ] as const) {
    it(`takes a message of the maximum length and no byte more, ${how}`, () => {
      const longest = Buffer.from('["123456"]');
      const tooLong = Buffer.from('["1234567"]');
      const two = Buffer.concat([longest, longest]);
      assert.deepEqual(split(chunksOf(two), new JsonStream(limits)).values, [['123456'], ['123456']]);
      assert.deepEqual(split(chunksOf(tooLong), new JsonStream(limits)), { values: [], isRefused: true });
    });

    it(`takes the maximum depth and no bracket more, ${how}`, () => {
      assert.deepEqual(split(chunksOf(Buffer.from('[[{}]]')), new JsonStream(limits)).values, [[[{}]]]);
      const deeper = split(chunksOf(Buffer.from('[[[[')), new JsonStream(limits));
      assert.deepEqual(deeper, { values: [], isRefused: true });
    });
  }

  it('refuses a message that never ends as soon as it is too long', () => {
    let fed = 0;
    const endless = function* (): Generator<Uint8Array> {
      for (;;) {
        fed += 2;
        yield Buffer.from(fed === 2 ? '["' : 'aa');
      }
    };
    assert.equal(split(endless(), new JsonStream(limits)).isRefused, true);
    assert.equal(fed, 12);
  });

  it('counts white space between messages for nothing', () => {
    assert.deepEqual(split([Buffer.from(' '.repeat(100)), Buffer.from('[]')], new JsonStream(limits)).values, [[]]);
  });

  it('stops at 10,000 brackets by default', () => {
    const deep = Buffer.from('['.repeat(10_000) + ']'.repeat(10_000));
    assert.throws(() => [...new JsonStream().push(deep)], refusedWith('SwitchError', 'nesting deeper than 1000'));
  });
});
