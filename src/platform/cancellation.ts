/** What a cancelled wait throws. */
import { AgentError } from '../model/errors.ts';

/** Throws when `signal` was aborted: its reason when that is an `AgentError`, else `Unavailable` saying what was given up. */
export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted === true) throw cancelled(signal, what);
}

export function cancelled(signal: AbortSignal, what: string): AgentError {
  if (signal.reason instanceof AgentError) return signal.reason;
  return new AgentError('Unavailable', `${what} was given up: the call was cancelled`, { cause: signal.reason });
}
