/**
 * The shape of D-Bus values in this code base, both directions:
 *
 * | D-Bus | here |
 * |---|---|
 * | `y n q i u d` | number |
 * | `x t` | bigint (a safe integer is accepted when sending) |
 * | `b` | boolean |
 * | `s o g` | string |
 * | `ay` | Buffer (any Uint8Array when sending) |
 * | `a{..}` | Map (a plain object is accepted when sending); so a key `__proto__` is only a key |
 * | other arrays, structs | array |
 * | `v` | `{ signature, value }` |
 *
 * `h` (file descriptors) is not supported in either direction.
 */
import signatures from 'dbus-next/lib/signature.js';
import type { TypeNode } from 'dbus-next/lib/signature.js';
import { isObjectPath } from './bus-names.ts';

/** A value with its type. */
export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** From what dbus-next's reader gives. It reads 64-bit halves in little-endian order whatever the message says. */
export function fromRaw(type: TypeNode, raw: unknown, bigEndian: boolean): unknown {
  switch (type.type) {
    case 'v': {
      const [[inner], [value]] = raw as [[TypeNode], [unknown]];
      return { signature: signatures.collapseSignature(inner), value: fromRaw(inner, value, bigEndian) };
    }
    case '(':
      return (raw as unknown[]).map((member, index) => fromRaw(childOf(type, index), member, bigEndian));
    case 'a': {
      const element = childOf(type, 0);
      if (Buffer.isBuffer(raw)) return raw;
      if (element.type !== '{') return (raw as unknown[]).map((item) => fromRaw(element, item, bigEndian));
      const [keyType, valueType] = [childOf(element, 0), childOf(element, 1)];
      return new Map(
        (raw as [unknown, unknown][]).map(([key, value]) => [
          fromRaw(keyType, key, bigEndian),
          fromRaw(valueType, value, bigEndian),
        ]),
      );
    }
    case 'x':
    case 't': {
      const value = raw as bigint;
      if (!bigEndian) return value;
      const bits = BigInt.asUintN(64, value);
      const swapped = ((bits & 0xffff_ffffn) << 32n) | (bits >> 32n);
      return type.type === 'x' ? BigInt.asIntN(64, swapped) : swapped;
    }
    case 'h':
      throw new TypeError('file descriptors are not supported');
    default:
      return raw;
  }
}

/** To what dbus-next's writer takes. Throws TypeError when the value does not fit the type. */
export function toRaw(type: TypeNode, value: unknown): unknown {
  switch (type.type) {
    case 'v': {
      if (!isVariant(value)) throw misfit(type, value, '{ signature, value }');
      const [inner, ...rest] = signatures.parseSignature(value.signature);
      if (inner === undefined || rest.length > 0) throw misfit(type, value.signature, 'a signature of one type');
      return [value.signature, toRaw(inner, value.value)];
    }
    case '(':
      if (!Array.isArray(value) || value.length !== type.child.length) {
        throw misfit(type, value, `an array of ${type.child.length}`);
      }
      return value.map((member, index) => toRaw(childOf(type, index), member));
    case 'a':
      return arrayToRaw(type, value);
    case 'x':
    case 't':
      if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw misfit(type, value, 'a bigint');
      return value;
    case 'h':
      throw new TypeError('file descriptors are not supported');
    case 'b':
      if (typeof value !== 'boolean') throw misfit(type, value, 'a boolean');
      return value;
    case 'o':
      if (typeof value !== 'string' || !isObjectPath(value)) throw misfit(type, value, 'an object path');
      return value;
    default:
      return value;
  }
}

function arrayToRaw(type: TypeNode, value: unknown): unknown {
  const element = childOf(type, 0);
  if (element.type === 'y' && value instanceof Uint8Array) return value;
  if (element.type !== '{') {
    if (!Array.isArray(value)) throw misfit(type, value, 'an array');
    return value.map((item) => toRaw(element, item));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw misfit(type, value, 'a Map');
  const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
  const [keyType, valueType] = [childOf(element, 0), childOf(element, 1)];
  return entries.map(([key, item]) => [toRaw(keyType, key), toRaw(valueType, item)]);
}

function isVariant(value: unknown): value is Variant {
  return (
    typeof value === 'object' &&
    value !== null &&
    'signature' in value &&
    typeof value.signature === 'string' &&
    'value' in value
  );
}

function childOf(type: TypeNode, index: number): TypeNode {
  const child = type.child[index];
  if (child === undefined) throw new TypeError(`the D-Bus type ${signatures.collapseSignature(type)} is malformed`);
  return child;
}

function misfit(type: TypeNode, value: unknown, expected: string): TypeError {
  return new TypeError(`D-Bus type ${signatures.collapseSignature(type)} needs ${expected}, not ${typeof value}`);
}
