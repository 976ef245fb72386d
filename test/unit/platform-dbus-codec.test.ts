import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import fc from 'fast-check';
import type { MessageHeader } from '../../src/platform/dbus/codec.ts';
import { decodeMessage, encodeMessage, messageTypes } from '../../src/platform/dbus/codec.ts';
import { messageBytesMax } from '../../src/platform/dbus/limits.ts';
import type { Variant } from '../../src/platform/dbus/values.ts';

const call: MessageHeader = {
  type: messageTypes.methodCall,
  flags: 0,
  serial: 7,
  path: '/a',
  member: 'M',
  signature: '',
};

function roundTrip(signature: string, body: readonly unknown[]): readonly unknown[] {
  return decodeMessage(encodeMessage({ ...call, signature }, body)).readBody();
}

describe('the D-Bus codec', () => {
  it('keeps every header field', () => {
    const header: MessageHeader = {
      type: messageTypes.error,
      flags: 1,
      serial: 0xffff_ffff,
      path: '/dev/ovs/PortAgent1',
      interface: 'dev.ovs.PortAgent1',
      member: 'list_ports',
      errorName: 'a.b.C',
      replySerial: 3,
      destination: ':1.5',
      sender: undefined,
      signature: 's',
    };
    assert.deepEqual(decodeMessage(encodeMessage(header, ['x'])).header, header);
  });

  it('gives dicts as maps, so that a key __proto__ is only a key', () => {
    const entry: Variant = { signature: 's', value: 'x' };
    const [decoded] = roundTrip('a{sv}', [new Map([['__proto__', entry]])]);
    assert.deepEqual(decoded, new Map([['__proto__', entry]]));
    assert.equal(Object.getPrototypeOf(decoded), Map.prototype);
  });

  it('accepts a plain object for a dict', () => {
    assert.deepEqual(roundTrip('a{su}', [{ a: 1, b: 2 }]), [
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    ]);
  });

  it('gives 64-bit values as bigints of full range, in both byte orders', () => {
    const values = [-(2n ** 63n) + 1n, 2n ** 64n - 1n];
    assert.deepEqual(roundTrip('xt', values), values);
    // Written by hand in big-endian order: a call of M on /a with x = -2 and t = 1.
    const bigEndian = Buffer.from(
      '42010001' +
        '00000010' +
        '00000007' +
        '00000028' +
        '01016f00' +
        '00000002' +
        '2f610000' +
        '00000000' +
        '03017300' +
        '00000001' +
        '4d000000' +
        '00000000' +
        '08016700' +
        '02787400' +
        'fffffffffffffffe' +
        '0000000000000001',
      'hex',
    );
    const decoded = decodeMessage(bigEndian);
    assert.equal(decoded.header.member, 'M');
    assert.deepEqual(decoded.readBody(), [-2n, 1n]);
  });

  it('reads back every value it writes', () => {
    fc.assert(
      fc.property(fc.array(typedValue(3), { maxLength: 4 }), (typed) => {
        const signature = typed.map((item) => item.signature).join('');
        const body = typed.map((item) => item.value);
        assert.deepEqual(roundTrip(signature, body), body);
      }),
    );
  });

  const misfits: [signature: string, value: unknown][] = [
    ['s', 5],
    ['s', 'a\0b'],
    ['u', -1],
    ['u', 2 ** 32],
    ['u', 1.5],
    ['b', 1],
    ['t', -1n],
    ['t', 'x'],
    ['o', 'no/slash'],
    ['o', '/trailing/'],
    ['as', 'text'],
    ['as', ['a', null]],
    ['a{ss}', ['a']],
    ['(su)', ['only one']],
    ['v', 'bare'],
    ['v', { signature: 'su', value: 'two types' }],
    ['h', 0],
  ];
  for (const [signature, value] of misfits) {
    it(`refuses ${inspect(value)} as ${signature}`, () => {
      assert.throws(() => encodeMessage({ ...call, signature }, [value]));
    });
  }

  for (const [field, text] of [
    ['path', 'relative'],
    ['interface', 'noperiod'],
    ['member', 'with.period'],
    ['errorName', 'x'],
    ['destination', 'a..b'],
  ] as const) {
    it(`refuses ${JSON.stringify(text)} as ${field}, for which the bus would cut the connection`, () => {
      assert.throws(() => encodeMessage({ ...call, [field]: text }, []), TypeError);
    });
  }

  it('refuses a message above the maximum', () => {
    const text = 'x'.repeat(messageBytesMax);
    assert.throws(() => encodeMessage({ ...call, signature: 's' }, [text]), RangeError);
  });

  it('reads the header of a message with a file descriptor and refuses its body', () => {
    const bytes = encodeMessage({ ...call, signature: 'u' }, [0]);
    bytes[bytes.indexOf(Buffer.from('\x01u\0')) + 1] = 'h'.charCodeAt(0);
    const decoded = decodeMessage(bytes);
    assert.equal(decoded.header.signature, 'h');
    assert.throws(() => decoded.readBody(), /file descriptors/);
  });

  it('notices a body that is shorter than its signature says', () => {
    const bytes = encodeMessage({ ...call, signature: 'ss' }, ['a', 'b']);
    assert.throws(() => decodeMessage(bytes.subarray(0, bytes.length - 4)).readBody());
  });
});

/** Any D-Bus type but `h`, at most `depth` containers deep, with a value of it in the shape of values.ts. */
function typedValue(depth: number): fc.Arbitrary<Variant> {
  const text = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((value) => !value.includes('\0'));
  const of = (signature: string, values: fc.Arbitrary<unknown>): fc.Arbitrary<Variant> =>
    values.map((value) => ({ signature, value }));
  const basic = [
    of('y', fc.integer({ min: 0, max: 255 })),
    of('b', fc.boolean()),
    of('n', fc.integer({ min: -32768, max: 32767 })),
    of('q', fc.integer({ min: 0, max: 65535 })),
    of('i', fc.integer()),
    of('u', fc.integer({ min: 0, max: 0xffff_ffff })),
    of('x', fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n })),
    of('t', fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    // dbus-next writes -0 as 0.
    of(
      'd',
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    ),
    of('s', text),
    of('o', fc.constantFrom('/', '/a/b_1')),
    of('g', fc.constantFrom('', 'a{sv}')),
    of(
      'ay',
      fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
    ),
  ];
  if (depth === 0) return fc.oneof(...basic);
  const inner = typedValue(depth - 1);
  return fc.oneof(
    ...basic,
    inner.map((value) => ({ signature: 'v', value })),
    inner
      .filter(({ signature }) => signature !== 'y')
      .map(({ signature, value }) => ({ signature: `a${signature}`, value: [value, value] })),
    fc
      .tuple(text, inner)
      .map(([key, { signature, value }]) => ({ signature: `a{s${signature}}`, value: new Map([[key, value]]) })),
    fc.array(inner, { minLength: 1, maxLength: 3 }).map((members) => ({
      signature: `(${members.map((member) => member.signature).join('')})`,
      value: members.map((member) => member.value),
    })),
  );
}
