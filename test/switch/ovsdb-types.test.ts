import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { runOvsdb } from '../conformance/ovsdb.ts';
import { pythonJudge } from '../support/judge.ts';
import { northboundSchema } from '../support/northbound-schema.ts';

/** What may stand beside each name, and does not say what a column holds. */
const constraints: Record<string, fc.Arbitrary<object>> = {
  integer: fc.record({ minInteger: fc.integer({ min: -9, max: 0 }), maxInteger: fc.integer({ min: 1, max: 9 }) }, { requiredKeys: [] }), // prettier-ignore
  real: fc.record({ minReal: fc.constantFrom(-2.5, 0.25), maxReal: fc.constantFrom(1.5, 1e5) }, { requiredKeys: [] }),
  boolean: fc.constant({}),
  string: fc.record({ minLength: fc.nat(3), maxLength: fc.integer({ min: 3, max: 63 }) }, { requiredKeys: [] }), // prettier-ignore
  uuid: fc.record({ refTable: fc.constant('t0'), refType: fc.constantFrom('strong', 'weak') }, { requiredKeys: ['refTable'] }), // prettier-ignore
};
const plainType = fc.constantFrom(...Object.keys(constraints));
/** In no company: a list says it all. */
const enumerated = fc.constantFrom(
  { type: 'string', enum: ['set', ['b', 'a']] },
  { type: 'string', enum: 'a' },
  { type: 'integer', enum: ['set', [2, 10, 1]] },
  { type: 'real', enum: ['set', [1.5]] },
);
const goodBase = fc.oneof(
  plainType,
  enumerated,
  plainType.chain((type) => (constraints[type] ?? fc.constant({})).map((others) => ({ type, ...others }))),
);
const rarely = (arbitrary: fc.Arbitrary<unknown>, strange: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 19, arbitrary }, { weight: 1, arbitrary: strange });
/** Not `{}`, which Python passes over in the place of a value. */
const base = rarely(goodBase, fc.constantFrom('void', 'Integer', 7, null, { type: 'void' }, [['integer']]));
const type = fc.oneof(
  base,
  fc.record(
    {
      key: base,
      value: base,
      min: rarely(fc.nat(1), fc.constantFrom(-1, 2, 0.5, 'unlimited')),
      max: rarely(fc.constantFrom(1, 3, 'unlimited'), fc.constantFrom(0, -1, 2.5, 'many')),
    },
    { requiredKeys: [] },
  ),
);
const goodType = fc.oneof(
  goodBase.filter((each) => typeof each === 'string'),
  fc.record(
    { key: goodBase, value: goodBase, min: fc.nat(1), max: fc.constantFrom(1, 3, 'unlimited') },
    { requiredKeys: ['key'] },
  ),
);
/**
 * In a whole schema the server holds weak references for mutable, and strong ones for persistent, whatever their column
 * says: nothing that a replica would notice.
 */
const columnOf = (each: fc.Arbitrary<unknown>, ephemeral = fc.boolean()): fc.Arbitrary<object> =>
  fc.record({ type: each, ephemeral, mutable: fc.constant(true) }, { requiredKeys: ['type'] });
const tableOf = (each: fc.Arbitrary<unknown>, ephemeral = fc.boolean()): fc.Arbitrary<object> =>
  fc.record(
    {
      columns: fc.array(columnOf(each, ephemeral), { minLength: 1, maxLength: 2 }).map((columns) => ({ ...named('c', columns), name: { type: 'string', mutable: false } })), // prettier-ignore
      mutable: fc.boolean(),
      isRoot: fc.boolean(),
      maxRows: fc.integer({ min: 1, max: 9 }),
      indexes: fc.constantFrom([], [['name']]),
    },
    { requiredKeys: ['columns'] },
  );
const schema = fc.record(
  {
    name: fc.constant('d'),
    version: fc.constant('1.2.3'),
    tables: fc
      .array(tableOf(goodType, fc.constant(false)), { minLength: 1, maxLength: 3 })
      .map((tables) => named('t', tables)),
  },
  { requiredKeys: ['name', 'tables'] },
);

function named(prefix: string, values: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(values.map((value, index) => [`${prefix}${index}`, value]));
}

describe('schemas as the client reads them, and Open vSwitch’s own library', () => {
  const judge = pythonJudge('schema-judge.py');

  /** Both answers; null where it was refused. */
  async function ask(command: string, value: unknown): Promise<{ ours: unknown; theirs: unknown }> {
    const out: string[] = [];
    const names = command === 'parse-column' || command === 'parse-table' ? ['c'] : [];
    const code = await runOvsdb(
      [command, ...names, JSON.stringify([value])],
      (line) => out.push(line),
      () => undefined,
    );
    return { ours: code === 0 ? [JSON.parse(out.join(''))] : null, theirs: await judge([command, value]) };
  }

  for (const [command, values, refusedMin] of [
    ['parse-base-type', base, 10],
    ['parse-type', type, 50],
    ['parse-column', columnOf(type), 50],
    ['parse-table', tableOf(type), 50],
    ['parse-schema', schema, 0],
  ] as const) {
    it(`${command}: take the same and refuse the same`, async () => {
      let [taken, refused] = [0, 0];
      await fc.assert(
        fc.asyncProperty<[unknown]>(values, async (value) => {
          const { ours, theirs } = await ask(command, value);
          assert.deepEqual(ours, theirs);
          if (theirs === null) refused++;
          else taken++;
        }),
        { numRuns: 600 },
      );
      assert.ok(taken > 150 && refused >= refusedMin, `${taken} taken, ${refused} refused`);
    }).timeout(60_000);
  }

  const readSchema = (path: string): object => JSON.parse(readFileSync(path, 'utf8')) as object;
  for (const [name, inUse] of [
    ['Open vSwitch’s schema', () => readSchema('/usr/share/openvswitch/vswitch.ovsschema')],
    ['the schema of its tests', () => readSchema('test/conformance/idltest.ovsschema')],
    ['OVN’s northbound schema', northboundSchema],
  ] as const) {
    it(`read ${name} alike`, async () => {
      const { ours, theirs } = await ask('parse-schema', inUse());
      assert.notEqual(theirs, null);
      assert.deepEqual(ours, theirs);
    });
  }
});
