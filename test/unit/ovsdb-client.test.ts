import assert from 'node:assert/strict';
import type { AgentError } from '../../src/model/errors.ts';
import type { Dial } from '../../src/ovsdb/channel.ts';
import type { OvsdbListener } from '../../src/ovsdb/client.ts';
import { reconnectDefaults } from '../../src/ovsdb/reconnect.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';
import { FakeOvsdbServer } from '../support/fake-ovsdb-server.ts';
import type { FakeRequest, ThingTables } from '../support/fake-ovsdb-server.ts';
import { thingClient } from '../support/ovsdb-suite.ts';
import type { ThingClient, ThingOptions } from '../support/ovsdb-suite.ts';
import { refusedWith } from '../support/refused.ts';

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const endpoint = 'unix:/fake';
const { backoffMinMs, connectDeadlineMs, probeIntervalMs } = reconnectDefaults;

interface World {
  readonly client: ThingClient;
  readonly clock: FakeClock;
  readonly server: FakeOvsdbServer;
  /** Everything a listener was told, in order. */
  readonly heard: string[];
}

function world(options: ThingOptions = {}): World {
  const clock = new FakeClock();
  const server = new FakeOvsdbServer();
  const client = thingClient({ endpoint, dial: server.dial, timers: clock, ...options });
  const heard: string[] = [];
  client.listen({
    onState: (problem) => heard.push(problem === null ? 'in step' : problem.message),
    onChanges: (changes) => heard.push(...changes.map(({ kind, row }) => `${kind} ${row.name}`)),
  });
  return { client, clock, server, heard };
}

async function started(options: ThingOptions = {}): Promise<World> {
  const self = world(options);
  self.client.start();
  await settled();
  assert.equal(self.client.problem, null);
  return self;
}

const reply = ({ id }: FakeRequest, result: unknown): unknown => ({ id, result, error: null });
const update = (rows: Record<string, unknown>, id: unknown = 'ovs-port-agent'): unknown => ({
  method: 'update3',
  params: [id, uuid(0), { Thing: rows }],
  id: null,
});
const things = (client: ThingClient): string[] => [...client.replica.table('Thing').values()].map(({ name }) => name);

describe('the OVSDB client', () => {
  it('tells that it is in step before it tells the rows', async () => {
    const { client, heard, server } = world();
    server.put(uuid(1), { name: 'a' });
    assert.match(client.problem?.message ?? '', /unix:\/fake is not connected yet/);
    client.start();
    await settled();
    assert.deepEqual(heard, ['in step', 'insert a']);
  });

  it('starts once, however often it is told to', async () => {
    const { client, server } = await started();
    client.start();
    await settled();
    assert.equal(server.connections.length, 1);
  });

  it('tells after a reconnect exactly what happened meanwhile', async () => {
    const { clock, heard, server } = await started();
    for (const n of [1, 2, 3]) server.put(uuid(n), { name: `row ${n}` });
    await settled();
    heard.length = 0;
    server.latest.close();
    server.put(uuid(1), null);
    server.put(uuid(2), { name: 'row 2', size: 9 });
    server.put(uuid(4), { name: 'row 4' });
    await clock.advance(backoffMinMs);
    assert.match(heard.shift() ?? '', /unix:\/fake: the server closed the connection$/);
    assert.equal(heard.shift(), 'in step');
    assert.deepEqual(heard, ['delete row 1', 'modify row 2', 'insert row 4']);
  });

  it('loses no update that comes in one chunk with the reply to monitor_cond_since', async () => {
    const { client, heard, server } = world();
    server.on.set('monitor_cond_since', (request, connection) => {
      const initial = { Thing: { [uuid(1)]: { initial: { name: 'a' } } } };
      connection.send(
        reply(request, [false, uuid(0), initial]),
        update({ [uuid(1)]: { modify: { size: 5 } }, [uuid(2)]: { insert: { name: 'b' } } }),
        update({ [uuid(2)]: { delete: null } }),
      );
    });
    client.start();
    await settled();
    assert.deepEqual(heard, ['in step', 'insert a', 'modify a', 'insert b', 'delete b']);
    assert.equal(client.replica.table('Thing').get(uuid(1))?.size, 5);
  });

  it('loses no lock that is granted in one chunk with the reply that says to wait', async () => {
    const { client, server } = world({ lock: 'things' });
    server.on.set('lock', (request, connection) => {
      connection.send(reply(request, { locked: false }), { method: 'locked', params: ['things'], id: null });
    });
    client.start();
    await settled();
    assert.equal(client.lockHeld, true);
  });

  it('follows its own lock and no other, and holds none without a connection', async () => {
    const { client, server } = await started({ lock: 'things' });
    assert.equal(client.lockHeld, true);
    const notify = async (method: string, lock: string): Promise<boolean> => {
      server.latest.send({ method, params: [lock], id: null });
      await settled();
      return client.lockHeld;
    };
    assert.equal(await notify('stolen', 'other'), true);
    assert.equal(await notify('stolen', 'things'), false);
    assert.equal(await notify('locked', 'other'), false);
    assert.equal(await notify('locked', 'things'), true);
    server.latest.close();
    await settled();
    assert.equal(client.lockHeld, false);
  });

  it('ignores notifications it does not know and monitors that are not its own', async () => {
    const { client, heard, server } = await started();
    server.latest.send(
      { method: 'monitor_canceled', params: [null], id: null },
      { method: 'update', params: [null, {}], id: null },
      update({ [uuid(1)]: { insert: {} } }, 'somebody else'),
    );
    await settled();
    assert.deepEqual([heard, client.problem], [['in step'], null]);
  });

  it('answers the server’s echo', async () => {
    const { server } = await started();
    server.latest.send({ method: 'echo', params: ['still there?'], id: 'echo' });
    await settled();
    assert.deepEqual(server.latest.received.at(-1), { result: ['still there?'], error: null, id: 'echo' });
  });
});

describe('a transaction', () => {
  const operation = { op: 'comment', comment: 'x' } as const;

  it('rejects with the problem itself when there is nothing to send it on', async () => {
    const { client, clock, server } = world();
    const isProblem = (thrown: unknown): boolean => thrown === client.problem;
    await assert.rejects(client.transact([operation]), isProblem);
    client.start();
    await settled();
    server.latest.close();
    await settled();
    await assert.rejects(client.transact([operation]), isProblem);
    await clock.advance(backoffMinMs);
    assert.deepEqual(await client.transact([operation]), [{}]);
  });

  it('rejects with another error when its reply is lost, for it may have been carried out', async () => {
    const { client, server } = await started();
    server.on.set('transact', (_, connection) => {
      connection.close();
    });
    const lost: unknown = await client.transact([operation]).catch((error: unknown) => error);
    refusedWith('Unavailable', 'transact was sent, but not answered', endpoint)(lost);
    assert.notEqual(lost, client.problem);
  });

  it('keeps the connection when it was refused or not answered in time', async () => {
    const { client, clock, server } = await started();
    server.on.set('transact', (request, connection) => {
      if (server.latest.received.length % 2 === 0) return;
      connection.send({ id: request.id, result: null, error: { error: 'syntax error', details: 'because' } });
    });
    const outcomes = Promise.allSettled([
      client.transact([operation], { deadlineMs: 1000 }),
      client.transact([operation], { deadlineMs: 1000 }),
    ]);
    await clock.advance(1000);
    const codes = (await outcomes).map((outcome) =>
      outcome.status === 'rejected' ? (outcome.reason as AgentError).code : '',
    );
    assert.deepEqual(codes.sort(), ['SwitchError', 'Timeout']);
    assert.equal(client.problem, null);
  });

  it('drops a server whose reply makes no sense, and does not say that nothing happened', async () => {
    const { client, server } = await started();
    server.on.set('transact', (request, connection) => {
      connection.send(reply(request, [7]));
    });
    await assert.rejects(client.transact([operation]), refusedWith('Unavailable', 'reply to transact', '[7]'));
    assert.notEqual(client.problem, null);
  });
});

describe('the OVSDB client and time', () => {
  it('probes a silent server, and keeps one that answers', async () => {
    const { client, clock, server } = await started();
    await clock.advance(10 * probeIntervalMs);
    assert.equal(client.problem, null);
    assert.ok(server.latest.received.filter(({ method }) => method === 'echo').length >= 9);
    assert.equal(server.connections.length, 1);
  });

  it('drops a server that does not answer the probe, rejects what is pending, and connects anew', async () => {
    const { client, clock, server, heard } = await started();
    for (const method of ['echo', 'transact']) server.on.set(method, () => undefined);
    const lost = assert.rejects(
      client.transact([], { deadlineMs: 60_000 }),
      refusedWith('Unavailable', 'does not answer'),
    );
    await clock.advance(2 * probeIntervalMs);
    await lost;
    assert.match(heard.at(-1) ?? '', /unix:\/fake does not answer/);
    await clock.advance(backoffMinMs);
    assert.equal(client.problem, null);
    assert.equal(server.connections.length, 2);
  });

  for (const method of ['get_schema', 'lock', 'monitor_cond_since']) {
    it(`gives up a server that never answers ${method}, and says which`, async () => {
      const { client, clock, server } = world({ lock: 'things' });
      server.on.set(method, () => undefined);
      client.start();
      await clock.advance(10_000);
      assert.match(client.problem?.message ?? '', new RegExp(`OVSDB ${method} was not answered|does not answer`));
      server.on.clear();
      await clock.advance(backoffMinMs);
      assert.equal(client.problem, null);
    });
  }

  it('ends an attempt to connect that takes too long', async () => {
    const signals: AbortSignal[] = [];
    const dial: Dial = (_, signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    const { client, clock } = world({ dial });
    client.start();
    await clock.advance(connectDeadlineMs - 1);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false],
    );
    await clock.advance(1 + backoffMinMs);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, false],
    );
  });

  it('waits longer and longer for a server that is not there, and says why', async () => {
    let attempts = 0;
    const dial: Dial = () => {
      attempts++;
      return Promise.reject(new Error('there is no such socket'));
    };
    const { client, clock, heard } = world({ dial });
    client.start();
    await clock.advance(0);
    assert.match(client.problem?.message ?? '', /unix:\/fake: there is no such socket/);
    await clock.advance(60_000);
    assert.ok(attempts >= 60 && attempts <= 66, String(attempts));
    assert.deepEqual(heard, []);
  });

  it('survives a dial that throws', async () => {
    const dial = (): never => {
      throw new Error('out of descriptors');
    };
    const { client, clock } = world({ dial });
    client.start();
    await clock.advance(1000);
    assert.match(client.problem?.message ?? '', /out of descriptors/);
  });
});

describe('stopping the OVSDB client', () => {
  it('leaves no timer and no connection, rejects what is pending and tells nobody', async () => {
    const { client, clock, server, heard } = await started();
    server.on.set('transact', () => undefined);
    const pending = assert.rejects(client.transact([]), refusedWith('Unavailable', 'was stopped'));
    client.stop();
    assert.deepEqual(clock.pendingMs, []);
    client.stop();
    await pending;
    server.put(uuid(1), { name: 'late' });
    await clock.advance(60_000);
    assert.deepEqual([clock.pendingMs, heard, server.connections.length], [[], ['in step'], 1]);
    await assert.rejects(client.transact([]), refusedWith('Unavailable', 'was stopped'));
  });

  it('cannot be undone', async () => {
    const { client, clock, server } = world();
    client.stop();
    client.start();
    await clock.advance(60_000);
    assert.deepEqual([server.connections, clock.pendingMs], [[], []]);
  });

  it('ends a connection whose dial succeeds afterwards', async () => {
    const server = new FakeOvsdbServer();
    let succeed: () => void = () => undefined;
    const signals: AbortSignal[] = [];
    const dial: Dial = async (events, signal) => {
      signals.push(signal);
      await new Promise<void>((resolve) => (succeed = resolve));
      return server.dial(events, signal);
    };
    const { client, clock } = world({ dial });
    client.start();
    client.stop();
    succeed();
    await clock.advance(60_000);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true],
    );
    assert.deepEqual([server.latest.received, clock.pendingMs], [[], []]);
  });

  for (const state of ['waiting', 'connecting', 'synchronising'] as const) {
    it(`works while ${state}`, async () => {
      const server = new FakeOvsdbServer();
      const never: Dial = () => new Promise(() => undefined);
      const refused: Dial = () => Promise.reject(new Error('no'));
      const dial = { waiting: refused, connecting: never, synchronising: server.dial }[state];
      server.on.set('lock', () => undefined);
      const { client, clock } = world({ dial, lock: 'things' });
      client.start();
      await settled();
      client.stop();
      assert.deepEqual(clock.pendingMs, []);
      await clock.advance(60_000);
      assert.deepEqual(clock.pendingMs, []);
    });
  }

  it('works from within a listener, which hears nothing more', async () => {
    const { client, clock, server, heard } = world();
    server.put(uuid(1), { name: 'a' });
    client.listen({
      onState: () => {
        client.stop();
      },
    });
    client.start();
    await clock.advance(60_000);
    assert.deepEqual([heard, clock.pendingMs], [['in step'], []]);
  });
});

describe('listeners of the OVSDB client', () => {
  const broken: OvsdbListener<ThingTables> = {
    onState: () => {
      throw new Error('broken state');
    },
    onChanges: () => {
      throw new Error('broken changes');
    },
  };

  it('are told everything though another one throws, and the connection stays', async () => {
    const errors: AgentError[] = [];
    const { client, server } = world({ onListenerError: (error) => errors.push(error) });
    const heard: unknown[] = [];
    client.listen(broken);
    client.listen({ onState: (problem) => heard.push(problem), onChanges: (changes) => heard.push(changes.length) });
    server.put(uuid(1), {});
    client.start();
    await settled();
    server.put(uuid(2), {});
    await settled();
    assert.deepEqual(heard, [null, 1, 1]);
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['broken state', 'broken changes', 'broken changes'],
    );
    assert.deepEqual([client.problem, server.connections.length], [null, 1]);
  });

  it('may throw while the connection is lost: it comes back all the same', async () => {
    const errors: AgentError[] = [];
    const { client, clock, server } = await started({ onListenerError: (error) => errors.push(error) });
    client.listen(broken);
    server.latest.close();
    await clock.advance(backoffMinMs);
    assert.deepEqual([client.problem, errors.length], [null, 2]);
  });

  it('make an uncaught error of what they throw when nobody asked for it', async () => {
    const { client, server } = await started();
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught: unknown[] = [];
    process.on('uncaughtException', (error) => uncaught.push(error.message));
    try {
      client.listen(broken);
      server.put(uuid(1), {});
      await settled();
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    }
    assert.deepEqual([uncaught, client.problem], [['broken changes'], null]);
  });

  it('hear nothing once they have left', async () => {
    const { client, server } = await started();
    let told = 0;
    const leave = client.listen({ onChanges: () => told++ });
    server.put(uuid(1), {});
    await settled();
    leave();
    server.put(uuid(2), {});
    await settled();
    assert.equal(told, 1);
  });
});

describe('the OVSDB client and a server that misbehaves', () => {
  const schemaOf = (tables: unknown): unknown => ({ name: 'Things', version: '1.0.0', tables });
  const afterwards: [title: string, ...messages: unknown[]][] = [
    ['an update without updates', { method: 'update3', params: ['ovs-port-agent'], id: null }],
    ['updates that are null', { method: 'update3', params: ['ovs-port-agent', '', null], id: null }],
    ['updates that are an array', { method: 'update3', params: ['ovs-port-agent', '', []], id: null }],
    ['params that are no array', { method: 'update3', params: { 0: 'ovs-port-agent' }, id: null }],
    ['a row of the wrong type', update({ [uuid(9)]: { insert: { name: { a: 1 } } } })],
    ['a row that is null', update({ [uuid(9)]: { insert: null } })],
    ['modify of an unknown row', update({ [uuid(9)]: { modify: { name: 'x' } } })],
    ['delete of an unknown row', update({ [uuid(9)]: { delete: null } })],
    ['insert of a known row', update({ [uuid(1)]: { insert: { name: 'again' } } })],
    ['good and bad in one update', update({ [uuid(1)]: { delete: null }, [uuid(9)]: { modify: {} } })],
    ['a good update and then a bad one', update({ [uuid(1)]: { delete: null } }), { id: null }],
    ['a value that is no message', [1, 2, 3]],
  ];
  for (const [title, ...messages] of afterwards) {
    it(`drops the connection at ${title}, says so, and is in step again after the back-off`, async () => {
      const { client, clock, server, heard } = world();
      server.put(uuid(1), { name: 'a' });
      const copy = new Map<string, unknown>();
      client.listen({
        onChanges: (changes) => {
          for (const { uuid: id, kind, row } of changes) {
            assert.equal(copy.has(id), kind !== 'insert');
            if (kind === 'delete') copy.delete(id);
            else copy.set(id, structuredClone(row));
          }
        },
      });
      client.start();
      await settled();
      const first = server.latest;
      first.send(...messages);
      await settled();
      assert.match(client.problem?.message ?? '', /^Open vSwitch at unix:\/fake: OVSDB server sent /);
      assert.ok(heard.includes(client.problem?.message ?? ''));
      first.send(update({ [uuid(3)]: { insert: { name: 'from the old connection' } } }));
      await clock.advance(backoffMinMs);
      assert.equal(client.problem, null);
      assert.deepEqual(things(client), ['a']);
      assert.deepEqual(copy, new Map<string, unknown>(client.replica.table('Thing')));
    });
  }

  const replies: [method: string, title: string, result: unknown][] = [
    ['get_schema', 'null', null],
    ['get_schema', 'an array', []],
    ['get_schema', 'no tables', {}],
    ['get_schema', 'tables that are a text', schemaOf('Thing')],
    ['get_schema', 'a table without columns', schemaOf({ Thing: {} })],
    ['get_schema', 'a column of another shape', schemaOf({ Thing: { columns: { tags: { type: 'string' } } } })],
    ['lock', 'null', null],
    ['lock', 'a boolean', true],
    ['monitor_cond_since', 'null', null],
    ['monitor_cond_since', 'an object', {}],
    ['monitor_cond_since', 'too short an array', [false, uuid(0)]],
    ['monitor_cond_since', 'updates that are a text', [false, uuid(0), 'x']],
    ['monitor_cond_since', 'modify where there is nothing', [false, uuid(0), { Thing: { [uuid(1)]: { modify: {} } } }]],
  ];
  for (const [method, title, result] of replies) {
    it(`drops a server that answers ${method} with ${title}`, async () => {
      const { client, clock, server, heard } = world({ lock: 'things' });
      server.on.set(method, (request, connection) => {
        connection.send(reply(request, result));
      });
      client.start();
      await settled();
      assert.match(client.problem?.message ?? '', /^Open vSwitch at unix:\/fake: OVSDB server sent /);
      assert.deepEqual(heard, []);
      server.on.clear();
      await clock.advance(backoffMinMs);
      assert.equal(client.problem, null);
    });
  }

  it('drops a server that sends an update before the monitor’s reply', async () => {
    const { client, server } = world();
    server.on.set('get_schema', (_, connection) => {
      connection.send(update({ [uuid(1)]: { insert: {} } }));
    });
    client.start();
    await settled();
    assert.match(client.problem?.message ?? '', /update3 before the reply/);
  });

  it('takes nothing from an old connection that goes on talking: no lock, no rows, no sign of life, no end', async () => {
    const server = new FakeOvsdbServer();
    const dial: Dial = (events) => server.dial(events, new AbortController().signal);
    const { client, clock, heard } = await started({ dial, lock: 'things' });
    server.on.set('lock', (request, connection) => {
      connection.send(reply(request, { locked: false }));
    });
    const behave = server.behave;
    const old = server.latest;
    // The lost connection still knows this server; the client has let go of it.
    const talk = async (...messages: unknown[]): Promise<void> => {
      old.send(...messages);
      await settled();
    };
    await talk({ id: 'no message' });
    await clock.advance(backoffMinMs);
    assert.deepEqual([heard.length, server.connections.length, client.problem], [3, 2, null]);
    await talk({ method: 'locked', params: ['things'], id: null });
    await talk(update({ [uuid(5)]: { insert: { name: 'old' } } }));
    await talk('garbage');
    assert.deepEqual([client.lockHeld, things(client), heard.length], [false, [], 3]);
    server.on.set('echo', (request, connection) => {
      if (connection === old) behave(request, connection);
    });
    for (let i = 0; i < 20; i++) {
      await clock.advance(probeIntervalMs / 10);
      await talk({ method: 'echo', params: [], id: i });
    }
    assert.match(client.problem?.message ?? '', /does not answer/);
    old.close();
    // This connection was heard for less than its back-off: the next waits twice as long.
    await clock.advance(2 * backoffMinMs);
    assert.equal(client.problem, null);
  });

  it('backs off from a server that is always wrong', async () => {
    const { client, clock, server } = world();
    server.on.set('get_schema', (_, connection) => {
      connection.sendBytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n'));
    });
    client.start();
    await clock.advance(60_000);
    assert.ok(server.connections.length >= 60 && server.connections.length <= 66, String(server.connections.length));
    assert.match(client.problem?.message ?? '', /not JSON-RPC: byte 0x48 between messages/);
  });
});
