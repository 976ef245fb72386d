/**
 * The command `idl` of Open vSwitch's `test-ovsdb`: prints the rows of the `idltest` schema as the client's replica sees
 * them, before the first and after each transaction.
 */
import { readFile } from 'node:fs/promises';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import { OvsdbError } from '../../src/ovsdb/errors.ts';
import type { Tables } from '../../src/ovsdb/replica.ts';
import { defaultOf, readColumnType } from '../../src/ovsdb/value.ts';
import type { Decoded, Scalar } from '../../src/ovsdb/value.ts';
import type { Operation, Row, Value } from '../../src/ovsdb/wire.ts';
import { ovsdbRemotes } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { inWords, sortedJson } from './words.ts';

const stepDeadlineMs = 10_000;
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The columns that the program prints, in its order; `link` columns show the `i` of the row they refer to. */
const printed: Record<string, readonly [column: string, kind: 'one' | 'list' | 'link' | 'links'][]> = {
  simple: [['i', 'one'], ['r', 'one'], ['b', 'one'], ['s', 'one'], ['u', 'one'], ['ia', 'list'], ['ra', 'list'], ['ba', 'list'], ['sa', 'list'], ['ua', 'list']], // prettier-ignore
  link1: [['i', 'one'], ['k', 'link'], ['ka', 'links'], ['l2', 'link']], // prettier-ignore
  link2: [['i', 'one'], ['l1', 'link']], // prettier-ignore
};

export interface IdlRun {
  readonly schemaPath: string;
  readonly remote: string;
  /** Transactions; the first may choose columns (`?simple:i,s`). */
  readonly commands: readonly string[];
  readonly print: (line: string) => void;
  /** The names that UUIDs get (`#0#`). */
  readonly printSymbol: (line: string) => void;
}

/** Carries out the commands. Rejects when one is not known or nothing comes of it within 10 s. */
export async function runIdl(run: IdlRun): Promise<void> {
  const schema = JSON.parse(await readFile(run.schemaPath, 'utf8')) as Schema;
  const [first = ''] = run.commands;
  const chosen = first.startsWith('?') ? first : null;
  const session = new Session(run, schema.name, templates(schema, chosen));
  try {
    for (const command of chosen === null ? run.commands : run.commands.slice(1)) await session.carryOut(command);
    await session.end();
  } finally {
    session.client.stop();
  }
}

export interface Schema {
  readonly name: string;
  readonly tables: Record<string, { columns: Record<string, { type: unknown }> }>;
}

/** All columns, or those of `?table:column,...?table:...`; a `!` after a column means nothing to a replica. */
export function templates(schema: Schema, chosen: string | null): Tables {
  const wanted = new Map(
    (chosen ?? '')
      .split('?')
      .filter((part) => part !== '')
      .map((part): [string, string[]] => {
        const [table = '', columns = ''] = part.split(':');
        return [table, columns.split(',').map((column) => column.replace('!', ''))];
      }),
  );
  const tables = Object.entries(schema.tables).filter(([table]) => chosen === null || wanted.has(table));
  return Object.fromEntries(
    tables.map(([table, { columns }]) => {
      const kept = Object.entries(columns).filter(([column]) => chosen === null || wanted.get(table)?.includes(column));
      return [
        table,
        Object.fromEntries(kept.map(([column, { type }]) => [column, defaultOf(readColumnType(type, column))])),
      ];
    }),
  );
}

class Session {
  readonly client: OvsdbClient<Tables>;
  readonly #run: IdlRun;
  readonly #tables: Tables;
  readonly #symbols = new Map<string, string>();
  #step = 0;
  #seqno = 0;
  #seenSeqno = 0;
  #woken: () => void = () => undefined;

  constructor(run: IdlRun, database: string, tables: Tables) {
    this.#run = run;
    this.#tables = tables;
    this.client = new OvsdbClient({ remotes: ovsdbRemotes(run.remote), timers: systemTimers, database, tables });
    const onChanged = (): void => {
      this.#seqno++;
      this.#woken();
    };
    this.client.listen({
      onChanges: onChanged,
      onState: (problem) => {
        if (problem === null) onChanged();
      },
    });
    this.client.start();
  }

  async carryOut(command: string): Promise<void> {
    // "+": the transaction before this one changed nothing.
    if (!command.startsWith('+')) await this.#printRows();
    this.#seenSeqno = this.#seqno;
    const words = command.replace(/^\+/, '');
    if (words === 'reconnect') {
      this.#print('reconnect');
      this.client.forceReconnect();
    } else if (words.startsWith('[')) await this.#transact(words);
    else await this.#carryOutWords(words);
  }

  async end(): Promise<void> {
    await this.#printRows();
    this.#print('done');
  }

  #print(line: string): void {
    this.#run.print(`${String(this.#step++).padStart(3, '0')}: ${line}`);
  }

  async #printRows(): Promise<void> {
    await this.#change();
    const step = this.#step++;
    const lines = Object.keys(printed).flatMap((table) => (table in this.#tables ? this.#rowsOf(table) : []));
    for (const line of lines.length === 0 ? ['empty'] : lines) {
      this.#run.print(`${String(step).padStart(3, '0')}: ${line}`);
    }
  }

  async #change(): Promise<void> {
    if (this.#seqno !== this.#seenSeqno) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`nothing changed within ${stepDeadlineMs} ms: ${this.client.problem?.message ?? 'in step'}`));
      }, stepDeadlineMs);
      this.#woken = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #rowsOf(table: string): string[] {
    const lines = [...this.client.replica.table(table)].map(([uuid, row]) => {
      const columns = (printed[table] ?? []).filter(([column]) => column in row);
      const words = columns.map(([column, kind]) => `${column}=${this.#cell(column, kind, row[column] ?? null)}`);
      return `table ${table}: ${words.join(' ')} uuid=${uuid}`;
    });
    return lines.sort();
  }

  #cell(column: string, kind: string, value: Decoded): string {
    if (kind === 'one' || kind === 'list') return inWords(value, kind === 'list');
    const table = column === 'l2' ? 'link2' : 'link1';
    const rows = table in this.#tables ? this.client.replica.table(table) : new Map<string, Record<string, Decoded>>();
    const numberOf = (uuid: unknown): Decoded => rows.get(String(uuid))?.['i'] ?? null;
    if (value instanceof Set) return inWords(new Set([...value].map((uuid) => numberOf(uuid) as Scalar)), true);
    return inWords(value === null ? null : numberOf(value), kind === 'links');
  }

  /** A transaction as it goes over the wire, with names for the UUIDs that replies have brought. */
  async #transact(text: string): Promise<void> {
    const named = text.replace(/#\d+#/g, (name) => this.#symbols.get(name) ?? name);
    const [, ...operations] = JSON.parse(named) as [string, ...Operation[]];
    const result = await this.client.transact(operations).catch((thrown: unknown) => {
      if (!(thrown instanceof OvsdbError)) throw thrown;
      return [{ error: thrown.kind }];
    });
    this.#nameUuids(result);
    this.#print(sortedJson({ error: null, result }));
  }

  #nameUuids(value: unknown): void {
    if (typeof value === 'string' && uuidPattern.test(value)) {
      const name = `#${this.#symbols.size}#`;
      this.#symbols.set(name, value);
      this.#run.printSymbol(`${name} = ${value}`);
    } else if (typeof value === 'object' && value !== null) {
      for (const member of Object.values(value)) this.#nameUuids(member);
    }
  }

  /** `set I COLUMN VALUE`, `insert I`, `delete I`, `verify I COLUMN`, `increment I`, `abort`, with commas between. */
  async #carryOutWords(words: string): Promise<void> {
    const operations: Operation[] = [];
    for (const command of words.split(',')) {
      const [name = '', ...args] = command.trim().split(/\s+/);
      if (name === 'abort') {
        this.#print('commit, status=aborted');
        return;
      }
      operations.push(...this.#compile(name, args));
    }
    if (operations.every(({ op }) => op === 'wait')) {
      this.#print('commit, status=unchanged');
      return;
    }
    try {
      const results = await this.client.transact(operations);
      const counted = results.find(({ rows }) => rows !== undefined)?.rows?.[0]?.['i'];
      this.#print(`commit, status=success${counted === undefined ? '' : `, increment=${String(counted)}`}`);
    } catch (thrown) {
      if (!(thrown instanceof OvsdbError)) throw thrown;
      this.#print(`commit, status=${thrown.kind === 'timed out' ? 'try again' : 'error'}`);
    }
  }

  #compile(name: string, [number = '', column = '', text = '']: string[]): Operation[] {
    const table = 'simple';
    if (name === 'insert') return [{ op: 'insert', table, row: { i: Number(number) } }];
    const found = [...this.client.replica.table(table)].find(([, { i }]) => i === Number(number));
    if (found === undefined) throw new Error(`"${name}" command asks for nonexistent i=${number}`);
    const [uuid, row] = found;
    const where: [[string, '==', Value]] = [['_uuid', '==', ['uuid', uuid]]];
    switch (name) {
      case 'set': {
        const value = parseCell(column, text);
        return row[column] === value
          ? []
          : [{ op: 'update', table, where, row: { [column]: wireCell(column, value) } }];
      }
      case 'delete':
        return [{ op: 'delete', table, where }];
      case 'verify': {
        const rows: Row[] = [{ [column]: wireCell(column, row[column] as string | number | boolean) }];
        return [{ op: 'wait', timeout: 0, table, where, columns: [column], until: '==', rows }];
      }
      case 'increment':
        return [
          { op: 'mutate', table, where, mutations: [['i', '+=', 1]] },
          { op: 'select', table, where, columns: ['i'] },
        ];
      default:
        throw new Error(`unknown command ${name}`);
    }
  }
}

function parseCell(column: string, text: string): string | number | boolean {
  if (column === 'b') return text === '1' || text === 'true';
  return column === 'i' || column === 'r' ? Number(text) : text;
}

function wireCell(column: string, value: string | number | boolean): Value {
  return column === 'u' ? ['uuid', String(value)] : value;
}
