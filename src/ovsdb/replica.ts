/**
 * A copy of chosen tables and columns, kept by a monitor. Tables are declared by templates: a record of columns with
 * the value a row has when this server's schema lacks the column, so that older and newer schemas both work.
 */
import { AgentError } from '../model/errors.ts';
import { asRecord, excerpt, malformed, own } from './malformed.ts';
import type { UpdateFormat } from './monitor.ts';
import { applyDifference, decodeValue, defaultOf, equalDecoded, readColumnType } from './value.ts';
import type { ColumnType, Decoded } from './value.ts';

export type RowTemplate = Readonly<Record<string, Decoded>>;
export type Tables = Readonly<Record<string, RowTemplate>>;

/** What became of one row. For `delete`, `row` is what the row was. */
export interface RowChange<T extends Tables, Name extends keyof T & string = keyof T & string> {
  readonly table: Name;
  readonly uuid: string;
  readonly kind: 'insert' | 'modify' | 'delete';
  readonly row: T[Name];
}

/** The reader's side of a replica. Rows are live: read them at once, never keep them over an `await`. */
export interface ReplicaReader<T extends Tables> {
  /** Whether the server's schema has this column; where it has not, every row holds the template's value. */
  hasColumn<Name extends keyof T & string>(table: Name, column: keyof T[Name] & string): boolean;
  table<Name extends keyof T & string>(name: Name): ReadonlyMap<string, T[Name]>;
}

type MutableRow = Record<string, Decoded>;

interface Copy {
  readonly rows: Map<string, MutableRow>;
  /** The type each column has in the server's schema; null where it has no such column. */
  readonly columns: ReadonlyMap<string, ColumnType | null>;
  readonly template: RowTemplate;
  readonly isInSchema: boolean;
}

/** One row update, looked at and decoded, so that carrying it out cannot fail. */
interface Step {
  readonly table: string;
  readonly copy: Copy;
  readonly uuid: string;
  readonly kind: 'insert' | 'modify' | 'delete';
  /** Of `modify`: differences or, from an older server, whole values. */
  readonly values: MutableRow;
}

export class Replica<T extends Tables> implements ReplicaReader<T> {
  readonly #copies = new Map<string, Copy>();

  /**
   * An empty replica. `schema` is the reply to `get_schema`; null makes the one that stands before the first connection.
   * Throws `SwitchError` when the schema is malformed or gives a column a type that its template does not fit.
   */
  constructor(templates: T, schema: Record<string, unknown> | null) {
    const known = schema === null ? {} : asRecord(own(schema, 'tables'), 'tables of a schema');
    for (const [table, template] of Object.entries(templates)) {
      const found = own(known, table);
      const columns = found === undefined ? {} : own(asRecord(found, `a table ${table}`), 'columns');
      this.#copies.set(table, {
        rows: new Map(),
        columns: readColumns(table, template, asRecord(columns, `columns of ${table}`)),
        template,
        isInSchema: found !== undefined,
      });
    }
  }

  hasColumn<Name extends keyof T & string>(table: Name, column: keyof T[Name] & string): boolean {
    return (this.#copies.get(table)?.columns.get(column) ?? null) !== null;
  }

  table<Name extends keyof T & string>(name: Name): ReadonlyMap<string, T[Name]> {
    const copy = this.#copies.get(name);
    if (copy === undefined) throw new AgentError('Internal', `table ${name} is not monitored`);
    return copy.rows as ReadonlyMap<string, RowTemplate> as ReadonlyMap<string, T[Name]>;
  }

  /** `<monitor-cond-requests>` (ovsdb-server(7)) for what both the templates and the schema have. */
  monitorRequests(): Record<string, { columns: string[] }[]> {
    const inSchema = [...this.#copies].filter(([, { isInSchema }]) => isInSchema);
    return Object.fromEntries(
      inSchema.map(([table, { columns }]) => [
        table,
        [{ columns: [...columns].filter(([, type]) => type !== null).map(([column]) => column) }],
      ]),
    );
  }

  /**
   * Applies updates and returns exactly what changed, in the server's order. Throws `SwitchError`, with nothing applied,
   * when they are malformed or do not fit the rows that are here: the replica is out of step then and has to be fetched
   * anew.
   */
  apply(updates: unknown, format: UpdateFormat = 'table-updates2'): RowChange<T>[] {
    return this.#read(updates, format).map(({ table, copy, uuid, kind, values }) => {
      const row = kind === 'insert' ? values : (copy.rows.get(uuid) ?? values);
      if (kind === 'delete') copy.rows.delete(uuid);
      else copy.rows.set(uuid, row);
      if (kind === 'modify' && format === 'table-updates2') modifyRow(copy, row, values);
      else if (kind === 'modify') Object.assign(row, values);
      return rowChange<T>(table, uuid, kind, row);
    });
  }

  #read(updates: unknown, format: UpdateFormat): Step[] {
    const steps: Step[] = [];
    for (const [table, rowUpdates] of Object.entries(asRecord(updates, 'table updates'))) {
      const copy = this.#copies.get(table);
      if (copy?.isInSchema !== true) continue;
      for (const [uuid, update] of Object.entries(asRecord(rowUpdates, `updates of ${table}`))) {
        const what = `an update of a row of ${table}`;
        const { kind, wire } = (format === 'table-updates2' ? readRowUpdate2 : readRowUpdate)(update, what);
        if ((kind === 'insert') === copy.rows.has(uuid)) {
          throw malformed(`${kind} of a row of ${table} that is ${kind === 'insert' ? 'here already' : 'not here'}`);
        }
        const values = kind === 'delete' ? {} : readRow(copy, wire, kind, table);
        steps.push({ table, copy, uuid, kind, values });
      }
    }
    return steps;
  }

  /** What must happen to `this` to become `next`: the events of the time a connection was lost. */
  differenceTo(next: Replica<T>): RowChange<T>[] {
    const changes: RowChange<T>[] = [];
    for (const [table, { rows }] of this.#copies) {
      const nextRows = next.#copies.get(table)?.rows ?? new Map<string, MutableRow>();
      for (const [uuid, row] of rows) if (!nextRows.has(uuid)) changes.push(rowChange(table, uuid, 'delete', row));
      for (const [uuid, row] of nextRows) {
        const old = rows.get(uuid);
        if (old === undefined) changes.push(rowChange(table, uuid, 'insert', row));
        else if (!equalRows(old, row)) changes.push(rowChange(table, uuid, 'modify', row));
      }
    }
    return changes;
  }
}

function readColumns(
  table: string,
  template: RowTemplate,
  columns: Record<string, unknown>,
): ReadonlyMap<string, ColumnType | null> {
  return new Map(
    Object.entries(template).map(([column, fallback]) => {
      const found = own(columns, column);
      if (found === undefined) return [column, null];
      const name = `${table}.${column}`;
      const type = readColumnType(own(asRecord(found, `a column ${name}`), 'type'), name);
      if (!fits(type, fallback)) throw malformed(`a schema where ${name} is of an unexpected type: ${type.shape}`);
      return [column, type];
    }),
  );
}

/** Whether readers who know a column by its template can read values of this type. */
function fits(type: ColumnType, fallback: Decoded): boolean {
  if (fallback === null) return type.shape === 'optional' || type.shape === 'scalar';
  if (fallback instanceof Set) return type.shape === 'set';
  if (fallback instanceof Map) return type.shape === 'map';
  return type.shape === 'scalar' && typeof defaultOf(type) === typeof fallback;
}

/** RFC 7047 section 4.1.6: what the row was, what it is, or both. */
function readRowUpdate(update: unknown, what: string): { kind: Step['kind']; wire: unknown } {
  const record = asRecord(update, what);
  const [old, wire] = [own(record, 'old'), own(record, 'new')];
  if (old === undefined && wire === undefined) throw malformed(`${what} that has neither old nor new`);
  if (wire === undefined) return { kind: 'delete', wire: old };
  return { kind: old === undefined ? 'insert' : 'modify', wire };
}

/** ovsdb-server(7), "Update2 Notification". */
function readRowUpdate2(update: unknown, what: string): { kind: Step['kind']; wire: unknown } {
  const [member, another] = Object.entries(asRecord(update, what));
  if (member !== undefined && another === undefined) {
    const [kind, wire] = member;
    if (kind === 'initial') return { kind: 'insert', wire };
    if (kind === 'insert' || kind === 'modify' || kind === 'delete') return { kind, wire };
  }
  throw malformed(`${what} that is not one of initial, insert, modify, delete: ${excerpt(update)}`);
}

/** The decoded columns: all of them for `insert`, those that came for `modify`. */
function readRow(copy: Copy, wire: unknown, kind: 'insert' | 'modify', table: string): MutableRow {
  const record = asRecord(wire, `a row of ${table}`);
  const row: MutableRow = {};
  for (const [column, type] of copy.columns) {
    const value = own(record, column);
    if (type !== null && value !== undefined) row[column] = decodeValue(value, type);
    else if (kind === 'insert') row[column] = type === null ? (copy.template[column] ?? null) : defaultOf(type);
  }
  return row;
}

function modifyRow(copy: Copy, row: MutableRow, differences: MutableRow): void {
  for (const [column, difference] of Object.entries(differences)) {
    const type = copy.columns.get(column) ?? null;
    if (type !== null) row[column] = applyDifference(row[column] ?? null, difference, type);
  }
}

function equalRows(a: MutableRow, b: MutableRow): boolean {
  return Object.entries(a).every(([column, value]) => equalDecoded(value, b[column] ?? null));
}

/** Tables and rows come together from the templates; the type system cannot follow a name read off the wire. */
function rowChange<T extends Tables>(
  table: string,
  uuid: string,
  kind: RowChange<T>['kind'],
  row: MutableRow,
): RowChange<T> {
  return { table, uuid, kind, row: row as T[keyof T & string] };
}
