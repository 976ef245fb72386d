/** Columns and values of the in-memory database: the constraints of RFC 7047 section 3.2, and what operations do to values. */
import type { AtomicType, Mutation, Value } from '../../src/ovsdb/wire.ts';

export type Scalar = string | number | boolean;
/** In order. A set has its members as keys and no values; what is no set is one of one member. A UUID is its text. */
export type Datum = ReadonlyMap<Scalar, Scalar | null>;

interface BaseType {
  readonly type: AtomicType;
  readonly enum: readonly Scalar[] | null;
  readonly minInteger: number;
  readonly maxInteger: number;
  readonly refTable: string | null;
  readonly isWeak: boolean;
}

export interface Column {
  readonly key: BaseType;
  readonly value: BaseType | null;
  readonly min: number;
  readonly max: number;
  readonly isMutable: boolean;
}

/** What a server answers instead of a result. */
export class Refusal extends Error {
  readonly kind: string;

  constructor(kind: string, details: string) {
    super(details);
    this.kind = kind;
  }
}

/** A `<column-schema>`. */
export function readColumn(schema: unknown): Column {
  const { type, mutable = true } = schema as { type: unknown; mutable?: boolean };
  const full = (typeof type === 'string' ? { key: type } : type) as {
    key: unknown;
    value?: unknown;
    min?: number;
    max?: number | 'unlimited';
  };
  const { min = 1, max = 1 } = full;
  return {
    key: readBase(full.key),
    value: full.value === undefined ? null : readBase(full.value),
    min,
    max: max === 'unlimited' ? Infinity : max,
    isMutable: mutable,
  };
}

function readBase(base: unknown): BaseType {
  const full = (typeof base === 'string' ? { type: base } : base) as {
    type: AtomicType;
    enum?: Value;
    minInteger?: number;
    maxInteger?: number;
    refTable?: string;
    refType?: 'strong' | 'weak';
  };
  return {
    type: full.type,
    enum: full.enum === undefined ? null : (membersOf(full.enum) as Scalar[]),
    minInteger: full.minInteger ?? -Infinity,
    maxInteger: full.maxInteger ?? Infinity,
    refTable: full.refTable ?? null,
    isWeak: full.refType === 'weak',
  };
}

/** The value of a column that an `insert` leaves out (RFC 7047 section 5.2.1). */
export function defaultOf({ key, value, min }: Column): Datum {
  return new Map(min === 0 ? [] : [[zeroOf(key.type), value === null ? null : zeroOf(value.type)]]);
}

function zeroOf(type: AtomicType): Scalar {
  if (type === 'string') return '';
  if (type === 'boolean') return false;
  return type === 'uuid' ? '00000000-0000-0000-0000-000000000000' : 0;
}

/** `named` gives the UUID of a `named-uuid`. Throws a `Refusal` when the value is not of this type. */
export function decode(value: unknown, column: Column, named: (name: string) => string): Datum {
  const { key, value: held, min, max } = column;
  const entries = membersOf(value as Value).map((member): [Scalar, Scalar | null] => {
    if (held === null) return [atomOf(member, key, named), null];
    if (!Array.isArray(member) || member.length !== 2) throw new Refusal('syntax error', 'Parsing a pair failed');
    const [left, right] = member as [unknown, unknown];
    return [atomOf(left, key, named), atomOf(right, held, named)];
  });
  const datum = sorted(entries);
  if (datum.size !== entries.length) throw new Refusal('constraint violation', 'a member twice');
  if (datum.size < min || datum.size > max) throw new Refusal('syntax error', `${datum.size} members`);
  return datum;
}

/** The keys that a `delete` mutator names: of a map, pairs or keys alone. */
function decodeDeletion(value: unknown, column: Column, named: (name: string) => string): Datum {
  const isMap = Array.isArray(value) && value[0] === 'map';
  return decode(value, { ...column, value: isMap ? column.value : null, min: 0, max: Infinity }, named);
}

function membersOf(value: Value): unknown[] {
  return Array.isArray(value) && (value[0] === 'set' || value[0] === 'map') ? value[1] : [value];
}

function atomOf(atom: unknown, base: BaseType, named: (name: string) => string): Scalar {
  if (base.type === 'uuid') {
    const [tag, text] = Array.isArray(atom) ? (atom as [unknown, unknown]) : [];
    if (tag === 'named-uuid') return named(String(text));
    if (tag !== 'uuid') throw new Refusal('syntax error', 'Parsing a UUID failed');
    return String(text);
  }
  const isFitting =
    base.type === 'real'
      ? typeof atom === 'number'
      : base.type === 'integer'
        ? Number.isInteger(atom)
        : typeof atom === base.type;
  if (!isFitting) throw new Refusal('syntax error', `expected ${base.type}`);
  const scalar = atom as Scalar;
  if (base.enum?.includes(scalar) === false) throw new Refusal('constraint violation', `${String(atom)} is not one of`);
  if (typeof scalar === 'number' && (scalar < base.minInteger || scalar > base.maxInteger)) {
    throw new Refusal('constraint violation', `${scalar} is not in the valid range`);
  }
  return scalar;
}

function sorted(entries: Iterable<[Scalar, Scalar | null]>): Datum {
  return new Map([...entries].sort(([a], [b]) => compare(a, b)));
}

function compare(a: Scalar, b: Scalar): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `<value>` as ovsdb-server writes it. */
export function encode(datum: Datum, { key, value }: Pick<Column, 'key' | 'value'>): Value {
  const atom = (scalar: Scalar, { type }: BaseType): Value => (type === 'uuid' ? ['uuid', String(scalar)] : scalar);
  if (value !== null) {
    return ['map', [...datum].map(([left, right]) => [atom(left, key), atom(right!, value)])] as Value;
  }
  const atoms = [...datum.keys()].map((scalar) => atom(scalar, key));
  return atoms.length === 1 ? atoms[0]! : (['set', atoms] as Value);
}

export function isEqual(a: Datum, b: Datum): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.has(key) && b.get(key) === value);
}

/** ovsdb-server(7), "Update2 Notification": what `modify` says of a column. */
export function differenceOf(before: Datum, after: Datum, column: Column): Value {
  if (column.max === 1) return encode(after, column);
  const changed = [...after].filter(([key, value]) => !before.has(key) || before.get(key) !== value);
  const gone = [...before].filter(([key]) => !after.has(key));
  return encode(sorted([...changed, ...gone]), column);
}

/** RFC 7047 section 5.1 `<condition>`. */
export function holds(datum: Datum, func: string, argument: Datum): boolean {
  const includes = [...argument].every(([key, value]) => datum.has(key) && datum.get(key) === value);
  const [mine, theirs] = [[...datum.keys()][0]!, [...argument.keys()][0]!];
  switch (func) {
    case '==':
      return isEqual(datum, argument);
    case '!=':
      return !isEqual(datum, argument);
    case 'includes':
      return includes;
    case 'excludes':
      return ![...argument].some(([key, value]) => datum.has(key) && datum.get(key) === value);
    case '<':
      return mine < theirs;
    case '<=':
      return mine <= theirs;
    case '>':
      return mine > theirs;
    case '>=':
      return mine >= theirs;
    default:
      throw new Refusal('syntax error', `No function named ${func}.`);
  }
}

/** RFC 7047 section 5.1 `<mutation>`, read before any row is looked at; the function returned carries it out on one. */
export function readMutation(
  [name, mutator, value]: Mutation,
  column: Column,
  named: (name: string) => string,
): (datum: Datum) => Datum {
  if (mutator === 'insert') {
    const added = decode(value, { ...column, min: 0, max: Infinity }, named);
    // A key that is there keeps its value.
    return (datum) => checked(sorted([...added, ...datum]), name, column);
  }
  if (mutator === 'delete') {
    const removed = decodeDeletion(value, column, named);
    const isKept = ([key, held]: [Scalar, Scalar | null]): boolean =>
      !removed.has(key) || (removed.get(key) !== null && removed.get(key) !== held);
    return (datum) => checked(sorted([...datum].filter(isKept)), name, column);
  }
  return (datum) =>
    checked(sorted([...datum.keys()].map((scalar) => [calculate(scalar, mutator, value), null])), name, column);
}

function calculate(scalar: Scalar, mutator: string, argument: Value): number {
  if (typeof scalar !== 'number' || typeof argument !== 'number') throw new Refusal('syntax error', 'not a number');
  switch (mutator) {
    case '+=':
      return scalar + argument;
    case '-=':
      return scalar - argument;
    case '*=':
      return scalar * argument;
    case '/=':
      if (argument === 0) throw new Refusal('domain error', 'Division by zero.');
      return Math.trunc(scalar / argument);
    case '%=':
      if (argument === 0) throw new Refusal('domain error', 'Division by zero.');
      return scalar % argument;
    default:
      throw new Refusal('syntax error', `No mutator named ${mutator}.`);
  }
}

function checked(datum: Datum, name: string, { key, min, max }: Column): Datum {
  if (datum.size < min || datum.size > max) throw new Refusal('constraint violation', `${name}: ${datum.size} members`);
  for (const scalar of datum.keys()) {
    if (typeof scalar === 'number' && (scalar < key.minInteger || scalar > key.maxInteger)) {
      throw new Refusal('constraint violation', `${name}: ${scalar} is not in the valid range`);
    }
  }
  return datum;
}
