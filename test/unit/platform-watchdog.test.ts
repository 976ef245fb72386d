import assert from 'node:assert/strict';
import sinon from 'sinon';
import type { AgentError } from '../../src/model/errors.ts';
import { startWatchdog } from '../../src/platform/watchdog.ts';

describe('the watchdog', () => {
  const env = { WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid), NOTIFY_SOCKET: '/run/systemd/notify' };
  let clock: sinon.SinonFakeTimers;
  let abort: AbortController;
  const healthy = sinon.stub<[], boolean>();
  const sendBeat = sinon.stub<[number], Promise<void>>();
  const onMissedBeat = sinon.stub<[AgentError], unknown>();
  const start = (given: NodeJS.ProcessEnv): number | null =>
    startWatchdog({ env: given, healthy, onMissedBeat, signal: abort.signal, sendBeat });

  beforeEach(() => {
    clock = sinon.useFakeTimers();
    abort = new AbortController();
    // Each by itself: a `sinon.restore` in another file makes `sinon.reset` forget them.
    for (const stub of [healthy, sendBeat, onMissedBeat]) stub.reset();
    healthy.returns(true);
    sendBeat.resolves();
  });
  afterEach(() => {
    abort.abort();
    clock.restore();
  });

  it('beats at half of WATCHDOG_USEC until it is ended', async () => {
    assert.equal(start(env), 15_000);
    await clock.tickAsync(45_000);
    assert.equal(sendBeat.callCount, 3);
    assert.deepEqual(sendBeat.firstCall.args, [15_000]);
    abort.abort();
    await clock.tickAsync(45_000);
    assert.equal(sendBeat.callCount, 3);
  });

  for (const [title, given] of [
    ['asks for nothing', {}],
    ['means another process', { ...env, WATCHDOG_PID: '1' }],
    ['has no socket', { ...env, NOTIFY_SOCKET: '' }],
    ['says 0', { ...env, WATCHDOG_USEC: '0' }],
    ['says nonsense', { ...env, WATCHDOG_USEC: '30s' }],
  ] as const) {
    it(`stays silent when systemd ${title}`, async () => {
      assert.equal(start(given), null);
      await clock.tickAsync(120_000);
      assert.equal(sendBeat.callCount, 0);
    });
  }

  it('withholds the beat while the service is not healthy, and only then', async () => {
    start(env);
    healthy.returns(false);
    await clock.tickAsync(30_000);
    assert.equal(sendBeat.callCount, 0);
    healthy.returns(true);
    await clock.tickAsync(15_000);
    assert.equal(sendBeat.callCount, 1);
  });

  it('reports a beat that failed and tries again at the next interval', async () => {
    start(env);
    sendBeat.onFirstCall().rejects(new Error('spawn systemd-notify ENOENT'));
    await clock.tickAsync(30_000);
    assert.equal(sendBeat.callCount, 2);
    assert.equal(onMissedBeat.callCount, 1);
    const [error] = onMissedBeat.firstCall.args;
    assert.equal(error.code, 'Unavailable');
    assert.match(error.message, /watchdog beat: spawn systemd-notify ENOENT/);
  });

  it('never has two beats under way', async () => {
    start(env);
    sendBeat.onFirstCall().returns(new Promise(() => undefined));
    await clock.tickAsync(60_000);
    assert.equal(sendBeat.callCount, 1);
  });
});
