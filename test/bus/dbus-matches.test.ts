import assert from 'node:assert/strict';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import { matchRulesMax } from '../../src/platform/dbus/limits.ts';
import type { BusSignal } from '../../src/platform/dbus/match-rule.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { messageTypes } from '../../src/platform/dbus/codec.ts';
import { waitFor } from '../support/wait-for.ts';

const wait = { deadlineMs: 5000 };

describe('match rules at the daemon', () => {
  let bus: PrivateBus;
  let listener: BusConnection;
  let speaker: BusConnection;

  before(async () => {
    bus = await PrivateBus.start({ limits: { max_match_rules_per_connection: 512 } });
  });
  after(() => bus.stop());
  beforeEach(async () => {
    listener = await BusConnection.connect(bus.address, wait);
    speaker = await BusConnection.connect(bus.address, wait);
  });
  afterEach(() => {
    listener.close();
    speaker.close();
  });

  const say = (member: string, text = '', from = speaker) =>
    from.emitSignal({ path: '/a', interface: 'a.b', member, signature: 's', body: [text] });

  /** Comes after everything said before, so that what was not heard by then never will be. */
  async function untilHeard(speakers: BusConnection[] = [speaker]): Promise<void> {
    for (const one of speakers) {
      const heard: BusSignal[] = [];
      const remove = await listener.addMatch({ interface: 'test.End', sender: one.uniqueName }, (s) => heard.push(s));
      one.emitSignal({ path: '/a', interface: 'test.End', member: 'End', signature: '', body: [] });
      await waitFor('the end', () => heard.length === 1);
      await remove();
    }
  }

  it('are removed with their last handler: 600 in a row where the daemon allows 512', async () => {
    for (let n = 0; n < 600; n++) {
      const remove = await listener.addMatch({ interface: 'a.b', member: `M${n}` }, () => undefined);
      await remove();
    }
    const heard: string[] = [];
    await listener.addMatch({ interface: 'a.b' }, (signal) => heard.push(signal.member));
    say('Last');
    await waitFor('the signal', () => heard.length === 1);
  });

  it('are removed with all they needed, also the one that follows a name', async () => {
    for (let n = 0; n < 600; n++) {
      const remove = await listener.addMatch({ sender: `test.Name${n}`, interface: 'a.b' }, () => undefined);
      await remove();
    }
  });

  it('are shared by equal rules and kept until the last user leaves', async () => {
    const heard: string[] = [];
    const removers = [];
    for (let n = 0; n < 600; n++) {
      removers.push(await listener.addMatch({ interface: 'a.b' }, () => heard.push(`${n}`)));
    }
    for (const remove of removers.slice(1)) {
      await remove();
      await remove();
    }
    say('M');
    await untilHeard();
    assert.deepEqual(heard, ['0']);
    await removers[0]!();
    say('M');
    await untilHeard();
    assert.deepEqual(heard, ['0']);
  });

  it('may be removed and added again without waiting', async () => {
    const heard: string[] = [];
    const remove = await listener.addMatch({ interface: 'a.b' }, () => heard.push('first'));
    const removing = remove();
    await listener.addMatch({ interface: 'a.b' }, () => heard.push('second'));
    await removing;
    say('M');
    await untilHeard();
    assert.deepEqual(heard, ['second']);
  });

  it('have a maximum of our own, below the one where the daemon cuts the connection', async () => {
    for (let n = 0; n < matchRulesMax; n++) await listener.addMatch({ member: `M${n}` }, () => undefined);
    await assert.rejects(
      listener.addMatch({ member: 'OneMore' }, () => undefined),
      { code: 'Busy' },
    );
    await listener.addMatch({ member: 'M0' }, () => undefined);
  });

  it('select by path, namespace, member and first argument', async () => {
    const heard: string[] = [];
    await listener.addMatch({ path: '/a', member: 'M', arg0: 'yes' }, () => heard.push('exact'));
    await listener.addMatch({ pathNamespace: '/a' }, () => heard.push('namespace'));
    await listener.addMatch({ path: '/b' }, () => heard.push('other'));
    say('M', 'yes');
    say('M', 'no');
    await untilHeard();
    assert.deepEqual(heard.sort(), ['exact', 'namespace', 'namespace', 'namespace']);
  });

  it('give the sender and the values', async () => {
    const heard: BusSignal[] = [];
    await listener.addMatch({ interface: 'a.b' }, (signal) => heard.push(signal));
    say('M', 'text');
    await waitFor('the signal', () => heard.length === 1);
    const expected: BusSignal = {
      sender: speaker.uniqueName,
      path: '/a',
      interface: 'a.b',
      member: 'M',
      signature: 's',
      body: ['text'],
    };
    assert.deepEqual(heard, [expected]);
  });

  describe('with a well-known sender', () => {
    it('follow the name from owner to owner', async () => {
      const other = await BusConnection.connect(bus.address, wait);
      const heard: string[] = [];
      await listener.addMatch({ sender: 'test.Speaker', interface: 'a.b' }, (signal) => heard.push(signal.member));
      say('NobodyOwnsTheName');
      await speaker.requestName('test.Speaker');
      say('Owner');
      say('Stranger', '', other);
      await untilHeard([speaker, other]);
      speaker.close();
      await speaker.closed;
      await waitFor('the name', () => other.requestName('test.Speaker').then(() => true));
      say('NewOwner', '', other);
      await untilHeard([other]);
      assert.deepEqual(heard, ['Owner', 'NewOwner']);
      other.close();
    });

    it('do not hear a stranger who addresses the signal to us, past every rule', async () => {
      const heard: string[] = [];
      await speaker.requestName('test.Speaker');
      await listener.addMatch({ sender: 'test.Speaker', interface: 'a.b' }, (signal) => heard.push(signal.member));
      const anybody: string[] = [];
      await listener.addMatch({ interface: 'a.b' }, (signal) => anybody.push(signal.member));
      const stranger = await RawPeer.connect(bus.address);
      const signal = { type: messageTypes.signal, path: '/a', interface: 'a.b', destination: listener.uniqueName };
      stranger.send({ ...signal, member: 'Forged' });
      await waitFor('the forged signal to arrive', () => anybody.includes('Forged'));
      say('Real');
      await waitFor('the real signal', () => heard.length > 0);
      assert.deepEqual(heard, ['Real']);
      stranger.close();
    });
  });
});
