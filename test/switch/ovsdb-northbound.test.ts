import assert from 'node:assert/strict';
import { join } from 'node:path';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { RowChange, Tables } from '../../src/ovsdb/replica.ts';
import type { Operation } from '../../src/ovsdb/wire.ts';
import { ovsdbRemotes } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { templates } from '../conformance/idl.ts';
import type { Schema } from '../conformance/idl.ts';
import { northboundSchema } from '../support/northbound-schema.ts';
import { runTool, startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { refusedWith } from '../support/refused.ts';
import { waitFor } from '../support/wait-for.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const none: ReadonlySet<string> = new Set();
const noTexts: ReadonlyMap<string, string> = new Map();

/** What a guest's port consists of in OVN, and a column that no version has. */
const tables = {
  Logical_Switch: { name: '', ports: none, acls: none },
  Logical_Switch_Port: {
    name: '',
    tag: null as number | null,
    addresses: none,
    options: noTexts,
    enabled: null as boolean | null,
    dhcpv4_options: null as string | null,
    vi_name: null as string | null,
  },
  Port_Group: { name: '', ports: none },
  ACL: { priority: 0, direction: '', match: '', log: false },
  DHCP_Options: { cidr: '', options: noTexts },
};

const port: Operation = {
  op: 'insert',
  table: 'Logical_Switch_Port',
  uuid: uuid(1),
  row: {
    name: 'vi100',
    tag: 10,
    addresses: ['set', ['02:00:00:00:00:01 192.0.2.1', 'unknown']],
    options: ['map', [['requested-chassis', 'pve1']]],
    enabled: true,
    dhcpv4_options: ['uuid', uuid(5)],
  },
};
const acl: Operation = {
  op: 'insert',
  table: 'ACL',
  uuid: uuid(3),
  row: { priority: 1000, direction: 'to-lport', match: 'ip4', action: 'drop', log: false },
};
const everything: Operation[] = [
  port,
  { op: 'insert', table: 'Port_Group', uuid: uuid(4), row: { name: 'guests', ports: ['uuid', uuid(1)] } },
  acl,
  { op: 'insert', table: 'DHCP_Options', uuid: uuid(5), row: { cidr: '192.0.2.0/24', options: ['map', [['mtu', '1400']]] } }, // prettier-ignore
  { op: 'insert', table: 'Logical_Switch', uuid: uuid(2), row: { name: 'lan', ports: ['uuid', uuid(1)], acls: ['uuid', uuid(3)] } }, // prettier-ignore
];
const whereRow = (n: number): [['_uuid', '==', ['uuid', string]]] => [['_uuid', '==', ['uuid', uuid(n)]]];

describe('a replica of OVN’s northbound database', () => {
  let ovs: PrivateSwitch;
  const clients: { stop: () => void }[] = [];
  beforeEach(async () => {
    ovs = await startPrivateSwitch({ schema: northboundSchema() });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.stop();
    await ovs.stop();
  });

  async function connect<T extends Tables>(chosen: T): Promise<OvsdbClient<T>> {
    const client = new OvsdbClient({ remotes: ovsdbRemotes(ovs.endpoint), timers: systemTimers, database: 'OVN_Northbound', tables: chosen }); // prettier-ignore
    clients.push(client);
    client.start();
    await client.ready();
    return client;
  }

  /** Events in the server's order, which has none within a transaction. */
  function listenTo(client: OvsdbClient<typeof tables>): () => string[] {
    let heard: string[] = [];
    client.listen({
      onChanges: (changes) => {
        heard.push(...changes.map(({ kind, table, uuid: id }) => `${kind} ${table} ${Number(id.slice(-4))}`).sort());
      },
    });
    return () => {
      const all = heard;
      heard = [];
      return all;
    };
  }

  it('holds the values of the chosen columns in their types', async () => {
    const client = await connect(tables);
    await client.transact(everything);
    const { replica } = client;
    assert.deepEqual(replica.table('Logical_Switch_Port').get(uuid(1)), {
      name: 'vi100',
      tag: 10,
      addresses: new Set(['02:00:00:00:00:01 192.0.2.1', 'unknown']),
      options: new Map([['requested-chassis', 'pve1']]),
      enabled: true,
      dhcpv4_options: uuid(5),
      vi_name: null,
    });
    assert.deepEqual(replica.table('ACL').get(uuid(3)), {
      priority: 1000,
      direction: 'to-lport',
      match: 'ip4',
      log: false,
    });
    assert.deepEqual(replica.table('Port_Group').get(uuid(4)), { name: 'guests', ports: new Set([uuid(1)]) });
    assert.deepEqual(replica.table('DHCP_Options').get(uuid(5))?.options, new Map([['mtu', '1400']]));
  });

  it('tells exactly what inserts, mutations and deletions change, in other tables too', async () => {
    const client = await connect(tables);
    const heard = listenTo(client);
    await client.transact(everything);
    assert.deepEqual(heard(), [
      'insert ACL 3',
      'insert DHCP_Options 5',
      'insert Logical_Switch 2',
      'insert Logical_Switch_Port 1',
      'insert Port_Group 4',
    ]);
    await client.transact([
      { op: 'mutate', table: 'Logical_Switch_Port', where: whereRow(1), mutations: [['addresses', 'delete', 'unknown'], ['options', 'insert', ['map', [['mcast_flood', 'true']]]]] }, // prettier-ignore
      { op: 'mutate', table: 'ACL', where: whereRow(3), mutations: [['priority', '+=', 1]] },
    ]);
    assert.deepEqual(heard(), ['modify ACL 3', 'modify Logical_Switch_Port 1']);
    const row = client.replica.table('Logical_Switch_Port').get(uuid(1));
    assert.deepEqual([...(row?.addresses ?? [])], ['02:00:00:00:00:01 192.0.2.1']);
    assert.deepEqual(row?.options, new Map([['requested-chassis', 'pve1'], ['mcast_flood', 'true']])); // prettier-ignore
    assert.equal(client.replica.table('ACL').get(uuid(3))?.priority, 1001);

    await client.transact([{ op: 'update', table: 'Logical_Switch_Port', where: whereRow(1), row: { name: 'vi100' } }]);
    await client.transact([
      { op: 'update', table: 'Logical_Switch_Port', where: whereRow(1), row: { type: 'router' } },
    ]);
    assert.deepEqual(heard(), [], 'the same value, and a column that was not chosen');

    // Strong references go with the switch, weak ones to what went are emptied.
    await client.transact([{ op: 'delete', table: 'DHCP_Options', where: [] }]);
    assert.deepEqual(heard(), ['delete DHCP_Options 5', 'modify Logical_Switch_Port 1']);
    await client.transact([{ op: 'delete', table: 'Logical_Switch', where: [] }]);
    assert.deepEqual(heard(), ['delete ACL 3', 'delete Logical_Switch 2', 'delete Logical_Switch_Port 1', 'modify Port_Group 4']); // prettier-ignore
    assert.deepEqual(client.replica.table('Port_Group').get(uuid(4)), { name: 'guests', ports: none });
  });

  it('tells after a restart of the server what changed meanwhile, and nothing else', async () => {
    const client = await connect(tables);
    await client.transact(everything);
    const heard = listenTo(client);
    await ovs.killServer();
    const update = { op: 'update', table: 'ACL', where: [], row: { match: 'ip6' } };
    await runTool(ovs.folder, 'ovsdb-tool', 'transact', join(ovs.folder, 'conf.db'), JSON.stringify(['OVN_Northbound', update])); // prettier-ignore
    await ovs.startServer();
    await client.ready();
    assert.deepEqual(heard(), ['modify ACL 3']);
    assert.equal(client.replica.table('ACL').get(uuid(3))?.match, 'ip6');
  });

  it('hears the server’s own word when a constraint of the schema refuses a change', async () => {
    const client = await connect(tables);
    const heard = listenTo(client);
    for (const [row, what] of [
      [{ ...port.row, tag: 4096 }, 'in the valid range 1 to 4095'],
      [{ ...port.row, dhcpv4_options: 'x' }, 'expected ["uuid"'],
    ] as const) {
      await assert.rejects(client.transact([{ ...port, row }]), refusedWith('SwitchError', what));
    }
    await client.transact(everything);
    heard();
    const twice = { ...port, uuid: uuid(6) };
    const joined: Operation = { op: 'mutate', table: 'Logical_Switch', where: [], mutations: [['ports', 'insert', ['uuid', uuid(6)]]] }; // prettier-ignore
    await assert.rejects(client.transact([twice, joined]), refusedWith('SwitchError', 'vi100'));
    assert.deepEqual(heard(), []);
  });

  it('takes every table and column of it at once', async () => {
    const all = templates(northboundSchema() as unknown as Schema, null);
    const client = await connect(all);
    const changes: RowChange<Tables>[] = [];
    client.listen({ onChanges: (more) => changes.push(...more) });
    await client.transact(everything);
    await waitFor('the rows', () => changes.length === everything.length);
    const { table, row } = changes.find(({ uuid: id }) => id === uuid(2)) ?? assert.fail('no row of the switch');
    assert.equal(table, 'Logical_Switch');
    assert.deepEqual(Object.keys(row).sort(), Object.keys(all['Logical_Switch'] ?? {}).sort());
    assert.ok(Object.keys(all).length >= 25, `${Object.keys(all).length} tables`);
  });
});
