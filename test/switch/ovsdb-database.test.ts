/** The database in memory, on which the simulator and the unit tests rely, against the real `ovsdb-server`. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import { OvsdbError } from '../../src/ovsdb/errors.ts';
import type { RowChange, Tables } from '../../src/ovsdb/replica.ts';
import { defaultOf, readColumnType } from '../../src/ovsdb/value.ts';
import type { Condition, Mutation, Operation, OperationResult, Row, Value } from '../../src/ovsdb/wire.ts';
import { ovsdbDialer } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { FakeOvsdbServer } from '../support/fake-ovsdb-server.ts';
import type { Dial } from '../../src/ovsdb/channel.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { switchSchema } from '../support/switch-schema.ts';

const tableNames = Object.keys(switchSchema.tables);
/** Never the same in two tables: that is not what a server expects of a client. */
const uuid = (table: string, n: number): string =>
  `00000000-0000-4000-8000-${tableNames.indexOf(table)}${String(n).padStart(11, '0')}`;
const root = uuid('Open_vSwitch', 999);
const tables: Tables = Object.fromEntries(
  Object.entries(switchSchema.tables).map(([table, { columns }]) => [
    table,
    Object.fromEntries(
      Object.entries(columns as Record<string, { type: unknown }>).map(([name, { type }]) => [
        name,
        defaultOf(readColumnType(type, name)),
      ]),
    ),
  ]),
);

/** Few names, few rows and few values, so that operations meet. */
const names = fc.constantFrom('a', 'b', 'c');
const ids = fc.nat(5);
const reference = (to: string): fc.Arbitrary<Value> => ids.map((n): Value => ['uuid', uuid(to, n)]);
const references = (to: string): fc.Arbitrary<Value> =>
  fc.uniqueArray(ids, { maxLength: 2 }).map((list): Value => ['set', list.map((n) => ['uuid', uuid(to, n)])]);
const vlan = fc.constantFrom(0, 10, 4095, 4096);
const optionalVlan = fc.oneof(vlan, fc.constant<Value>(['set', []]));
const vlans = fc.uniqueArray(vlan, { maxLength: 3 }).map((list): Value => ['set', list]);
const texts = fc.dictionary(fc.constantFrom('k', 'l', 'm'), fc.constantFrom('1', '2')).map((record): Value => ['map', Object.entries(record)]); // prettier-ignore
const keys = fc.uniqueArray(fc.constantFrom('k', 'l', 'm')).map((list): Value => ['set', list]);

const columns: Record<string, Record<string, fc.Arbitrary<Value>>> = {
  Open_vSwitch: { bridges: references('Bridge'), next_cfg: fc.nat(3) },
  Bridge: { name: names, ports: references('Port'), mirrors: references('Mirror'), external_ids: texts },
  Port: {
    name: names,
    interfaces: fc.oneof(reference('Interface'), references('Interface')),
    tag: optionalVlan,
    trunks: vlans,
    vlan_mode: fc.constantFrom<Value>('trunk', 'access', 'none', ['set', []]),
    external_ids: texts,
  },
  Interface: {
    name: names,
    type: fc.constantFrom('', 'internal'),
    mtu_request: fc.constantFrom<Value>(0, 1500, ['set', []]),
    external_ids: texts,
  },
  Mirror: {
    name: names,
    select_all: fc.boolean(),
    select_src_port: references('Port'),
    output_port: references('Port'),
  },
  QoS: { type: names, other_config: texts },
};
const table = fc.constantFrom(...Object.keys(columns));
const rowOf = (name: string): fc.Arbitrary<Row> =>
  fc.record(columns[name] ?? {}, { requiredKeys: [] }) as fc.Arbitrary<Row>;
const conditionOf = (name: string): fc.Arbitrary<Condition> =>
  fc.oneof(
    { weight: 3, arbitrary: reference(name).map((value): Condition => ['_uuid', '==', value]) },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom(...Object.keys(columns[name] ?? {}))
        .chain((column) =>
          fc.tuple(
            fc.constant(column),
            fc.constantFrom('==' as const, '!=' as const, 'includes' as const, 'excludes' as const),
            columns[name]?.[column] ?? names,
          ),
        ),
    },
  );
const whereOf = (name: string): fc.Arbitrary<Condition[]> => fc.array(conditionOf(name), { maxLength: 2 });
const mutationOf: Record<string, fc.Arbitrary<Mutation>> = {
  Open_vSwitch: fc.oneof(
    fc.tuple(fc.constant('next_cfg'), fc.constantFrom('+=' as const, '-=' as const, '*=' as const, '/=' as const, '%=' as const), fc.nat(2)), // prettier-ignore
    fc.tuple(fc.constant('bridges'), fc.constantFrom('insert' as const, 'delete' as const), reference('Bridge')),
  ),
  Bridge: fc.oneof(
    fc.tuple(fc.constant('mirrors'), fc.constantFrom('insert' as const, 'delete' as const), references('Mirror')),
    fc.tuple(fc.constant('ports'), fc.constantFrom('insert' as const, 'delete' as const), references('Port')),
  ),
  Port: fc.oneof(
    fc.tuple(fc.constant('external_ids'), fc.constant('insert' as const), texts),
    fc.tuple(fc.constant('external_ids'), fc.constant('delete' as const), fc.oneof(texts, keys)),
    fc.tuple(fc.constant('trunks'), fc.constantFrom('insert' as const, 'delete' as const), vlans),
    fc.tuple(fc.constant('tag'), fc.constant('+=' as const), fc.constant<Value>(1)),
    fc.tuple(fc.constant('interfaces'), fc.constantFrom('insert' as const, 'delete' as const), references('Interface')),
  ),
};

const operations: fc.Arbitrary<Operation[]> = fc.oneof<fc.WeightedArbitrary<Operation[]>[]>(
  // Whole ports, as they are plugged.
  {
    weight: 3,
    arbitrary: fc.record({ name: names, n: ids, bridge: ids, more: rowOf('Port') }).map(({ name, n, bridge, more }) => [
      { op: 'insert', table: 'Interface', uuid: uuid('Interface', n), row: { name } },
      { op: 'insert', table: 'Port', uuid: uuid('Port', n), row: { ...more, name, interfaces: ['uuid', uuid('Interface', n)] } },
      { op: 'mutate', table: 'Bridge', where: [['_uuid', '==', ['uuid', uuid('Bridge', bridge)]]], mutations: [['ports', 'insert', ['uuid', uuid('Port', n)]]] }, // prettier-ignore
    ]), // prettier-ignore
  },
  {
    weight: 2,
    arbitrary: fc.record({ name: names, n: ids }).map(({ name, n }) => [
      { op: 'insert', table: 'Bridge', uuid: uuid('Bridge', n), row: { name } },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['uuid', uuid('Bridge', n)]]] }, // prettier-ignore
    ]), // prettier-ignore
  },
  {
    weight: 1,
    arbitrary: fc.record({ name: names, n: ids }).map(({ name, n }) => [
      { op: 'insert', table: 'Interface', uuid: uuid('Interface', n), 'uuid-name': 'i', row: { name } },
      { op: 'insert', table: 'Port', uuid: uuid('Port', n), row: { name, interfaces: ['named-uuid', 'i'] }, 'uuid-name': 'p' },
      { op: 'mutate', table: 'Bridge', where: [], mutations: [['ports', 'insert', ['named-uuid', 'p']]] },
    ]), // prettier-ignore
  },
  {
    weight: 6,
    arbitrary: table
      .chain((name) =>
        fc.oneof<fc.Arbitrary<Operation>[]>(
          fc.record({ op: fc.constant('insert' as const), table: fc.constant(name), uuid: ids.map((n) => uuid(name, n)), row: rowOf(name) }), // prettier-ignore
          fc.record({ op: fc.constant('update' as const), table: fc.constant(name), where: whereOf(name), row: rowOf(name) }), // prettier-ignore
          fc.record({ op: fc.constant('delete' as const), table: fc.constant(name), where: whereOf(name) }),
          fc.record({ op: fc.constant('select' as const), table: fc.constant(name), where: whereOf(name), columns: fc.constant<string[]>([...Object.keys(columns[name] ?? {}), '_uuid']) }), // prettier-ignore
          fc.record({
            op: fc.constant('wait' as const),
            timeout: fc.constant(0),
            table: fc.constant(name),
            where: whereOf(name),
            columns: fc.constant<string[]>(['_uuid']),
            until: fc.constantFrom('==' as const, '!=' as const),
            rows: fc.array(
              ids.map((n): Row => ({ _uuid: ['uuid', uuid(name, n)] })),
              { maxLength: 2 },
            ),
          }),
          ...(mutationOf[name] === undefined
          ? []
          : [fc.record({ op: fc.constant('mutate' as const), table: fc.constant(name), where: whereOf(name), mutations: fc.array(mutationOf[name], { maxLength: 2 }) })]), // prettier-ignore
        ),
      )
      .map((one) => [one]),
  },
  { weight: 1, arbitrary: fc.constantFrom<Operation>({ op: 'comment', comment: 'x' }, { op: 'assert', lock: 'l' }, { op: 'abort' }).map((one) => [one]) }, // prettier-ignore
);
const transaction = fc.array(operations, { minLength: 1, maxLength: 3 }).map((lists) => lists.flat());

/** A client, and what it was told, row by row. */
class Side {
  readonly client: OvsdbClient<Tables>;
  heard: string[] = [];

  constructor(dial: Dial) {
    const remotes = [{ endpoint: 'unix:/x', dial }];
    this.client = new OvsdbClient({ remotes, timers: systemTimers, database: 'Open_vSwitch', tables, lock: 'l' });
    this.client.listen({
      onChanges: (changes: RowChange<Tables>[]) => {
        this.heard.push(...changes.map(({ table: name, uuid: id, kind }) => `${kind} ${name} ${id}`));
      },
    });
    this.client.start();
  }

  async transact(operations: Operation[]): Promise<unknown> {
    this.heard = [];
    const outcome = await this.client.transact(operations).catch((thrown: unknown) => {
      if (!(thrown instanceof OvsdbError)) throw thrown;
      // Of two columns that are wrong, either may be the one that is named.
      return thrown.kind === 'syntax error' ? 'constraint violation' : thrown.kind;
    });
    return typeof outcome === 'string' ? outcome : outcome.map((result) => inOrder(result));
  }

  get rows(): unknown {
    return Object.fromEntries(
      Object.keys(tables).map((name) => [
        name,
        new Map([...this.client.replica.table(name)].sort(([a], [b]) => (a < b ? -1 : 1))),
      ]),
    );
  }
}

/** Rows have no order; UUIDs that the server chose are left out with the rows that have them. */
function inOrder({ rows, ...result }: OperationResult): unknown {
  if (rows === undefined) return result;
  return { ...result, rows: rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort() };
}

describe('the database in memory', () => {
  let ovs: PrivateSwitch;
  let sides: Side[] = [];
  before(async () => {
    ovs = await startPrivateSwitch({ schema: switchSchema });
  });
  after(async () => {
    for (const { client } of sides) client.stop();
    await ovs.stop();
  });

  it('answers, commits, collects and tells as ovsdb-server does, whatever is asked', async () => {
    const server = new FakeOvsdbServer({ schema: switchSchema });
    const [real, fake] = [new Side(ovsdbDialer(ovs.endpoint)), new Side(server.dial)];
    sides = [real, fake];
    await Promise.all([real.client.ready(), fake.client.ready()]);
    const counts = new Map<string, number>();
    const both = async (asked: Operation[]): Promise<void> => {
      const [expected, got] = [await real.transact(asked), await fake.transact(asked)];
      assert.deepEqual(got, expected, JSON.stringify(asked));
      assert.deepEqual(fake.heard.sort(), real.heard.sort(), JSON.stringify(asked));
      const outcome = typeof expected === 'string' ? expected : 'committed';
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(transaction, { minLength: 10, maxLength: 20 }), async (transactions) => {
        await both([
          ...['Open_vSwitch', 'QoS'].map((name): Operation => ({ op: 'delete', table: name, where: [] })),
          { op: 'comment', comment: 'from the beginning' },
        ]);
        await both([{ op: 'insert', table: 'Open_vSwitch', uuid: root, row: {} }]);
        for (const asked of transactions) await both(asked);
        assert.deepEqual(fake.rows, real.rows);
      }),
      // What a shrunk run starts from is not what the failing one did.
      { numRuns: 300, endOnFailure: true },
    );
    for (const outcome of [
      'committed',
      'timed out',
      'constraint violation',
      'referential integrity violation',
      'duplicate uuid',
      'aborted',
    ]) {
      // prettier-ignore
      assert.ok((counts.get(outcome) ?? 0) > 5, `${outcome}: ${JSON.stringify([...counts])}`);
    }
  }).timeout(60_000);
});
