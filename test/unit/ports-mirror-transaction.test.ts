import assert from 'node:assert/strict';
import type { ObservedMirror, WantedMirror } from '../../src/model/mirror.ts';
import { parsePortName } from '../../src/model/names.ts';
import { portOfChange } from '../../src/ports/change.ts';
import type { Change } from '../../src/ports/change.ts';
import { isOursMirror, mirrorFingerprint, mirrorTarget } from '../../src/ports/mirror-marks.ts';
import { mirrorChangeKey } from '../../src/ports/mirror-plan.ts';
import { insertedMirrorUuid, mirrorOperations } from '../../src/ports/mirror-transaction.ts';
import { buildTransaction } from '../../src/ports/transaction.ts';
import { uuidV5 } from '../../src/ports/uuid-v5.ts';
import { cluster, ovsbr0, ovsbr1, rowOf, wantedOf } from '../support/ports-fixtures.ts';

const vi900 = parsePortName('vi900');
const wanted: WantedMirror = {
  target: vi900,
  bridge: ovsbr0,
  sources: [
    { port: parsePortName('vi100'), row: 'uuid-b' },
    { port: parsePortName('vi101'), row: 'uuid-a' },
  ],
  output: 'uuid-out',
};
const row: ObservedMirror = {
  uuid: 'uuid-mirror',
  name: 'ovs-port-agent-vi900',
  bridge: ovsbr1,
  selectAll: true,
  selectSrcPort: [],
  selectDstPort: [],
  selectVlan: [7],
  outputPort: null,
  outputVlan: 9,
  ids: new Map(),
};

const waitFor = (table: string, column: string, value: unknown): unknown => ({
  op: 'wait',
  timeout: 0,
  table,
  where: [[column, '==', value]],
  columns: [column],
  until: '==',
  rows: [{ [column]: value }],
});
const selection = {
  select_all: false,
  select_src_port: ['set', [['uuid', 'uuid-b'], ['uuid', 'uuid-a']]], // prettier-ignore
  select_dst_port: ['set', [['uuid', 'uuid-b'], ['uuid', 'uuid-a']]], // prettier-ignore
  select_vlan: ['set', []],
  output_port: ['uuid', 'uuid-out'],
  output_vlan: ['set', []],
};
const pairs = [
  ['owner', 'dev.ovs.PortAgent1'],
  ['fields', mirrorFingerprint(wanted)],
  ['txn', 't1'],
];

describe('the transaction of a mirror', () => {
  it('that makes it: bridge and output waited for, row inserted under a UUID of its block, reference added', () => {
    const uuid = uuidV5('Mirror seed');
    assert.equal(insertedMirrorUuid('seed'), uuid);
    assert.deepEqual(mirrorOperations({ kind: 'mirror', wanted }, 'seed', 't1'), [
      waitFor('Bridge', 'name', 'ovsbr0'),
      waitFor('Port', '_uuid', ['uuid', 'uuid-out']),
      {
        op: 'insert',
        table: 'Mirror',
        uuid,
        row: { name: 'ovs-port-agent-vi900', ...selection, external_ids: ['map', pairs] },
      },
      {
        op: 'mutate',
        table: 'Bridge',
        where: [['name', '==', 'ovsbr0']],
        mutations: [['mirrors', 'insert', ['uuid', uuid]]],
      },
    ]);
  });

  it('that sets it: every column by which it selects and puts out, and the marks anew', () => {
    const change = { kind: 'set-mirror', wanted, row, differences: [], drift: false } as const;
    assert.deepEqual(mirrorOperations(change, 'seed', 't1'), [
      waitFor('Mirror', '_uuid', ['uuid', 'uuid-mirror']),
      waitFor('Port', '_uuid', ['uuid', 'uuid-out']),
      { op: 'update', table: 'Mirror', where: [['_uuid', '==', ['uuid', 'uuid-mirror']]], row: selection },
      {
        op: 'mutate',
        table: 'Mirror',
        where: [['_uuid', '==', ['uuid', 'uuid-mirror']]],
        mutations: [
          ['external_ids', 'delete', ['set', ['owner', 'fields', 'txn']]],
          ['external_ids', 'insert', ['map', pairs]],
        ],
      },
    ]);
  });

  it('that takes it away: only its reference on the bridge where it is, when it is there', () => {
    assert.deepEqual(mirrorOperations({ kind: 'unmirror', row }, 'seed', 't1'), [
      waitFor('Mirror', '_uuid', ['uuid', 'uuid-mirror']),
      {
        op: 'mutate',
        table: 'Bridge',
        where: [['name', '==', 'ovsbr1']],
        mutations: [['mirrors', 'delete', ['uuid', 'uuid-mirror']]],
      },
    ]);
  });

  it('is part of one with changes of ports, each with its own seed, and is applied by the switch', () => {
    const changes: Change[] = [
      { kind: 'unmirror', row },
      { kind: 'mirror', wanted },
      { kind: 'set-mirror', wanted, row, differences: [], drift: true },
    ];
    const { operations, nextCfgIndex } = buildTransaction(
      changes.map((change, index) => ({ change, seed: `seed${index}` })),
      { cluster, txn: 't1', comment: 'c' },
    );
    assert.deepEqual(operations.slice(1, -3), [
      ...mirrorOperations({ kind: 'unmirror', row }, 'seed0', 't1'),
      ...mirrorOperations({ kind: 'mirror', wanted }, 'seed1', 't1'),
      ...mirrorOperations({ kind: 'set-mirror', wanted, row, differences: [], drift: true }, 'seed2', 't1'),
    ]);
    assert.equal(nextCfgIndex, operations.length - 2);
  });
});

describe('a mirror', () => {
  it('is ours by its mark or by its name, and its name says for which port it was made', () => {
    const named = { ...row, ids: new Map<string, string>() };
    const marked = { ...row, name: 'span', ids: new Map([['owner', 'dev.ovs.PortAgent1']]) };
    const foreign = { ...row, name: 'vi900-ovs-port-agent-', ids: new Map([['owner', 'somebody']]) };
    assert.deepEqual([named, marked, foreign].map(isOursMirror), [true, true, false]);
    assert.deepEqual([named, marked, foreign].map(mirrorTarget), ['vi900', null, null]);
  });

  it('has the fingerprint of its ports in any order, and another with any other port', () => {
    const [first, second] = [wanted.sources[0]!, wanted.sources[1]!];
    const print = mirrorFingerprint(wanted);
    assert.match(print, /^[0-9a-f]{16}$/);
    assert.equal(mirrorFingerprint({ ...wanted, sources: [second, first] }), print);
    assert.notEqual(mirrorFingerprint({ ...wanted, sources: [first] }), print);
    assert.notEqual(mirrorFingerprint({ ...wanted, sources: [first, { ...second, row: 'uuid-c' }] }), print);
    assert.notEqual(mirrorFingerprint({ ...wanted, output: 'uuid-c' }), print);
  });

  it('is asked for once by one change, and again by another', () => {
    const set = { kind: 'set-mirror', wanted, row, differences: [], drift: false } as const;
    const changes = [
      { kind: 'mirror', wanted },
      { kind: 'mirror', wanted: { ...wanted, bridge: ovsbr1 } },
      { kind: 'mirror', wanted: { ...wanted, target: parsePortName('vi901') } },
      { kind: 'mirror', wanted: { ...wanted, output: 'uuid-c' } },
      set,
      { kind: 'unmirror', row },
      { kind: 'unmirror', row: { ...row, uuid: 'uuid-other' } },
    ] as const;
    assert.equal(new Set(changes.map(mirrorChangeKey)).size, changes.length);
    assert.equal(mirrorChangeKey({ ...set, drift: true }), mirrorChangeKey(set));
  });
});

describe('the port that a change is about', () => {
  const observed = rowOf('veth100i0');
  const port = wantedOf(100);
  const rows: [Change, string][] = [
    [{ kind: 'attach', wanted: port, after: [] }, 'vi100'],
    [{ kind: 'adopt', wanted: port, row: observed }, 'vi100'],
    [{ kind: 'replace', wanted: port, row: observed, after: [] }, 'vi100'],
    [{ kind: 'set', wanted: port, row: observed, differences: [], drift: false }, 'vi100'],
    [{ kind: 'detach', port: parsePortName('vi100'), row: observed }, 'vi100'],
    [{ kind: 'detach', port: null, row: observed }, 'veth100i0'],
    [{ kind: 'mirror', wanted }, 'vi900'],
    [{ kind: 'set-mirror', wanted, row, differences: [], drift: false }, 'vi900'],
    [{ kind: 'unmirror', row }, 'ovs-port-agent-vi900'],
  ];
  for (const [change, name] of rows) {
    it(`is ${name} for ${change.kind}`, () => {
      assert.equal(portOfChange(change), name);
    });
  }
});
