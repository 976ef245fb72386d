/**
 * When to connect, probe and give up, as a pure machine: it returns what to do and does nothing. Back-off doubles from
 * `backoffMinMs` to `backoffMaxMs`; a connection that has lived for `backoffMaxMs` starts again from the minimum. A
 * silent peer is probed after `probeIntervalMs` and dropped after as long again.
 */

export type ReconnectState =
  | { readonly kind: 'backoff'; readonly untilMs: number; readonly backoffMs: number }
  | { readonly kind: 'connecting'; readonly untilMs: number; readonly backoffMs: number }
  | { readonly kind: 'active'; readonly sinceMs: number; readonly heardMs: number; readonly backoffMs: number }
  | {
      readonly kind: 'idle';
      readonly sinceMs: number;
      readonly heardMs: number;
      readonly probedMs: number;
      readonly backoffMs: number;
    };

export type ReconnectEvent = { kind: 'connected' } | { kind: 'closed' } | { kind: 'activity' } | { kind: 'tick' };

export interface ReconnectStep {
  readonly state: ReconnectState;
  readonly action: 'none' | 'connect' | 'probe' | 'disconnect';
  /** When to come back with a `tick`, on the same clock as `nowMs`. */
  readonly wakeAtMs: number;
}

export const backoffMinMs = 50;
/** Short on purpose: the switch is on this host, and its ports should be back within 2 s of its return. */
export const backoffMaxMs = 1000;
export const connectDeadlineMs = 5000;
export const probeIntervalMs = 5000;

export function startReconnect(nowMs: number): ReconnectState {
  return { kind: 'backoff', untilMs: nowMs, backoffMs: backoffMinMs };
}

export function stepReconnect(state: ReconnectState, event: ReconnectEvent, nowMs: number): ReconnectStep {
  switch (event.kind) {
    case 'connected':
      // An attempt that was given up has nothing to say.
      if (state.kind !== 'connecting') return wait(state, 'none');
      return wait({ kind: 'active', sinceMs: nowMs, heardMs: nowMs, backoffMs: state.backoffMs }, 'none');
    case 'closed':
      return wait(backOff(state, nowMs), 'none');
    case 'activity':
      if (state.kind !== 'active' && state.kind !== 'idle') return wait(state, 'none');
      return wait({ kind: 'active', sinceMs: state.sinceMs, heardMs: nowMs, backoffMs: state.backoffMs }, 'none');
    case 'tick':
      return tick(state, nowMs);
    default:
      return event satisfies never;
  }
}

function tick(state: ReconnectState, nowMs: number): ReconnectStep {
  if (nowMs < wakeAtMs(state)) return wait(state, 'none');
  switch (state.kind) {
    case 'backoff':
      return wait({ kind: 'connecting', untilMs: nowMs + connectDeadlineMs, backoffMs: state.backoffMs }, 'connect');
    case 'connecting':
      return wait(backOff(state, nowMs), 'disconnect');
    case 'active':
      return wait({ ...state, kind: 'idle', probedMs: nowMs }, 'probe');
    case 'idle':
      return wait(backOff(state, nowMs), 'disconnect');
    default:
      return state satisfies never;
  }
}

function backOff(state: ReconnectState, nowMs: number): ReconnectState {
  // Closed while already waiting: the wait goes on, so that a late close cannot double it.
  if (state.kind === 'backoff') return state;
  const livedLong = (state.kind === 'active' || state.kind === 'idle') && nowMs - state.sinceMs >= backoffMaxMs;
  const backoffMs = livedLong ? backoffMinMs : state.backoffMs;
  return { kind: 'backoff', untilMs: nowMs + backoffMs, backoffMs: Math.min(backoffMs * 2, backoffMaxMs) };
}

function wait(state: ReconnectState, action: ReconnectStep['action']): ReconnectStep {
  return { state, action, wakeAtMs: wakeAtMs(state) };
}

function wakeAtMs(state: ReconnectState): number {
  switch (state.kind) {
    case 'backoff':
    case 'connecting':
      return state.untilMs;
    case 'active':
      return state.heardMs + probeIntervalMs;
    case 'idle':
      return state.probedMs + probeIntervalMs;
    default:
      return state satisfies never;
  }
}
