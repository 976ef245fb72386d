import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageTypes } from '../../src/platform/dbus/codec.ts';
import { messageBytesMax } from '../../src/platform/dbus/limits.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { waitFor } from '../support/wait-for.ts';

const wait = { deadlineMs: 5000 };
const driver = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
};

describe('a bus connection', () => {
  let bus: PrivateBus;
  const open: BusConnection[] = [];
  const connect = async (address = bus.address) => {
    const connection = await BusConnection.connect(address, wait);
    open.push(connection);
    return connection;
  };

  before(async () => {
    bus = await PrivateBus.start({
      deniedNames: ['test.Denied'],
      // The daemon's own maximum for a caller is 128.
      limits: { max_replies_per_connection: 1000 },
    });
  });
  afterEach(() => {
    for (const connection of open.splice(0)) connection.close();
  });
  after(() => bus.stop());

  it('has a unique name and calls methods', async () => {
    const connection = await connect();
    assert.match(connection.uniqueName, /^:1\.\d+$/);
    const [owner] = await connection.call(
      { ...driver, member: 'GetNameOwner', signature: 's', body: [connection.uniqueName] },
      wait,
    );
    assert.equal(owner, connection.uniqueName);
  });

  it('takes the first address of a list that works', async () => {
    await connect(`unix:path=${bus.folder}/absent;tcp:host=localhost,port=1;${bus.address}`);
  });

  it('reads escaped addresses', async () => {
    await connect(bus.address.replaceAll('/', '%2f'));
  });

  it('names the address that nothing listens on', async () => {
    await assert.rejects(connect('unix:path=/nonexistent/bus'), {
      code: 'Unavailable',
      message: /D-Bus at "unix:path=\/nonexistent\/bus": connect ENOENT/,
    });
  });

  describe('to something that is no bus', () => {
    let folder: string;
    let stop: () => void;
    let onConnection: (socket: Socket) => void;
    let address: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'nobus-'));
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket);
        socket.on('error', () => undefined);
        onConnection(socket);
      });
      stop = () => {
        server.close();
        for (const socket of sockets) socket.destroy();
      };
      await new Promise<void>((resolve) => server.listen(join(folder, 'socket'), resolve));
      address = `unix:path=${join(folder, 'socket')}`;
    });
    afterEach(async () => {
      stop();
      await rm(folder, { recursive: true });
    });

    it('gives up at the deadline when it says nothing', async () => {
      onConnection = () => undefined;
      await assert.rejects(BusConnection.connect(address, { deadlineMs: 50 }), { code: 'Timeout', message: /50 ms/ });
    });

    it('gives up at the deadline when it authenticates and then says nothing', async () => {
      onConnection = (socket) => socket.write('OK 00112233445566778899aabbccddeeff\r\n');
      await assert.rejects(BusConnection.connect(address, { deadlineMs: 50 }), { code: 'Timeout', message: /Hello/ });
    });

    it('says what it got instead of a greeting', async () => {
      onConnection = (socket) => socket.write('220 mail.example ESMTP\r\n');
      await assert.rejects(connect(address), { code: 'Unavailable', message: /220 mail\.example/ });
    });

    it('says so when it hangs up', async () => {
      onConnection = (socket) => socket.end();
      await assert.rejects(connect(address), { code: 'Unavailable', message: /closed the connection/ });
    });

    it('ends when the stream is no longer D-Bus', async () => {
      onConnection = (socket) => {
        socket.write('OK 00112233445566778899aabbccddeeff\r\n');
        socket.on('data', (chunk: Buffer) => {
          if (chunk.includes('Hello')) socket.write('this is no D-Bus message');
        });
      };
      await assert.rejects(connect(address), { code: 'Unavailable', message: /where a D-Bus message should begin/ });
    });

    it('stops at once when the caller aborts', async () => {
      onConnection = () => undefined;
      const controller = new AbortController();
      const connecting = BusConnection.connect(address, { deadlineMs: 5000, signal: controller.signal });
      controller.abort(new Error('changed my mind'));
      await assert.rejects(connecting, /changed my mind/);
    });
  });

  describe('calling another program', () => {
    it('says Unavailable when nobody has the name', async () => {
      const connection = await connect();
      const request = { destination: 'test.Nobody', path: '/', interface: 'a.b', member: 'C' };
      for (const autoStart of [true, false]) {
        await assert.rejects(connection.call({ ...request, autoStart }, wait), {
          code: 'Unavailable',
          message: /^D-Bus call a\.b\.C of test\.Nobody failed: /,
        });
      }
    });

    it('gives up at the deadline and drops the late reply', async () => {
      const callee = await connect();
      const caller = await connect();
      const late: (() => void)[] = [];
      callee.serve(
        (call) =>
          new Promise((resolve) => {
            const reply = () => {
              resolve({ kind: 'return', signature: 's', body: [call.member] });
            };
            if (call.member === 'Late') late.push(reply);
            else reply();
          }),
      );
      const request = { destination: callee.uniqueName, path: '/', interface: 'a.b' };
      await assert.rejects(caller.call({ ...request, member: 'Late' }, { deadlineMs: 30 }), {
        code: 'Timeout',
        message: /a\.b\.Late .* longer than 30 ms/,
      });
      await waitFor('the call', () => late.length === 1);
      late[0]!();
      assert.deepEqual(await caller.call({ ...request, member: 'Next' }, wait), ['Next']);
    });

    it('stops waiting when the caller aborts, before or during the call', async () => {
      const callee = await connect();
      const caller = await connect();
      callee.serve(() => new Promise(() => undefined));
      const request = { destination: callee.uniqueName, path: '/', interface: 'a.b', member: 'C' };
      const controller = new AbortController();
      const calling = caller.call(request, { ...wait, signal: controller.signal });
      controller.abort(new Error('stop'));
      await assert.rejects(calling, /stop/);
      await assert.rejects(caller.call(request, { ...wait, signal: controller.signal }), /stop/);
    });

    it('keeps the code and the words of our own errors, and the name of others', async () => {
      const callee = await connect();
      const caller = await connect();
      const request = { destination: callee.uniqueName, path: '/', interface: 'a.b', member: 'C' };
      callee.serve(() =>
        Promise.resolve({ kind: 'error', errorName: 'dev.ovs.PortAgent1.Error.NotOwner', message: 'it is foreign' }),
      );
      await assert.rejects(caller.call(request, wait), { code: 'NotOwner', message: 'it is foreign' });
      callee.serve(() =>
        Promise.resolve({ kind: 'error', errorName: 'org.freedesktop.systemd1.NoSuchUnit', message: 'no unit' }),
      );
      await assert.rejects(caller.call(request, wait), {
        code: 'Internal',
        errorName: 'org.freedesktop.systemd1.NoSuchUnit',
        message: /NoSuchUnit: no unit/,
      });
    });

    it('shows in the stack who called', async () => {
      const connection = await connect();
      async function theCaller(): Promise<void> {
        await connection.call({ destination: 'test.Nobody', path: '/', interface: 'a.b', member: 'C' }, wait);
      }
      await assert.rejects(theCaller(), (error: Error) => error.stack?.includes('theCaller') ?? false);
    });

    it('is told UnknownMethod by a connection that serves nothing', async () => {
      const callee = await connect();
      const caller = await connect();
      await assert.rejects(
        caller.call({ destination: callee.uniqueName, path: '/', interface: 'a.b', member: 'C' }, wait),
        { errorName: 'org.freedesktop.DBus.Error.UnknownMethod' },
      );
    });
  });

  describe('owning a name', () => {
    it('says Conflict and who has it when it is taken, and does not queue for it', async () => {
      const owner = await connect();
      const second = await connect();
      await owner.requestName('test.Taken');
      await owner.requestName('test.Taken');
      await assert.rejects(second.requestName('test.Taken'), {
        code: 'Conflict',
        message: new RegExp(`test\\.Taken is taken by ${owner.uniqueName} \\(pid ${process.pid}, uid`),
      });
      owner.close();
      await waitFor('the name to be free', async () => {
        const request = { ...driver, member: 'NameHasOwner', signature: 's', body: ['test.Taken'] };
        return (await second.call(request, wait))[0] === false;
      });
    });

    it('says so when the policy forbids it', async () => {
      const connection = await connect();
      await assert.rejects(connection.requestName('test.Denied'), {
        code: 'AccessDenied',
        message: /may not own the bus name test\.Denied: the policy of the bus at .* forbids it/,
      });
    });

    it('answers calls to a name that another connection owned before', async () => {
      const first = await connect();
      const second = await connect();
      const caller = await connect();
      const serveAs = (connection: BusConnection, who: string) => {
        connection.serve(() => Promise.resolve({ kind: 'return', signature: 's', body: [who] }));
      };
      serveAs(first, 'first');
      serveAs(second, 'second');
      const request = { destination: 'test.Moving', path: '/', interface: 'a.b', member: 'C' };
      await first.requestName('test.Moving');
      assert.deepEqual(await caller.call(request, wait), ['first']);
      first.close();
      await first.closed;
      await waitFor('the name', () => second.requestName('test.Moving').then(() => true));
      assert.deepEqual(await caller.call(request, wait), ['second']);
      assert.deepEqual(await caller.call({ ...request, destination: second.uniqueName }, wait), ['second']);
    });
  });

  describe('when the bus dies', () => {
    it('says so, rejects every pending call and refuses new ones', async () => {
      const mortal = await PrivateBus.start();
      try {
        const callee = await connect(mortal.address);
        const caller = await connect(mortal.address);
        let handling: AbortSignal | null = null;
        callee.serve((call) => {
          handling = call.signal;
          return new Promise(() => undefined);
        });
        const request = { destination: callee.uniqueName, path: '/', interface: 'a.b', member: 'C' };
        const pending = [1, 2, 3].map(() => caller.call(request, { deadlineMs: 60_000 }));
        const outcomes = Promise.allSettled(pending);
        await waitFor('the calls', () => handling !== null);
        await mortal.kill();
        assert.match(await caller.closed, /./);
        for (const outcome of await outcomes) {
          assert.ok(outcome.status === 'rejected');
          assert.match(String(outcome.reason), /a\.b\.C of .* failed: the connection to the D-Bus at .* has ended/);
        }
        await callee.closed;
        assert.equal((handling as AbortSignal | null)?.aborted, true);
        await assert.rejects(caller.call(request, wait), { code: 'Unavailable' });
        assert.equal(caller.emitSignal({ path: '/', interface: 'a.b', member: 'C', signature: '', body: [] }), false);
      } finally {
        await mortal.stop();
      }
    });
  });

  it('is closed from this side after what was sent has left', async () => {
    const listener = await connect();
    const speaker = await connect();
    const heard: unknown[] = [];
    await listener.addMatch({ interface: 'a.b' }, (signal) => heard.push(signal.body[0]));
    const texts = Array.from({ length: 200 }, (_, index) => `${index}`);
    for (const text of texts) {
      speaker.emitSignal({ path: '/', interface: 'a.b', member: 'C', signature: 's', body: [text] });
    }
    speaker.close();
    assert.equal(await speaker.closed, 'it was closed on this side');
    await waitFor('all signals', () => heard.length === texts.length);
    assert.deepEqual(heard, texts);
  });

  it("knows the callers' uids from the bus", async () => {
    const connection = await connect();
    const other = await connect();
    assert.equal(await connection.senderUid(other.uniqueName), process.geteuid?.());
    await assert.rejects(connection.senderUid(':1.99999'), { code: 'Unavailable' });
    assert.equal(await connection.senderPid(other.uniqueName), process.pid);
    await assert.rejects(connection.senderPid(':1.99999'));
  });

  it('handles a bounded number of calls at once and refuses the rest', async () => {
    const callee = await connect();
    const finish: (() => void)[] = [];
    callee.serve(
      () =>
        new Promise((resolve) => {
          finish.push(() => {
            resolve({ kind: 'return', signature: '', body: [] });
          });
        }),
    );
    const peer = await RawPeer.connect(bus.address);
    try {
      const serials = Array.from({ length: 260 }, () =>
        peer.send({ destination: callee.uniqueName, path: '/', interface: 'a.b', member: 'C' }),
      );
      const last = await peer.replyTo(serials.at(-1)!);
      assert.equal(last.header.errorName, 'org.freedesktop.DBus.Error.LimitsExceeded');
      assert.equal(finish.length, 256);
      for (const resolve of finish) resolve();
      const first = await peer.replyTo(serials[0]!);
      assert.equal(first.header.errorName, undefined);
    } finally {
      peer.close();
    }
  });

  it('refuses a call above the maximum length, drops such a signal, and goes on', async () => {
    const callee = await connect();
    callee.serve((call) => Promise.resolve({ kind: 'return', signature: 's', body: [call.member] }));
    const heard: string[] = [];
    await callee.addMatch({ interface: 'a.b' }, (signal) => heard.push(signal.member));
    const peer = await RawPeer.connect(bus.address);
    try {
      const header = { destination: callee.uniqueName, path: '/', interface: 'a.b' };
      peer.sendLarge({ ...header, type: messageTypes.signal, member: 'LargeSignal' }, messageBytesMax);
      peer.send({ ...header, type: messageTypes.signal, member: 'SmallSignal' });
      const large = await peer.replyTo(peer.sendLarge({ ...header, member: 'LargeCall' }, messageBytesMax));
      assert.equal(large.header.errorName, 'org.freedesktop.DBus.Error.LimitsExceeded');
      const small = await peer.replyTo(peer.send({ ...header, member: 'SmallCall' }));
      assert.deepEqual(small.readBody(), ['SmallCall']);
      assert.deepEqual(heard, ['SmallSignal']);
    } finally {
      peer.close();
    }
  });

  it('answers a call it cannot read and goes on', async () => {
    const callee = await connect();
    callee.serve((call) => Promise.resolve({ kind: 'return', signature: 's', body: [call.member] }));
    const peer = await RawPeer.connect(bus.address);
    try {
      // A file descriptor that was never passed; dbus-next's own reader ends the process here.
      const header = { destination: callee.uniqueName, path: '/', interface: 'a.b', member: 'C', signature: 'u' };
      const hostile = peer.sendChanged(header, [0], (bytes) => {
        bytes[bytes.indexOf(Buffer.from('\x01u\0')) + 1] = 'h'.charCodeAt(0);
        return bytes;
      });
      const reply = await peer.replyTo(hostile);
      assert.equal(reply.header.errorName, 'org.freedesktop.DBus.Error.InvalidArgs');
      const next = await peer.replyTo(peer.send({ ...header, signature: '' }));
      assert.deepEqual(next.readBody(), ['C']);
    } finally {
      peer.close();
    }
  });
});
