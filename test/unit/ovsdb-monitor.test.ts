import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { Replica } from '../../src/ovsdb/replica.ts';
import { checkServer, serverTables } from '../../src/ovsdb/server-database.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';
import { FakeOvsdbServer, thingSchema, thingTables } from '../support/fake-ovsdb-server.ts';
import { thingClient } from '../support/ovsdb-suite.ts';
import type { ThingClient } from '../support/ovsdb-suite.ts';
import { refusedWith } from '../support/refused.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

async function started(
  monitorMethod: FakeOvsdbServer['monitorMethod'],
): Promise<{ server: FakeOvsdbServer; client: ThingClient; asked: () => string[] }> {
  const server = new FakeOvsdbServer();
  server.monitorMethod = monitorMethod;
  const client = thingClient({ endpoint: 'unix:/fake', dial: server.dial, timers: new FakeClock() });
  client.start();
  await settled();
  const asked = (): string[] =>
    server.latest.received.map(({ method }) => method).filter((name) => /^monitor/.test(name));
  return { server, client, asked };
}

describe('a monitor', () => {
  for (const [method, asked] of [
    ['monitor_cond_since', ['monitor_cond_since']],
    ['monitor_cond', ['monitor_cond_since', 'monitor_cond']],
    ['monitor', ['monitor_cond_since', 'monitor_cond', 'monitor']],
  ] as const) {
    it(`is a ${method} where that is the newest that the server knows`, async () => {
      const { client, asked: askedFor } = await started(method);
      assert.equal(client.problem, null);
      assert.deepEqual(askedFor(), asked);
      client.stop();
    });
  }

  for (const [method, notification] of [
    ['monitor_cond_since', { method: 'update2', params: ['ovs-port-agent', {}], id: null }],
    ['monitor_cond', { method: 'update', params: ['ovs-port-agent', {}], id: null }],
    ['monitor', { method: 'update3', params: ['ovs-port-agent', uuid(0), {}], id: null }],
  ] as const) {
    it(`of ${method} drops a server that sends ${notification.method}`, async () => {
      const { client, server } = await started(method);
      server.latest.send(notification);
      await settled();
      assert.match(client.problem?.message ?? '', new RegExp(`an ${notification.method} where a monitor sends`));
      client.stop();
    });
  }

  it('is refused by a server that knows none of them, and by one that answers otherwise', async () => {
    for (const [error, words] of [
      ['unknown method', /OVSDB monitor failed: unknown method/],
      [{ error: 'permission error' }, /OVSDB monitor_cond_since failed: permission error/],
    ] as const) {
      const server = new FakeOvsdbServer();
      for (const method of ['monitor_cond_since', 'monitor_cond', 'monitor']) {
        server.on.set(method, ({ id }, connection) => {
          connection.send({ id, result: null, error });
        });
      }
      const client = thingClient({ endpoint: 'unix:/fake', dial: server.dial, timers: new FakeClock() });
      client.start();
      await settled();
      assert.match(client.problem?.message ?? '', words);
      client.stop();
    }
  });
});

describe('updates as RFC 7047 writes them', () => {
  const replica = (): Replica<typeof thingTables> => new Replica(thingTables, thingSchema);
  const row = { name: 'a', size: 1, label: ['set', []], tags: 'x', ids: ['map', []], pair: ['map', []], some: 0 };
  const kinds = (target: Replica<typeof thingTables>, updates: unknown): string[] =>
    target.apply({ Thing: updates }, 'table-updates').map(({ kind, row: { name, size } }) => `${kind} ${name} ${size}`);

  it('insert, modify and delete', () => {
    const target = replica();
    assert.deepEqual(kinds(target, { [uuid(1)]: { new: row } }), ['insert a 1']);
    const next = { ...row, size: 2, tags: ['set', ['y', 'z']] };
    assert.deepEqual(kinds(target, { [uuid(1)]: { old: { size: 1, tags: 'x' }, new: next } }), ['modify a 2']);
    assert.deepEqual(target.table('Thing').get(uuid(1))?.tags, new Set(['y', 'z']));
    assert.deepEqual(kinds(target, { [uuid(1)]: { old: next } }), ['delete a 2']);
    assert.equal(target.table('Thing').size, 0);
  });

  for (const [title, update] of [
    ['neither old nor new', {}],
    ['no object', 7],
    ['a modify of a row that is not here', { old: {}, new: row }],
    ['a delete of a row that is not here', { old: row }],
    ['a member twice', { new: { ...row, tags: ['set', ['x', 'x']] } }],
    ['a key twice', { new: { ...row, ids: ['map', [['k', 'v'], ['k', 'w']]] } }], // prettier-ignore
    ['half a number', { new: { ...row, size: 1.5 } }],
  ] as const) {
    it(`are refused with ${title}`, () => {
      const target = replica();
      assert.throws(() => kinds(target, { [uuid(1)]: update }), refusedWith('SwitchError', 'OVSDB server sent'));
      assert.equal(target.table('Thing').size, 0);
    });
  }
});

describe('what a server says of itself', () => {
  const check = (row: object | null, leaderOnly: boolean): string => {
    const columns = { name: { type: 'string' }, model: { type: 'string' }, connected: { type: 'boolean' }, leader: { type: 'boolean' } }; // prettier-ignore
    const replica = new Replica(serverTables, { tables: { Database: { columns } } });
    if (row !== null) replica.apply({ Database: { [uuid(1)]: { initial: { name: 'Things', ...row } } } });
    try {
      checkServer(replica, { database: 'Things', leaderOnly });
      return 'of use';
    } catch (thrown) {
      assert.ok(thrown instanceof AgentError && thrown.code === 'Unavailable');
      return thrown.message;
    }
  };

  for (const [row, leaderOnly, said] of [
    [null, true, 'of use'],
    [{ model: 'standalone', connected: false, leader: false }, true, 'of use'],
    [{ model: 'clustered', connected: true, leader: false }, false, 'of use'],
    [{ model: 'clustered', connected: true, leader: true }, true, 'of use'],
    [{ model: 'clustered', connected: true, leader: false }, true, 'this server does not lead the cluster of Things'],
    [{ model: 'clustered', connected: false, leader: true }, false, 'this server has lost the cluster of Things'],
  ] as const) {
    it(`makes ${JSON.stringify(row)} ${said}${leaderOnly ? ', asked for the leader' : ''}`, () => {
      assert.equal(check(row, leaderOnly), said);
    });
  }
});
