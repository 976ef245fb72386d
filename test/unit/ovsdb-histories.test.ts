import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Dial } from '../../src/ovsdb/channel.ts';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { RowChange } from '../../src/ovsdb/replica.ts';
import type { Row } from '../../src/ovsdb/wire.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';
import { FakeOvsdbServer, thingTables } from '../support/fake-ovsdb-server.ts';
import type { ThingTables } from '../support/fake-ovsdb-server.ts';
import type { ThingClient } from '../support/ovsdb-suite.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
/** In one order: to this server, another one would be a change. */
const texts = fc.subarray(['a', 'b', 'c']);
const row: fc.Arbitrary<Row> = fc
  .record({ name: fc.constantFrom('x', 'y'), size: fc.nat(2), label: fc.option(fc.constantFrom('l', 'm')), tags: texts, ids: texts })
  .map(({ label, tags, ids, ...rest }) => ({
    ...rest,
    label: label ?? ['set', []],
    tags: ['set', tags],
    ids: ['map', ids.map((key) => [key, String(rest.size)])],
  })); // prettier-ignore

type Event =
  | { kind: 'put'; n: number; row: Row | null }
  | { kind: 'cut'; bytes: number }
  | { kind: 'close' }
  | { kind: 'downgrade'; method: FakeOvsdbServer['monitorMethod'] }
  | { kind: 'wait'; ms: number };
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('put' as const), n: fc.nat(4), row: fc.option(row) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), bytes: fc.integer({ min: 1, max: 3000 }) }) },
  { weight: 2, arbitrary: fc.constant<Event>({ kind: 'close' }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('monitor_cond_since' as const, 'monitor_cond' as const, 'monitor' as const)
      .map((method): Event => ({ kind: 'downgrade', method })),
  },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 200 }).map((ms): Event => ({ kind: 'wait', ms })) },
);

function open(dial: Dial, clock: FakeClock): ThingClient {
  const remotes = [{ endpoint: 'unix:/fake', dial }];
  return new OvsdbClient({ remotes, timers: clock, database: 'Things', tables: thingTables });
}

const rowsOf = (client: ThingClient): Map<string, unknown> =>
  new Map(structuredClone([...client.replica.table('Thing')]).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What a listener knows who keeps rows by events alone. Complains about events that cannot be. */
class Follower {
  readonly rows = new Map<string, unknown>();

  take(changes: readonly RowChange<ThingTables>[]): void {
    for (const { kind, uuid: id, row: now } of changes) {
      assert.equal(this.rows.has(id), kind !== 'insert', `${kind} of ${id}`);
      if (kind === 'modify') assert.notDeepEqual(now, this.rows.get(id), 'a modify that modifies nothing');
      if (kind === 'delete') this.rows.delete(id);
      else this.rows.set(id, structuredClone(now));
    }
  }
}

describe('any history of a server', () => {
  it('leaves a client, and whoever listens to it, with what a fresh one sees', async () => {
    let reconnects = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 30, maxLength: 60 }), async (events) => {
        const [server, clock, follower] = [new FakeOvsdbServer(), new FakeClock(), new Follower()];
        const client = open(server.dial, clock);
        client.listen({
          onChanges: (changes) => {
            follower.take(changes);
          },
        });
        client.start();
        await settled();
        for (const step of events) {
          if (step.kind === 'put') server.put(uuid(step.n), step.row);
          else if (step.kind === 'cut') server.cutAfterBytes.push(step.bytes);
          else if (step.kind === 'close') server.connections.at(-1)?.close();
          else if (step.kind === 'downgrade') {
            // Nobody is served in two ways: a server that is replaced closes its connections.
            server.connections.at(-1)?.close();
            server.monitorMethod = step.method;
          } else await clock.advance(step.ms);
          await settled();
        }
        server.cutAfterBytes.length = 0;
        await clock.advance(3000);
        reconnects += server.connections.length - 1;
        assert.equal(client.problem, null);
        const fresh = open(server.dial, clock);
        fresh.start();
        await settled();
        assert.equal(fresh.problem, null);
        assert.deepEqual(rowsOf(client), rowsOf(fresh));
        assert.deepEqual(new Map([...follower.rows].sort(([a], [b]) => (a < b ? -1 : 1))), rowsOf(fresh));
        client.stop();
        fresh.stop();
      }),
      { numRuns: 300 },
    );
    assert.ok(reconnects > 500, `${reconnects} reconnects`);
  }).timeout(60_000);
});

describe('several servers of one database', () => {
  const server = (): { server: FakeOvsdbServer; isUp: boolean; dials: number } => ({
    server: new FakeOvsdbServer(),
    isUp: true,
    dials: 0,
  });

  function world(count: number): { servers: ReturnType<typeof server>[]; client: ThingClient; clock: FakeClock } {
    const servers = Array.from({ length: count }, server);
    const clock = new FakeClock();
    const remotes = servers.map((member, index) => ({
      endpoint: `tcp:member${index}:6640`,
      dial: ((events, signal) => {
        member.dials++;
        return member.isUp ? member.server.dial(events, signal) : Promise.reject(new Error('nobody is there'));
      }) satisfies Dial,
    }));
    return {
      servers,
      clock,
      client: new OvsdbClient({ remotes, timers: clock, database: 'Things', tables: thingTables }),
    };
  }

  it('are asked in turn, at once the first time', async () => {
    const { servers, client, clock } = world(3);
    for (const member of servers) member.isUp = false;
    servers[2]!.isUp = true;
    client.start();
    await clock.advance(0);
    await clock.advance(0);
    assert.equal(client.problem, null);
    assert.deepEqual(servers.map(({ dials }) => dials), [1, 1, 1]); // prettier-ignore
    client.stop();
  });

  it('may be from before clusters: they have no database that tells', async () => {
    const { client } = world(2);
    client.start();
    await settled();
    assert.equal(client.problem, null);
    client.stop();
  });

  it('are all asked again, at once, when a connection that was in step is lost', async () => {
    const { servers, client, clock } = world(2);
    client.start();
    await settled();
    servers[0]!.isUp = false;
    servers[0]!.server.latest.close();
    await clock.advance(0);
    await clock.advance(0);
    assert.equal(client.problem, null);
    assert.equal(servers[1]!.dials, 1);
    client.stop();
  });

  it('are named when they fail, and waited for when all do', async () => {
    const { servers, client, clock } = world(2);
    for (const member of servers) member.isUp = false;
    client.start();
    await clock.advance(10_000);
    assert.match(client.problem?.message ?? '', /^Open vSwitch at tcp:member[01]:6640: nobody is there$/);
    const dials = servers.reduce((sum, member) => sum + member.dials, 0);
    assert.ok(dials >= 10 && dials <= 20, `${dials} attempts in 10 s`);
    client.stop();
  });
});

describe('the wait for a replica in step', () => {
  it('ends when it is', async () => {
    const [server, clock] = [new FakeOvsdbServer(), new FakeClock()];
    const client = open(server.dial, clock);
    client.start();
    await client.ready();
    await client.ready();
    assert.equal(client.problem, null);
    client.stop();
    assert.deepEqual(clock.pendingMs, []);
  });

  it('ends when it takes too long, and says why', async () => {
    const clock = new FakeClock();
    const client = open(() => Promise.reject(new Error('nobody is there')), clock);
    client.start();
    const refused = assert.rejects(client.ready({ deadlineMs: 70 }), /within 70 ms: .*nobody is there/);
    await clock.advance(70);
    await refused;
    client.stop();
  });

  it('begins anew when the connection is told to', async () => {
    const [server, clock] = [new FakeOvsdbServer(), new FakeClock()];
    const client = open(server.dial, clock);
    client.start();
    await settled();
    client.forceReconnect();
    assert.match(client.problem?.message ?? '', /was let go to be connected anew/);
    await clock.advance(200);
    assert.deepEqual([client.problem, server.connections.length], [null, 2]);
    client.stop();
  });
});
