import assert from 'node:assert/strict';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import { ovsdbRemotes } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const strings = { key: 'string', value: 'string', min: 0, max: 'unlimited' };

/** The part of OVN's northbound database in which a guest's port lives (ovn-nb(5)), in an older and a newer version. */
function northbound(switchPortColumns: object): object {
  return {
    name: 'OVN_Northbound',
    version: '7.0.0',
    tables: {
      Logical_Switch: {
        columns: {
          name: { type: 'string' },
          ports: { type: { key: { type: 'uuid', refTable: 'Logical_Switch_Port' }, min: 0, max: 'unlimited' } },
          other_config: { type: strings },
        },
        isRoot: true,
      },
      Logical_Switch_Port: {
        columns: {
          name: { type: 'string' },
          tag: { type: { key: { type: 'integer', minInteger: 1, maxInteger: 4095 }, min: 0, max: 1 } },
          addresses: { type: { key: 'string', min: 0, max: 'unlimited' } },
          options: { type: strings },
          up: { type: { key: 'boolean', min: 0, max: 1 } },
          ...switchPortColumns,
        },
        indexes: [['name']],
      },
    },
  };
}

const tables = {
  Logical_Switch: { name: '', ports: new Set<string>() as ReadonlySet<string> },
  Logical_Switch_Port: {
    name: '',
    tag: null as number | null,
    addresses: new Set<string>() as ReadonlySet<string>,
    options: new Map<string, string>() as ReadonlyMap<string, string>,
    up: null as boolean | null,
    enabled: null as boolean | null,
  },
};

describe('a replica of another schema', () => {
  let ovs: PrivateSwitch;
  let client: OvsdbClient<typeof tables>;
  afterEach(async () => {
    client.stop();
    await ovs.stop();
  });

  for (const [version, more, enabled] of [
    ['older, without a column', {}, null],
    ['newer', { enabled: { type: { key: 'boolean', min: 0, max: 1 } } }, false],
  ] as const) {
    it(`has the types of its template, when the server is ${version}`, async () => {
      ovs = await startPrivateSwitch({ schema: northbound(more) });
      client = new OvsdbClient({ remotes: ovsdbRemotes(ovs.endpoint), timers: systemTimers, database: 'OVN_Northbound', tables }); // prettier-ignore
      client.start();
      await client.ready();
      await client.transact([
        {
          op: 'insert',
          table: 'Logical_Switch_Port',
          uuid: uuid(1),
          row: {
            name: 'vi100',
            tag: 10,
            addresses: ['set', ['dynamic', '02:00:00:00:00:01']],
            options: ['map', [['requested-chassis', 'pve1']]],
            up: true,
            ...(enabled === null ? {} : { enabled }),
          },
        },
        { op: 'insert', table: 'Logical_Switch', uuid: uuid(2), row: { name: 'guests', ports: ['uuid', uuid(1)] } },
      ]);
      const port = client.replica.table('Logical_Switch_Port').get(uuid(1));
      assert.deepEqual(port, {
        name: 'vi100',
        tag: 10,
        addresses: new Set(['dynamic', '02:00:00:00:00:01']),
        options: new Map([['requested-chassis', 'pve1']]),
        up: true,
        enabled,
      });
      assert.deepEqual([...(client.replica.table('Logical_Switch').get(uuid(2))?.ports ?? [])], [uuid(1)]);
      // @ts-expect-error a table that was not asked for
      assert.throws(() => client.replica.table('Logical_Router'));
      // @ts-expect-error a text is no number
      assert.notEqual(port.tag satisfies string | null, '10');
      await client.transact([{ op: 'delete', table: 'Logical_Switch', where: [] }]);
      assert.equal(client.replica.table('Logical_Switch_Port').size, 0);
    });
  }
});
