import assert from 'node:assert/strict';
import fc from 'fast-check';
import { applyDifference, decodeValue, equalDecoded, readColumnType } from '../../src/ovsdb/value.ts';
import type { Decoded } from '../../src/ovsdb/value.ts';
import { differenceOf, encodeDatum } from '../conformance/words.ts';
import { pythonJudge } from '../support/judge.ts';

const atoms: Record<string, fc.Arbitrary<unknown>> = {
  integer: fc.integer(),
  real: fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }).map((real) => real + 0),
  boolean: fc.boolean(),
  string: fc.string({ unit: 'grapheme', minLength: 1 }),
  uuid: fc.uuid().map((uuid) => ['uuid', uuid]),
};
const name = fc.constantFrom(...Object.keys(atoms));
const atom = (type: string): fc.Arbitrary<unknown> => atoms[type] ?? fc.constant(null);
/** Mostly of the type, sometimes anything; no boolean, which Python takes for a number. */
const strange = Object.entries(atoms)
  .filter(([type]) => type !== 'boolean')
  .map(([, arbitrary]) => arbitrary);
const orNot = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 9, arbitrary },
    { weight: 1, arbitrary: fc.oneof(...strange, fc.constantFrom(null, [], {}, ['set'], ['map', [[1]]])) },
  );

/** A type, and a value within its bounds. */
const question = fc
  .record({ key: name, value: fc.option(name), min: fc.nat(1), max: fc.constantFrom(1, 3, 'unlimited' as const) })
  .chain(({ key, value, min, max }) => {
    const type = { key, ...(value === null ? {} : { value }), min, max };
    const size = { minLength: min, maxLength: max === 'unlimited' ? 6 : max };
    const members =
      value === null
        ? fc.array(orNot(atom(key)), size).map((list) => ['set', list])
        : fc.array(fc.tuple(orNot(atom(key)), orNot(atom(value))), size).map((list) => ['map', list]);
    const single = value === null ? [orNot(atom(key))] : [];
    return fc.tuple(fc.constant(type), orNot(fc.oneof(members, ...single)));
  });

/** A type, and two values of it that have much in common. */
const twoValues = fc
  .record({
    key: fc.constantFrom('integer', 'string'),
    value: fc.option(name),
    min: fc.nat(1),
    max: fc.constantFrom(1, 3, 'unlimited' as const),
  }) // prettier-ignore
  .chain(({ key, value, min, max }) => {
    const type = { key, ...(value === null ? {} : { value }), min, max };
    const size = { minLength: min, maxLength: max === 'unlimited' ? 6 : max };
    const few: fc.Arbitrary<unknown> =
      key === 'integer' ? fc.nat(6) : fc.constantFrom('', 'a', 'b', 'c', 'd', 'e', 'f');
    const held = value === null ? fc.constant(null) : fc.oneof(atom(value), fc.constantFrom(...seen(value)));
    const datum =
      value === null
        ? fc.uniqueArray(few, size).map((list) => ['set', list])
        : fc.uniqueArray(fc.tuple(few, held), { ...size, selector: ([each]) => each }).map((list) => ['map', list]);
    return fc.tuple(fc.constant(type), datum, datum);
  });

/** Values that come again. */
function seen(type: string): unknown[] {
  return fc.sample(atom(type), { numRuns: 2, seed: 1 });
}

/** Sets and maps have no order; what has one is not changed by sorting. */
function unordered(value: unknown): unknown {
  if (!Array.isArray(value) || (value[0] !== 'set' && value[0] !== 'map')) return value;
  return [value[0], (value[1] as unknown[]).map((member) => JSON.stringify(member)).sort()];
}

describe('the values of a replica and Open vSwitch’s own', () => {
  const judge = pythonJudge('data-judge.py');

  it('are the same, and the same are refused', async () => {
    let [taken, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(question, async ([type, value]) => {
        const verdict = await judge([type, value]);
        const columnType = readColumnType(type, 'x');
        if (verdict === null) {
          refused++;
          assert.throws(() => decodeValue(value, columnType));
        } else {
          taken++;
          const ours = encodeDatum(decodeValue(value, columnType), columnType);
          assert.deepEqual(unordered(ours), unordered((verdict as unknown[])[0]));
        }
      }),
      { numRuns: 3000 },
    );
    assert.ok(taken > 500 && refused > 200, `${taken} taken, ${refused} refused`);
  }).timeout(60_000);

  it('become the same by a difference', async () => {
    let changed = 0;
    await fc.assert(
      fc.asyncProperty(twoValues, async ([type, older, newer]) => {
        const columnType = readColumnType(type, 'x');
        const encoded = (value: Decoded): unknown => encodeDatum(value, columnType);
        const [before, after] = [decodeValue(older, columnType), decodeValue(newer, columnType)];
        const difference = differenceOf(before, after, columnType);
        const verdict = await judge([type, older, encoded(difference)]);
        assert.deepEqual(unordered((verdict as unknown[])[0]), unordered(encoded(after)));
        const applied = applyDifference(before, difference, columnType);
        assert.ok(equalDecoded(applied, after), JSON.stringify(encoded(applied)));
        if (JSON.stringify(older) !== JSON.stringify(newer)) changed++;
      }),
      { numRuns: 1000 },
    );
    assert.ok(changed > 500, `${changed} changed`);
  }).timeout(60_000);
});
