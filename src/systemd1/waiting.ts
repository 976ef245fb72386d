/** Waits that a signal may end early and a look ends for certain. */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { Clock, Wait } from './contract.ts';

export interface Watch<T> {
  /** The answer, or null while there is none. A rejection means that nobody knows now; it is asked again. */
  readonly look: () => Promise<T | null>;
  readonly everyMs: number;
  /** Why the wait ended without an answer, for the error at the deadline. */
  readonly what: () => string;
}

/** Looks at once, at every `nudge` and every `everyMs`; never twice at the same time. */
export class Waiter<T> {
  readonly done: Promise<T>;
  readonly #watch: Watch<T>;
  readonly #clock: Clock;
  #settle: (outcome: { value: T } | { error: unknown }) => void = () => undefined;
  #isDone = false;
  #isLooking = false;
  #isNudged = false;
  #cancelLook: () => void = () => undefined;

  /** Rejects with `Timeout` at the deadline, or with the signal's reason when the caller gives up. */
  constructor(watch: Watch<T>, clock: Clock, { deadlineMs, signal }: Wait) {
    this.#watch = watch;
    this.#clock = clock;
    this.done = new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#settle({ error: abortReason(signal, watch.what()) });
      };
      const cancelDeadline = clock.after(deadlineMs, () => {
        this.#settle({ error: new AgentError('Timeout', `${watch.what()} after ${deadlineMs} ms`) });
      });
      this.#settle = (outcome) => {
        if (this.#isDone) return;
        this.#isDone = true;
        cancelDeadline();
        this.#cancelLook();
        signal?.removeEventListener('abort', onAbort);
        if ('value' in outcome) resolve(outcome.value);
        else reject(toAgentError(outcome.error));
      };
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort);
    });
  }

  end(value: T): void {
    this.#settle({ value });
  }

  fail(error: unknown): void {
    this.#settle({ error });
  }

  /** Something happened: look now. */
  nudge(): void {
    if (this.#isDone) return;
    if (this.#isLooking) this.#isNudged = true;
    else void this.#look();
  }

  async #look(): Promise<void> {
    this.#cancelLook();
    this.#isLooking = true;
    do {
      this.#isNudged = false;
      const value = await this.#watch.look().catch(() => null);
      if (value !== null) this.end(value);
    } while (this.#wantsAnother());
    this.#isLooking = false;
    if (!this.#isDone) this.#cancelLook = this.#clock.after(this.#watch.everyMs, () => void this.#look());
  }

  /** What was nudged while the answer was under way is not in it. */
  #wantsAnother(): boolean {
    return this.#isNudged && !this.#isDone;
  }
}

function abortReason(signal: AbortSignal | undefined, what: string): AgentError {
  const reason: unknown = signal?.reason;
  return reason instanceof AgentError
    ? reason
    : new AgentError('Unavailable', `${what}; the call was cancelled`, { cause: reason });
}
