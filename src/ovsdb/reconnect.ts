/**
 * When to connect, probe and give up: the machine of Open vSwitch's `reconnect` library, pure. It returns what to do and
 * does nothing; who uses it does what it says and tells what came of it.
 *
 * - Back-off doubles from `backoffMinMs` to `backoffMaxMs` and starts again from the minimum after a connection over
 *   which the peer was heard for at least as long as the present back-off.
 * - A peer that is silent for `probeIntervalMs` is probed, and given up after as long again. A deadline only counts once
 *   somebody has looked at what arrived before it: our own stalls are never held against the peer.
 */

/** LISTENING is left out: nobody connects to us. */
export type ReconnectPhase = 'VOID' | 'BACKOFF' | 'CONNECTING' | 'ACTIVE' | 'IDLE' | 'RECONNECT';

/** Times are those of the `nowMs` given to `stepReconnect`. */
export interface ReconnectState {
  readonly phase: ReconnectPhase;
  readonly enteredMs: number;
  readonly backoffMs: number;
  readonly activityMs: number;
  readonly connectedMs: number | null;
  readonly disconnectedMs: number | null;
  /** When what had arrived was last looked at; Infinity: whoever ticks has always looked. */
  readonly receiveAttemptMs: number;
  /** Attempts that are left before the machine disables itself; Infinity: no end. */
  readonly triesLeft: number;
  /** Attempts that need no back-off, plus one: of several endpoints, each is tried at once the first time. */
  readonly freeTries: number;
  /** Attempts that are over, one way or the other. */
  readonly attempts: number;
  readonly connections: number;
  /** Of the connections that are over. */
  readonly connectedTotalMs: number;
  /** Grows whenever a connection comes or goes. */
  readonly seqno: number;
}

export type ReconnectEvent =
  | { kind: 'enable' }
  | { kind: 'disable' }
  | { kind: 'force-reconnect' }
  | { kind: 'connecting' }
  | { kind: 'connected' }
  | { kind: 'connect-failed' }
  | { kind: 'disconnected' }
  /** The peer was heard. */
  | { kind: 'activity' }
  /** Everything that had arrived at this moment has been told as `activity`. */
  | { kind: 'receive-attempted' }
  | { kind: 'tick' };

export interface ReconnectStep {
  readonly state: ReconnectState;
  /**
   * Only a `tick` asks for anything. After `connect` tell `connecting`; after `disconnect`, which is repeated until then,
   * tell `disconnected`; `probe` means to send something that the peer must answer.
   */
  readonly action: 'none' | 'connect' | 'probe' | 'disconnect';
  /** When to come back with a `tick`, on the same clock as `nowMs`; null: there is nothing to wait for. */
  readonly wakeAtMs: number | null;
}

export interface ReconnectOptions {
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** An attempt gets this long, or the present back-off when that is longer. */
  readonly connectDeadlineMs: number;
  /** 0: never probed. */
  readonly probeIntervalMs: number;
}

export const reconnectDefaults: ReconnectOptions = {
  backoffMinMs: 50,
  /** Short on purpose: the switch is on this host, and its ports should be back within 2 s of its return. */
  backoffMaxMs: 1000,
  connectDeadlineMs: 5000,
  probeIntervalMs: 5000,
};

/** A disabled machine. */
export function startReconnect(
  nowMs: number,
  { triesLeft = Infinity, freeTries = 0 }: { triesLeft?: number; freeTries?: number } = {},
): ReconnectState {
  return {
    phase: 'VOID',
    enteredMs: nowMs,
    backoffMs: 0,
    activityMs: nowMs,
    connectedMs: null,
    disconnectedMs: null,
    receiveAttemptMs: nowMs,
    triesLeft,
    freeTries,
    attempts: 0,
    connections: 0,
    connectedTotalMs: 0,
    seqno: 0,
  };
}

export function stepReconnect(
  state: ReconnectState,
  event: ReconnectEvent,
  nowMs: number,
  options: ReconnectOptions = reconnectDefaults,
): ReconnectStep {
  if (event.kind === 'tick') return tick(state, nowMs, options);
  const next = take(state, event.kind, nowMs, options);
  return { state: next, action: 'none', wakeAtMs: deadlineOf(next, nowMs, options) };
}

export function isConnected({ phase }: ReconnectState): boolean {
  return phase === 'ACTIVE' || phase === 'IDLE';
}

function take(
  state: ReconnectState,
  kind: Exclude<ReconnectEvent['kind'], 'tick'>,
  nowMs: number,
  options: ReconnectOptions,
): ReconnectState {
  switch (kind) {
    case 'enable':
      if (state.phase !== 'VOID' || state.triesLeft <= 0) return state;
      return enter({ ...state, triesLeft: state.triesLeft - 1, backoffMs: 0 }, 'BACKOFF', nowMs);
    case 'disable':
      return state.phase === 'VOID' ? state : enter(state, 'VOID', nowMs);
    case 'force-reconnect':
      return state.phase === 'CONNECTING' || isConnected(state) ? enter(state, 'RECONNECT', nowMs) : state;
    case 'connecting':
      return state.phase === 'CONNECTING' ? state : enter(state, 'CONNECTING', nowMs);
    case 'connected':
      if (isConnected(state)) return state;
      return { ...enter(take(state, 'connecting', nowMs, options), 'ACTIVE', nowMs), connectedMs: nowMs };
    case 'connect-failed':
      return disconnected(take(state, 'connecting', nowMs, options), nowMs, options);
    case 'disconnected':
      return disconnected(state, nowMs, options);
    case 'activity':
      return { ...(state.phase === 'ACTIVE' ? state : enter(state, 'ACTIVE', nowMs)), activityMs: nowMs };
    case 'receive-attempted':
      return { ...state, receiveAttemptMs: nowMs };
    default:
      return kind satisfies never;
  }
}

function disconnected(state: ReconnectState, nowMs: number, options: ReconnectOptions): ReconnectState {
  // Told again while already waiting: the wait goes on, so that a late close cannot double it.
  if (state.phase === 'BACKOFF' || state.phase === 'VOID') return state;
  const told = isConnected(state) ? { ...state, disconnectedMs: nowMs } : state;
  if (told.triesLeft <= 0) return enter(told, 'VOID', nowMs);
  const backoffMs = nextBackoffMs(told, options);
  const freeTries = told.freeTries > 1 ? told.freeTries - 1 : told.freeTries;
  return enter({ ...told, triesLeft: told.triesLeft - 1, freeTries, backoffMs }, 'BACKOFF', nowMs);
}

function nextBackoffMs(state: ReconnectState, { backoffMinMs, backoffMaxMs }: ReconnectOptions): number {
  if (state.freeTries > 1) return 0;
  const heardForMs = isConnected(state) && state.connectedMs !== null ? state.activityMs - state.connectedMs : null;
  if (heardForMs !== null && heardForMs >= state.backoffMs) return backoffMinMs;
  if (state.backoffMs < backoffMinMs) return backoffMinMs;
  return state.backoffMs < backoffMaxMs / 2 ? state.backoffMs * 2 : backoffMaxMs;
}

function enter(state: ReconnectState, phase: ReconnectPhase, nowMs: number): ReconnectState {
  const attemptIsOver = state.phase === 'CONNECTING';
  const next = {
    ...state,
    phase,
    enteredMs: nowMs,
    attempts: state.attempts + (attemptIsOver ? 1 : 0),
    connections: state.connections + (attemptIsOver && phase === 'ACTIVE' ? 1 : 0),
  };
  if (isConnected(state) === isConnected(next)) return next;
  const livedMs = isConnected(state) ? nowMs - (state.connectedMs ?? nowMs) : 0;
  return { ...next, seqno: state.seqno + 1, connectedTotalMs: state.connectedTotalMs + livedMs };
}

function tick(state: ReconnectState, nowMs: number, options: ReconnectOptions): ReconnectStep {
  const wakeAtMs = deadlineOf(state, nowMs, options);
  if (wakeAtMs === null || nowMs < wakeAtMs) return { state, action: 'none', wakeAtMs };
  switch (state.phase) {
    case 'BACKOFF':
      return { state, action: 'connect', wakeAtMs };
    case 'CONNECTING':
    case 'IDLE':
    case 'RECONNECT':
      return { state, action: 'disconnect', wakeAtMs };
    case 'ACTIVE': {
      const idle = enter(state, 'IDLE', nowMs);
      return { state: idle, action: 'probe', wakeAtMs: deadlineOf(idle, nowMs, options) };
    }
    case 'VOID':
      return { state, action: 'none', wakeAtMs: null };
    default:
      return state.phase satisfies never;
  }
}

/** When the next `tick` is due if nothing else happens; null: never. Not before `nowMs` when nobody has looked since. */
export function deadlineOf(
  state: ReconnectState,
  nowMs: number,
  options: ReconnectOptions = reconnectDefaults,
): number | null {
  switch (state.phase) {
    case 'VOID':
      return null;
    case 'BACKOFF':
      return state.enteredMs + state.backoffMs;
    case 'CONNECTING':
      return state.enteredMs + Math.max(options.connectDeadlineMs, state.backoffMs);
    case 'RECONNECT':
      return state.enteredMs;
    case 'ACTIVE':
    case 'IDLE': {
      if (options.probeIntervalMs === 0) return null;
      const sinceMs = state.phase === 'IDLE' ? state.enteredMs : Math.max(state.activityMs, state.enteredMs);
      const expiryMs = sinceMs + options.probeIntervalMs;
      // Past it, but nobody has looked since: soon again, when somebody has.
      return nowMs < expiryMs || state.receiveAttemptMs >= expiryMs ? expiryMs : nowMs + 1;
    }
    default:
      return state.phase satisfies never;
  }
}
