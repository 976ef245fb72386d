import assert from 'node:assert/strict';
import fc from 'fast-check';
import { deadlineOf, isConnected, startReconnect, stepReconnect } from '../../src/ovsdb/reconnect.ts';
import type { ReconnectEvent, ReconnectOptions, ReconnectState } from '../../src/ovsdb/reconnect.ts';
import { pythonJudge } from '../support/judge.ts';

const options: ReconnectOptions = {
  backoffMinMs: 1000,
  backoffMaxMs: 8000,
  connectDeadlineMs: 1000,
  probeIntervalMs: 5000,
};

type Command = [name: string, argument: number];
const names = ['enable', 'disable', 'force-reconnect', 'connecting', 'connected', 'connect-failed', 'disconnected'];
const command = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Command>(...names.map((name): Command => [name, 0])) },
  { weight: 2, arbitrary: fc.constantFrom<Command>(['activity', 0], ['receive-attempted', 0]) },
  { weight: 6, arbitrary: fc.constant<Command>(['tick', 0]) },
  {
    weight: 3,
    arbitrary: fc
      .oneof(fc.integer({ min: 0, max: 12_000 }), fc.constantFrom(500, 1000, 4999, 5000))
      .map((ms): Command => ['advance', ms]),
  },
  { weight: 1, arbitrary: fc.nat(30).map((tries): Command => ['max-tries', tries]) },
  { weight: 1, arbitrary: fc.nat(3).map((tries): Command => ['free-tries', tries]) },
);

/** What the judge answers: for each command the action, the state in numbers and what is left of its deadline. */
function play(commands: readonly Command[]): unknown[] {
  let nowMs = 1000;
  let state = startReconnect(nowMs);
  return commands.map(([name, argument]) => {
    let action = 'none';
    if (name === 'advance') nowMs += argument;
    else if (name === 'max-tries') state = { ...state, triesLeft: argument };
    else if (name === 'free-tries') state = { ...state, freeTries: argument };
    else ({ state, action } = stepReconnect(state, { kind: name } as ReconnectEvent, nowMs, options));
    return seen(state, action, nowMs);
  });
}

function seen(state: ReconnectState, action: string, nowMs: number): unknown[] {
  const openMs = isConnected(state) ? nowMs - (state.connectedMs ?? 0) : 0;
  const deadlineMs = deadlineOf(state, nowMs, options);
  return [
    action,
    state.phase,
    nowMs - state.enteredMs,
    state.backoffMs,
    state.activityMs,
    state.connectedMs,
    state.disconnectedMs,
    state.attempts,
    state.connections,
    state.connectedTotalMs + openMs,
    state.seqno,
    state.triesLeft === Infinity ? null : state.triesLeft,
    deadlineMs === null ? null : Math.max(0, deadlineMs - nowMs),
  ];
}

/** The library takes any activity for a connection, also before the first; nobody hears a peer without one. */
function plausible(commands: readonly Command[]): Command[] {
  let isUp = false;
  return commands.filter(([name]) => {
    if (name === 'activity') return isUp;
    if (name === 'connected') isUp = true;
    else if (['disable', 'force-reconnect', 'connecting', 'connect-failed', 'disconnected'].includes(name))
      isUp = false;
    return true;
  });
}

describe('the reconnect machine and Open vSwitch’s own', () => {
  const judge = pythonJudge('reconnect-judge.py');

  it('do the same on any history', async () => {
    let actions = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 60 }).map(plausible), async (commands) => {
        const verdict = await judge(commands);
        const ours = play(commands);
        actions += ours.filter((line) => (line as unknown[])[0] !== 'none').length;
        assert.deepEqual(ours, verdict);
      }),
      { numRuns: 2000 },
    );
    assert.ok(actions > 2000, 'histories in which nothing happens prove nothing');
  }).timeout(60_000);
});
