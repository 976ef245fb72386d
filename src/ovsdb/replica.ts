/**
 * A copy of chosen tables and columns, kept by a monitor. Tables are declared by templates: a record of columns with
 * the value a row has when this server's schema lacks the column, so that older and newer schemas both work.
 */
import { AgentError } from '../model/errors.ts';
import { applyDifference, decodeValue, defaultOf, equalDecoded, shapeOf } from './value.ts';
import type { ColumnShape, Decoded } from './value.ts';
import type { DatabaseSchema, Row, TableUpdates2 } from './wire.ts';

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
  table<Name extends keyof T & string>(name: Name): ReadonlyMap<string, T[Name]>;
}

type MutableRow = Record<string, Decoded>;

interface ColumnPlan {
  readonly shape: ColumnShape;
  readonly initial: () => Decoded;
}

export class Replica<T extends Tables> implements ReplicaReader<T> {
  readonly #tables = new Map<string, Map<string, MutableRow>>();
  readonly #plans = new Map<string, Map<string, ColumnPlan>>();

  /** `schema` null makes the empty replica that stands before the first connection. */
  constructor(templates: T, schema: DatabaseSchema | null) {
    for (const [table, template] of Object.entries(templates)) {
      this.#tables.set(table, new Map());
      const columns = schema?.tables[table]?.columns ?? {};
      const plan = new Map<string, ColumnPlan>();
      for (const [column, fallback] of Object.entries(template)) {
        const type = columns[column]?.type;
        if (type === undefined) plan.set(column, { shape: 'scalar', initial: () => fallback });
        else plan.set(column, { shape: shapeOf(type), initial: () => defaultOf(type) });
      }
      this.#plans.set(table, plan);
    }
  }

  table<Name extends keyof T & string>(name: Name): ReadonlyMap<string, T[Name]> {
    const rows = this.#tables.get(name);
    if (rows === undefined) throw new AgentError('Internal', `table ${name} is not monitored`);
    return rows as ReadonlyMap<string, RowTemplate> as ReadonlyMap<string, T[Name]>;
  }

  /** Applies `<table-updates2>` and returns exactly what changed, in the server's order. */
  apply(updates: TableUpdates2): RowChange<T>[] {
    const changes: RowChange<T>[] = [];
    for (const [table, rowUpdates] of Object.entries(updates)) {
      const rows = this.#tables.get(table);
      const plan = this.#plans.get(table);
      if (rows === undefined || plan === undefined) continue;
      for (const [uuid, update] of Object.entries(rowUpdates)) {
        const known = rows.get(uuid);
        const inserted = update.initial ?? update.insert;
        if (inserted !== undefined) {
          const row = newRow(plan, inserted);
          rows.set(uuid, row);
          changes.push(rowChange(table, uuid, known === undefined ? 'insert' : 'modify', row));
        } else if (update.modify !== undefined && known !== undefined) {
          modifyRow(plan, known, update.modify);
          changes.push(rowChange(table, uuid, 'modify', known));
        } else if ('delete' in update && known !== undefined) {
          rows.delete(uuid);
          changes.push(rowChange(table, uuid, 'delete', known));
        }
      }
    }
    return changes;
  }

  /** What must happen to `this` to become `next`: the events of the time a connection was lost. */
  differenceTo(next: Replica<T>): RowChange<T>[] {
    const changes: RowChange<T>[] = [];
    for (const [table, rows] of this.#tables) {
      const nextRows = next.#tables.get(table) ?? new Map<string, MutableRow>();
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

function newRow(plan: Map<string, ColumnPlan>, wire: Row): MutableRow {
  const row: MutableRow = {};
  for (const [column, { shape, initial }] of plan) {
    const value = wire[column];
    row[column] = value === undefined ? initial() : decodeValue(value, shape);
  }
  return row;
}

function modifyRow(plan: Map<string, ColumnPlan>, row: MutableRow, wire: Row): void {
  for (const [column, difference] of Object.entries(wire)) {
    const shape = plan.get(column)?.shape;
    if (shape !== undefined) row[column] = applyDifference(row[column] ?? null, difference, shape);
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
