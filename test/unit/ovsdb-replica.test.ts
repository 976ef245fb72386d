import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Replica } from '../../src/ovsdb/replica.ts';
import type { RowChange } from '../../src/ovsdb/replica.ts';
import { refusedWith } from '../support/refused.ts';

/** Every shape of column: exactly one, at most one, many, a map; and the rarer bounds. */
const templates = {
  T: {
    name: '',
    count: 0,
    share: 0,
    on: false,
    peer: '',
    tag: null as number | null,
    trunks: new Set<number>() as ReadonlySet<number>,
    refs: new Set<string>() as ReadonlySet<string>,
    some: new Set<number>() as ReadonlySet<number>,
    ids: new Map<string, string>() as ReadonlyMap<string, string>,
    queues: new Map<number, string>() as ReadonlyMap<number, string>,
    pair: new Map<string, number>() as ReadonlyMap<string, number>,
  },
  Other: { name: '' },
};
type Templates = typeof templates;

const columns = {
  name: { type: 'string' },
  count: { type: { key: 'integer' } },
  share: { type: { key: { type: 'real', minReal: 0 }, min: 1, max: 1 } },
  on: { type: 'boolean' },
  peer: { type: { key: { type: 'uuid', refTable: 'T' } } },
  tag: { type: { key: { type: 'integer', minInteger: 0, maxInteger: 4095 }, min: 0, max: 1 } },
  trunks: { type: { key: 'integer', min: 0, max: 4096 } },
  refs: { type: { key: { type: 'uuid', refTable: 'T' }, min: 0, max: 'unlimited' } },
  some: { type: { key: 'integer', min: 1, max: 5 } },
  ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
  queues: { type: { key: 'integer', value: { type: 'uuid', refTable: 'T' }, min: 0, max: 'unlimited' } },
  pair: { type: { key: 'string', value: 'integer', min: 0, max: 1 } },
};
const schema = {
  name: 'test',
  version: '1.0.0',
  tables: { T: { columns }, Other: { columns: { name: columns.name } } },
};

const zero = '00000000-0000-0000-0000-000000000000';
const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const a = uuid(1);
const b = uuid(2);

const replicaOf = (updates: unknown = {}): Replica<Templates> => {
  const replica = new Replica(templates, schema);
  replica.apply(updates);
  return replica;
};

function contents(replica: Replica<Templates>): unknown {
  return Object.fromEntries(
    (['T', 'Other'] as const).map((name) => [name, new Map<string, unknown>(replica.table(name))]),
  );
}

/** The one row there is. */
function rowOf(replica: Replica<Templates>): Templates['T'] {
  const [row, another] = replica.table('T').values();
  assert.ok(row !== undefined && another === undefined);
  return row;
}

describe('values of a replica', () => {
  const decoded: [title: string, column: string, wire: unknown, value: unknown][] = [
    ['a string', 'name', 'br0', 'br0'],
    ['an integer', 'count', 7, 7],
    ['a real', 'share', 0.5, 0.5],
    ['a boolean', 'on', true, true],
    ['a UUID', 'peer', ['uuid', a], a],
    ['one value, written as a set', 'name', ['set', ['br0']], 'br0'],
    ['an optional that is there', 'tag', 10, 10],
    ['an optional, written as a set', 'tag', ['set', [10]], 10],
    ['an optional that is not there', 'tag', ['set', []], null],
    ['a set', 'trunks', ['set', [1, 2]], new Set([1, 2])],
    ['a set of one, written as its only atom', 'trunks', 3, new Set([3])],
    ['an empty set', 'trunks', ['set', []], new Set()],
    [
      'a set of UUIDs',
      'refs',
      [
        'set',
        [
          ['uuid', a],
          ['uuid', b],
        ],
      ],
      new Set([a, b]),
    ],
    ['a set of one UUID, written as its only atom', 'refs', ['uuid', a], new Set([a])],
    [
      'a map',
      'ids',
      [
        'map',
        [
          ['x', 'y'],
          ['__proto__', 'z'],
        ],
      ],
      new Map([
        ['x', 'y'],
        ['__proto__', 'z'],
      ]),
    ],
    ['a map of integers to UUIDs', 'queues', ['map', [[0, ['uuid', a]]]], new Map([[0, a]])],
    ['an empty map', 'ids', ['map', []], new Map()],
  ];
  for (const [title, column, wire, value] of decoded) {
    it(`reads ${title}`, () => {
      for (const kind of ['initial', 'insert']) {
        const row = rowOf(replicaOf({ T: { [a]: { [kind]: { [column]: wire } } } }));
        assert.deepEqual((row as Record<string, unknown>)[column], value);
      }
    });
  }

  it('fills in the default of every column that the server leaves out', () => {
    assert.deepEqual(rowOf(replicaOf({ T: { [a]: { initial: {} } } })), {
      name: '',
      count: 0,
      share: 0,
      on: false,
      peer: zero,
      tag: null,
      trunks: new Set(),
      refs: new Set(),
      some: new Set([0]),
      ids: new Map(),
      queues: new Map(),
      pair: new Map(),
    });
  });

  it('gives a map of exactly one pair its default pair', () => {
    const pair = { type: { key: 'string', value: 'integer' } };
    const replica = new Replica({ T: { pair: new Map() } }, { tables: { T: { columns: { pair } } } });
    replica.apply({ T: { [a]: { initial: {} } } });
    assert.deepEqual(replica.table('T').get(a), { pair: new Map([['', 0]]) });
  });

  it('gives each row containers of its own', () => {
    const replica = replicaOf({ T: { [a]: { initial: {} }, [b]: { initial: {} } } });
    replica.apply({ T: { [a]: { modify: { trunks: 5, ids: ['map', [['x', 'y']]] } } } });
    const row = replica.table('T').get(b);
    assert.deepEqual([row?.trunks, row?.ids], [new Set(), new Map()]);
  });

  const wrong: [column: string, wire: unknown][] = [
    ['name', 7],
    ['name', null],
    ['name', ['uuid', a]],
    ['name', ['set', []]],
    ['name', ['set', ['x', 'y']]],
    ['name', {}],
    ['count', '7'],
    ['count', true],
    ['on', 1],
    ['peer', a],
    ['peer', ['uuid']],
    ['peer', ['uuid', 7]],
    ['peer', ['uuid', a, b]],
    ['peer', ['named-uuid', 'row0']],
    ['tag', ['set', [1, 2]]],
    ['tag', null],
    ['trunks', ['set', 7]],
    ['trunks', ['set']],
    ['trunks', ['set', [1], [2]]],
    ['trunks', ['set', ['1']]],
    ['trunks', ['set', [['set', []]]]],
    ['trunks', ['map', []]],
    ['refs', ['set', ['x']]],
    ['ids', ['set', []]],
    ['ids', ['map', 'xy']],
    ['ids', ['map', [['x']]]],
    ['ids', ['map', [['x', 'y', 'z']]]],
    ['ids', ['map', ['xy']]],
    ['ids', ['map', [['x', 7]]]],
    ['ids', { x: 'y' }],
    ['ids', 'x'],
  ];
  for (const [column, wire] of wrong) {
    it(`refuses ${JSON.stringify(wire)} for ${column}`, () => {
      for (const kind of ['initial', 'insert', 'modify']) {
        const replica = replicaOf(kind === 'modify' ? { T: { [a]: { initial: {} } } } : {});
        const update = { T: { [a]: { [kind]: { [column]: wire } } } };
        assert.throws(() => replica.apply(update), refusedWith('SwitchError', 'OVSDB server sent'));
      }
    });
  }
});

describe('modify', () => {
  const before = {
    name: 'old',
    tag: 10,
    trunks: ['set', [1, 2]],
    ids: [
      'map',
      [
        ['x', '1'],
        ['y', '2'],
      ],
    ],
    pair: ['map', [['x', 1]]],
  };
  const cases: [title: string, column: string, difference: unknown, value: unknown][] = [
    ['replaces a scalar', 'name', 'new', 'new'],
    ['sets a scalar to its default', 'name', '', ''],
    ['replaces an optional', 'tag', 20, 20],
    ['empties an optional', 'tag', ['set', []], null],
    ['adds to a set what is not in it', 'trunks', 3, new Set([1, 2, 3])],
    ['removes from a set what is in it', 'trunks', 1, new Set([2])],
    ['does both to a set at once', 'trunks', ['set', [1, 3]], new Set([2, 3])],
    ['empties a set', 'trunks', ['set', [1, 2]], new Set()],
    [
      'adds a key to a map',
      'ids',
      ['map', [['z', '3']]],
      new Map([
        ['x', '1'],
        ['y', '2'],
        ['z', '3'],
      ]),
    ],
    [
      'changes a key of a map',
      'ids',
      ['map', [['x', '9']]],
      new Map([
        ['x', '9'],
        ['y', '2'],
      ]),
    ],
    ['removes a key that comes with its value', 'ids', ['map', [['x', '1']]], new Map([['y', '2']])],
    ['replaces a map of at most one pair', 'pair', ['map', [['y', 2]]], new Map([['y', 2]])],
    ['empties a map of at most one pair', 'pair', ['map', []], new Map()],
  ];
  for (const [title, column, difference, value] of cases) {
    it(`${title}, and leaves the other columns`, () => {
      const replica = replicaOf({ T: { [a]: { initial: before } } });
      const expected = { ...rowOf(replica), [column]: value };
      const [change, another] = replica.apply({ T: { [a]: { modify: { [column]: difference } } } });
      assert.deepEqual(rowOf(replica), expected);
      assert.deepEqual([change?.kind, change?.row, another], ['modify', expected, undefined]);
    });
  }
});

describe('updates of a replica', () => {
  it('tells exactly what changed, in the order of the server', () => {
    const replica = replicaOf({ T: { [a]: { initial: { name: 'a' } }, [b]: { initial: { name: 'b' } } } });
    const changes = replica.apply({
      Other: { [a]: { insert: { name: 'other' } } },
      T: { [b]: { delete: null }, [a]: { modify: { count: 1 } }, [uuid(3)]: { insert: { name: 'c' } } },
    });
    assert.deepEqual(
      changes.map(({ table, uuid: id, kind, row }) => [table, id, kind, row.name]),
      [
        ['Other', a, 'insert', 'other'],
        ['T', b, 'delete', 'b'],
        ['T', a, 'modify', 'a'],
        ['T', uuid(3), 'insert', 'c'],
      ],
    );
    assert.deepEqual([...replica.table('T').keys()], [a, uuid(3)]);
  });

  it('leaves alone what nobody asked for: other tables, other columns, and names that every object has', () => {
    const odd: unknown = JSON.parse(
      `{"Unknown":{"x":{"insert":{}}},"__proto__":{"x":{"insert":{"polluted":1}}},"constructor":{"x":7},
        "T":{"${a}":{"insert":{"name":"a","unknown":["what",{}],"__proto__":{"polluted":1},"constructor":1}},
        "__proto__":{"insert":{"name":"b"}}}}`,
    );
    const replica = new Replica(templates, schema);
    assert.equal(replica.apply(odd).length, 2);
    assert.deepEqual([...replica.table('T').keys()], [a, '__proto__']);
    assert.deepEqual(Object.keys(replica.table('T').get(a) ?? {}).sort(), Object.keys(columns).sort());
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
    assert.equal((replica.table('T').get(a) as unknown as Record<string, unknown>)['polluted'], undefined);
  });

  const misfits: [title: string, updates: unknown, words: string][] = [
    ['null', null, 'table updates'],
    ['an array', [], 'table updates'],
    ['a text', 'T', 'table updates'],
    ['nothing', undefined, 'nothing'],
    ['a table that is no object', { T: [] }, 'updates of T'],
    ['a row update that is no object', { T: { [b]: null } }, 'a row of T'],
    ['a row update without a kind', { T: { [b]: {} } }, 'not one of'],
    ['a row update of two kinds', { T: { [b]: { insert: {}, delete: null } } }, 'not one of'],
    ['a row update of an unknown kind', { T: { [b]: { upsert: {} } } }, 'not one of'],
    ['a row that is no object', { T: { [b]: { insert: [] } } }, 'a row of T'],
    ['a row that is null', { T: { [b]: { insert: null } } }, 'a row of T'],
    ['modify of a row that is not here', { T: { [b]: { modify: {} } } }, 'modify of a row of T that is not here'],
    ['delete of a row that is not here', { T: { [b]: { delete: null } } }, 'delete of a row of T that is not here'],
    ['insert of a row that is here', { T: { [a]: { insert: {} } } }, 'insert of a row of T that is here already'],
    ['initial of a row that is here', { T: { [a]: { initial: {} } } }, 'insert of a row of T that is here already'],
  ];
  for (const [title, updates, words] of misfits) {
    it(`refuses ${title}`, () => {
      const replica = replicaOf({ T: { [a]: { initial: {} } } });
      assert.throws(() => replica.apply(updates), refusedWith('SwitchError', 'OVSDB server sent', words));
    });
  }

  it('applies nothing of what it refuses', () => {
    const replica = replicaOf({ T: { [a]: { initial: { name: 'a', trunks: 1 } } } });
    const before = structuredClone(contents(replica));
    const half = {
      T: { [a]: { modify: { trunks: 2 } }, [b]: { insert: {} } },
      Other: { [a]: { insert: { name: 7 } } },
    };
    assert.throws(() => replica.apply(half), refusedWith('SwitchError'));
    assert.deepEqual(contents(replica), before);
  });

  it('knows only the tables it was made for', () => {
    assert.throws(() => replicaOf().table('Nothing' as 'T'), refusedWith('Internal', 'Nothing'));
  });
});

describe('the schema of a replica', () => {
  it('asks for the columns that both sides know', () => {
    const { name, tag } = columns;
    const older = { tables: { T: { columns: { name, tag, unknown: name } } } };
    assert.deepEqual(new Replica(templates, older).monitorRequests(), { T: [{ columns: ['name', 'tag'] }] });
    assert.deepEqual(new Replica(templates, { tables: {} }).monitorRequests(), {});
    assert.deepEqual(new Replica(templates, null).monitorRequests(), {});
    assert.deepEqual(Object.keys(new Replica(templates, schema).monitorRequests()), ['T', 'Other']);
  });

  it('gives a missing column the value of its template, whatever comes, and a missing table no rows', () => {
    const older = { tables: { T: { columns: { name: columns.name } } } };
    const replica = new Replica({ T: { name: '', ids: new Map([['x', 'y']]), on: true }, Other: { name: '' } }, older);
    replica.apply({ T: { [a]: { initial: { name: 'a', on: false } } }, Other: { [a]: { initial: {} } } });
    replica.apply({ T: { [a]: { modify: { ids: ['map', [['x', 'y']]] } } } });
    assert.deepEqual(replica.table('T').get(a), { name: 'a', ids: new Map([['x', 'y']]), on: true });
    assert.equal(replica.table('Other').size, 0);
    const told = [replica.hasColumn('T', 'name'), replica.hasColumn('T', 'ids'), replica.hasColumn('Other', 'name')];
    assert.deepEqual(told, [true, false, false]);
  });

  it('takes what every object has for no table and no column of the server', () => {
    const inherited = { toString: { name: '' }, T: { name: '', constructor: null as string | null } };
    assert.deepEqual(new Replica(inherited, schema).monitorRequests(), { T: [{ columns: ['name'] }] });
    const odd = {
      tables: { T: { columns: { name: columns.name, constructor: { type: { key: 'string', min: 0 } } } } },
    };
    const replica = new Replica(inherited, odd);
    replica.apply({ T: { [a]: { initial: {} } } });
    replica.apply({ T: { [a]: { modify: {} } } });
    assert.deepEqual(replica.table('T').get(a), { name: '', constructor: null });
  });

  it('reads an optional column from a server that always has a value', () => {
    const replica = new Replica(
      { T: { name: null as string | null } },
      { tables: { T: { columns: { name: columns.name } } } },
    );
    replica.apply({ T: { [a]: { initial: { name: 'x' } } } });
    assert.deepEqual(replica.table('T').get(a), { name: 'x' });
  });

  const misfits: [title: string, type: unknown][] = [
    ['an optional', { key: 'string', min: 0 }],
    ['a set', { key: 'string', max: 2 }],
    ['a map', { key: 'string', value: 'string' }],
    ['a number', 'integer'],
    ['a boolean', { key: 'boolean' }],
    ['an unknown atomic type', 'date'],
    ['a name that every object has', 'constructor'],
    ['an unknown base type', { key: { type: 'date' } }],
    ['an unknown value type', { key: 'string', value: 7 }],
    ['no type', undefined],
    ['null', null],
    ['a number for a type', 7],
    ['an array for a type', ['string']],
    ['an object without a key', { type: 'string' }],
    ['an impossible minimum', { key: 'string', min: -1 }],
    ['a minimum that is no number', { key: 'string', min: 'none' }],
    ['an impossible maximum', { key: 'string', max: 0 }],
    ['a maximum that is no number', { key: 'string', max: 'many' }],
  ];
  for (const [title, type] of misfits) {
    it(`refuses ${title} where a string is expected, naming the column`, () => {
      const odd = { tables: { T: { columns: { name: { type } } } } };
      assert.throws(() => new Replica(templates, odd), refusedWith('SwitchError', 'OVSDB server sent', 'T.name'));
    });
  }

  it('refuses shapes that do not fit the template', () => {
    for (const [fallback, type] of [
      [null, columns.trunks.type],
      [null, columns.ids.type],
      [new Set<string>(), columns.ids.type],
      [new Set<string>(), columns.tag.type],
      [new Map<string, string>(), columns.trunks.type],
      [0, columns.name.type],
      [false, columns.count.type],
    ] as const) {
      const odd = { tables: { T: { columns: { column: { type } } } } };
      const make = (): unknown => new Replica({ T: { column: fallback } }, odd);
      assert.throws(make, refusedWith('SwitchError', 'T.column', 'unexpected type'));
    }
  });

  for (const [title, odd] of [
    ['no tables', {}],
    ['tables that are an array', { tables: [] }],
    ['a table that is null', { tables: { T: null } }],
    ['a table without columns', { tables: { T: {} } }],
    ['a column that is a text', { tables: { T: { columns: { name: 'string' } } } }],
  ] as [string, Record<string, unknown>][]) {
    it(`refuses ${title}`, () => {
      assert.throws(() => new Replica(templates, odd), refusedWith('SwitchError', 'OVSDB server sent'));
    });
  }
});

/** What a server knows of table T, in columns of every shape. */
interface Model {
  name: string;
  tag: number | null;
  trunks: ReadonlySet<number>;
  ids: ReadonlyMap<string, string>;
  pair: ReadonlyMap<string, number>;
}
type Database = ReadonlyMap<string, Model>;

const key = fc.constantFrom('x', 'y', '__proto__', 'constructor');
const model: fc.Arbitrary<Model> = fc.record({
  name: fc.constantFrom('', 'a', 'b'),
  tag: fc.option(fc.nat(2)),
  trunks: fc.uniqueArray(fc.nat(5)).map((members) => new Set(members)),
  ids: fc.array(fc.tuple(key, fc.constantFrom('1', '2'))).map((pairs) => new Map(pairs)),
  pair: fc.array(fc.tuple(key, fc.nat(2)), { maxLength: 1 }).map((pairs) => new Map(pairs)),
});
/** Few UUIDs, so that rows come, change, go and come back. */
const database: fc.Arbitrary<Database> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }).map(uuid), model))
  .map((rows) => new Map(rows));
const history = fc.array(database, { minLength: 1, maxLength: 8 });

/** A server may write a set of one as its only atom. */
const wireSet = (members: unknown[]): unknown => (members.length === 1 ? members[0] : ['set', members]);
const wireOf = {
  name: (value: string) => value,
  tag: (value: number | null) => value ?? ['set', []],
  trunks: (value: ReadonlySet<number>) => wireSet([...value]),
  ids: (value: ReadonlyMap<string, string>) => ['map', [...value]],
  pair: (value: ReadonlyMap<string, number>) => ['map', [...value]],
};

/** A row as `insert` and `initial` carry it: without columns that have their default. */
function wireRow({ name, tag, trunks, ids, pair }: Model): Record<string, unknown> {
  return {
    ...(name === '' ? {} : { name: wireOf.name(name) }),
    ...(tag === null ? {} : { tag: wireOf.tag(tag) }),
    ...(trunks.size === 0 ? {} : { trunks: wireOf.trunks(trunks) }),
    ...(ids.size === 0 ? {} : { ids: wireOf.ids(ids) }),
    ...(pair.size === 0 ? {} : { pair: wireOf.pair(pair) }),
  };
}

/** A row as `modify` carries it: differences of the columns that changed (ovsdb-server(7)). */
function wireDifference(old: Model, now: Model): Record<string, unknown> {
  const trunks = [...old.trunks, ...now.trunks].filter((member) => !old.trunks.has(member) || !now.trunks.has(member));
  const ids = [...new Set([...old.ids.keys(), ...now.ids.keys()])]
    .filter((name) => old.ids.get(name) !== now.ids.get(name))
    .map((name) => [name, now.ids.get(name) ?? old.ids.get(name)]);
  const isSamePair = JSON.stringify([...old.pair]) === JSON.stringify([...now.pair]);
  return {
    ...(old.name === now.name ? {} : { name: wireOf.name(now.name) }),
    ...(old.tag === now.tag ? {} : { tag: wireOf.tag(now.tag) }),
    ...(trunks.length === 0 ? {} : { trunks: wireSet(trunks) }),
    ...(ids.length === 0 ? {} : { ids: ['map', ids] }),
    ...(isSamePair ? {} : { pair: wireOf.pair(now.pair) }),
  };
}

function wireUpdate(old: Database, now: Database): Record<string, unknown> {
  const rows: Record<string, unknown> = {};
  for (const id of old.keys()) if (!now.has(id)) rows[id] = { delete: null };
  for (const [id, row] of now) {
    const before = old.get(id);
    const difference = before === undefined ? null : wireDifference(before, row);
    if (difference === null) rows[id] = { insert: wireRow(row) };
    else if (Object.keys(difference).length > 0) rows[id] = { modify: difference };
  }
  return { T: rows };
}

const fresh = (state: Database): Replica<Templates> =>
  replicaOf({ T: Object.fromEntries([...state].map(([id, row]) => [id, { initial: wireRow(row) }])) });

/** A listener's own copy, kept by events alone. */
function follow(copy: Map<string, unknown>, changes: readonly RowChange<Templates>[]): void {
  for (const { uuid: id, kind, row } of changes) {
    assert.equal(copy.has(id), kind !== 'insert', `${kind} of ${id}`);
    if (kind === 'delete') copy.delete(id);
    else copy.set(id, structuredClone(row));
  }
}

describe('the laws of a replica', () => {
  it('makes of any history of updates what a fresh monitor would give', () => {
    fc.assert(
      fc.property(history, (states) => {
        const replica = replicaOf();
        const copy = new Map<string, unknown>();
        let old: Database = new Map();
        for (const now of states) {
          follow(copy, replica.apply(wireUpdate(old, now)));
          old = now;
        }
        assert.deepEqual(contents(replica), contents(fresh(old)));
        assert.deepEqual(copy, new Map<string, unknown>(replica.table('T')));
      }),
      { numRuns: 500 },
    );
  });

  it('gives as the difference of two replicas exactly the events that lead from one to the other', () => {
    fc.assert(
      fc.property(database, database, (old, now) => {
        const [from, to] = [fresh(old), fresh(now)];
        const changes = from.differenceTo(to);
        const copy = new Map<string, unknown>(from.table('T'));
        follow(copy, changes);
        assert.deepEqual(copy, new Map<string, unknown>(to.table('T')));
        const expected = Object.entries(wireUpdate(old, now)['T'] as object).map(
          ([id, update]) => `${Object.keys(update as object)[0] ?? ''} ${id}`,
        );
        assert.deepEqual(changes.map(({ kind, uuid: id }) => `${kind} ${id}`).sort(), expected.sort());
      }),
      { numRuns: 500 },
    );
  });

  it('finds no difference between a replica and itself', () => {
    fc.assert(
      fc.property(database, (state) => {
        assert.deepEqual(fresh(state).differenceTo(fresh(state)), []);
      }),
    );
  });

  it('takes any JSON as an update, or refuses it and stays as it was', () => {
    const name = fc.constantFrom(
      'T',
      'Other',
      a,
      b,
      'initial',
      'insert',
      'modify',
      'delete',
      'name',
      'ids',
      '__proto__',
    );
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom<unknown>(null, 'set', 'map', 'x', 7, true, ['set', []], ['map', []], ['map', [['x', 'y']]]),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(name, tie('tree'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (update) => {
        const replica = replicaOf({ T: { [a]: { initial: { name: 'a' } } } });
        const before = structuredClone(contents(replica));
        try {
          replica.apply(update);
        } catch (error) {
          refusedWith('SwitchError', 'OVSDB server sent')(error);
          assert.deepEqual(contents(replica), before);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
