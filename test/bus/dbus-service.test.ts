import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AgentError } from '../../src/model/errors.ts';
import { busName, objectPath, portAgentInterface } from '../../src/api/dbus/port-agent-interface.ts';
import { messageFlags } from '../../src/platform/dbus/codec.ts';
import type { MessageHeader } from '../../src/platform/dbus/codec.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import type { BusSignal } from '../../src/platform/dbus/match-rule.ts';
import type { Variant } from '../../src/platform/dbus/values.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { runTool } from '../support/run-tool.ts';
import type { TestService } from '../support/test-service.ts';
import { machineId, startTestService } from '../support/test-service.ts';
import { waitFor } from '../support/wait-for.ts';

const wait = { deadlineMs: 5000 };
const properties = 'org.freedesktop.DBus.Properties';
const standard = 'org.freedesktop.DBus.Error.';

describe('the service on a bus', () => {
  let bus: PrivateBus;
  let service: TestService;
  let client: BusConnection;
  let degraded = false;
  let failure = new Error('none yet');

  before(async () => {
    bus = await PrivateBus.start({ limits: { max_replies_per_connection: 2000 } });
    service = await startTestService(bus.address, {
      properties: { Degraded: () => degraded },
      handlers: {
        Reconcile: () => Promise.reject(failure),
        QueryState: ([plugin]) => Promise.resolve(['x'.repeat(plugin === 'big' ? 2_000_000 : 10)]),
      },
    });
    client = await BusConnection.connect(bus.address, wait);
  });
  after(async () => {
    client.close();
    service.connection.close();
    await bus.stop();
  });

  const call = (member: string, signature = '', body: readonly unknown[] = [], interfaceName: string = busName) =>
    client.call({ destination: busName, path: objectPath, interface: interfaceName, member, signature, body }, wait);

  it('answers methods with arguments of every declared type', async () => {
    assert.deepEqual(await call('ping'), ['pong']);
    assert.deepEqual(await call('list_ports'), [['vi100', 'vi101']]);
    assert.deepEqual(await call('create_container_interface', 'ssu', ['veth100i0', 'web', 100]), [
      'create_container_interface(veth100i0,web,100)',
    ]);
    assert.deepEqual(await call('get_blocks_by_height', 'tt', [0n, 2n ** 64n - 1n]), [
      'get_blocks_by_height(0,18446744073709551615)',
    ]);
  });

  it('carries large results', async () => {
    const [text] = await call('QueryState', 's', ['big']);
    assert.equal(String(text).length, 2_000_000);
  });

  it('shows handlers the sender and its uid', async () => {
    service.callers.length = 0;
    await call('ping');
    assert.deepEqual(service.callers, [{ sender: client.uniqueName, uid: process.geteuid?.() }]);
  });

  it('refuses another user, by the uid the bus knows', async function () {
    assert.equal(process.geteuid?.(), 0, 'this test needs root: it calls as another user');
    const target = [busName, objectPath, busName];
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const busctl = ['busctl', `--address=${bus.address}`, 'call', ...target];
    const refused = await runTool('util-linux', 'setpriv', [...asNobody, ...busctl, 'add_port', 's', 'eth0']);
    assert.notEqual(refused.exitCode, 0);
    assert.match(refused.stderr, /uid 65534 does not have the privilege "ports"/);
    const asRoot = await runTool('systemd', busctl[0]!, [...busctl.slice(1), 'add_port', 's', 'eth0']);
    assert.equal(asRoot.stdout, 's "add_port(eth0)"');
  });

  it('gives properties, and a write to one is refused and changes nothing', async () => {
    const [all] = await call('GetAll', 's', [busName], properties);
    assert.deepEqual(
      all,
      new Map<string, Variant>([
        ['Version', { signature: 's', value: '0.0.0-test' }],
        ['OvsdbConnected', { signature: 'b', value: true }],
        ['Degraded', { signature: 'b', value: false }],
        ['Tampered', { signature: 'b', value: false }],
        ['Ports', { signature: 'as', value: ['vi100', 'vi101'] }],
      ]),
    );
    const write = call('Set', 'ssv', [busName, 'Version', { signature: 's', value: 'changed' }], properties);
    await assert.rejects(write, { errorName: `${standard}PropertyReadOnly` });
    assert.deepEqual(await call('GetAll', 's', [busName], properties), [all]);
  });

  it('announces properties and events to those who listen', async () => {
    const heard: BusSignal[] = [];
    const remove = await client.addMatch({ sender: busName, path: objectPath }, (signal) => heard.push(signal));
    degraded = true;
    assert.equal(service.emitter.propertiesChanged(['Degraded', 'Ports']), true);
    service.emitter.signal('BlockAppended', [7n, 'ports', 'abcd']);
    service.emitter.signal('PortChanged', ['vi100', ['tag']]);
    await waitFor('the signals', () => heard.length === 3);
    degraded = false;
    await remove();
    assert.deepEqual(
      heard.map((signal) => [signal.interface, signal.member, signal.signature, signal.body]),
      [
        [
          properties,
          'PropertiesChanged',
          'sa{sv}as',
          [
            busName,
            new Map<string, Variant>([
              ['Degraded', { signature: 'b', value: true }],
              ['Ports', { signature: 'as', value: ['vi100', 'vi101'] }],
            ]),
            [],
          ],
        ],
        [busName, 'BlockAppended', 'tss', [7n, 'ports', 'abcd']],
        [busName, 'PortChanged', 'sas', ['vi100', ['tag']]],
      ],
    );
  });

  it('never shows a stack trace', async () => {
    const peer = await RawPeer.connect(bus.address);
    const ask = async () => {
      const header = { destination: busName, path: objectPath, interface: busName, member: 'Reconcile' };
      const reply = await peer.replyTo(peer.send(header));
      return { name: reply.header.errorName, body: reply.readBody() };
    };
    try {
      failure = new TypeError('secret');
      assert.deepEqual(await ask(), {
        name: 'dev.ovs.PortAgent1.Error.Internal',
        body: ["Reconcile failed by an internal error; see the service's log"],
      });
      assert.equal(service.internalErrors.at(-1)?.error, failure);
      failure = new AgentError('Busy', 'another apply is running');
      assert.deepEqual(await ask(), { name: 'dev.ovs.PortAgent1.Error.Busy', body: ['another apply is running'] });
    } finally {
      peer.close();
    }
  });

  it('sends no answer to a call that expects none, neither a result nor an error', async () => {
    const peer = await RawPeer.connect(bus.address);
    try {
      const header = { destination: busName, path: objectPath, interface: busName, member: 'ping' };
      const flags = messageFlags.noReplyExpected;
      service.callers.length = 0;
      const silent = [
        peer.send({ ...header, flags }),
        peer.send({ ...header, flags, member: 'NoSuchMethod' }),
        peer.send({ ...header, flags, member: 'Reconcile' }),
        peer.send({ ...header, flags, path: '/no/such/object' }),
      ];
      // Replies that nobody asked for are delivered on this bus, and they would come before this one.
      await peer.replyTo(peer.send(header));
      assert.deepEqual(
        silent.flatMap((serial) => peer.repliesTo(serial)),
        [],
      );
      assert.equal(service.callers.length, 2, 'the first call was carried out all the same');
    } finally {
      peer.close();
    }
  });

  it('answers the peer interface on any object of the tree', async () => {
    const peer = 'org.freedesktop.DBus.Peer';
    for (const path of ['/', '/dev', '/dev/ovs', objectPath]) {
      const to = { destination: busName, path, interface: peer };
      assert.deepEqual(await client.call({ ...to, member: 'Ping' }, wait), []);
      assert.deepEqual(await client.call({ ...to, member: 'GetMachineId' }, wait), [machineId]);
    }
  });

  it('answers 1,000 hostile messages with errors, and ping afterwards', async () => {
    const peer = await RawPeer.connect(bus.address);
    try {
      const hostile = fc.sample(hostileCall, { numRuns: 1000, seed: 20 });
      const serials = hostile.map(({ header, body }) => peer.send({ destination: busName, ...header }, body));
      await peer.replyTo(serials.at(-1)!);
      await waitFor('all replies', () => serials.every((serial) => peer.repliesTo(serial).length > 0));
      for (const [index, serial] of serials.entries()) {
        const [reply, ...more] = peer.repliesTo(serial);
        assert.equal(more.length, 0);
        const { errorName = 'no error' } = reply!.header;
        assert.match(errorName, /^org\.freedesktop\.DBus\.Error\./, JSON.stringify(hostile[index]?.header));
        assert.doesNotMatch(String(reply!.readBody()[0]), /\n\s*at |\.ts:/);
      }
      assert.deepEqual(await call('ping'), ['pong']);
      assert.deepEqual(
        service.internalErrors.filter(({ error }) => error !== failure && !String(error).includes('secret')),
        [],
      );
    } finally {
      peer.close();
    }
  });

  it('is not disturbed by a dict with a key __proto__', async () => {
    const peer = await RawPeer.connect(bus.address);
    try {
      const polluted = new Map([['__proto__', { signature: 's', value: 'x' }]]);
      const header = { destination: busName, path: objectPath, interface: busName, member: 'ping' };
      const reply = await peer.replyTo(peer.send({ ...header, signature: 'a{sv}' }, [polluted]));
      assert.equal(reply.header.errorName, `${standard}InvalidArgs`);
      assert.equal(({} as Record<string, unknown>)['x'], undefined);
      assert.deepEqual(await call('ping'), ['pong']);
    } finally {
      peer.close();
    }
  });
});

const signatures: readonly Variant[] = [
  { signature: 'b', value: true },
  { signature: 'y', value: 1 },
  { signature: 'd', value: -0.5 },
  { signature: 'o', value: '/a' },
  { signature: 'g', value: 'a{sv}' },
  { signature: 'ay', value: Buffer.alloc(300) },
  { signature: 'as', value: [] },
  { signature: '(sv)', value: ['a', { signature: 'v', value: { signature: 'u', value: 1 } }] },
  { signature: 'a{sv}', value: new Map([['__proto__', { signature: 's', value: 'x' }]]) },
  { signature: 'aas', value: [[], ['x'.repeat(1000)]] },
];

const identifier = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);

/** Calls that must end in a standard error: something unknown, or arguments that no method takes. */
const hostileCall: fc.Arbitrary<{ header: Partial<MessageHeader>; body: readonly unknown[] }> = fc.oneof(
  fc.record({
    header: fc.record({
      path: fc.oneof(
        fc.constantFrom('/', '/dev', objectPath, `${objectPath}/port/vi100`),
        fc.array(identifier, { minLength: 1, maxLength: 5 }).map((parts) => `/${parts.join('/')}`),
      ),
      interface: fc.option(
        fc.oneof(
          fc.constantFrom(busName, properties, 'org.freedesktop.DBus.ObjectManager'),
          fc.tuple(identifier, identifier).map((parts) => parts.join('.')),
        ),
        { nil: undefined },
      ),
      member: fc.oneof(
        fc.constantFrom('__proto__', 'constructor', 'toString', 'Ping1', 'PING'),
        identifier.filter((name) => !Object.hasOwn(portAgentInterface.methods, name)),
      ),
    }),
    body: fc.constant([]),
  }),
  fc
    .tuple(
      fc.constantFrom(...Object.keys(portAgentInterface.methods)),
      fc.array(fc.constantFrom(...signatures), { minLength: 1, maxLength: 3 }),
    )
    .map(([member, values]) => ({
      header: {
        path: objectPath,
        interface: busName,
        member,
        signature: values.map((value) => value.signature).join(''),
      },
      body: values.map((value) => value.value),
    })),
  // Methods that take arguments, called with none.
  fc.constantFrom('add_port', 'NotifyLifecycle', 'Call', 'get_blocks_by_height').map((member) => ({
    header: { path: objectPath, interface: busName, member },
    body: [],
  })),
);
