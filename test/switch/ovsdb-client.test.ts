import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRetryable } from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import type { Dial } from '../../src/ovsdb/channel.ts';
import { OvsdbClient } from '../../src/ovsdb/client.ts';
import type { OvsdbClientOptions } from '../../src/ovsdb/client.ts';
import { isRetryableKind, TransactError } from '../../src/ovsdb/errors.ts';
import type { OvsdbErrorKind } from '../../src/ovsdb/errors.ts';
import type { Condition, Operation } from '../../src/ovsdb/wire.ts';
import { ovsdbDialer } from '../../src/platform/ovsdb-socket.ts';
import { reconnectDefaults } from '../../src/ovsdb/reconnect.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { FakeOvsdbServer } from '../support/fake-ovsdb-server.ts';
import { hastyTimers } from '../support/hasty-timers.ts';
import { inStep, thingClient } from '../support/ovsdb-suite.ts';
import type { ThingClient } from '../support/ovsdb-suite.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const tables = {
  Bridge: { name: '', ports: new Set<string>() as ReadonlySet<string>, datapath_type: '' },
  Port: {
    name: '',
    interfaces: new Set<string>() as ReadonlySet<string>,
    tag: null as number | null,
    external_ids: new Map<string, string>() as ReadonlyMap<string, string>,
  },
  /** From a schema that is yet to come. */
  Tomorrow: { name: '' },
};
type Client = OvsdbClient<typeof tables>;
type Options = Partial<OvsdbClientOptions<typeof tables>> & { dial?: Dial; endpoint?: string };

const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

describe('the OVSDB client on a real ovsdb-server', () => {
  let ovs: PrivateSwitch;
  let clients: Client[];
  let heard: string[];

  function open({ endpoint = ovs.endpoint, dial = ovsdbDialer(endpoint), ...options }: Options = {}): Client {
    const client = new OvsdbClient({
      remotes: [{ endpoint, dial }],
      timers: systemTimers,
      database: 'Open_vSwitch',
      tables,
      ...options,
    });
    client.listen({
      onState: (problem) => heard.push(problem === null ? 'in step' : 'out of step'),
      onChanges: (changes) => heard.push(...changes.map(({ kind, table, row }) => `${kind} ${table} ${row.name}`)),
    });
    clients.push(client);
    client.start();
    return client;
  }

  async function connected(options: Options = {}): Promise<Client> {
    const client = open(options);
    await inStep(client);
    return client;
  }

  /** What was heard since it was last asked for, sorted: the order of one transaction's rows is the server's. */
  function heardNow(): string[] {
    return heard.splice(0).sort();
  }

  async function hears(...expected: string[]): Promise<void> {
    await waitFor(expected.join(', '), () => expected.every((line) => heard.includes(line)));
    assert.deepEqual(heardNow(), [...expected].sort());
  }

  beforeEach(async () => {
    clients = [];
    heard = [];
    ovs = await startPrivateSwitch({ vswitchd: false });
  });
  afterEach(async () => {
    for (const client of clients) client.stop();
    await ovs.stop();
  });

  const addPort = (n: number, name: string, bridge = 'br0'): Operation[] => [
    { op: 'wait', timeout: 0, table: 'Bridge', where: [['name', '==', bridge]], columns: ['name'], until: '==', rows: [{ name: bridge }] }, // prettier-ignore
    { op: 'insert', table: 'Interface', uuid: uuid(2 * n), row: { name } },
    { op: 'insert', table: 'Port', uuid: uuid(2 * n + 1), row: { name, interfaces: ['uuid', uuid(2 * n)], tag: 10 } },
    { op: 'mutate', table: 'Bridge', where: [['name', '==', bridge]], mutations: [['ports', 'insert', ['uuid', uuid(2 * n + 1)]]] }, // prettier-ignore
  ];

  it('hears what ovs-vsctl does', async () => {
    const client = await connected();
    await hears('in step');
    await ovs.vsctl('--no-wait', 'add-br', 'br0');
    await hears('insert Bridge br0', 'insert Port br0');
    await ovs.vsctl('--no-wait', 'add-port', 'br0', 'p1', 'tag=7');
    await hears('insert Port p1', 'modify Bridge br0');
    await ovs.vsctl('--no-wait', 'set', 'Port', 'p1', 'tag=8', 'external_ids:k=v', 'external_ids:l=w');
    await hears('modify Port p1');
    const row = [...client.replica.table('Port').values()].find(({ name }) => name === 'p1');
    assert.deepEqual([row?.tag, row?.external_ids], [8, new Map([['k', 'v'], ['l', 'w']])]); // prettier-ignore
    await ovs.vsctl('--no-wait', 'clear', 'Port', 'p1', 'tag', '--', 'remove', 'Port', 'p1', 'external_ids', 'k');
    await hears('modify Port p1');
    assert.deepEqual([row?.tag, row?.external_ids], [null, new Map([['l', 'w']])]);
    await ovs.vsctl('--no-wait', 'del-port', 'p1');
    await hears('delete Port p1', 'modify Bridge br0');
    assert.equal(client.replica.table('Tomorrow').size, 0);
  });

  it('adds a port to a bridge, and inserts nothing when the bridge is not there', async () => {
    const client = await connected();
    await ovs.vsctl('--no-wait', 'add-br', 'br0');
    await client.transact(addPort(1, 'p1'));
    assert.equal(await ovs.vsctl('list-ports', 'br0'), 'p1');
    await assert.rejects(client.transact(addPort(2, 'p2', 'gone')), refusedWith('Conflict', 'OVSDB wait on Bridge'));
    assert.equal(await ovs.vsctl('--columns=name', 'find', 'Interface', 'name=p2'), '');
  });

  it('is told of a duplicate uuid when a transaction is repeated', async () => {
    const client = await connected();
    await ovs.vsctl('--no-wait', 'add-br', 'br0');
    await client.transact(addPort(1, 'p1'));
    await assert.rejects(
      client.transact(addPort(1, 'p1')),
      (thrown) => thrown instanceof TransactError && thrown.kind === 'duplicate uuid' && thrown.operation === 1,
    );
    assert.equal(await ovs.vsctl('list-ports', 'br0'), 'p1');
  });

  it('names the commit when that is what the server refuses', async () => {
    const client = await connected();
    await ovs.vsctl('--no-wait', 'add-br', 'br0');
    await client.transact(addPort(1, 'p1'));
    await assert.rejects(
      client.transact(addPort(2, 'p1')),
      refusedWith('SwitchError', 'OVSDB commit failed: constraint violation', 'p1'),
    );
  });

  it('is told by every operation what it did', async () => {
    const client = await connected();
    const whereP1: Condition[] = [['name', '==', 'p1']];
    const results = await client.transact([
      { op: 'comment', comment: 'why' },
      { op: 'insert', table: 'Interface', 'uuid-name': 'i1', row: { name: 'p1' } },
      { op: 'insert', table: 'Port', uuid: uuid(9), row: { name: 'p1', interfaces: ['named-uuid', 'i1'], tag: 10 } },
      { op: 'insert', table: 'Bridge', row: { name: 'br0', ports: ['uuid', uuid(9)] }, 'uuid-name': 'b' },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['named-uuid', 'b']], ['next_cfg', '+=', 1]] }, // prettier-ignore
      { op: 'wait', timeout: 0, table: 'Port', where: whereP1, columns: ['tag'], until: '==', rows: [{ tag: 10 }] },
      { op: 'wait', timeout: 0, table: 'Port', where: whereP1, columns: ['tag'], until: '!=', rows: [{ tag: 11 }] },
      { op: 'update', table: 'Port', where: whereP1, row: { tag: 11, trunks: ['set', [1, 2]] } },
      { op: 'mutate', table: 'Port', where: whereP1, mutations: [['trunks', 'delete', 2], ['external_ids', 'insert', ['map', [['k', 'v']]]]] }, // prettier-ignore
      { op: 'select', table: 'Port', where: [['tag', '>', 10]], columns: ['name', 'trunks', 'external_ids'] },
      { op: 'delete', table: 'Port', where: [['name', '==', 'nobody']] },
      { op: 'commit', durable: true },
    ]);
    assert.deepEqual(
      results.map((result) => Object.keys(result).join()),
      ['', 'uuid', 'uuid', 'uuid', 'count', '', '', 'count', 'count', 'rows', 'count', ''],
    );
    assert.deepEqual(results[2]?.uuid, ['uuid', uuid(9)]);
    assert.deepEqual(results[9]?.rows, [{ name: 'p1', trunks: 1, external_ids: ['map', [['k', 'v']]] }]);
    assert.deepEqual([results[7]?.count, results[10]?.count], [1, 0]);
    assert.equal(client.replica.table('Port').get(uuid(9))?.tag, 11);
  });

  for (const [kind, code, operations] of [
    ['aborted', 'SwitchError', [{ op: 'abort' }]],
    ['not owner', 'Busy', [{ op: 'assert', lock: 'nobody' }]],
    ['timed out', 'Conflict', [{ op: 'wait', timeout: 0, table: 'Bridge', where: [], columns: ['name'], until: '!=', rows: [] }]], // prettier-ignore
    ['duplicate uuid-name', 'SwitchError', [{ op: 'insert', table: 'QoS', 'uuid-name': 'q', row: {} }, { op: 'insert', table: 'QoS', 'uuid-name': 'q', row: {} }]], // prettier-ignore
    ['duplicate uuid', 'SwitchError', [{ op: 'insert', table: 'QoS', uuid: uuid(1), row: {} }, { op: 'insert', table: 'QoS', uuid: uuid(1), row: {} }]], // prettier-ignore
    ['constraint violation', 'SwitchError', [{ op: 'insert', table: 'Port', row: { name: 'x', tag: 5000 } }]],
    ['referential integrity violation', 'SwitchError', [{ op: 'insert', table: 'Bridge', row: { name: 'x', ports: ['uuid', uuid(7)] } }, { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['set', []]]] }]], // prettier-ignore
    ['domain error', 'SwitchError', [{ op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '/=', 0]] }]], // prettier-ignore
    ['syntax error', 'SwitchError', [{ op: 'insert', table: 'Nothing', row: {} }]],
    ['unknown column', 'SwitchError', [{ op: 'update', table: 'Port', where: [], row: { nothing: 1 } }]],
  ] as [OvsdbErrorKind, ErrorCode, Operation[]][]) {
    it(`is refused with "${kind}", whose code is ${code}`, async () => {
      const client = await connected();
      const thrown: unknown = await client.transact(operations).catch((error: unknown) => error);
      assert.ok(thrown instanceof TransactError);
      assert.deepEqual([thrown.kind, thrown.code, isRetryable(thrown)], [kind, code, isRetryableKind(kind)]);
    });
  }

  it('takes back a transaction that waits in the server when its caller gives up', async () => {
    const client = await connected();
    const whenBr0: Operation[] = [
      { op: 'wait', table: 'Bridge', where: [], columns: ['name'], until: '==', rows: [{ name: 'br0' }] },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['external_ids', 'insert', ['map', [['late', 'yes']]]]] }, // prettier-ignore
    ];
    const caller = new AbortController();
    const waiting = assert.rejects(
      client.transact(whenBr0, { signal: caller.signal }),
      refusedWith('Timeout', 'given up'),
    );
    caller.abort();
    await waiting;
    await assert.rejects(client.transact(whenBr0, { deadlineMs: 50 }), refusedWith('Timeout', '50 ms'));
    await ovs.vsctl('--no-wait', 'add-br', 'br0');
    await client.transact([{ op: 'comment', comment: 'after that' }]);
    assert.equal(await ovs.vsctl('get', 'Open_vSwitch', '.', 'external_ids'), '{}');
  });

  it('tells of no row when the server is killed and comes back with the same ones', async () => {
    const client = await connected();
    await ovs.vsctl('--no-wait', 'add-br', 'br0', '--', 'add-port', 'br0', 'p1', '--', 'add-port', 'br0', 'p2');
    await hears('in step', 'insert Bridge br0', 'insert Port br0', 'insert Port p1', 'insert Port p2');
    await ovs.killServer('SIGKILL');
    await hears('out of step');
    await assert.rejects(client.transact(addPort(1, 'x')), (thrown) => thrown === client.problem);
    await waitFor('the reason', () => /is ovsdb-server running/.test(client.problem?.message ?? ''));
    await ovs.startServer();
    await hears('in step');
    assert.deepEqual([...client.replica.table('Port').values()].map(({ name }) => name).sort(), ['br0', 'p1', 'p2']);
  });

  it('tells what changed while it was away', async () => {
    const gate = { isOpen: true };
    const dial: Dial = (events, signal) =>
      gate.isOpen ? ovsdbDialer(ovs.endpoint)(events, signal) : Promise.reject(new Error('the gate is closed'));
    const client = await connected({ dial, timers: hastyTimers(20) });
    await ovs.vsctl('--no-wait', 'add-br', 'br0', '--', 'add-port', 'br0', 'p1', '--', 'add-port', 'br0', 'p2');
    await waitFor('the ports', () => client.replica.table('Port').size === 3);
    gate.isOpen = false;
    await ovs.killServer('SIGKILL');
    await waitFor('the loss', () => heard.includes('out of step'));
    heardNow();
    await ovs.startServer();
    await ovs.vsctl('--no-wait', 'del-port', 'p1', '--', 'set', 'Port', 'p2', 'tag=5', '--', 'add-port', 'br0', 'p3');
    assert.deepEqual(heardNow(), []);
    gate.isOpen = true;
    await hears('in step', 'delete Port p1', 'modify Port p2', 'insert Port p3', 'modify Bridge br0');
  });

  it('empties its replica when the database is wiped, and fills it again', async () => {
    const client = await connected();
    await ovs.vsctl('--no-wait', 'add-br', 'br0', '--', 'add-port', 'br0', 'p1');
    await hears('in step', 'insert Bridge br0', 'insert Port br0', 'insert Port p1');
    await ovs.wipe();
    await ovs.startServer();
    await hears('out of step', 'in step', 'delete Bridge br0', 'delete Port br0', 'delete Port p1');
    assert.equal(client.replica.table('Port').size, 0);
    await ovs.vsctl('--no-wait', 'add-br', 'br0');
    await hears('insert Bridge br0', 'insert Port br0');
  });

  it('waits for a socket that is not there at the start', async () => {
    await ovs.wipe();
    await rm(ovs.socketPath, { force: true });
    const client = open();
    await waitFor('the reason', () => /no such socket/.test(client.problem?.message ?? ''));
    assert.deepEqual(heard, []);
    await ovs.startServer();
    await hears('in step');
  });

  it('says what is wrong with a socket that nobody listens on, or that is none', async () => {
    const client = open({ endpoint: 'unix:x', dial: ovsdbDialer(`unix:${ovs.folder}`) });
    await waitFor('the reason', () =>
      /unix:x: nobody listens|unix:x: .*ECONNREFUSED/.test(client.problem?.message ?? ''),
    );
    const file = join(ovs.folder, 'file');
    await writeFile(file, '');
    const another = open({ dial: ovsdbDialer(`unix:${file}`) });
    await waitFor('the reason', () => /nobody listens on this socket/.test(another.problem?.message ?? ''));
  });

  it('gives a stopped server its deadline, then the probe’s, and goes on when it does', async () => {
    const client = await connected({ timers: hastyTimers(20), lock: 'l' });
    await hears('in step');
    ovs.signalServer('SIGSTOP');
    await assert.rejects(
      client.transact([{ op: 'comment', comment: 'x' }], { deadlineMs: 1000 }),
      refusedWith('Timeout', 'OVSDB transact', '1000 ms'),
    );
    assert.equal(client.problem, null);
    await assert.rejects(
      client.transact([{ op: 'comment', comment: 'x' }], { deadlineMs: 60_000 }),
      refusedWith('Unavailable', 'was sent, but not answered', 'does not answer'),
    );
    await hears('out of step');
    ovs.signalServer('SIGCONT');
    await hears('in step');
    await waitFor('the lock that the lost connection held', () => client.lockHeld);
  });

  it('does not hold its own stalls against the server', async () => {
    const client = await connected({ reconnect: { ...reconnectDefaults, probeIntervalMs: 20 } });
    await hears('in step');
    // Between two stalls Node.js looks at its timers first: the probe's answer is there and has not been read.
    for (let stalls = 0; stalls < 10; stalls++) {
      await new Promise((resolve) => setImmediate(resolve));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
    }
    await client.transact([]);
    assert.deepEqual(heardNow(), []);
  });

  it('takes 1,000 ports whole, and tells of each', async () => {
    const ports = Array.from({ length: 1000 }, (_, n) => ['--', 'add-port', 'br0', `p${n}`, `tag=${n + 1}`]).flat();
    await ovs.vsctl('--no-wait', 'add-br', 'br0', ...ports);
    const client = await connected();
    const rows = [...client.replica.table('Port').values()];
    assert.equal(rows.length, 1001);
    assert.deepEqual(
      new Set(rows.map(({ tag }) => tag)),
      new Set([null, ...Array.from({ length: 1000 }, (_, n) => n + 1)]),
    );
    assert.equal([...client.replica.table('Bridge').values()][0]?.ports.size, 1001);
    assert.equal(heardNow().filter((line) => line.startsWith('insert Port p')).length, 1000);
  });
});

describe('the OVSDB client on a socket of a server that misbehaves', () => {
  const folder = temporaryFolder();
  let server: FakeOvsdbServer;
  let clients: ThingClient[];
  let endpoint: string;

  function open(): ThingClient {
    const client = thingClient({ endpoint, timers: hastyTimers(50), lock: 'things' });
    clients.push(client);
    client.start();
    return client;
  }
  beforeEach(async () => {
    endpoint = `unix:${join(folder(), 'db.sock')}`;
    server = new FakeOvsdbServer();
    clients = [];
    await server.listen(join(folder(), 'db.sock'));
  });
  afterEach(async () => {
    for (const client of clients) client.stop();
    await server.close();
  });

  it('comes to the whole replica though its first connection is cut, at whatever byte', async () => {
    server.put(uuid(1), { name: 'a €', tags: ['set', ['x', 'y']] });
    const first = open();
    await inStep(first);
    const { sentBytes } = server.latest;
    first.stop();
    assert.ok(sentBytes > 500);
    for (let cut = 1; cut < sentBytes; cut++) {
      server.cutAfterBytes.push(cut);
      const client = open();
      await inStep(client);
      assert.deepEqual(
        [...client.replica.table('Thing').values()].map(({ name }) => name),
        ['a €'],
        `cut at ${cut}`,
      );
      client.stop();
    }
    assert.ok(server.connections.length >= 1 + 2 * (sentBytes - 1), 'each was cut once');
  }).timeout(60_000);

  it('takes replies that come byte by byte', async () => {
    server.put(uuid(1), { name: 'a €' });
    server.on.set('monitor_cond_since', (request, connection) => {
      const initial = { Thing: { [uuid(1)]: { initial: { name: 'a €' } } } };
      for (const byte of Buffer.from(JSON.stringify({ id: request.id, result: [false, '', initial], error: null }))) {
        connection.sendBytes(Buffer.of(byte));
      }
    });
    const client = open();
    await inStep(client);
    assert.equal(client.replica.table('Thing').get(uuid(1))?.name, 'a €');
  });

  for (const [title, bytes] of [
    ['another protocol', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
    ['zeros', Buffer.alloc(65_536)],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
    ['10,000 brackets', Buffer.alloc(10_000, '[')],
    ['a closing bracket', Buffer.from('}')],
    ['a message that is none', Buffer.from('{"jsonrpc":"2.0"}')],
  ] as const) {
    it(`drops a server that sends ${title}, and is in step when it stops doing so`, async () => {
      server.on.set('get_schema', (_, connection) => {
        connection.sendBytes(bytes);
      });
      const client = open();
      await waitFor('the reason', () => client.problem?.message.includes('OVSDB server sent') === true);
      await assert.rejects(client.transact([]), refusedWith('Unavailable', endpoint));
      server.on.clear();
      await inStep(client);
    });
  }

  it('refuses a message of 200 MB long before its end, and holds little of it', async () => {
    const before = process.memoryUsage().rss;
    let peak = before;
    const sample = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    server.on.set('get_schema', ({ id }, connection) => {
      connection.sendBytes(Buffer.from(`{"id":${String(id)},"error":null,"result":"`));
      for (let sent = 0; sent < 200; sent++) connection.sendBytes(chunk);
    });
    try {
      const client = thingClient({ endpoint });
      clients.push(client);
      client.start();
      await waitFor('the reason', () => client.problem?.message.includes('a message longer than') === true);
      server.on.clear();
      await inStep(client);
    } finally {
      clearInterval(sample);
    }
    assert.ok(peak - before < 250 * 1024 * 1024, `grew by ${Math.round((peak - before) / 1024 / 1024)} MiB`);
  });

  it('takes the first of two replies with one id', async () => {
    const client = open();
    await inStep(client);
    server.on.set('transact', ({ id }, connection) => {
      connection.send({ id, result: [{ count: 1 }], error: null }, { id, result: [{ count: 2 }], error: null });
    });
    assert.deepEqual(await client.transact([{ op: 'comment', comment: '' }]), [{ count: 1 }]);
    server.on.clear();
    await client.transact([{ op: 'comment', comment: '' }]);
    assert.equal(client.problem, null);
  });

  it('refuses nesting of 10,000 inside a reply', async () => {
    server.on.set('get_schema', ({ id }, connection) => {
      const depth = 10_000;
      connection.sendBytes(
        Buffer.from(`{"id":${String(id)},"result":${'['.repeat(depth)}${']'.repeat(depth)},"error":null}`),
      );
    });
    const client = open();
    await waitFor('the reason', () => client.problem?.message.includes('nesting deeper than 1000') === true);
    server.on.clear();
    await inStep(client);
  });

  it('gives up a server that never says anything, and one that never answers', async () => {
    const isSilent = { isSilent: true };
    for (const method of ['get_schema', 'lock', 'echo']) {
      server.on.set(method, (request, connection) => {
        if (!isSilent.isSilent) server.behave(request, connection);
      });
    }
    const client = open();
    await waitFor('the reason', () => /does not answer|was not answered/.test(client.problem?.message ?? ''));
    isSilent.isSilent = false;
    await inStep(client);
  });

  it('closes a connection on which the server does not read, and says so', async () => {
    const client = thingClient({ endpoint });
    clients.push(client);
    client.start();
    await inStep(client);
    server.stopReading();
    const comment = 'x'.repeat(8 * 1024 * 1024);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, () => client.transact([{ op: 'comment', comment }])),
    );
    for (const outcome of outcomes) {
      assert.equal(outcome.status, 'rejected');
      refusedWith('Unavailable', 'was sent, but not answered', 'bytes wait for the server')(outcome.reason);
    }
    await inStep(client);
  });

  it('is dropped by the server in the middle of anything, and leaves no rejection unhandled', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => {
      unhandled.push(reason);
    };
    process.on('unhandledRejection', onUnhandled);
    try {
      for (const method of ['get_schema', 'lock', 'monitor_cond_since', 'transact']) {
        server.on.clear();
        server.on.set(method, (_, connection) => {
          connection.close();
        });
        const client = open();
        if (method === 'transact') await inStep(client);
        await assert.rejects(client.transact([]), refusedWith('Unavailable'));
        const before = server.connections.length;
        await waitFor('another connection', () => server.connections.length > before);
        client.stop();
      }
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('unhandledRejection', onUnhandled);
    }
    assert.deepEqual(unhandled, []);
  });
});
