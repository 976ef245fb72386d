/** What the drivers share: values as Open vSwitch's test programs print them. */
import type { ColumnType, Decoded, Scalar } from '../../src/ovsdb/value.ts';
import type { AtomicType } from '../../src/ovsdb/wire.ts';

/** JSON with sorted keys and no spaces. */
export function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** `<value>` of RFC 7047 section 5.1, its members in order. */
export function encodeDatum(value: Decoded, type: ColumnType): unknown {
  if (type.shape === 'map') {
    const pairs = [...(value as ReadonlyMap<Scalar, Scalar>)].sort(([a], [b]) => compareAtoms(a, b));
    return ['map', pairs.map(([key, held]) => [encodeAtom(key, type.key), encodeAtom(held, type.value)])];
  }
  const atoms = value instanceof Set ? [...value].sort(compareAtoms) : value === null ? [] : [value as Scalar];
  const encoded = atoms.map((atom: Scalar) => encodeAtom(atom, type.key));
  return encoded.length === 1 ? encoded[0] : ['set', encoded];
}

/** What a server sends as `modify` of `update2` when one value becomes the other (ovsdb-server(7), "Update2 Notification"). */
export function differenceOf(older: Decoded, newer: Decoded, type: ColumnType): Decoded {
  if (type.shape === 'map' && type.max > 1) {
    const [old, next] = [older as ReadonlyMap<Scalar, Scalar>, newer as ReadonlyMap<Scalar, Scalar>];
    const set = [...next].filter(([key, value]) => old.get(key) !== value);
    return new Map([...set, ...[...old].filter(([key]) => !next.has(key))]);
  }
  if (type.shape === 'set') {
    const [old, next] = [older as ReadonlySet<Scalar>, newer as ReadonlySet<Scalar>];
    return new Set([...[...old].filter((atom) => !next.has(atom)), ...[...next].filter((atom) => !old.has(atom))]);
  }
  return newer;
}

export function encodeAtom(atom: Scalar, type: AtomicType): unknown {
  return type === 'uuid' ? ['uuid', atom] : atom;
}

/** In the order of OVSDB: numbers by size, false before true, texts by code point. */
export function compareAtoms(a: Scalar, b: Scalar): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [String(a), String(b)];
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** One value is itself, also when it is optional; several stand in brackets. */
export function inWords(value: Decoded, isList: boolean): string {
  if (value instanceof Map) {
    const pairs = [...(value as ReadonlyMap<Scalar, Scalar>)]
      .sort(([a], [b]) => compareAtoms(a, b))
      .map(([key, held]) => `${key}=${held}`);
    return `[${pairs.join(' ')}]`;
  }
  const set =
    value instanceof Set ? (value as ReadonlySet<Scalar>) : new Set<Scalar>(value === null ? [] : [value as Scalar]);
  const atoms = [...set].sort(compareAtoms);
  return isList ? `[${atoms.join(' ')}]` : atoms.join(' ');
}
