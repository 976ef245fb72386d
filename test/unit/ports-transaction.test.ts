import assert from 'node:assert/strict';
import { buildTransaction, insertedPortUuid, switchLock } from '../../src/ports/transaction.ts';
import type { PortChange } from '../../src/ports/plan.ts';
import { uuidV5 } from '../../src/ports/uuid-v5.ts';
import type { WantedPort } from '../../src/model/port.ts';
import type { Operation, Row, UuidAtom } from '../../src/ovsdb/wire.ts';
import { fieldsFingerprint } from '../../src/ports/marks.ts';
import { settingsDiffer } from '../../src/ports/settings.ts';
import { attachedRowOf, boundOf, cluster, markedRowOf, rowOf, wantedOf } from '../support/ports-fixtures.ts';

const context = { cluster, txn: 't1', comment: 'ovs-port-agent txn t1 ledger 7 abc' };
const build = (...changes: PortChange[]): ReturnType<typeof buildTransaction> =>
  buildTransaction(
    changes.map((change, index) => ({ change, seed: `seed${index}` })),
    context,
  );
const attach = (wanted: WantedPort): PortChange => ({ kind: 'attach', wanted, after: [] });
const bump = { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] };
const look = { op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] };
const frame = (...operations: unknown[]): unknown[] => [
  { op: 'assert', lock: switchLock },
  ...operations,
  { op: 'comment', comment: context.comment },
];

const waitForPort = (uuid: string): unknown => ({
  op: 'wait',
  timeout: 0,
  table: 'Port',
  where: [['_uuid', '==', ['uuid', uuid]]],
  columns: ['_uuid'],
  until: '==',
  rows: [{ _uuid: ['uuid', uuid] }],
});

/** Old values go first: `insert` keeps a key that is there. */
const marks = (table: string, uuid: string, pairs: [string, string][]): unknown => ({
  op: 'mutate',
  table,
  where: [['_uuid', '==', ['uuid', uuid]]],
  mutations: [
    ['external_ids', 'delete', ['set', pairs.map(([key]) => key)]],
    ['external_ids', 'insert', ['map', pairs]],
  ],
});

describe('the transaction', () => {
  it('that attaches: bridge waited for, rows inserted, reference added, next_cfg counted up', () => {
    const { operations, nextCfgIndex } = build(attach(wantedOf(100, 0, { tag: 10 })));
    assert.deepEqual(
      operations,
      frame(
        {
          op: 'wait',
          timeout: 0,
          table: 'Bridge',
          where: [['name', '==', 'ovsbr0']],
          columns: ['name'],
          until: '==',
          rows: [{ name: 'ovsbr0' }],
        },
        {
          op: 'insert',
          table: 'Interface',
          uuid: uuidV5('Interface seed0'),
          row: {
            name: 'veth100i0',
            external_ids: [
              'map',
              [
                ['iface-id', 'cluster1-100-net0'],
                ['iface-status', 'active'],
                ['vm-id', '100'],
              ],
            ],
          },
        },
        {
          op: 'insert',
          table: 'Port',
          uuid: insertedPortUuid('seed0'),
          row: {
            name: 'veth100i0',
            interfaces: ['uuid', uuidV5('Interface seed0')],
            external_ids: [
              'map',
              [
                ['owner', 'dev.ovs.PortAgent1'],
                ['port-name', 'vi100'],
                ['vm-id', '100'],
                ['txn', 't1'],
                ['fields', '9ab457064c521099'],
              ],
            ],
            tag: 10,
          },
        },
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', 'ovsbr0']],
          mutations: [['ports', 'insert', ['uuid', insertedPortUuid('seed0')]]],
        },
        bump,
        look,
      ),
    );
    assert.equal(nextCfgIndex, operations.length - 2);
    assert.deepEqual(operations[nextCfgIndex], look);
  });

  for (const [what, options, columns] of [
    ['neither tag nor trunks', {}, {}],
    ['a tag', { tag: 10 }, { tag: 10 }],
    ['trunks', { trunks: [20, 30] }, { trunks: ['set', [20, 30]] }],
    ['both', { tag: 10, trunks: [20] }, { tag: 10, trunks: ['set', [20]], vlan_mode: 'native-untagged' }],
  ] as const) {
    it(`sets what Proxmox VE sets for ${what}`, () => {
      const { operations } = build(attach(wantedOf(100, 0, options)));
      const insert = operations.find((operation) => operation.op === 'insert' && operation.table === 'Port');
      assert.ok(insert?.op === 'insert');
      const { tag, trunks, vlan_mode } = insert.row;
      assert.deepEqual(JSON.parse(JSON.stringify({ tag, trunks, vlan_mode })), columns);
    });
  }

  it('makes the internal port of the firewall, and no other', () => {
    for (const firewall of [true, false]) {
      const { operations } = build(attach(wantedOf(100, 0, { firewall })));
      const insert = operations.find((operation) => operation.op === 'insert' && operation.table === 'Interface');
      assert.ok(insert?.op === 'insert');
      assert.equal(insert.row['type'], firewall ? 'internal' : undefined);
      assert.equal(insert.row['name'], firewall ? 'fwln100o0' : 'veth100i0');
    }
  });

  it('names the row of a device that was handed over after the port, the Interface after the device', () => {
    const { operations } = build(attach(boundOf('dummy0', 'vi_dummy0')));
    const names = operations.flatMap((operation) => (operation.op === 'insert' ? [operation.row['name']] : []));
    assert.deepEqual(names, ['dummy0', 'vi_dummy0']);
  });

  it('asks for the mtu that the bridge has, and for none when that is not known', () => {
    for (const mtu of [9000, null]) {
      const { operations } = build(attach(wantedOf(100, 0, { mtu })));
      const insert = operations.find((operation) => operation.op === 'insert' && operation.table === 'Interface');
      assert.ok(insert?.op === 'insert');
      assert.equal(insert.row['mtu_request'], mtu ?? undefined);
    }
  });

  it('that adopts: only marks, old values of our keys replaced, and nothing for ovs-vswitchd to apply', () => {
    const row = rowOf('veth100i0');
    const { operations, nextCfgIndex } = build({ kind: 'adopt', wanted: wantedOf(100), row });
    assert.equal(nextCfgIndex, null);
    assert.deepEqual(
      operations,
      frame(
        waitForPort(row.portUuid),
        marks('Port', row.portUuid, [
          ['owner', 'dev.ovs.PortAgent1'],
          ['port-name', 'vi100'],
          ['vm-id', '100'],
          ['txn', 't1'],
        ]),
        marks('Interface', row.interfaceUuid, [
          ['iface-id', 'cluster1-100-net0'],
          ['iface-status', 'active'],
          ['vm-id', '100'],
        ]),
      ),
    );
  });

  it('that replaces: a row that loses nothing waited for; the same Interface, VLAN, keys and mirrors under a new name', () => {
    const wanted = wantedOf(100, 0, { tag: 10, trunks: [20], mtu: 9000, mode: 'port' });
    const row = rowOf('veth100i0', {
      tag: 99,
      trunks: [20],
      vlanMode: 'native-untagged',
      portIds: new Map([['fabric', 'x']]),
    });
    const asItWas: Row = {
      name: 'veth100i0',
      interfaces: ['uuid', row.interfaceUuid],
      external_ids: ['map', [['fabric', 'x']]],
      tag: 99,
      trunks: ['set', [20]],
      vlan_mode: 'native-untagged',
      bond_active_slave: ['set', []],
      bond_downdelay: 0,
      bond_fake_iface: false,
      bond_mode: ['set', []],
      bond_updelay: 0,
      cvlans: ['set', []],
      fake_bridge: false,
      lacp: ['set', []],
      mac: ['set', []],
      other_config: ['map', []],
      protected: false,
      qos: ['set', []],
    };
    const old: UuidAtom = ['uuid', row.portUuid];
    const renamed: UuidAtom = ['uuid', insertedPortUuid('seed0')];
    const mirrored = (column: string): Operation => ({
      op: 'mutate',
      table: 'Mirror',
      where: [[column, 'includes', old]],
      mutations: [
        [column, 'delete', old],
        [column, 'insert', renamed],
      ],
    });
    const { operations, nextCfgIndex } = build({ kind: 'replace', wanted, row, after: [] });
    assert.deepEqual(
      operations,
      frame(
        {
          op: 'wait',
          timeout: 0,
          table: 'Port',
          where: [['_uuid', '==', ['uuid', row.portUuid]]],
          columns: Object.keys(asItWas),
          until: '==',
          rows: [asItWas],
        },
        {
          op: 'insert',
          table: 'Port',
          uuid: insertedPortUuid('seed0'),
          row: {
            name: 'vi100',
            interfaces: ['uuid', row.interfaceUuid],
            external_ids: [
              'map',
              [
                ['fabric', 'x'],
                ['owner', 'dev.ovs.PortAgent1'],
                ['port-name', 'vi100'],
                ['vm-id', '100'],
                ['txn', 't1'],
              ],
            ],
            tag: 99,
            trunks: ['set', [20]],
            vlan_mode: 'native-untagged',
          },
        },
        marks('Interface', row.interfaceUuid, [
          ['iface-id', 'cluster1-100-net0'],
          ['iface-status', 'active'],
          ['vm-id', '100'],
        ]),
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', 'ovsbr0']],
          mutations: [
            ['ports', 'delete', old],
            ['ports', 'insert', renamed],
          ],
        },
        mirrored('select_src_port'),
        mirrored('select_dst_port'),
        mirrored('output_port'),
        bump,
        look,
      ),
    );
    assert.equal(nextCfgIndex, operations.length - 2);
  });

  describe('that sets', () => {
    const set = (wanted: WantedPort, got: Parameters<typeof attachedRowOf>[1]): PortChange & { kind: 'set' } => {
      const row = attachedRowOf(wanted, got);
      return { kind: 'set', wanted, row, differences: settingsDiffer(wanted, row), drift: true };
    };

    it('writes the VLAN columns and what it set, into a row that is as it was seen, and nothing else', () => {
      const wanted = wantedOf(100, 0, { tag: 10, trunks: [20, 30], mtu: 9000 });
      const change = set(wanted, { tag: 20 });
      const { operations, nextCfgIndex } = build(change);
      assert.deepEqual(
        operations,
        frame(
          {
            op: 'wait',
            timeout: 0,
            table: 'Port',
            where: [['_uuid', '==', ['uuid', change.row.portUuid]]],
            columns: ['tag', 'trunks', 'vlan_mode'],
            until: '==',
            rows: [{ tag: 20, trunks: ['set', [20, 30]], vlan_mode: 'native-untagged' }],
          },
          {
            op: 'update',
            table: 'Port',
            where: [['_uuid', '==', ['uuid', change.row.portUuid]]],
            row: { tag: 10, trunks: ['set', [20, 30]], vlan_mode: 'native-untagged' },
          },
          marks('Port', change.row.portUuid, [
            ['txn', 't1'],
            ['fields', fieldsFingerprint(wanted)],
          ]),
          bump,
          look,
        ),
      );
      assert.equal(nextCfgIndex, operations.length - 2);
    });

    it('empties what should be empty, and leaves the mtu alone, which is asked for at the plug', () => {
      const { operations } = build(set(wantedOf(100), { tag: 20, trunks: [30] }));
      assert.deepEqual(
        operations.flatMap((operation) => (operation.op === 'update' ? [[operation.table, operation.row]] : [])),
        [['Port', { tag: ['set', []], trunks: ['set', []], vlan_mode: ['set', []] }]],
      );
    });
  });

  it('that detaches: the row waited for, and its reference gone; by UUID, never by name', () => {
    const row = markedRowOf(wantedOf(100));
    const { operations } = build({ kind: 'detach', port: wantedOf(100).port, row });
    assert.deepEqual(
      operations,
      frame(
        waitForPort(row.portUuid),
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', 'ovsbr0']],
          mutations: [['ports', 'delete', ['uuid', row.portUuid]]],
        },
        bump,
        look,
      ),
    );
  });

  it('holds many changes, counts next_cfg up once, and gives every insert a UUID of its own', () => {
    const { operations } = build(
      ...Array.from({ length: 50 }, (_, index) => attach(wantedOf(100 + index))),
      { kind: 'adopt', wanted: wantedOf(99 + 100), row: rowOf('veth199i0') },
      { kind: 'detach', port: null, row: rowOf('veth300i0') },
    );
    const uuids = operations.flatMap((operation) => (operation.op === 'insert' ? [operation.uuid] : []));
    assert.equal(new Set(uuids).size, 100);
    assert.equal(operations.filter((operation) => operation.op === 'select').length, 1);
    assert.deepEqual(
      operations.filter(({ op }) => op === 'assert'),
      [operations[0]],
    );
  });

  it('never updates a column that others write into as well', () => {
    const { operations } = build(
      attach(wantedOf(100)),
      { kind: 'adopt', wanted: wantedOf(101), row: rowOf('veth101i0') },
      { kind: 'detach', port: null, row: rowOf('veth102i0') },
      { kind: 'replace', wanted: wantedOf(103, 0, { mode: 'port', mtu: 9000 }), row: rowOf('veth103i0'), after: [] },
      { kind: 'set', wanted: wantedOf(104, 0, { mtu: 9000 }), row: rowOf('veth104i0'), differences: [], drift: false },
    );
    const updated = operations.flatMap((operation) => (operation.op === 'update' ? Object.keys(operation.row) : []));
    assert.deepEqual([...new Set(updated)].sort(), ['tag', 'trunks', 'vlan_mode']);
    assert.deepEqual(
      operations.filter(({ op }) => op === 'delete'),
      [],
    );
  });
});
