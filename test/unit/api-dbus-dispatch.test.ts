import assert from 'node:assert/strict';
import type { CallReply, Caller, IncomingCall, OutgoingSignal } from '../../src/api/dbus/contract.ts';
import { authoriseByUid } from '../../src/api/dbus/authorise.ts';
import type { DispatcherOptions } from '../../src/api/dbus/dispatch.ts';
import { createDispatcher } from '../../src/api/dbus/dispatch.ts';
import { createEmitter } from '../../src/api/dbus/emitter.ts';
import type { InterfaceSpec, Privilege } from '../../src/api/dbus/interface-spec.ts';
import { serveInterface } from '../../src/api/dbus/served-interface.ts';
import { AgentError } from '../../src/model/errors.ts';

const path = '/test/Object';
const declaration = {
  name: 'test.Interface',
  methods: {
    join: {
      in: [
        { name: 'text', type: 's' },
        { name: 'number', type: 'u' },
      ],
      out: [{ name: 'joined', type: 's' }],
      privilege: 'ports',
      doc: 'Joins.',
    },
    fail: { in: [], out: [], privilege: 'ports', doc: 'Throws what the test says.' },
    count: { in: [], out: [{ name: 'number', type: 'u' }], privilege: 'read', doc: 'Answers what the test says.' },
  },
  properties: { Names: { type: 'as', emits: 'true', doc: 'Names.' } },
  signals: { Grew: { args: [{ name: 'height', type: 't' }], doc: 'Grew.' } },
} as const satisfies InterfaceSpec;

interface World {
  thrown: unknown;
  count: number;
  names: string[];
  uid: number;
  order: string[];
  internal: unknown[];
  caller: Caller | null;
}

function createWorld(overrides: Partial<DispatcherOptions> = {}) {
  const world: World = { thrown: null, count: 0, names: ['a'], uid: 0, order: [], internal: [], caller: null };
  const served = serveInterface(
    declaration,
    {
      join: ([text, number], caller) => {
        world.order.push('handler');
        world.caller = caller;
        return Promise.resolve([`${text}${number}`]);
      },
      fail: () => Promise.reject(world.thrown as Error),
      count: () => Promise.resolve([world.count]),
    },
    { Names: () => world.names },
  );
  const dispatch = createDispatcher({
    objects: new Map([[path, [served]]]),
    authorise: (caller, privilege: Privilege) => {
      world.order.push(`authorise ${privilege}`);
      return authoriseByUid(1000)(caller, privilege);
    },
    senderUid: () => {
      world.order.push('uid');
      return Promise.resolve(world.uid);
    },
    machineId: 'f'.repeat(32),
    onInternalError: (error) => world.internal.push(error),
    ...overrides,
  });
  const call = (member: string, signature = '', body: readonly unknown[] = [], where: Partial<IncomingCall> = {}) =>
    dispatch({
      sender: ':1.9',
      path,
      interface: 'test.Interface',
      member,
      signature,
      body,
      noReplyExpected: false,
      signal: new AbortController().signal,
      ...where,
    });
  const properties = (member: string, signature: string, body: readonly unknown[]) =>
    call(member, signature, body, { interface: 'org.freedesktop.DBus.Properties' });
  return { world, served, call, properties };
}

function assertError(reply: CallReply, errorName: string, message: RegExp): void {
  assert.ok(reply.kind === 'error', JSON.stringify(reply));
  assert.equal(reply.errorName, errorName);
  assert.match(reply.message, message);
}

const standard = 'org.freedesktop.DBus.Error.';

describe('D-Bus dispatch', () => {
  it('checks the signature, then asks for the uid, then for the privilege, then calls', async () => {
    const { world, call } = createWorld();
    assert.deepEqual(await call('join', 'su', ['x', 1]), { kind: 'return', signature: 's', body: ['x1'] });
    assert.deepEqual(world.order, ['uid', 'authorise ports', 'handler']);
    assert.deepEqual(world.caller, { sender: ':1.9', uid: 0 });
  });

  it('refuses a wrong signature before anything else, naming the arguments', async () => {
    const { world, call } = createWorld();
    assertError(await call('join', 'us', [1, 'x']), `${standard}InvalidArgs`, /\(s text, u number\), signature "su"/);
    assert.deepEqual(world.order, []);
  });

  it('does not call the handler for a caller without the privilege', async () => {
    const { world, call } = createWorld();
    world.uid = 65534;
    assertError(await call('join', 'su', ['x', 1]), 'dev.ovs.PortAgent1.Error.AccessDenied', /uid 65534 .*"ports"/);
    assert.ok(!world.order.includes('handler'));
  });

  it("lets the service's own user call", async () => {
    const { world, call } = createWorld();
    world.uid = 1000;
    assert.equal((await call('join', 'su', ['x', 1])).kind, 'return');
  });

  it('finds a method when the caller leaves the interface out', async () => {
    const { call } = createWorld();
    assert.equal((await call('join', 'su', ['x', 1], { interface: null })).kind, 'return');
    assert.equal((await call('Ping', '', [], { interface: null })).kind, 'return');
  });

  it('answers unknown objects, interfaces and methods with the standard errors', async () => {
    const { call } = createWorld();
    assertError(await call('join', '', [], { path: '/no' }), `${standard}UnknownObject`, /no object \/no/);
    assertError(await call('join', '', [], { interface: 'a.b' }), `${standard}UnknownInterface`, /no interface a\.b/);
    assertError(await call('joint'), `${standard}UnknownMethod`, /did you mean join\?/);
    for (const member of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      assertError(await call(member), `${standard}UnknownMethod`, /no method/);
    }
  });

  it('answers the peer interface without asking who calls', async () => {
    const { world, call } = createWorld();
    const peer = { interface: 'org.freedesktop.DBus.Peer' };
    assert.deepEqual(await call('Ping', '', [], peer), { kind: 'return', signature: '', body: [] });
    assert.deepEqual(await call('GetMachineId', '', [], peer), {
      kind: 'return',
      signature: 's',
      body: ['f'.repeat(32)],
    });
    assert.deepEqual(world.order, []);
  });

  it('lists child nodes on the objects above', async () => {
    const { call } = createWorld();
    const introspectable = { interface: 'org.freedesktop.DBus.Introspectable' };
    const root = await call('Introspect', '', [], { ...introspectable, path: '/' });
    assert.ok(root.kind === 'return');
    assert.match(String(root.body[0]), /<node name="test"\/>/);
    const parent = await call('Introspect', '', [], { ...introspectable, path: '/test' });
    assert.ok(parent.kind === 'return');
    assert.match(String(parent.body[0]), /<node name="Object"\/>/);
    assert.doesNotMatch(String(parent.body[0]), /test\.Interface/);
  });

  describe('of properties', () => {
    it('reads one and all, with the declared type', async () => {
      const { properties } = createWorld();
      const names = { signature: 'as', value: ['a'] };
      assert.deepEqual(await properties('Get', 'ss', ['test.Interface', 'Names']), {
        kind: 'return',
        signature: 'v',
        body: [names],
      });
      for (const interfaceName of ['test.Interface', '']) {
        assert.deepEqual(await properties('GetAll', 's', [interfaceName]), {
          kind: 'return',
          signature: 'a{sv}',
          body: [new Map([['Names', names]])],
        });
      }
      assert.deepEqual(await properties('GetAll', 's', ['org.freedesktop.DBus.Peer']), {
        kind: 'return',
        signature: 'a{sv}',
        body: [new Map()],
      });
    });

    it('refuses a write and changes nothing', async () => {
      const { world, properties } = createWorld();
      const value = { signature: 'as', value: ['changed'] };
      assertError(
        await properties('Set', 'ssv', ['test.Interface', 'Names', value]),
        `${standard}PropertyReadOnly`,
        /read-only; nothing was changed/,
      );
      assert.deepEqual(world.names, ['a']);
    });

    it('names what is unknown', async () => {
      const { properties } = createWorld();
      assertError(await properties('Get', 'ss', ['a.b', 'Names']), `${standard}UnknownInterface`, /a\.b/);
      for (const name of ['No', '__proto__', 'constructor']) {
        assertError(
          await properties('Get', 'ss', ['test.Interface', name]),
          `${standard}UnknownProperty`,
          /no property/,
        );
      }
      const value = { signature: 's', value: '' };
      assertError(await properties('Set', 'ssv', ['test.Interface', 'No', value]), `${standard}UnknownProperty`, /No/);
    });

    it('are not shown to a caller without the privilege', async () => {
      const { world, properties } = createWorld();
      world.uid = 65534;
      assertError(await properties('GetAll', 's', ['test.Interface']), 'dev.ovs.PortAgent1.Error.AccessDenied', /read/);
    });
  });

  describe('of failures', () => {
    it('gives the code and the message of an AgentError', async () => {
      const { world, call } = createWorld();
      world.thrown = new AgentError('NotOwner', 'port eth0 is foreign');
      const reply = await call('fail');
      assert.deepEqual(reply, {
        kind: 'error',
        errorName: 'dev.ovs.PortAgent1.Error.NotOwner',
        message: 'port eth0 is foreign',
      });
      assert.deepEqual(world.internal, []);
    });

    it('reports a defect to the service and tells the caller neither its words nor its stack', async () => {
      const { world, call } = createWorld();
      world.thrown = new TypeError('cannot read secret of undefined');
      const reply = await call('fail');
      assertError(
        reply,
        'dev.ovs.PortAgent1.Error.Internal',
        /^fail failed by an internal error; see the service's log$/,
      );
      assert.deepEqual(world.internal, [world.thrown]);
    });

    it('treats a result that breaks the declaration as a defect', async () => {
      const { world, call } = createWorld();
      for (const count of [-1, 1.5, 2 ** 32, '5' as unknown as number]) {
        world.count = count;
        assertError(await call('count'), 'dev.ovs.PortAgent1.Error.Internal', /internal error/);
      }
      assert.equal(world.internal.length, 4);
    });

    it('treats a property that breaks its declaration as a defect', async () => {
      const { world, properties } = createWorld();
      world.names = ['with\0nul'];
      assertError(await properties('GetAll', 's', ['']), 'dev.ovs.PortAgent1.Error.Internal', /internal error/);
    });

    it('shortens an endless message and removes what the bus forbids in strings', async () => {
      const { world, call } = createWorld();
      world.thrown = new AgentError('NotFound', `a\0b${'x'.repeat(10_000)}`);
      const reply = await call('fail');
      assert.ok(reply.kind === 'error');
      assert.ok(reply.message.length <= 4096 && !reply.message.includes('\0'));
    });

    it('refuses when the bus no longer knows the caller', async () => {
      const { call } = createWorld({
        senderUid: () => Promise.reject(new AgentError('Unavailable', ':1.9 has left')),
      });
      assertError(await call('join', 'su', ['x', 1]), 'dev.ovs.PortAgent1.Error.Unavailable', /has left/);
    });
  });
});

describe('D-Bus signals', () => {
  const { served, world } = createWorld();
  const sent: OutgoingSignal[] = [];
  const emitter = createEmitter({ emitSignal: (signal) => sent.push(signal) > 0 }, path, served);
  beforeEach(() => {
    sent.length = 0;
  });

  it('go out with the declared signature', () => {
    emitter.signal('Grew', [5n]);
    assert.deepEqual(sent, [{ path, interface: 'test.Interface', member: 'Grew', signature: 't', body: [5n] }]);
  });

  it('announce the present values of changed properties', () => {
    world.names = ['a', 'b'];
    emitter.propertiesChanged(['Names']);
    assert.deepEqual(sent[0]?.body, [
      'test.Interface',
      new Map([['Names', { signature: 'as', value: ['a', 'b'] }]]),
      [],
    ]);
  });

  it('do not go out with values that break the declaration', () => {
    assert.throws(() => emitter.signal('Grew', [-1n]), /does not fit its declaration \(t\)/);
    // @ts-expect-error: a number is no bigint
    assert.throws(() => emitter.signal('Grew', [5]), /does not fit/);
    // @ts-expect-error: no such signal
    assert.throws(() => emitter.signal('Shrank', [5n]), /does not fit/);
    assert.deepEqual(sent, []);
  });
});

describe('handlers', () => {
  it('are typed by the declaration', () => {
    const readers = { Names: () => ['a'] };
    const handlers = {
      join: ([text]: readonly [string, number]) => Promise.resolve([text] as const),
      fail: () => Promise.resolve([] as const),
      count: () => Promise.resolve([1] as const),
    };
    assert.ok(serveInterface(declaration, handlers, readers));
    // @ts-expect-error: count must answer a number
    assert.ok(serveInterface(declaration, { ...handlers, count: () => Promise.resolve(['1'] as const) }, readers));
    // @ts-expect-error: fail is missing
    assert.ok(serveInterface(declaration, { join: handlers.join, count: handlers.count }, readers));
    // @ts-expect-error: Names must be read as strings
    assert.ok(serveInterface(declaration, handlers, { Names: () => [1] }));
  });
});
