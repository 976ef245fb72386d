/** OVSDB values (RFC 7047 section 5.1) as plain TypeScript values, decided by the column's type in the schema. */
import { AgentError } from '../model/errors.ts';
import type { Atom, ColumnType, Value } from './wire.ts';

export type Scalar = string | number | boolean;
/**
 * A column of exactly one atom is the atom; of at most one, the atom or null; of more, a Set; a map, a Map. A UUID is
 * its text.
 */
export type Decoded = Scalar | null | ReadonlySet<Scalar> | ReadonlyMap<Scalar, Scalar>;

export type ColumnShape = 'scalar' | 'optional' | 'set' | 'map';

export function shapeOf(type: ColumnType): ColumnShape {
  if (typeof type === 'string' || !('key' in type)) return 'scalar';
  if (type.value !== undefined) return 'map';
  if ((type.max ?? 1) !== 1) return 'set';
  return (type.min ?? 1) === 0 ? 'optional' : 'scalar';
}

/** The value a new row has in a column that a monitor leaves out (RFC 7047 section 5.2.1). */
export function defaultOf(type: ColumnType): Decoded {
  switch (shapeOf(type)) {
    case 'map':
      return new Map();
    case 'set':
      return new Set();
    case 'optional':
      return null;
    case 'scalar': {
      const base = typeof type === 'string' ? type : 'key' in type ? type.key : type.type;
      const atomic = typeof base === 'string' ? base : base.type;
      if (atomic === 'string') return '';
      if (atomic === 'boolean') return false;
      if (atomic === 'uuid') return '00000000-0000-0000-0000-000000000000';
      return 0;
    }
  }
}

export function decodeValue(value: Value, shape: ColumnShape): Decoded {
  switch (shape) {
    case 'map':
      return new Map(pairsOf(value));
    case 'set':
      return new Set(atomsOf(value));
    case 'optional':
      return atomsOf(value)[0] ?? null;
    case 'scalar':
      return atomOf(value as Atom);
  }
}

/**
 * What `modify` of `update2` does to a column: a set's difference toggles its members, a map's difference adds, changes
 * or (same value again) removes keys; anything else is replaced (ovsdb-server(7), "Update2 Notification"). Sets and maps
 * are changed in place: a bridge's set of 1,000 ports is not copied for one more.
 */
export function applyDifference(current: Decoded, difference: Value, shape: ColumnShape): Decoded {
  if (shape === 'set') {
    const set = current as Set<Scalar>;
    for (const atom of atomsOf(difference)) if (!set.delete(atom)) set.add(atom);
    return set;
  }
  if (shape === 'map') {
    const map = current as Map<Scalar, Scalar>;
    for (const [key, value] of pairsOf(difference)) {
      if (map.get(key) === value) map.delete(key);
      else map.set(key, value);
    }
    return map;
  }
  return decodeValue(difference, shape);
}

export function equalDecoded(a: Decoded, b: Decoded): boolean {
  if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((atom) => b.has(atom));
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
  return a === b;
}

/** Encodes a string map, the type of `external_ids`. */
export function stringMap(entries: Iterable<[string, string]>): Value {
  return ['map', [...entries]];
}

function atomsOf(value: Value): Scalar[] {
  if (Array.isArray(value) && value[0] === 'set') return value[1].map(atomOf);
  return [atomOf(value as Atom)];
}

function pairsOf(value: Value): [Scalar, Scalar][] {
  if (Array.isArray(value) && value[0] === 'map') return value[1].map(([key, val]) => [atomOf(key), atomOf(val)]);
  throw new AgentError('SwitchError', `OVSDB value ${JSON.stringify(value).slice(0, 80)} is not a map`);
}

function atomOf(atom: Atom): Scalar {
  if (!Array.isArray(atom)) return atom;
  if (typeof atom[1] === 'string' && (atom[0] === 'uuid' || atom[0] === 'named-uuid')) return atom[1];
  throw new AgentError('SwitchError', `OVSDB value ${JSON.stringify(atom).slice(0, 80)} is not an atom`);
}
