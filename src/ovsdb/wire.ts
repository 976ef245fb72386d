/** What travels on the wire, spelled as in RFC 7047 and, for the monitor extensions, ovsdb-server(7). */

/** RFC 7047 section 5.1. */
export type Atom = string | number | boolean | UuidAtom | NamedUuidAtom;
export type UuidAtom = ['uuid', string];
export type NamedUuidAtom = ['named-uuid', string];
export type Value = Atom | ['set', Atom[]] | ['map', [Atom, Atom][]];
export type Row = Record<string, Value>;
export type Condition = [column: string, func: '==' | '!=' | 'includes' | 'excludes' | '<' | '<=' | '>' | '>=', Value];
export type Mutation = [column: string, mutator: '+=' | '-=' | '*=' | '/=' | '%=' | 'insert' | 'delete', Value];

/** RFC 7047 section 5.2; `uuid` on `insert` and `assert` as ovsdb-server(7) adds them. */
export type Operation =
  | { op: 'insert'; table: string; row: Row; 'uuid-name'?: string; uuid?: string }
  | { op: 'select'; table: string; where: Condition[]; columns?: string[] }
  | { op: 'update'; table: string; where: Condition[]; row: Row }
  | { op: 'mutate'; table: string; where: Condition[]; mutations: Mutation[] }
  | { op: 'delete'; table: string; where: Condition[] }
  | {
      op: 'wait';
      timeout?: number;
      table: string;
      where: Condition[];
      columns: string[];
      until: '==' | '!=';
      rows: Row[];
    }
  | { op: 'commit'; durable: boolean }
  | { op: 'abort' }
  | { op: 'comment'; comment: string }
  | { op: 'assert'; lock: string };

/** One element of a `transact` reply. A failed operation carries `error`; those after it are null. */
export interface OperationResult {
  count?: number;
  uuid?: UuidAtom;
  rows?: Row[];
  error?: string;
  details?: string;
}

/** JSON-RPC 1.0, as RFC 7047 section 4 uses it. */
export type Message =
  { method: string; params: unknown[]; id: unknown } | { result?: unknown; error: unknown; id: unknown };

/** RFC 7047 section 3.2. */
export type AtomicType = 'integer' | 'real' | 'boolean' | 'string' | 'uuid';
