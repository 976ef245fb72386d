/** The D-Bus types that declarations use, with their TypeScript shapes and a check of each at run time. */
import type { DbusVariant } from './contract.ts';

/** D-Bus type -> value. `t` is a bigint because it does not fit into a number. */
export interface WireValues {
  s: string;
  b: boolean;
  u: number;
  t: bigint;
  v: DbusVariant;
  as: readonly string[];
  'a{sv}': ReadonlyMap<string, DbusVariant>;
}

export type WireType = keyof WireValues;

/** Whether `value` can be sent as `type`. A string with NUL cannot: the bus would cut the connection. */
export function fitsWireType(type: WireType, value: unknown): boolean {
  return checks[type](value);
}

const uint32Max = 0xffff_ffff;
const uint64Max = 0xffff_ffff_ffff_ffffn;

const isString = (value: unknown) => typeof value === 'string' && !value.includes('\0');
const isVariant = (value: unknown) =>
  typeof value === 'object' && value !== null && 'value' in value && 'signature' in value && isString(value.signature);

const checks: { readonly [T in WireType]: (value: unknown) => boolean } = {
  s: isString,
  b: (value) => typeof value === 'boolean',
  u: (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= uint32Max,
  t: (value) => typeof value === 'bigint' && value >= 0n && value <= uint64Max,
  v: isVariant,
  as: (value) => Array.isArray(value) && value.every(isString),
  'a{sv}': (value) =>
    value instanceof Map &&
    [...(value as Map<unknown, unknown>)].every(([key, item]) => isString(key) && isVariant(item)),
};
