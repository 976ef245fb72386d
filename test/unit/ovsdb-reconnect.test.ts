import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  deadlineOf,
  isConnected,
  reconnectDefaults,
  startReconnect,
  stepReconnect,
} from '../../src/ovsdb/reconnect.ts';
import type { ReconnectEvent, ReconnectPhase, ReconnectState, ReconnectStep } from '../../src/ovsdb/reconnect.ts';

type EventKind = ReconnectEvent['kind'];
/** When, what happened, then what is to be done, where the machine stands and when it wants to be woken. */
type Line = [
  nowMs: number,
  event: EventKind,
  action: ReconnectStep['action'],
  phase: ReconnectPhase,
  wakeAtMs: number | null,
];

const { backoffMinMs, backoffMaxMs, connectDeadlineMs, probeIntervalMs } = reconnectDefaults;
const up: Line[] = [
  [0, 'enable', 'none', 'BACKOFF', 0],
  [0, 'tick', 'connect', 'BACKOFF', 0],
  [0, 'connecting', 'none', 'CONNECTING', 5000],
  [3, 'connected', 'none', 'ACTIVE', 5003],
];

const traces: { title: string; lines: Line[]; start?: { triesLeft?: number; freeTries?: number } }[] = [
  { title: 'does nothing until it is enabled', lines: [[0, 'tick', 'none', 'VOID', null]] },
  {
    title: 'connects at once and then waits for words of the peer',
    lines: [...up, [10, 'activity', 'none', 'ACTIVE', 5010], [5003, 'tick', 'none', 'ACTIVE', 5010]],
  },
  {
    title: 'waits twice as long after each attempt that failed, up to the maximum',
    lines: [
      ...up.slice(0, 3),
      [0, 'connect-failed', 'none', 'BACKOFF', 50],
      [49, 'tick', 'none', 'BACKOFF', 50],
      [50, 'tick', 'connect', 'BACKOFF', 50],
      [50, 'connect-failed', 'none', 'BACKOFF', 150],
      [150, 'connect-failed', 'none', 'BACKOFF', 350],
      [350, 'connect-failed', 'none', 'BACKOFF', 750],
      [750, 'connect-failed', 'none', 'BACKOFF', 1550],
      [1550, 'connect-failed', 'none', 'BACKOFF', 2550],
      [2550, 'connect-failed', 'none', 'BACKOFF', 3550],
    ],
  },
  {
    title: 'goes on doubling when a connection broke before the peer was heard for as long as the back-off',
    lines: [
      ...up.slice(0, 3),
      [0, 'connect-failed', 'none', 'BACKOFF', 50],
      [50, 'connected', 'none', 'ACTIVE', 5050],
      [99, 'activity', 'none', 'ACTIVE', 5099],
      [4000, 'disconnected', 'none', 'BACKOFF', 4100],
    ],
  },
  {
    title: 'starts again from the minimum when the peer was heard that long',
    lines: [
      ...up.slice(0, 3),
      [0, 'connect-failed', 'none', 'BACKOFF', 50],
      [50, 'connect-failed', 'none', 'BACKOFF', 150],
      [150, 'connected', 'none', 'ACTIVE', 5150],
      [250, 'activity', 'none', 'ACTIVE', 5250],
      [251, 'disconnected', 'none', 'BACKOFF', 301],
    ],
  },
  {
    title: 'gives up an attempt that takes too long, and says so until it is told',
    lines: [
      ...up.slice(0, 3),
      [4999, 'tick', 'none', 'CONNECTING', 5000],
      [5000, 'tick', 'disconnect', 'CONNECTING', 5000],
      [5001, 'tick', 'disconnect', 'CONNECTING', 5000],
      [5001, 'disconnected', 'none', 'BACKOFF', 5051],
    ],
  },
  {
    title: 'probes a silent peer once and then drops it',
    lines: [
      ...up,
      [5003, 'receive-attempted', 'none', 'ACTIVE', 5003],
      [5003, 'tick', 'probe', 'IDLE', 10_003],
      [10_003, 'receive-attempted', 'none', 'IDLE', 10_003],
      [10_003, 'tick', 'disconnect', 'IDLE', 10_003],
      [10_003, 'disconnected', 'none', 'BACKOFF', 10_053],
    ],
  },
  {
    title: 'keeps a peer that answers the probe',
    lines: [
      ...up,
      [5003, 'receive-attempted', 'none', 'ACTIVE', 5003],
      [5003, 'tick', 'probe', 'IDLE', 10_003],
      [9999, 'activity', 'none', 'ACTIVE', 14_999],
    ],
  },
  {
    title: 'does not hold our own stall against the peer',
    lines: [
      ...up,
      [60_000, 'tick', 'none', 'ACTIVE', 60_001],
      [60_001, 'activity', 'none', 'ACTIVE', 65_001],
      [65_001, 'receive-attempted', 'none', 'ACTIVE', 65_001],
      [65_001, 'tick', 'probe', 'IDLE', 70_001],
      [90_000, 'tick', 'none', 'IDLE', 90_001],
      [90_001, 'activity', 'none', 'ACTIVE', 95_001],
    ],
  },
  {
    title: 'does not let a second close lengthen the wait',
    lines: [...up.slice(0, 3), [0, 'disconnected', 'none', 'BACKOFF', 50], [40, 'disconnected', 'none', 'BACKOFF', 50]],
  },
  {
    title: 'lets itself be told to connect anew, and not when there is nothing to break',
    lines: [
      [0, 'force-reconnect', 'none', 'VOID', null],
      ...up,
      [7, 'force-reconnect', 'none', 'RECONNECT', 7],
      [7, 'tick', 'disconnect', 'RECONNECT', 7],
      [7, 'disconnected', 'none', 'BACKOFF', 57],
      [8, 'force-reconnect', 'none', 'BACKOFF', 57],
    ],
  },
  {
    title: 'disables itself when it has no tries left',
    start: { triesLeft: 2 },
    lines: [
      [0, 'enable', 'none', 'BACKOFF', 0],
      [0, 'connect-failed', 'none', 'BACKOFF', 50],
      [50, 'connect-failed', 'none', 'VOID', null],
      [60, 'enable', 'none', 'VOID', null],
    ],
  },
  {
    title: 'takes the free tries without a back-off',
    start: { freeTries: 3 },
    lines: [
      [0, 'enable', 'none', 'BACKOFF', 0],
      [1, 'connect-failed', 'none', 'BACKOFF', 1],
      [2, 'connect-failed', 'none', 'BACKOFF', 2],
      [3, 'connect-failed', 'none', 'BACKOFF', 53],
    ],
  },
  {
    title: 'can be disabled and enabled again',
    lines: [...up, [9, 'disable', 'none', 'VOID', null], [10, 'tick', 'none', 'VOID', null], [11, 'enable', 'none', 'BACKOFF', 11]], // prettier-ignore
  },
];

describe('the reconnect machine', () => {
  for (const { title, lines, start } of traces) {
    it(title, () => {
      let state = startReconnect(0, start);
      const seen = lines.map(([nowMs, kind]): Line => {
        const step = stepReconnect(state, { kind }, nowMs);
        state = step.state;
        return [nowMs, kind, step.action, state.phase, step.wakeAtMs];
      });
      assert.deepEqual(seen, lines);
    });
  }

  it('never probes when the interval is 0', () => {
    const options = { ...reconnectDefaults, probeIntervalMs: 0 };
    const { state, wakeAtMs } = stepReconnect(startReconnect(0), { kind: 'connected' }, 0, options);
    assert.equal(wakeAtMs, null);
    assert.equal(stepReconnect(state, { kind: 'tick' }, 1e9, options).action, 'none');
  });
});

/** A client that obeys, and a world that does as it likes: how long things take and what the peer does. */
const moment = fc.record({
  delayMs: fc.oneof(fc.integer({ min: 0, max: 12_000 }), fc.constantFrom(0, 49, 50, 1000, 4999, 5000)),
  what: fc.constantFrom<'nothing' | 'up' | 'down' | 'words'>('nothing', 'up', 'down', 'words'),
});

interface Lived {
  readonly nowMs: number;
  readonly what: string;
  readonly before: ReconnectState;
  readonly step: ReconnectStep;
}

function live(moments: readonly { delayMs: number; what: string }[]): Lived[] {
  const lived: Lived[] = [];
  let nowMs = 0;
  let state = stepReconnect(startReconnect(0), { kind: 'enable' }, 0).state;
  const take = (kind: EventKind): ReconnectStep['action'] => {
    const step = stepReconnect(state, { kind }, nowMs);
    lived.push({ nowMs, what: kind, before: state, step });
    state = step.state;
    return step.action;
  };
  for (const { delayMs, what } of moments) {
    nowMs += delayMs;
    take('receive-attempted');
    const action = take('tick');
    if (action === 'connect') take('connecting');
    else if (action === 'disconnect') take('disconnected');
    else if (what === 'up' && state.phase === 'CONNECTING') take('connected');
    else if (what === 'down' && state.phase === 'CONNECTING') take('connect-failed');
    else if (what === 'down' && isConnected(state)) take('disconnected');
    else if (what === 'words' && isConnected(state)) take('activity');
  }
  return lived;
}

describe('the laws of the reconnect machine', () => {
  const law = (check: (lived: Lived[]) => void): void => {
    fc.assert(
      fc.property(fc.array(moment, { minLength: 1, maxLength: 80 }), (moments) => {
        check(live(moments));
      }),
    );
  };

  it('asks to connect only from a back-off that is over, and never twice without a close between', () => {
    law((lived) => {
      let isOpen = false;
      for (const { step, before, nowMs, what } of lived) {
        if (step.action === 'connect') {
          assert.equal(before.phase, 'BACKOFF');
          assert.ok(nowMs >= before.enteredMs + before.backoffMs);
          assert.ok(!isOpen);
          isOpen = true;
        }
        if (what === 'disconnected' || what === 'connect-failed') isOpen = false;
      }
    });
  });

  it('never waits longer than the maximum, nor shorter than the minimum after the first attempt', () => {
    law((lived) => {
      for (const { step, what } of lived) {
        if (step.state.phase !== 'BACKOFF' || (what !== 'disconnected' && what !== 'connect-failed')) continue;
        assert.ok(step.state.backoffMs >= backoffMinMs && step.state.backoffMs <= backoffMaxMs);
      }
    });
  });

  it('drops a connected peer only after a probe that nothing followed for a whole interval', () => {
    law((lived) => {
      let probedMs: number | null = null;
      for (const { step, before, nowMs, what } of lived) {
        if (step.action === 'disconnect' && isConnected(before)) {
          assert.ok(probedMs !== null && nowMs - probedMs >= probeIntervalMs);
        }
        if (step.action === 'probe') probedMs = nowMs;
        else if (what === 'activity' || what === 'connected') probedMs = null;
      }
    });
  });

  it('wants to be woken by the time an attempt or a silence has lasted too long', () => {
    law((lived) => {
      for (const { step, nowMs } of lived) {
        const wakeAtMs = deadlineOf(step.state, nowMs);
        assert.ok(wakeAtMs !== null && wakeAtMs <= nowMs + Math.max(connectDeadlineMs, probeIntervalMs));
      }
    });
  });

  it('gets to an attempt in the end when it is ticked on time', () => {
    law((lived) => {
      const last = lived.at(-1);
      let state = last?.step.state ?? startReconnect(0);
      let nowMs = last?.nowMs ?? 0;
      for (let ticks = 1; state.phase !== 'CONNECTING'; ticks++) {
        assert.ok(ticks < 5, 'an active peer takes a probe, a disconnect and a back-off');
        nowMs = Math.max(nowMs, deadlineOf(state, nowMs) ?? nowMs);
        state = stepReconnect(state, { kind: 'receive-attempted' }, nowMs).state;
        const step = stepReconnect(state, { kind: 'tick' }, nowMs);
        const told = { connect: 'connecting', disconnect: 'disconnected', probe: null, none: null }[step.action];
        state = told === null ? step.state : stepReconnect(step.state, { kind: told as EventKind }, nowMs).state;
      }
    });
  });
});
