/** Waiting with an end. */
import { AgentError } from '../../model/errors.ts';

export interface WaitOptions {
  /** How long to wait, in milliseconds from now. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `expire` once: at the deadline with a `Timeout` that says `what`, or when the caller aborts, with its reason.
 * The returned function ends the watch and must be called.
 */
export function watchDeadline(
  { deadlineMs, signal }: WaitOptions,
  what: string,
  expire: (reason: unknown) => void,
): () => void {
  const onAbort = () => {
    stop();
    expire(signal?.reason);
  };
  const timer = setTimeout(() => {
    stop();
    expire(new AgentError('Timeout', `${what} took longer than ${deadlineMs} ms`));
  }, deadlineMs);
  const stop = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  signal?.addEventListener('abort', onAbort);
  return stop;
}
