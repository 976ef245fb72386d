import assert from 'node:assert/strict';
import { Bus } from '../../src/platform/dbus/bus.ts';
import type { BusState } from '../../src/platform/dbus/bus.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { waitFor } from '../support/wait-for.ts';

const wait = { deadlineMs: 5000 };
const request = { destination: 'test.Service', path: '/', interface: 'a.b', member: 'Echo' };

describe('a bus that comes back', () => {
  let daemon: PrivateBus;
  let bus: Bus;
  let states: BusState[];
  const others: BusConnection[] = [];
  const connectOther = async () => {
    const other = await BusConnection.connect(daemon.address, wait);
    others.push(other);
    return other;
  };
  const reached = (kind: BusState['kind'], count = 1) =>
    waitFor(`state ${kind}`, () => states.filter((state) => state.kind === kind).length >= count);

  beforeEach(async () => {
    daemon = await PrivateBus.start({ deniedNames: ['test.Denied'] });
    states = [];
    bus = await Bus.connect({ address: daemon.address, onState: (state) => states.push(state) }, wait);
  });
  afterEach(async () => {
    bus.close();
    for (const other of others.splice(0)) other.close();
    await daemon.stop();
  });

  it('replays handler, names and match rules after the daemon was killed and started again', async () => {
    const heard: string[] = [];
    bus.serve((call) => Promise.resolve({ kind: 'return', signature: 's', body: [call.member] }));
    await bus.ownName('test.Service');
    await bus.addMatch({ sender: 'test.Other', interface: 'a.b' }, (signal) => heard.push(signal.member));
    await daemon.kill();
    await reached('disconnected');
    await daemon.restart();
    await reached('connected');
    const other = await connectOther();
    assert.deepEqual(await other.call(request, wait), ['Echo']);
    await other.requestName('test.Other');
    await waitFor('a signal after the restart', () => {
      other.emitSignal({ path: '/', interface: 'a.b', member: 'Heard', signature: '', body: [] });
      return heard.length > 0;
    });
    assert.equal(await bus.senderUid(other.uniqueName), process.geteuid?.());
  });

  it('says Unavailable while it is away, drops signals, and keeps new rules for later', async () => {
    await daemon.kill();
    await reached('disconnected');
    await assert.rejects(bus.call(request, wait), { code: 'Unavailable', message: /is being retried/ });
    await assert.rejects(bus.ownName('test.Service'), { code: 'Unavailable' });
    assert.equal(bus.emitSignal({ path: '/', interface: 'a.b', member: 'M', signature: '', body: [] }), false);
    const heard: string[] = [];
    await bus.addMatch({ interface: 'a.b' }, (signal) => heard.push(signal.member));
    const removeAgain = await bus.addMatch({ interface: 'a.b' }, () => heard.push('removed'));
    await removeAgain();
    await daemon.restart();
    await reached('connected');
    const other = await connectOther();
    other.emitSignal({ path: '/', interface: 'a.b', member: 'Kept', signature: '', body: [] });
    await waitFor('the signal', () => heard.length > 0);
    assert.deepEqual(heard, ['Kept']);
  });

  it('waits longer after every failure, up to a maximum', async () => {
    await daemon.kill();
    await reached('disconnected', 4);
    const waits = states.map((state) => (state.kind === 'disconnected' ? state.retryInMs : 0));
    assert.deepEqual(waits.slice(0, 4), [100, 200, 400, 800]);
  });

  it('survives one outage after another', async () => {
    await bus.ownName('test.Service');
    for (let round = 1; round <= 3; round++) {
      await daemon.kill();
      await reached('disconnected', round);
      await daemon.restart();
      await reached('connected', round);
    }
    const other = await connectOther();
    await assert.rejects(other.requestName('test.Service'), { code: 'Conflict' });
  });

  it('throws when a name cannot be had at the start, and does not try it again later', async () => {
    const owner = await connectOther();
    await owner.requestName('test.Service');
    await assert.rejects(bus.ownName('test.Service'), { code: 'Conflict' });
    await assert.rejects(bus.ownName('test.Denied'), { code: 'AccessDenied' });
    owner.close();
    await daemon.kill();
    await reached('disconnected');
    await daemon.restart();
    await reached('connected');
    const other = await connectOther();
    await other.requestName('test.Service');
  });

  it('goes on trying, and says why, when the name cannot be had after an outage', async () => {
    await bus.ownName('test.Service');
    await daemon.kill();
    await daemon.restart({ deniedNames: ['test.Service'] });
    await waitFor('the reason', () =>
      states.some((state) => state.kind === 'disconnected' && state.reason.includes('may not own the bus name')),
    );
    assert.ok(!states.some((state) => state.kind === 'connected'));
    await daemon.kill();
    await daemon.restart({});
    await reached('connected');
    const other = await connectOther();
    await assert.rejects(other.requestName('test.Service'), { code: 'Conflict' });
  });

  it('hears what is said the moment its name is back', async () => {
    const heard: string[] = [];
    // Many rules before the one that counts: setting them takes long enough to be late.
    for (let n = 0; n < 50; n++) await bus.addMatch({ member: `M${n}` }, () => undefined);
    await bus.addMatch({ interface: 'a.b' }, (signal) => heard.push(signal.member));
    await bus.ownName('test.Service');
    await daemon.kill();
    await daemon.restart({ deniedNames: ['test.Service'] });
    const other = await connectOther();
    const driver = {
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus',
    };
    await other.addMatch({ sender: driver.destination, member: 'NameOwnerChanged', arg0: 'test.Service' }, () => {
      other.emitSignal({ path: '/', interface: 'a.b', member: 'Welcome', signature: '', body: [] });
    });
    await daemon.configure({});
    await other.call({ ...driver, member: 'ReloadConfig' }, wait);
    await reached('connected');
    // Later than the welcome, from the same sender: by then it was heard or never will be.
    other.emitSignal({ path: '/', interface: 'a.b', member: 'Later', signature: '', body: [] });
    await waitFor('the later signal', () => heard.includes('Later'));
    assert.deepEqual(heard, ['Welcome', 'Later']);
  });

  it('stops trying when it is closed', async () => {
    await daemon.kill();
    await reached('disconnected');
    bus.close();
    await reached('closed');
  });

  it('does not start when there is no bus', async () => {
    await daemon.kill();
    await assert.rejects(Bus.connect({ address: daemon.address }, wait), { code: 'Unavailable' });
  });
});
