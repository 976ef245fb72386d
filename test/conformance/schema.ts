/**
 * Schemas as Open vSwitch's test programs print them: types as our client reads them, with nothing said that is the default.
 * Constraints come out as they went in, since a replica leaves them to the server.
 */
import { asRecord } from '../../src/ovsdb/malformed.ts';
import { Replica } from '../../src/ovsdb/replica.ts';
import { decodeValue, readColumnType } from '../../src/ovsdb/value.ts';
import { templates } from './idl.ts';
import type { Schema } from './idl.ts';
import { encodeDatum } from './words.ts';

type Json = Readonly<Record<string, unknown>>;

/** A `<base-type>` of RFC 7047 section 3.2: its name alone when nothing constrains it. */
export function normalBaseType(base: unknown): unknown {
  const { key } = readColumnType({ key: base }, 'TYPE');
  const values = { shape: 'set', key, min: 1 } as const;
  const { refType, minLength, enum: list, ...others } = typeof base === 'string' ? {} : (base as Json);
  const constraints = {
    ...others,
    ...(list === undefined ? {} : { enum: encodeDatum(decodeValue(list, values), values) }),
    ...(minLength === undefined || minLength === 0 ? {} : { minLength }),
    ...(refType === undefined || refType === 'strong' ? {} : { refType }),
    type: key,
  };
  return Object.keys(constraints).length === 1 ? key : constraints;
}

/** A `<type>`: its base type's name alone when there is always exactly one, of any value. */
export function normalType(type: unknown, what = 'TYPE'): unknown {
  const read = readColumnType(type, what);
  const { key = type, value, max } = typeof type === 'string' ? {} : (type as Json);
  const isOptional = read.shape === 'optional' || (read.shape !== 'scalar' && read.min === 0);
  const members = {
    key: normalBaseType(key),
    ...(read.shape === 'map' ? { value: normalBaseType(value) } : {}),
    ...(isOptional ? { min: 0 } : {}),
    ...(max === undefined || max === 1 ? {} : { max }),
  };
  return Object.keys(members).length === 1 && typeof members.key === 'string' ? members.key : members;
}

/** A `<column-schema>`. */
export function normalColumn(name: string, column: unknown): Json {
  const { type, mutable, ephemeral } = asRecord(column, `a column ${name}`);
  return {
    type: normalType(type, name),
    ...(mutable === false ? { mutable } : {}),
    ...(ephemeral === true ? { ephemeral } : {}),
  };
}

/** A `<table-schema>`; `isRootUnsaid` is what a table is that does not say `isRoot`. */
export function normalTable(name: string, table: unknown, isRootUnsaid: boolean): Json {
  const { columns, mutable, maxRows, isRoot = false, indexes = [] } = asRecord(table, `a table ${name}`);
  const named = Object.entries(asRecord(columns, `columns of ${name}`));
  return {
    columns: Object.fromEntries(named.map(([column, schema]) => [column, normalColumn(`${name}.${column}`, schema)])),
    ...(mutable === false ? { mutable } : {}),
    ...(isRoot === isRootUnsaid ? {} : { isRoot }),
    ...(maxRows === undefined ? {} : { maxRows }),
    ...((indexes as unknown[]).length === 0 ? {} : { indexes }),
  };
}

/** A `<database-schema>` that a replica of all of it takes. Where no table is in the root set, all are. */
export function normalSchema(schema: Json): Json {
  const tables = Object.entries(asRecord(schema.tables, 'tables of a schema') as Record<string, Json>);
  new Replica(templates(schema as unknown as Schema, null), schema);
  const roots = tables.filter(([, { isRoot }]) => isRoot === true).length;
  const everyIsRoot = roots === 0 || roots === tables.length;
  const normal = tables.map(([name, table]) => [
    name,
    normalTable(name, everyIsRoot ? { ...table, isRoot: true } : table, everyIsRoot),
  ]);
  const version = schema.version === undefined ? {} : { version: schema.version };
  return { name: schema.name, tables: Object.fromEntries(normal) as Json, ...version };
}
