/**
 * A second implementation of an OVSDB database, in memory: any schema, every operation of RFC 7047 section 5.2, references,
 * indexes and the collection of what nothing refers to. test/switch/ovsdb-database.test.ts compares it with `ovsdb-server`.
 */
import type { Condition, Operation, OperationResult, Row, Value } from '../../src/ovsdb/wire.ts';
import { decode, defaultOf, encode, holds, isEqual, readColumn, readMutation, Refusal } from './memory-datum.ts';
import type { Column, Datum } from './memory-datum.ts';

export interface Table {
  readonly name: string;
  readonly columns: ReadonlyMap<string, Column>;
  readonly isRoot: boolean;
  readonly maxRows: number;
  readonly indexes: readonly (readonly string[])[];
}

export interface DatabaseSchema {
  readonly name: string;
  readonly version?: string;
  readonly tables: Readonly<
    Record<
      string,
      {
        readonly columns: Readonly<Record<string, unknown>>;
        readonly isRoot?: boolean;
        readonly maxRows?: number;
        readonly indexes?: readonly (readonly string[])[];
      }
    >
  >;
}

/** Columns by name. Never changed: a row that changes is another one. */
export type DatabaseRow = ReadonlyMap<string, Datum>;
export type Contents = ReadonlyMap<string, ReadonlyMap<string, DatabaseRow>>;
type Draft = Map<string, Map<string, DatabaseRow>>;

const uuidColumn: Column = readColumn({ type: 'uuid' });

export interface DatabaseOptions {
  readonly newUuid: () => string;
  /** Hears of each commit that changed something, while `transact` is under way. */
  readonly onCommit?: (before: Contents, after: Contents) => void;
}

export class MemoryDatabase {
  readonly schema: DatabaseSchema;
  readonly tables: ReadonlyMap<string, Table>;
  readonly #options: DatabaseOptions;
  #contents: Contents;

  constructor(schema: DatabaseSchema, options: DatabaseOptions) {
    this.schema = schema;
    this.#options = options;
    const specifications = Object.entries(schema.tables);
    // RFC 7047 section 3.2: a schema that knows no roots has none but roots.
    const hasRoots = specifications.some(([, { isRoot }]) => isRoot === true);
    this.tables = new Map(
      specifications.map(([name, { columns, isRoot = false, maxRows = Infinity, indexes = [] }]) => [
        name,
        {
          name,
          columns: new Map(Object.entries(columns).map(([column, type]) => [column, readColumn(type)])),
          isRoot: isRoot || !hasRoots,
          maxRows,
          indexes,
        },
      ]),
    );
    this.#contents = this.#nothing();
  }

  get contents(): Contents {
    return this.#contents;
  }

  /** As a database that was deleted and created anew. Nobody is told: a server does this only between two lives. */
  wipe(): void {
    this.#contents = this.#nothing();
  }

  /**
   * All operations or none. Elements of the reply: one for each operation, null for those after one that failed, one more
   * when the commit itself did. `ownsLock` says whether the client holds a lock.
   */
  transact(
    operations: readonly Operation[],
    ownsLock: (lock: string) => boolean = () => true,
  ): (OperationResult | null)[] {
    const transaction = new Transaction(this.tables, this.#contents, this.#options.newUuid, ownsLock);
    const results: (OperationResult | null)[] = [];
    for (const operation of operations) {
      try {
        results.push(transaction.execute(operation));
      } catch (thrown) {
        return [...results, refusalOf(thrown), ...operations.slice(results.length + 1).map(() => null)];
      }
    }
    try {
      const after = transaction.finish();
      const before = this.#contents;
      if (isSame(before, after)) return results;
      this.#contents = after;
      this.#options.onCommit?.(before, after);
      return results;
    } catch (thrown) {
      return [...results, refusalOf(thrown)];
    }
  }

  #nothing(): Contents {
    return new Map([...this.tables.keys()].map((name) => [name, new Map<string, DatabaseRow>()]));
  }
}

function refusalOf(thrown: unknown): OperationResult {
  if (!(thrown instanceof Refusal)) throw thrown;
  return { error: thrown.kind, details: thrown.message };
}

function isSame(before: Contents, after: Contents): boolean {
  return [...after].every(([table, rows]) => {
    const old = before.get(table);
    return old?.size === rows.size && [...rows].every(([uuid, row]) => old.get(uuid) === row);
  });
}

class Transaction {
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #newUuid: () => string;
  readonly #ownsLock: (lock: string) => boolean;
  readonly #before: Contents;
  readonly #draft: Draft;
  readonly #named = new Map<string, { readonly uuid: string; isInserted: boolean }>();

  constructor(
    tables: ReadonlyMap<string, Table>,
    before: Contents,
    newUuid: () => string,
    ownsLock: (lock: string) => boolean,
  ) {
    this.#tables = tables;
    this.#newUuid = newUuid;
    this.#ownsLock = ownsLock;
    this.#before = before;
    this.#draft = new Map([...before].map(([table, rows]) => [table, new Map(rows)]));
  }

  execute(operation: Operation): OperationResult {
    switch (operation.op) {
      case 'comment':
        return {};
      case 'commit':
        if (operation.durable) throw new Error('misuse: this database has no disk');
        return {};
      case 'abort':
        throw new Refusal('aborted', 'aborted by request');
      case 'assert':
        if (!this.#ownsLock(operation.lock)) throw new Refusal('not owner', 'Asserted lock not held.');
        return {};
      case 'insert':
        return this.#insert(operation);
      case 'select': {
        const { table, rows } = this.#find(operation);
        return { rows: rows.map(([uuid, row]) => project(uuid, row, table, operation.columns)) };
      }
      case 'update': {
        const { table, rows } = this.#find(operation);
        const values = this.#decodeRow(operation.row, table);
        for (const name of values.keys()) requireMutable(table, name);
        for (const [uuid, row] of rows) this.#replace(table, uuid, row, values);
        return { count: rows.length };
      }
      case 'mutate': {
        const table = this.#table(operation.table);
        const mutations = operation.mutations.map((mutation) => {
          const [name] = mutation;
          requireMutable(table, name);
          return { name, mutate: readMutation(mutation, columnOf(table, name), this.#uuidOf) };
        });
        const { rows } = this.#find(operation);
        for (const [uuid, row] of rows) {
          const next = new Map<string, Datum>();
          for (const { name, mutate } of mutations) next.set(name, mutate(next.get(name) ?? row.get(name)!));
          this.#replace(table, uuid, row, next);
        }
        return { count: rows.length };
      }
      case 'delete': {
        const { table, rows } = this.#find(operation);
        for (const [uuid] of rows) this.#rows(table).delete(uuid);
        return { count: rows.length };
      }
      case 'wait':
        return this.#wait(operation);
    }
  }

  /** RFC 7047 section 3.2 and 4.1.3: what a commit makes good and what it checks. */
  finish(): Contents {
    for (const [name, { isInserted }] of this.#named) {
      if (!isInserted) throw new Refusal('referential integrity violation', `no row was given the name ${name}`);
    }
    // Before the collection: a row that refers to nothing is refused even when it would go itself.
    this.#checkReferences();
    this.#collect();
    this.#pruneWeak();
    for (const table of this.#tables.values()) this.#checkTable(table);
    return this.#draft;
  }

  #insert({ table: name, row, uuid: chosen, 'uuid-name': uuidName }: Operation & { op: 'insert' }): OperationResult {
    const table = this.#table(name);
    const symbol = uuidName === undefined ? null : this.#symbol(uuidName);
    const uuid = chosen ?? symbol?.uuid ?? this.#newUuid();
    if (this.#rows(table).has(uuid) || this.#before.get(name)?.has(uuid) === true) {
      throw new Refusal('duplicate uuid', uuid);
    }
    if (symbol?.isInserted === true) throw new Refusal('duplicate uuid-name', `${uuidName} twice`);
    if (symbol !== null) Object.assign(symbol, { uuid, isInserted: true });
    const values = this.#decodeRow(row, table);
    const whole = [...table.columns].map(([column, type]): [string, Datum] => [
      column,
      values.get(column) ?? defaultOf(type),
    ]);
    this.#rows(table).set(uuid, new Map(whole));
    return { uuid: ['uuid', uuid] };
  }

  #wait({ timeout, until, rows: expected, columns, ...target }: Operation & { op: 'wait' }): OperationResult {
    if (timeout !== 0) throw new Error('misuse: a wait that waits is not played by this database');
    const { table, rows } = this.#find(target);
    const textOf = (row: ReadonlyMap<string, Datum>): string =>
      JSON.stringify(columns.map((name) => encode(row.get(name)!, columnOf(table, name))));
    const found = new Set(rows.map(([uuid, row]) => textOf(withUuid(uuid, row))));
    const wanted = new Set(
      expected.map((row) => {
        const values = this.#decodeRow(row, table, true);
        return textOf(
          new Map(columns.map((name) => [name, values.get(name) ?? defaultOf(columnOf(table, name))] as const)),
        );
      }),
    );
    const isThere = found.size === wanted.size && [...found].every((text) => wanted.has(text));
    if (isThere !== (until === '==')) throw new Refusal('timed out', '"wait" timed out');
    return {};
  }

  #find({ table: name, where }: { table: string; where: readonly Condition[] }): {
    table: Table;
    rows: [string, DatabaseRow][];
  } {
    const table = this.#table(name);
    const conditions = where.map(([column, func, value]) => ({
      column,
      func,
      argument: decode(value, conditionColumn(columnOf(table, column), func), this.#uuidOf),
    }));
    const rows = [...this.#rows(table)].filter(([uuid, row]) =>
      conditions.every(({ column, func, argument }) => holds(withUuid(uuid, row).get(column)!, func, argument)),
    );
    return { table, rows };
  }

  #replace(table: Table, uuid: string, row: DatabaseRow, values: ReadonlyMap<string, Datum>): void {
    const changed = [...values].filter(([name, datum]) => !isEqual(datum, row.get(name)!));
    if (changed.length > 0) this.#rows(table).set(uuid, new Map([...row, ...changed]));
  }

  #decodeRow(row: Row, table: Table, withUuids = false): Map<string, Datum> {
    return new Map(
      Object.entries(row).map(([name, value]) => {
        if (name === '_uuid' && !withUuids) throw new Refusal('syntax error', 'No column _uuid.');
        return [name, decode(value, columnOf(table, name), this.#uuidOf)];
      }),
    );
  }

  readonly #uuidOf = (name: string): string => this.#symbol(name).uuid;

  #symbol(name: string): { readonly uuid: string; isInserted: boolean } {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    const symbol = { uuid: this.#newUuid(), isInserted: false };
    this.#named.set(name, symbol);
    return symbol;
  }

  #table(name: string): Table {
    const table = this.#tables.get(name);
    if (table === undefined) throw new Refusal('syntax error', `No table named ${name}.`);
    return table;
  }

  #rows(table: Table): Map<string, DatabaseRow> {
    return this.#draft.get(table.name)!;
  }

  /** Rows of tables that are no roots go when nothing refers to them any more; with them what only they referred to. */
  #collect(): void {
    for (;;) {
      const referred = new Set<string>();
      for (const { table, uuid, target } of this.#references()) {
        if (!(target.table === table.name && target.uuid === uuid)) referred.add(`${target.table} ${target.uuid}`);
      }
      let isDone = true;
      for (const table of this.#tables.values()) {
        if (table.isRoot) continue;
        for (const uuid of [...this.#rows(table).keys()]) {
          if (referred.has(`${table.name} ${uuid}`)) continue;
          this.#rows(table).delete(uuid);
          isDone = false;
        }
      }
      if (isDone) return;
    }
  }

  #checkReferences(): void {
    for (const { table, column, target } of this.#references()) {
      if (this.#draft.get(target.table)?.has(target.uuid) === true) continue;
      throw new Refusal(
        'referential integrity violation',
        `${table.name}.${column} refers to ${target.uuid}, which is not in ${target.table}`,
      );
    }
  }

  #pruneWeak(): void {
    for (const table of this.#tables.values()) {
      for (const [column, type] of table.columns) {
        const { key } = type;
        if (!key.isWeak) continue;
        for (const [uuid, row] of this.#rows(table)) {
          const targets = this.#draft.get(key.refTable ?? '');
          const kept = new Map([...row.get(column)!].filter(([target]) => targets?.has(String(target)) === true));
          if (kept.size < type.min) throw new Refusal('constraint violation', `${table.name}.${column} is empty now`);
          this.#replace(table, uuid, row, new Map([[column, kept]]));
        }
      }
    }
  }

  #checkTable(table: Table): void {
    const rows = this.#rows(table);
    if (rows.size > table.maxRows) throw new Refusal('constraint violation', `${table.name}: more than maxRows`);
    for (const index of table.indexes) {
      const seen = new Set<string>();
      for (const row of rows.values()) {
        const text = JSON.stringify(index.map((name) => encode(row.get(name)!, columnOf(table, name))));
        if (seen.has(text)) {
          throw new Refusal('constraint violation', `two rows of ${table.name} have ${text} for ${index.join()}`);
        }
        seen.add(text);
      }
    }
  }

  /** Strong ones. */
  *#references(): Generator<{ table: Table; uuid: string; column: string; target: { table: string; uuid: string } }> {
    for (const table of this.#tables.values()) {
      for (const [column, { key, value }] of table.columns) {
        for (const [side, base] of [
          ['key', key],
          ['value', value],
        ] as const) {
          const refTable = base?.refTable ?? null;
          if (base === null || refTable === null || base.isWeak) continue;
          for (const [uuid, row] of this.#rows(table)) {
            for (const [left, right] of row.get(column)!) {
              const target = { table: refTable, uuid: String(side === 'key' ? left : right) };
              yield { table, uuid, column, target };
            }
          }
        }
      }
    }
  }
}

function columnOf(table: Table, name: string): Column {
  const column = name === '_uuid' ? uuidColumn : table.columns.get(name);
  if (column === undefined) throw new Refusal('syntax error', `No column ${name} in table ${table.name}.`);
  return column;
}

/** What `includes` and `excludes` are asked about may be less than the column must hold, and for `excludes` more. */
function conditionColumn(column: Column, func: string): Column {
  if (column.min === 1 && column.max === 1) return column;
  if (func === 'includes') return { ...column, min: 0 };
  return func === 'excludes' ? { ...column, min: 0, max: Infinity } : column;
}

function requireMutable(table: Table, name: string): void {
  if (name === '_uuid' || !columnOf(table, name).isMutable) {
    throw new Refusal('constraint violation', `Cannot change immutable column ${name} in table ${table.name}.`);
  }
}

function withUuid(uuid: string, row: DatabaseRow): ReadonlyMap<string, Datum> {
  return new Map([...row, ['_uuid', new Map([[uuid, null]])]]);
}

function project(uuid: string, row: DatabaseRow, table: Table, columns?: readonly string[]): Row {
  const whole = withUuid(uuid, row);
  return Object.fromEntries(
    (columns ?? [...whole.keys()]).map((name): [string, Value] => [
      name,
      encode(whole.get(name) ?? missing(table, name), columnOf(table, name)),
    ]),
  );
}

function missing(table: Table, name: string): never {
  throw new Refusal('syntax error', `No column ${name} in table ${table.name}.`);
}
