/**
 * Speaks the command language of Open vSwitch's `test-reconnect`: commands on standard input, what the machine does on
 * standard output. Run it as `node --import tsx test/conformance/reconnect.ts < commands`.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deadlineOf, isConnected, startReconnect, stepReconnect } from '../../src/ovsdb/reconnect.ts';
import type { ReconnectEvent, ReconnectOptions, ReconnectState, ReconnectStep } from '../../src/ovsdb/reconnect.ts';

/** What Open vSwitch's library starts with; the suite counts on it. */
const options: ReconnectOptions = {
  backoffMinMs: 1000,
  backoffMaxMs: 8000,
  connectDeadlineMs: 1000,
  probeIntervalMs: 5000,
};

const asks: Record<ReconnectStep['action'], string | null> = {
  none: null,
  connect: '  should connect',
  disconnect: '  should disconnect',
  probe: '  should send probe',
};

const events = new Set<string>([
  'enable',
  'disable',
  'force-reconnect',
  'disconnected',
  'connecting',
  'connect-failed',
  'connected',
  'activity',
] satisfies ReconnectEvent['kind'][]);

/** What `test-reconnect` prints for these commands. Throws on a command that it does not have, or that we leave out. */
export function reconnectTranscript(input: string): string {
  const session = new Session();
  const out: string[] = [`### t=${session.nowMs} ###`];
  for (const line of input.split('\n').slice(0, input.endsWith('\n') ? -1 : undefined)) {
    out.push(line);
    const [command, argument] = line.split(/\s+/).filter((word) => word !== '');
    if (command === undefined || line.startsWith('#')) continue;
    out.push(...session.carryOut(command, argument));
  }
  return `${out.join('\n')}\n`;
}

class Session {
  nowMs = 1000;
  readonly #createdMs = this.nowMs;
  // The suite of the time before `receive-attempted` takes it that somebody has always looked.
  #state: ReconnectState = { ...startReconnect(this.nowMs), receiveAttemptMs: Infinity };

  carryOut(command: string, argument: string | undefined): string[] {
    const before = { nowMs: this.nowMs, state: this.#state };
    const said = this.#execute(command, argument);
    const isLater = this.nowMs !== before.nowMs;
    return [...said, ...(isLater ? ['', `### t=${this.nowMs} ###`] : []), ...this.#differences(before)];
  }

  #execute(command: string, argument: string | undefined): string[] {
    if (events.has(command)) {
      this.#step({ kind: command } as ReconnectEvent);
      return [];
    }
    switch (command) {
      case 'run': {
        this.nowMs += Number(argument ?? 0);
        const ask = asks[this.#step({ kind: 'tick' }).action];
        return ask === null ? [] : [ask];
      }
      case 'advance':
        this.nowMs += Number(argument);
        return [];
      case 'timeout': {
        const wakeAtMs = deadlineOf(this.#state, this.nowMs, options);
        if (wakeAtMs === null) return ['  no timeout'];
        const leftMs = Math.max(0, wakeAtMs - this.nowMs);
        this.nowMs += leftMs;
        return [`  advance ${leftMs} ms`];
      }
      case 'receive-attempted':
        this.#state = { ...this.#state, receiveAttemptMs: argument === 'LLONG_MAX' ? Infinity : this.nowMs };
        return [];
      case 'set-max-tries':
        this.#state = { ...this.#state, triesLeft: Number(argument) };
        return [];
      case 'set-backoff-free-tries':
        this.#state = { ...this.#state, freeTries: Number(argument) };
        return [];
      default:
        throw new Error(`no such command: ${command}`);
    }
  }

  #step(event: ReconnectEvent): ReconnectStep {
    const step = stepReconnect(this.#state, event, this.nowMs, options);
    this.#state = step.state;
    return step;
  }

  #differences({ nowMs, state: old }: { nowMs: number; state: ReconnectState }): string[] {
    const now = this.#state;
    const [before, after] = [elapsed(old, nowMs), elapsed(now, this.nowMs)];
    const passedMs = this.nowMs - nowMs;
    const out: string[] = [];
    if (old.phase !== now.phase || before.inPhaseMs !== after.inPhaseMs || old.backoffMs !== now.backoffMs)
      out.push(`  in ${now.phase} for ${after.inPhaseMs} ms (${now.backoffMs} ms backoff)`);
    if (old.activityMs !== now.activityMs || old.connectedMs !== now.connectedMs) {
      const connected = now.connectedMs ?? '9223372036854775807';
      out.push(`  created ${this.#createdMs}, last activity ${now.activityMs}, last connected ${connected}`);
    }
    if (old.connections !== now.connections || old.attempts !== now.attempts || old.seqno !== now.seqno)
      out.push(`  ${now.connections} successful connections out of ${now.attempts} attempts, seqno ${now.seqno}`);
    if (isConnected(old) !== isConnected(now)) out.push(isConnected(now) ? '  connected' : '  disconnected');
    const wasNever = before.totalMs === 0 && after.totalMs === 0;
    if (
      old.connectedMs !== now.connectedMs ||
      !follows(before.sinceConnectMs, after.sinceConnectMs, passedMs) ||
      (before.totalMs !== after.totalMs - passedMs && !wasNever)
    )
      out.push(`  last connected ${after.sinceConnectMs ?? 4294967295} ms ago, connected ${after.totalMs} ms total`);
    if (
      old.disconnectedMs !== now.disconnectedMs ||
      !follows(before.sinceDisconnectMs, after.sinceDisconnectMs, passedMs)
    )
      out.push(`  disconnected at ${now.disconnectedMs ?? 0} ms (${after.sinceDisconnectMs ?? 4294967295} ms ago)`);
    if (old.triesLeft !== now.triesLeft) out.push(`  ${now.triesLeft} tries left`);
    return out;
  }
}

interface Elapsed {
  readonly inPhaseMs: number;
  readonly sinceConnectMs: number | null;
  readonly sinceDisconnectMs: number | null;
  readonly totalMs: number;
}

function elapsed(state: ReconnectState, nowMs: number): Elapsed {
  const sinceConnectMs = state.connectedMs === null ? null : nowMs - state.connectedMs;
  return {
    inPhaseMs: nowMs - state.enteredMs,
    sinceConnectMs,
    sinceDisconnectMs: state.disconnectedMs === null ? null : nowMs - state.disconnectedMs,
    totalMs: state.connectedTotalMs + (isConnected(state) ? (sinceConnectMs ?? 0) : 0),
  };
}

/** Whether only time has passed. */
function follows(before: number | null, after: number | null, passedMs: number): boolean {
  return before === null || after === null ? before === after : before === after - passedMs;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(reconnectTranscript(readFileSync(0, 'utf8')));
}
