import assert from 'node:assert/strict';
import { parseContainerName } from '../../src/model/names.ts';
import type { WantedPort } from '../../src/model/port.ts';
import {
  foreignColumnNames,
  foreignColumnsOf,
  foreignPortColumns,
  unwritten,
} from '../../src/ports/foreign-columns.ts';
import { carries, interfaceMarks, isOurs, portMarks } from '../../src/ports/marks.ts';
import { readSetting } from '../../src/ports/settings.ts';
import { boundOf, rowOf, wantedOf } from '../support/ports-fixtures.ts';

const textOf = (marks: ReadonlyMap<string, string>): string =>
  [...marks].map(([key, value]) => `${key}=${value}`).join(' ');

describe('the marks of a port', () => {
  const bound = boundOf('wg0', 'vi_web');
  const named: WantedPort = { ...bound, owner: { kind: 'binding', vmid: null, container: parseContainerName('web') } };
  const rows: [string, WantedPort, string, string][] = [
    [
      'a guest',
      wantedOf(100, 1),
      'owner=dev.ovs.PortAgent1 port-name=vi100i1 vm-id=100',
      'iface-id=c-100-net1 iface-status=active vm-id=100',
    ],
    [
      'a guest whose MAC is known',
      { ...wantedOf(100), mac: 'bc:24:11:00:00:01' },
      'owner=dev.ovs.PortAgent1 port-name=vi100 vm-id=100',
      'iface-id=c-100-net0 iface-status=active vm-id=100 attached-mac=bc:24:11:00:00:01',
    ],
    ['a device', bound, 'owner=dev.ovs.PortAgent1 port-name=vi_web', 'iface-id=c-vi_web iface-status=active'],
    [
      'a device of a container',
      named,
      'owner=dev.ovs.PortAgent1 port-name=vi_web container=web',
      'iface-id=c-vi_web iface-status=active',
    ],
    [
      'a device of a guest',
      boundOf('wg0', 'vi_web', 'ovsbr0', 105),
      'owner=dev.ovs.PortAgent1 port-name=vi_web vm-id=105',
      'iface-id=c-105-net0 iface-status=active vm-id=105',
    ],
  ];
  for (const [whose, wanted, ofPort, ofInterface] of rows) {
    it(`say whose it is: of ${whose}`, () => {
      assert.equal(textOf(portMarks(wanted)), ofPort);
      assert.equal(textOf(interfaceMarks(wanted, 'c')), ofInterface);
    });
  }

  it('stand among those of others, each with its value', () => {
    const marks = new Map([
      ['a', '1'],
      ['b', '2'],
    ]);
    assert.equal(carries(new Map([...marks, ['c', '3']]), marks), true);
    assert.equal(carries(new Map([['a', '1']]), marks), false);
    assert.equal(carries(new Map([...marks, ['b', '3']]), marks), false);
    assert.equal(carries(new Map(), new Map()), true);
  });

  it('make a row ours by the owner alone', () => {
    const owned = (owner: string): boolean => isOurs(rowOf('veth100i0', { portIds: new Map([['owner', owner]]) }));
    assert.deepEqual([owned('dev.ovs.PortAgent1'), owned('dev.ovs.PortAgent2'), isOurs(rowOf('a'))], [true, false, false]); // prettier-ignore
  });
});

describe('columns of a Port row that neither Proxmox VE nor the agent sets', () => {
  it('are absent from a row that nobody has written them into', () => {
    assert.deepEqual(foreignColumnsOf(foreignPortColumns, foreignColumnNames), {
      foreignColumns: [],
      unwrittenColumns: foreignColumnNames,
    });
  });

  const written: { readonly [Column in keyof typeof foreignPortColumns]: (typeof foreignPortColumns)[Column] } = {
    bond_active_slave: '',
    bond_downdelay: 1,
    bond_fake_iface: true,
    bond_mode: 'active-backup',
    bond_updelay: -1,
    cvlans: new Set([0]),
    fake_bridge: true,
    lacp: 'off',
    mac: '02:00:00:00:00:01',
    other_config: new Map([['a', '']]),
    protected: true,
    qos: '00000000-0000-4000-8000-000000000001',
  };
  for (const [column, value] of Object.entries(written)) {
    it(`are named once written: ${column}`, () => {
      assert.deepEqual(foreignColumnsOf({ ...foreignPortColumns, [column]: value }, foreignColumnNames), {
        foreignColumns: [column],
        unwrittenColumns: foreignColumnNames.filter((name) => name !== column),
      });
    });
  }

  it('are named all together, sorted', () => {
    assert.deepEqual(foreignColumnsOf(written, foreignColumnNames), {
      foreignColumns: Object.keys(written).sort(),
      unwrittenColumns: [],
    });
  });

  it('are only those that the schema of the switch has', () => {
    assert.deepEqual(foreignColumnsOf(written, ['mac']), { foreignColumns: ['mac'], unwrittenColumns: [] });
    assert.deepEqual(foreignColumnsOf(foreignPortColumns, ['qos']), { foreignColumns: [], unwrittenColumns: ['qos'] });
  });

  it('are absent on the wire as RFC 7047 has it', () => {
    const [none, map] = [
      ['set', []],
      ['map', []],
    ];
    assert.deepEqual(unwritten(foreignColumnNames), {
      bond_active_slave: none,
      bond_downdelay: 0,
      bond_fake_iface: false,
      bond_mode: none,
      bond_updelay: 0,
      cvlans: none,
      fake_bridge: false,
      lacp: none,
      mac: none,
      other_config: map,
      protected: false,
      qos: none,
    });
    assert.deepEqual(unwritten(['mac']), { mac: none });
  });
});

describe('a column of a row as people read it', () => {
  it('is its value, "none" for an absent one, and nothing for a column that the agent never sets', () => {
    const row = rowOf('veth100i0', { tag: 10, trunks: [20, 30] });
    assert.deepEqual(
      ['tag', 'trunks', 'vlan_mode', 'name', 'toString', '__proto__'].map((column) => readSetting(row, column)),
      ['10', '20,30', 'none', null, null, null],
    );
    assert.equal(readSetting(rowOf('a'), 'trunks'), 'none');
  });
});
