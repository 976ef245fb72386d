import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  backoffMaxMs,
  backoffMinMs,
  connectDeadlineMs,
  probeIntervalMs,
  startReconnect,
  stepReconnect,
} from '../../src/ovsdb/reconnect.ts';
import type { ReconnectEvent, ReconnectState, ReconnectStep } from '../../src/ovsdb/reconnect.ts';

type EventKind = ReconnectEvent['kind'];
/** When, what happened, then what is to be done, where the machine stands and when it wants to be woken. */
type Line = [
  nowMs: number,
  event: EventKind,
  action: ReconnectStep['action'],
  state: ReconnectState['kind'],
  wakeAtMs: number,
];

const traces: { title: string; lines: Line[] }[] = [
  {
    title: 'connects at once and then waits for words of the peer',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [3, 'connected', 'none', 'active', 5003],
      [10, 'activity', 'none', 'active', 5010],
      [5003, 'tick', 'none', 'active', 5010],
    ],
  },
  {
    title: 'waits twice as long after each attempt that failed, up to the maximum',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [0, 'closed', 'none', 'backoff', 50],
      [49, 'tick', 'none', 'backoff', 50],
      [50, 'tick', 'connect', 'connecting', 5050],
      [50, 'closed', 'none', 'backoff', 150],
      [150, 'tick', 'connect', 'connecting', 5150],
      [150, 'closed', 'none', 'backoff', 350],
      [350, 'tick', 'connect', 'connecting', 5350],
      [350, 'closed', 'none', 'backoff', 750],
      [750, 'tick', 'connect', 'connecting', 5750],
      [750, 'closed', 'none', 'backoff', 1550],
      [1550, 'tick', 'connect', 'connecting', 6550],
      [1550, 'closed', 'none', 'backoff', 2550],
      [2550, 'tick', 'connect', 'connecting', 7550],
      [2550, 'closed', 'none', 'backoff', 3550],
    ],
  },
  {
    title: 'goes on doubling when a connection broke soon',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [0, 'closed', 'none', 'backoff', 50],
      [50, 'tick', 'connect', 'connecting', 5050],
      [50, 'connected', 'none', 'active', 5050],
      [1049, 'closed', 'none', 'backoff', 1149],
      [1149, 'tick', 'connect', 'connecting', 6149],
      [1149, 'closed', 'none', 'backoff', 1349],
    ],
  },
  {
    title: 'starts again from the minimum when a connection had lived',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [0, 'closed', 'none', 'backoff', 50],
      [50, 'tick', 'connect', 'connecting', 5050],
      [50, 'closed', 'none', 'backoff', 150],
      [150, 'tick', 'connect', 'connecting', 5150],
      [150, 'connected', 'none', 'active', 5150],
      [1150, 'closed', 'none', 'backoff', 1200],
    ],
  },
  {
    title: 'gives up an attempt that takes too long, and takes nothing of it later',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [4999, 'tick', 'none', 'connecting', 5000],
      [5000, 'tick', 'disconnect', 'backoff', 5050],
      [5001, 'connected', 'none', 'backoff', 5050],
      [5002, 'activity', 'none', 'backoff', 5050],
      [5003, 'closed', 'none', 'backoff', 5050],
      [5050, 'tick', 'connect', 'connecting', 10050],
    ],
  },
  {
    title: 'probes a silent peer once and then drops it',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [0, 'connected', 'none', 'active', 5000],
      [5000, 'tick', 'probe', 'idle', 10000],
      [9999, 'tick', 'none', 'idle', 10000],
      [10000, 'tick', 'disconnect', 'backoff', 10050],
      [10050, 'tick', 'connect', 'connecting', 15050],
    ],
  },
  {
    title: 'keeps a peer that answers the probe',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [0, 'connected', 'none', 'active', 5000],
      [5000, 'tick', 'probe', 'idle', 10000],
      [9999, 'activity', 'none', 'active', 14999],
      [14999, 'tick', 'probe', 'idle', 19999],
    ],
  },
  {
    title: 'does not let a second close lengthen the wait',
    lines: [
      [0, 'tick', 'connect', 'connecting', 5000],
      [0, 'closed', 'none', 'backoff', 50],
      [40, 'closed', 'none', 'backoff', 50],
      [50, 'tick', 'connect', 'connecting', 5050],
    ],
  },
  {
    title: 'closes before it ever connected',
    lines: [
      [0, 'closed', 'none', 'backoff', 0],
      [0, 'tick', 'connect', 'connecting', 5000],
    ],
  },
];

interface Moment extends ReconnectStep {
  readonly before: ReconnectState;
  readonly event: ReconnectEvent;
  readonly nowMs: number;
}

/** Any events at any times: ticks also come early, and the peer speaks when nobody asked. */
const anyHistory = fc
  .array(
    fc.tuple(
      fc.constantFrom<EventKind>('tick', 'tick', 'tick', 'connected', 'closed', 'activity'),
      fc.oneof(fc.nat(100), fc.nat(2 * probeIntervalMs), fc.constant('on time' as const)),
    ),
    { maxLength: 60 },
  )
  .map((steps) => {
    const moments: Moment[] = [];
    let state = startReconnect(0);
    let nowMs = 0;
    let wakeAtMs = 0;
    for (const [kind, delay] of steps) {
      nowMs = delay === 'on time' ? Math.max(nowMs, wakeAtMs) : nowMs + delay;
      const event = { kind };
      const step = stepReconnect(state, event, nowMs);
      moments.push({ ...step, before: state, event, nowMs });
      ({ state, wakeAtMs } = step);
    }
    return moments;
  });

/** `connected` counts where an attempt was under way. */
function isHeard({ event, before }: Moment): boolean {
  return event.kind === 'activity' || (event.kind === 'connected' && before.kind === 'connecting');
}

function law(check: (moments: Moment[]) => void): void {
  fc.assert(fc.property(anyHistory, check), { numRuns: 1000 });
}

describe('the reconnect machine', () => {
  for (const { title, lines } of traces) {
    it(title, () => {
      let state = startReconnect(0);
      const seen = lines.map(([nowMs, kind]): Line => {
        const step = stepReconnect(state, { kind }, nowMs);
        state = step.state;
        return [nowMs, kind, step.action, step.state.kind, step.wakeAtMs];
      });
      assert.deepEqual(seen, lines);
    });
  }

  it('never connects twice without a close between', () => {
    law((moments) => {
      let isOpen = false;
      for (const { action, event, before } of moments) {
        if (action === 'connect') {
          assert.equal(isOpen, false);
          isOpen = true;
        }
        if (action === 'disconnect' || (event.kind === 'closed' && before.kind !== 'backoff')) isOpen = false;
      }
    });
  });

  it('never wants to be woken in the past after a tick, nor later than a probe would be due', () => {
    law((moments) => {
      for (const { event, nowMs, wakeAtMs } of moments) {
        if (event.kind === 'tick') assert.ok(wakeAtMs > nowMs, `${wakeAtMs} at ${nowMs}`);
        assert.ok(wakeAtMs <= nowMs + Math.max(probeIntervalMs, connectDeadlineMs, backoffMaxMs));
      }
    });
  });

  it('never waits longer than the maximum, nor shorter than the minimum', () => {
    law((moments) => {
      for (const { before, state, nowMs } of moments) {
        assert.ok(state.backoffMs >= backoffMinMs && state.backoffMs <= backoffMaxMs);
        if (state.kind !== 'backoff' || before.kind === 'backoff') continue;
        const waitMs = state.untilMs - nowMs;
        assert.ok(waitMs >= backoffMinMs && waitMs <= backoffMaxMs, String(waitMs));
      }
    });
  });

  it('connects only from a back-off that is over', () => {
    law((moments) => {
      for (const { action, before, nowMs } of moments) {
        if (action === 'connect') assert.ok(before.kind === 'backoff' && nowMs >= before.untilMs);
      }
    });
  });

  it('disconnects a connected peer only after a probe that nothing followed for a whole interval', () => {
    law((moments) => {
      let probedMs: number | null = null;
      for (const moment of moments) {
        const { action, before, nowMs } = moment;
        if (action === 'disconnect' && before.kind !== 'connecting') {
          assert.ok(probedMs !== null && nowMs - probedMs >= probeIntervalMs);
        }
        if (action === 'probe') probedMs = nowMs;
        else if (isHeard(moment)) probedMs = null;
      }
    });
  });

  it('probes only who was silent for a whole interval', () => {
    law((moments) => {
      let heardMs = 0;
      for (const moment of moments) {
        const { action, nowMs } = moment;
        if (action === 'probe') assert.ok(nowMs - heardMs >= probeIntervalMs);
        if (isHeard(moment)) heardMs = nowMs;
      }
    });
  });

  it('gets to a connection in the end when it is ticked on time', () => {
    law((moments) => {
      let state = moments.at(-1)?.state ?? startReconnect(0);
      let wakeAtMs = moments.at(-1)?.wakeAtMs ?? 0;
      for (let ticks = 1; ; ticks++) {
        const step = stepReconnect(state, { kind: 'tick' }, wakeAtMs);
        ({ state, wakeAtMs } = step);
        if (step.action === 'connect') break;
        assert.ok(ticks < 4, 'an active peer takes a probe, a disconnect and a back-off');
      }
    });
  });
});
