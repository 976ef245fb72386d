import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { runOvsdb } from '../conformance/ovsdb.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';

const schemaPath = fileURLToPath(new URL('../conformance/idltest.ovsschema', import.meta.url));
const schema = JSON.parse(readFileSync(schemaPath, 'utf8')) as object;
const nil = '00000000-0000-0000-0000-000000000000';

async function drive(...args: string[]): Promise<{ out: string[]; errors: string[]; code: number }> {
  const [out, errors]: [string[], string[]] = [[], []];
  const code = await runOvsdb(
    args,
    (line) => out.push(line),
    (line) => errors.push(line),
  );
  return { out, errors, code };
}

/** UUIDs in the order of their first appearance, as Open vSwitch's suite writes them. */
function withoutUuids(lines: readonly string[]): string[] {
  const seen: string[] = [];
  return lines.map((line) =>
    line.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (uuid) => {
      if (!seen.includes(uuid)) seen.push(uuid);
      return `<${seen.indexOf(uuid)}>`;
    }),
  );
}

describe('the driver for test-ovsdb', () => {
  for (const [command, args, expected] of [
    ['default-atoms', [], ['integer: OK', 'real: OK', 'boolean: OK', 'string: OK', 'uuid: OK']],
    ['parse-atomic-type', ['["uuid"]'], ['"uuid"']],
    ['parse-base-type', ['["boolean"]'], ['"boolean"']],
    [
      'parse-base-type',
      ['{"type":"uuid","refTable":"Port","refType":"strong"}'],
      ['{"refTable":"Port","type":"uuid"}'],
    ],
    ['parse-type', ['{"key":"string","min":0,"max":1}'], ['{"key":"string","min":0}']],
    ['parse-type', ['{"key":"real","value":"uuid","max":"unlimited"}'], ['{"key":"real","max":"unlimited","value":"uuid"}']], // prettier-ignore
    ['parse-column', ['tag', '{"type":"integer","mutable":true,"ephemeral":true}'], ['{"ephemeral":true,"type":"integer"}']], // prettier-ignore
    ['parse-table', ['Port', '{"columns":{"name":{"type":"string"}},"isRoot":true,"indexes":[["name"]]}'], ['{"columns":{"name":{"type":"string"}},"indexes":[["name"]],"isRoot":true}']], // prettier-ignore
    ['parse-table', ['Port', '{"columns":{"name":{"type":"string"}}}', 'true'], ['{"columns":{"name":{"type":"string"}},"isRoot":false}']], // prettier-ignore
    ['parse-schema', ['{"name":"d","tables":{"t":{"columns":{"u":{"type":{"key":"uuid"}}},"isRoot":true}}}'], ['{"name":"d","tables":{"t":{"columns":{"u":{"type":"uuid"}}}}}']], // prettier-ignore
    ['parse-atoms', ['["integer"]', '[1]', '[-7]'], ['1', '-7']],
    ['parse-atoms', ['{"type":"uuid"}', `["uuid","${nil}"]`], [`["uuid","${nil}"]`]],
    ['parse-atoms', ['["string"]', '[true]'], ['OVSDB server sent a value that is not of type string: true']],
    ['sort-atoms', ['["real"]', '[[10, 2.5, -1]]'], ['[-1,2.5,10]']],
    ['sort-atoms', ['["string"]', '[["b","","a"]]'], ['["","a","b"]']],
    ['parse-data', ['{"key":"string","max":3}', '["set",["b","a"]]', '["a"]'], ['["set",["a","b"]]', '"a"']],
    ['parse-data', ['{"key":"string","value":"integer","min":0}', '["map",[]]'], ['["map",[]]']],
    ['diff-data', ['{"key":"integer","min":0,"max":9}', '["set",[1,2]]', '["set",[2,3]]', '["set",[]]', '["set",[]]'], ['diff: ["set",[1,3]]', 'apply diff: ["set",[2,3]]', 'OK', 'diff: ["set",[]]', 'apply diff: ["set",[]]', 'OK']], // prettier-ignore
    ['diff-data', ['{"key":"string","value":"integer","max":9}', '["map",[["a",1],["b",2]]]', '["map",[["b",3],["c",4]]]'], ['diff: ["map",[["a",1],["b",3],["c",4]]]', 'apply diff: ["map",[["b",3],["c",4]]]', 'OK']], // prettier-ignore
    ['diff-data', ['"string"', '["x"]', '["y"]'], ['diff: "y"', 'apply diff: "y"', 'OK']],
  ] as [string, string[], string[]][]) {
    it(`carries out ${command} ${args.join(' ')}`, async () => {
      assert.deepEqual(await drive('-t10', command, ...args), { out: expected, errors: [], code: 0 });
    });
  }

  for (const [program, args, input, expected] of [
    ['ovsdb.ts', ['parse-json'], '{"b":[1, 2], "a":"€"}\n[]', '{"a":"€","b":[1,2]}\n[]\n'],
    ['ovsdb.ts', ['parse-json'], '{"a":', '\n'],
    ['ovsdb.ts', ['parse-json'], 'x', 'OVSDB server sent what is not JSON-RPC: byte 0x78 between messages\n'],
    ['reconnect.ts', [], 'run\n', '### t=1000 ###\nrun\n'],
  ] as [string, string[], string, string][]) {
    it(`reads ${JSON.stringify(input)} from its standard input`, async () => {
      const path = fileURLToPath(new URL(`../conformance/${program}`, import.meta.url));
      const child = promisify(execFile)(process.execPath, ['--import', 'tsx', path, ...args], { timeout: 9000 });
      child.child.stdin?.end(input);
      assert.equal((await child).stdout, expected);
    });
  }

  for (const [command, args, expected] of [
    ['parse-base-type', ['["void"]'], 'OVSDB server sent an unknown type of TYPE: void'],
    ['parse-type', ['{"key":"real","max":0}'], 'OVSDB server sent a type of TYPE with impossible bounds: {"key":"real","max":0}'], // prettier-ignore
    ['parse-column', ['tag', '{}'], 'OVSDB server sent a type of tag that is not an object: nothing'],
    ['parse-table', ['Port', '{"isRoot":true}'], 'OVSDB server sent columns of Port that is not an object: nothing'],
    ['parse-schema', ['{"name":"d"}'], 'OVSDB server sent tables of a schema that is not an object: nothing'],
  ] as [string, string[], string][]) {
    it(`refuses ${command} ${args.join(' ')}`, async () => {
      assert.deepEqual(await drive(command, ...args), { out: [], errors: [expected], code: 1 });
    });
  }

  it('fails on a command that it does not have', async () => {
    assert.deepEqual(await drive('trigger'), { out: [], errors: ['unknown command "trigger"'], code: 1 });
  });
});

describe('the driver for test-ovsdb idl', () => {
  let ovs: PrivateSwitch;
  beforeEach(async () => {
    ovs = await startPrivateSwitch({ schema });
  });
  afterEach(() => ovs.stop());

  const idl = async (...commands: string[]): Promise<string[]> => {
    const { out, errors, code } = await drive('-t10', 'idl', schemaPath, ovs.endpoint, ...commands);
    assert.equal(code, 0, errors.join('\n'));
    return withoutUuids(out);
  };

  it('prints an empty database', async () => {
    assert.deepEqual(await idl(), ['000: empty', '001: done']);
  });

  it('prints the rows after each transaction, and gives names to UUIDs', async () => {
    const row = { i: 1, r: 2.5, b: true, s: 'a b', ia: ['set', [3, 1]], sa: 'x', ua: ['uuid', nil] };
    const out = await idl(
      JSON.stringify(['idltest', { op: 'insert', table: 'simple', row }]),
      JSON.stringify(['idltest', { op: 'update', table: 'simple', where: [['_uuid', '==', ['uuid', '#0#']]], row: { b: false, ba: true } }]), // prettier-ignore
      JSON.stringify(['idltest', { op: 'delete', table: 'simple', where: [] }]),
    );
    const nilName = '<1>';
    assert.deepEqual(out, [
      '000: empty',
      '001: {"error":null,"result":[{"uuid":["uuid","<0>"]}]}',
      `002: table simple: i=1 r=2.5 b=true s=a b u=${nilName} ia=[1 3] ra=[] ba=[] sa=[x] ua=[${nilName}] uuid=<0>`,
      '003: {"error":null,"result":[{"count":1}]}',
      `004: table simple: i=1 r=2.5 b=false s=a b u=${nilName} ia=[1 3] ra=[] ba=[true] sa=[x] ua=[${nilName}] uuid=<0>`,
      '005: {"error":null,"result":[{"count":1}]}',
      '006: empty',
      '007: done',
    ]);
  });

  it('monitors only the columns it is told to', async () => {
    const insert = JSON.stringify(['idltest', { op: 'insert', table: 'simple', row: { i: 7, s: 'unseen' } }]);
    const out = await idl('?simple:i,b!', insert);
    assert.equal(out[2], '002: table simple: i=7 b=false uuid=<0>');
  });

  it('follows references', async () => {
    const out = await idl(
      JSON.stringify([
        'idltest',
        { op: 'insert', table: 'link1', 'uuid-name': 'a', row: { i: 1, k: ['named-uuid', 'a'], ka: ['set', [['named-uuid', 'a']]], l2: ['named-uuid', 'b'] } }, // prettier-ignore
        { op: 'insert', table: 'link2', 'uuid-name': 'b', row: { i: 2, l1: ['named-uuid', 'a'] } },
      ]),
    );
    assert.deepEqual(out.slice(2, 4), [
      '002: table link1: i=1 k=1 ka=[1] l2=2 uuid=<0>',
      '002: table link2: i=2 l1=1 uuid=<1>',
    ]);
  });

  it('carries out transactions in words, and sees the rows again after a reconnect', async () => {
    const out = await idl(
      'insert 1',
      'set 1 s text, set 1 b 1',
      '+set 1 s text',
      '+verify 1 s, increment 1',
      '+abort',
      '+reconnect',
      'delete 2',
    );
    assert.deepEqual(
      out.map((line) => line.replace(/r=0.*s=/, 's=').replace(/ u=.*/, '')),
      [
        '000: empty',
        '001: commit, status=success',
        '002: table simple: i=1 s=',
        '003: commit, status=success',
        '004: commit, status=unchanged',
        '005: commit, status=success, increment=2',
        '006: commit, status=aborted',
        '007: reconnect',
        '008: table simple: i=2 s=text',
        '009: commit, status=success',
        '010: empty',
        '011: done',
      ],
    );
  });

  it('fails when a command asks for a row that is not there', async () => {
    const { errors, code } = await drive('idl', schemaPath, ovs.endpoint, 'delete 5');
    assert.deepEqual([errors, code], [['"delete" command asks for nonexistent i=5'], 1]);
  });
});
