/**
 * Speaks the command language of Open vSwitch's `test-ovsdb`, as far as test/conformance/README.md says. Run it as
 * `node --import tsx test/conformance/ovsdb.ts [-tSECONDS] COMMAND ARGUMENT...`.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { JsonStream } from '../../src/ovsdb/json-stream.ts';
import { applyDifference, decodeValue, defaultOf, equalDecoded, readColumnType } from '../../src/ovsdb/value.ts';
import type { ColumnType, Decoded, Scalar } from '../../src/ovsdb/value.ts';
import type { AtomicType } from '../../src/ovsdb/wire.ts';
import { runIdl } from './idl.ts';
import { normalBaseType, normalColumn, normalSchema, normalTable, normalType } from './schema.ts';
import { compareAtoms, differenceOf, encodeAtom, encodeDatum, sortedJson } from './words.ts';

type Print = (line: string) => void;

const commands: Record<string, (args: readonly string[], print: Print) => void> = {
  'default-atoms': (_, print) => {
    for (const name of ['integer', 'real', 'boolean', 'string', 'uuid']) {
      const type = readColumnType(name, name);
      print(`${name}: ${equalDecoded(defaultOf(type), defaultOf(type)) ? 'OK' : 'wrong'}`);
    }
  },
  'parse-atomic-type': ([type], print) => {
    print(sortedJson(atomicType(type).key));
  },
  'parse-base-type': ([type], print) => {
    print(sortedJson(normalBaseType(parse(type))));
  },
  'parse-type': ([type], print) => {
    print(sortedJson(normalType(parse(type))));
  },
  'parse-column': ([name = '', column], print) => {
    print(sortedJson(normalColumn(name, parseObject(column))));
  },
  'parse-table': ([name = '', table, isRootUnsaid], print) => {
    print(sortedJson(normalTable(name, parseObject(table), isRootUnsaid === 'true')));
  },
  'parse-schema': ([schema], print) => {
    print(sortedJson(normalSchema(parseObject(schema))));
  },
  'parse-atoms': ([type, ...atoms], print) => {
    for (const atom of atoms) {
      print(attempt(() => sortedJson(encodeDatum(decodeValue(parse(atom), atomicType(type)), atomicType(type)))));
    }
  },
  'sort-atoms': ([type, atoms = '[[]]'], print) => {
    const { key } = atomicType(type);
    const decoded = decodeValue(['set', parse(atoms)], { shape: 'set', key, min: 0 }) as ReadonlySet<Scalar>;
    print(sortedJson([...decoded].sort(compareAtoms).map((atom) => encodeAtom(atom, key))));
  },
  'parse-data': ([type, ...data], print) => {
    const columnType = readColumnType(parse(type), 'TYPE');
    for (const datum of data) print(attempt(() => sortedJson(encodeDatum(decodeValue(parse(datum), columnType), columnType)))); // prettier-ignore
  },
  /** Arguments in pairs, an older value and a newer one: the difference, and what the client makes of it. */
  'diff-data': ([type, ...data], print) => {
    const columnType = readColumnType(parse(type), 'TYPE');
    const decode = (): Decoded => decodeValue(parse(data.shift()), columnType);
    const show = (value: Decoded): string => sortedJson(encodeDatum(value, columnType));
    while (data.length > 1) {
      const [older, newer] = [decode(), decode()];
      const difference = differenceOf(older, newer, columnType);
      print(`diff: ${show(difference)}`);
      const applied = applyDifference(older, difference, columnType);
      if (!equalDecoded(applied, newer)) throw new Error('failed to apply diff');
      print(`apply diff: ${show(applied)}`);
      print('OK');
    }
  },
  /** As `test-json --multiple` does with its standard input. */
  'parse-json': (_, print) => {
    print(
      attempt(() => {
        const values = [...new JsonStream().push(readFileSync(0))];
        return values.map(sortedJson).join('\n');
      }),
    );
  },
};

/** Carries out one command line; resolves with the exit code. */
export async function runOvsdb(args: readonly string[], print: Print, printError: Print): Promise<number> {
  const [name = '', ...rest] = args.filter((arg) => !/^(-t\d+|--timeout=\d+|-vconsole:.*)$/.test(arg));
  try {
    if (name === 'idl') {
      const [schemaPath = '', remote = '', ...idlCommands] = rest;
      await runIdl({ schemaPath, remote, commands: idlCommands, print, printSymbol: printError });
      return 0;
    }
    const command = commands[name];
    if (command === undefined) throw new Error(`unknown command "${name}"`);
    command(rest, print);
    return 0;
  } catch (thrown) {
    printError(messageOf(thrown));
    return 1;
  }
}

/** An argument is JSON; one that is no object or array is written as the only element of an array. */
function parse(text = ''): unknown {
  const value = JSON.parse(text) as unknown;
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}

function parseObject(text: string | undefined): Record<string, unknown> {
  return parse(text) as Record<string, unknown>;
}

function atomicType(text: string | undefined): ColumnType & { readonly key: AtomicType } {
  const type = parse(text);
  return readColumnType(typeof type === 'object' ? { key: type } : type, 'TYPE');
}

function attempt(make: () => string): string {
  try {
    return make();
  } catch (thrown) {
    return messageOf(thrown);
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await runOvsdb(process.argv.slice(2), console.log, console.error);
}
