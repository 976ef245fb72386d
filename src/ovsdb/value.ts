/** OVSDB values (RFC 7047 section 5.1) as plain TypeScript values, decided by the column's type in the schema. */
import { asRecord, excerpt, isRecord, malformed, own } from './malformed.ts';
import type { AtomicType } from './wire.ts';

export type Scalar = string | number | boolean;
/**
 * A column of exactly one atom is the atom; of at most one, the atom or null; of more, a Set; a map, a Map. A UUID is
 * its text.
 */
export type Decoded = Scalar | null | ReadonlySet<Scalar> | ReadonlyMap<Scalar, Scalar>;

/** A `<type>` of RFC 7047 section 3.2, as far as a replica needs it. */
export type ColumnType = ScalarType | OptionalType | SetType | MapType;
interface ScalarType {
  readonly shape: 'scalar';
  readonly key: AtomicType;
}
interface OptionalType {
  readonly shape: 'optional';
  readonly key: AtomicType;
}
interface SetType {
  readonly shape: 'set';
  readonly key: AtomicType;
  readonly min: number;
}
interface MapType {
  readonly shape: 'map';
  readonly key: AtomicType;
  readonly value: AtomicType;
  readonly min: number;
  /** A map of at most one pair is replaced as a whole by `modify`, as a scalar is. */
  readonly max: number;
}

/** Reads a `<type>`. Throws `SwitchError`, naming the column by `what`. */
export function readColumnType(type: unknown, what: string): ColumnType {
  if (typeof type === 'string') return { shape: 'scalar', key: readAtomicType(type, what) };
  const record = asRecord(type, `a type of ${what}`);
  const key = readAtomicType(own(record, 'key'), what);
  const value = own(record, 'value');
  const min = own(record, 'min') ?? 1;
  const unlimited = own(record, 'max') ?? 1;
  const max = unlimited === 'unlimited' ? Infinity : unlimited;
  if ((min !== 0 && min !== 1) || typeof max !== 'number' || max < 1 || (max !== Infinity && !Number.isInteger(max))) {
    throw malformed(`a type of ${what} with impossible bounds: ${excerpt(type)}`);
  }
  if (value !== undefined) return { shape: 'map', key, value: readAtomicType(value, what), min, max };
  if (max > 1) return { shape: 'set', key, min };
  return { shape: min === 0 ? 'optional' : 'scalar', key };
}

/** A `<base-type>`: the atomic type, alone or with constraints, which are the server's business. */
function readAtomicType(type: unknown, what: string): AtomicType {
  const name = isRecord(type) ? own(type, 'type') : type;
  switch (name) {
    case 'integer':
    case 'real':
    case 'boolean':
    case 'string':
    case 'uuid':
      return name;
    default:
      throw malformed(`an unknown type of ${what}: ${excerpt(type)}`);
  }
}

/** The value a new row has in a column that a monitor leaves out (RFC 7047 section 5.2.1). */
export function defaultOf(type: ColumnType): Decoded {
  switch (type.shape) {
    case 'map':
      return new Map(type.min === 0 ? [] : [[zeroOf(type.key), zeroOf(type.value)]]);
    case 'set':
      return new Set(type.min === 0 ? [] : [zeroOf(type.key)]);
    case 'optional':
      return null;
    case 'scalar':
      return zeroOf(type.key);
  }
}

function zeroOf(type: AtomicType): Scalar {
  switch (type) {
    case 'string':
      return '';
    case 'boolean':
      return false;
    case 'uuid':
      return '00000000-0000-0000-0000-000000000000';
    case 'integer':
    case 'real':
      return 0;
  }
}

/** Throws `SwitchError` when `value` is not of this type. */
export function decodeValue(value: unknown, type: ColumnType): Decoded {
  switch (type.shape) {
    case 'map': {
      const pairs = membersOf(value, 'map').map((pair): [Scalar, Scalar] => {
        if (!Array.isArray(pair) || pair.length !== 2) throw malformed(`a pair that is none: ${excerpt(pair)}`);
        return [decodeAtom(pair[0], type.key), decodeAtom(pair[1], type.value)];
      });
      return withoutDuplicates(new Map(pairs), pairs, value);
    }
    case 'set': {
      const atoms = atomsOf(value, type.key);
      return withoutDuplicates(new Set(atoms), atoms, value);
    }
    case 'optional':
    case 'scalar': {
      const [atom, ...others] = atomsOf(value, type.key);
      if (others.length > 0 || (atom === undefined && type.shape === 'scalar')) {
        throw malformed(`a set where one value is expected: ${excerpt(value)}`);
      }
      return atom ?? null;
    }
  }
}

function withoutDuplicates<C extends { readonly size: number }>(members: C, sent: unknown[], value: unknown): C {
  if (members.size !== sent.length) throw malformed(`a value with a member twice: ${excerpt(value)}`);
  return members;
}

/** The atoms of a `<set>`, which may be written as its only atom. */
function atomsOf(value: unknown, type: AtomicType): Scalar[] {
  const isSet = Array.isArray(value) && value[0] === 'set';
  return isSet ? membersOf(value, 'set').map((atom) => decodeAtom(atom, type)) : [decodeAtom(value, type)];
}

function membersOf(value: unknown, tag: 'set' | 'map'): unknown[] {
  if (Array.isArray(value) && value.length === 2 && value[0] === tag && Array.isArray(value[1])) return value[1];
  throw malformed(`a value that is not a ${tag}: ${excerpt(value)}`);
}

function decodeAtom(atom: unknown, type: AtomicType): Scalar {
  switch (type) {
    case 'string':
    case 'boolean':
      if (typeof atom === type) return atom as string | boolean;
      break;
    case 'integer':
      if (Number.isInteger(atom)) return atom as number;
      break;
    case 'real':
      if (typeof atom === 'number') return atom;
      break;
    case 'uuid':
      if (Array.isArray(atom) && atom.length === 2 && atom[0] === 'uuid' && typeof atom[1] === 'string') return atom[1];
      break;
  }
  throw malformed(`a value that is not of type ${type}: ${excerpt(atom)}`);
}

/**
 * What `modify` of `update2` does to a column: a set's difference toggles its members, a map's difference adds, changes
 * or (same value again) removes keys; anything else is replaced (ovsdb-server(7), "Update2 Notification"). Sets and maps
 * are changed in place: a bridge's set of 1,000 ports is not copied for one more.
 */
export function applyDifference(current: Decoded, difference: Decoded, type: ColumnType): Decoded {
  if (type.shape === 'set') {
    const set = current as Set<Scalar>;
    for (const atom of difference as Set<Scalar>) if (!set.delete(atom)) set.add(atom);
    return set;
  }
  if (type.shape === 'map' && type.max > 1) {
    const map = current as Map<Scalar, Scalar>;
    for (const [key, value] of difference as Map<Scalar, Scalar>) {
      if (map.get(key) === value) map.delete(key);
      else map.set(key, value);
    }
    return map;
  }
  return difference;
}

export function equalDecoded(a: Decoded, b: Decoded): boolean {
  if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((atom) => b.has(atom));
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
  return a === b;
}
