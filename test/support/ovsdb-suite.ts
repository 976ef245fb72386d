/** What every OVSDB server does for the client: run against the real `ovsdb-server` and against the fake one. */
import assert from 'node:assert/strict';
import type { Dial } from '../../src/ovsdb/channel.ts';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { OvsdbClientOptions } from '../../src/ovsdb/client.ts';
import { TransactError } from '../../src/ovsdb/errors.ts';
import type { Operation, Row } from '../../src/ovsdb/wire.ts';
import { ovsdbDialer } from '../../src/platform/ovsdb-socket.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { thingTables } from './fake-ovsdb-server.ts';
import type { ThingTables } from './fake-ovsdb-server.ts';
import { refusedWith } from './refused.ts';
import { waitFor } from './wait-for.ts';

export type ThingClient = OvsdbClient<ThingTables>;

/** `dial` instead of that of `endpoint`. */
export type ThingOptions = Partial<OvsdbClientOptions<ThingTables>> & { readonly dial?: Dial };

export function thingClient({ endpoint, dial, ...options }: ThingOptions & { endpoint: string }): ThingClient {
  const remotes = [{ endpoint, dial: dial ?? ovsdbDialer(endpoint) }];
  return new OvsdbClient({ timers: systemTimers, database: 'Things', tables: thingTables, remotes, ...options });
}

/** Resolves when the replica is in step. */
export async function inStep(client: Pick<ThingClient, 'problem'>): Promise<void> {
  await waitFor('a replica in step with the server', () => client.problem === null);
}

const zero = '00000000-0000-0000-0000-000000000000';
const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const insert = (n: number, row: Row = {}): Operation => ({ op: 'insert', table: 'Thing', uuid: uuid(n), row });
const whereRow = (n: number): [[string, '==', ['uuid', string]]] => [['_uuid', '==', ['uuid', uuid(n)]]];

/** A server that does not know some methods, in front of one that does. */
function refusing(dial: Dial, methods: readonly string[]): Dial {
  return async (events, signal) => {
    const channel = await dial(events, signal);
    return {
      write: (text) => {
        const { method, id } = JSON.parse(text) as { method?: string; id: unknown };
        if (method === undefined || !methods.includes(method)) {
          channel.write(text);
          return;
        }
        const answer = JSON.stringify({ id, result: null, error: { error: 'unknown method' } });
        queueMicrotask(() => {
          events.onData(Buffer.from(answer));
        });
      },
    };
  };
}

/**
 * `start` answers the endpoint of a server that has the schema of `thingSchema` and no rows. `refused` are methods that
 * it is to be too old for.
 */
export function ovsdbSuite(
  name: string,
  start: () => Promise<{ endpoint: string; stop: () => Promise<void> }>,
  refused: readonly string[] = [],
): void {
  describe(`OVSDB conformance of ${name}`, () => {
    let server: { endpoint: string; stop: () => Promise<void> };
    let clients: ThingClient[] = [];

    async function connect(lock?: string): Promise<ThingClient> {
      const dial = refusing(ovsdbDialer(server.endpoint), refused);
      const client = thingClient({ endpoint: server.endpoint, dial, ...(lock === undefined ? {} : { lock }) });
      clients.push(client);
      client.start();
      await inStep(client);
      return client;
    }
    beforeEach(async () => {
      server = await start();
    });
    afterEach(async () => {
      for (const client of clients) client.stop();
      clients = [];
      await server.stop();
    });

    it('monitors what is there and what comes, in every shape of column', async () => {
      const writer = await connect();
      const row: Row = {
        name: 'a',
        size: 3,
        label: 'x',
        tags: ['set', ['s', 't']],
        ids: ['map', [['k', 'v']]],
        pair: ['map', [['p', 'q']]],
        some: ['set', [4, 5]],
      };
      const decoded = {
        name: 'a',
        size: 3,
        label: 'x',
        tags: new Set(['s', 't']),
        ids: new Map([['k', 'v']]),
        pair: new Map([['p', 'q']]),
        some: new Set([4, 5]),
      };
      const defaults = {
        name: '',
        size: 0,
        label: null,
        tags: new Set(),
        ids: new Map(),
        pair: new Map(),
        some: new Set([0]),
      };
      await writer.transact([insert(1, row), insert(2)]);
      const expected = new Map<string, unknown>([
        [uuid(1), decoded],
        [uuid(2), defaults],
      ]);
      assert.deepEqual(new Map<string, unknown>(writer.replica.table('Thing')), expected);
      assert.deepEqual(new Map<string, unknown>((await connect()).replica.table('Thing')), expected);
    });

    it('sends differences that the replica applies', async () => {
      const client = await connect();
      await client.transact([
        insert(1, { label: 'x', tags: ['set', ['s', 't']], ids: ['map', [['k', 'v'], ['l', 'w']]], pair: ['map', [['p', 'q']]] }), // prettier-ignore
      ]);
      const row: Row = {
        label: ['set', []],
        tags: ['set', ['t', 'u', 'v']],
        ids: ['map', [['l', 'changed'], ['m', 'new']]], // prettier-ignore
        pair: ['map', [['other', 'pair']]],
        some: ['set', [0, 7]],
      };
      await client.transact([{ op: 'update', table: 'Thing', where: whereRow(1), row }]);
      assert.deepEqual(client.replica.table('Thing').get(uuid(1)), {
        name: '',
        size: 0,
        label: null,
        tags: new Set(['t', 'u', 'v']),
        ids: new Map([
          ['l', 'changed'],
          ['m', 'new'],
        ]),
        pair: new Map([['other', 'pair']]),
        some: new Set([0, 7]),
      });
    });

    it('sends the update before the reply', async () => {
      const client = await connect();
      const order: string[] = [];
      client.listen({ onChanges: (changes) => order.push(...changes.map(({ kind, row }) => `${kind} ${row.name}`)) });
      await client.transact([insert(1, { name: 'a' })]).then(() => order.push('committed'));
      await client.transact([{ op: 'delete', table: 'Thing', where: whereRow(1) }]).then(() => order.push('committed'));
      assert.deepEqual(order, ['insert a', 'committed', 'delete a', 'committed']);
    });

    it('refuses a request that is no transaction, and is kept', async () => {
      const client = await connect();
      const operation = { op: 'insert', table: 7 } as unknown as Operation;
      await assert.rejects(client.transact([operation]), refusedWith('SwitchError'));
      assert.equal(client.problem, null);
      await client.transact([insert(1)]);
    });

    it('answers each operation', async () => {
      const client = await connect();
      const results = await client.transact([
        insert(1, { name: 'a' }),
        { op: 'comment', comment: 'why' },
        { op: 'select', table: 'Thing', where: whereRow(1), columns: ['name'] },
        { op: 'update', table: 'Thing', where: [['name', '==', 'a']], row: { size: 1 } },
        { op: 'update', table: 'Thing', where: [['name', '==', 'nobody']], row: { size: 1 } },
      ]);
      assert.deepEqual(results[0]?.uuid, ['uuid', uuid(1)]);
      assert.deepEqual(results[1], {});
      assert.equal(results[2]?.rows?.[0]?.['name'], 'a');
      assert.deepEqual([results[3]?.count, results[4]?.count], [1, 0]);
    });

    it('refuses a guard that does not hold, and inserts nothing', async () => {
      const client = await connect();
      const guarded: Operation[] = [
        insert(1),
        { op: 'wait', timeout: 0, table: 'Thing', where: [['name', '==', 'no such']], columns: ['name'], until: '==', rows: [{ name: 'no such' }] }, // prettier-ignore
        insert(2),
      ];
      const isTimedOut = (thrown: unknown): boolean =>
        thrown instanceof TransactError && thrown.kind === 'timed out' && thrown.operation === 1;
      await assert.rejects(client.transact(guarded), isTimedOut);
      await assert.rejects(client.transact(guarded), refusedWith('Conflict', 'OVSDB wait on Thing failed'));
      assert.equal(client.replica.table('Thing').size, 0);
    });

    it('knows a UUID that it has seen', async () => {
      const client = await connect();
      await client.transact([insert(1)]);
      await assert.rejects(
        client.transact([insert(1)]),
        (thrown) => thrown instanceof TransactError && thrown.kind === 'duplicate uuid' && thrown.operation === 0,
      );
      assert.equal(client.replica.table('Thing').size, 1);
    });

    it('refuses a table that it does not have, naming it', async () => {
      const client = await connect();
      const operations: Operation[] = [insert(1), { op: 'insert', table: 'Nothing', row: {} }];
      await assert.rejects(client.transact(operations), refusedWith('SwitchError', 'OVSDB insert into Nothing failed'));
      assert.equal(client.replica.table('Thing').size, 0);
    });

    it('lets one client hold the lock, and the next when that is gone', async () => {
      const first = await connect('things');
      const second = await connect('things');
      assert.deepEqual([first.lockHeld, second.lockHeld], [true, false]);
      const asserted = (n: number): Operation[] => [{ op: 'assert', lock: 'things' }, insert(n)];
      await first.transact(asserted(1));
      await assert.rejects(second.transact(asserted(2)), refusedWith('Busy', 'OVSDB assert failed: not owner'));
      first.stop();
      await waitFor('the lock', () => second.lockHeld);
      await second.transact(asserted(2));
      assert.deepEqual([...second.replica.table('Thing').keys()], [uuid(1), uuid(2)]);
    });

    it('tells exactly what changed', async () => {
      const [writer, reader] = [await connect(), await connect()];
      const heard: string[] = [];
      reader.listen({
        onChanges: (changes) => heard.push(...changes.map(({ kind, row }) => `${kind} ${row.name} ${row.size}`)),
      });
      await writer.transact([insert(1, { name: 'a' }), insert(2, { name: 'b' })]);
      await writer.transact([{ op: 'update', table: 'Thing', where: whereRow(1), row: { size: 5 } }]);
      await writer.transact([{ op: 'update', table: 'Thing', where: whereRow(1), row: { size: 5 } }]);
      await writer.transact([{ op: 'delete', table: 'Thing', where: whereRow(2) }]);
      await waitFor('the last event', () => heard.includes('delete b 0'));
      assert.deepEqual(heard.slice(0, 2).sort(), ['insert a 0', 'insert b 0']);
      assert.deepEqual(heard.slice(2), ['modify a 5', 'delete b 0']);
    });

    it('gives a stolen lock to the thief, and back when that is gone', async () => {
      const [owner, thief] = [await connect('things'), await connect('things')];
      const heard: string[] = [];
      owner.listen({ onLock: (isHeld) => heard.push(`owner ${isHeld}`) });
      thief.listen({ onLock: (isHeld) => heard.push(`thief ${isHeld}`) });
      await thief.steal();
      await waitFor('the loss', () => !owner.lockHeld);
      assert.deepEqual([owner.lockHeld, thief.lockHeld], [false, true]);
      await thief.steal();
      await assert.rejects(owner.transact([{ op: 'assert', lock: 'things' }]), refusedWith('Busy'));
      await thief.transact([{ op: 'assert', lock: 'things' }]);
      thief.stop();
      await waitFor('the lock', () => owner.lockHeld);
      assert.deepEqual(heard.sort(), ['owner false', 'owner true', 'thief true']);
      const without = await connect();
      await assert.rejects(without.steal(), refusedWith('InvalidArgument'));
    });

    it('says where a refused transaction was asked for', async () => {
      const client = await connect();
      const askForTooMuch = (): Promise<unknown> => client.transact([{ op: 'insert', table: 'Nothing', row: {} }]);
      await assert.rejects(askForTooMuch(), (thrown) => thrown instanceof Error && /askForTooMuch/.test(thrown.stack!));
    });

    it('says that it does not know a database', async () => {
      const client = thingClient({ endpoint: server.endpoint, database: 'Nothing' });
      clients.push(client);
      client.start();
      await waitFor('the refusal', () => client.problem?.message.includes('unknown database') === true);
      await assert.rejects(client.transact([insert(1)]), refusedWith('Unavailable', server.endpoint, 'get_schema'));
    });

    it('carries 200 transactions at once, each with its own outcome', async () => {
      const client = await connect();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 200 }, (_, n) => client.transact([insert(n - (n % 2), { size: n })])),
      );
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? 'fulfilled' : 'rejected')),
      );
      assert.equal(client.replica.table('Thing').size, 100);
      assert.equal(client.replica.table('Thing').has(zero), false);
    });
  });
}
