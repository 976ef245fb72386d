/**
 * What became of a transaction whose reply was lost. A server that stood still may carry it out long after its sender has
 * given up: only when it has answered something that was asked later does the replica say which (RFC 7047 section 4:
 * requests of one connection are carried out in their order; a new connection begins with all that was committed).
 */
import { AgentError, isRetryable } from '../model/errors.ts';
import type { Operation } from '../ovsdb/wire.ts';
import type { Clock, Switch } from './contracts.ts';

/** Between two questions to a server that is connected and does not answer. */
const askAgainMs = 1000;
/** Changes nothing, and its answer says that everything before it is done. */
const question: readonly Operation[] = [{ op: 'comment', comment: 'ovs-port-agent' }];

export interface LostRepliesOptions {
  readonly switch: Pick<Switch, 'problem'>;
  readonly clock: Clock;
  /** Sends when no other transaction is in flight. */
  readonly send: (operations: readonly Operation[]) => Promise<unknown>;
}

export class LostReplies {
  readonly #options: LostRepliesOptions;
  readonly #waiters = new Set<() => void>();
  #isStopped = false;

  constructor(options: LostRepliesOptions) {
    this.#options = options;
  }

  /** The replica changed, or the connection came or went. */
  onSwitchChanged(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  /** Resolves when the replica tells what became of everything sent so far; rejects with `Unavailable` after `stop`. */
  async known(): Promise<void> {
    while (!(await this.#isAnswered())) {
      if (this.#isStopped) throw new AgentError('Unavailable', 'the service is stopping');
      await this.#nextChange();
    }
  }

  /** Nobody will know any more. */
  stop(): void {
    this.#isStopped = true;
    this.onSwitchChanged();
  }

  async #isAnswered(): Promise<boolean> {
    if (this.#isStopped || this.#options.switch.problem !== null) return false;
    try {
      await this.#options.send(question);
      return true;
    } catch (error) {
      // A refusal is an answer.
      return !isRetryable(error);
    }
  }

  #nextChange(): Promise<void> {
    const { clock, switch: ovs } = this.#options;
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        this.#waiters.delete(wake);
        resolve();
      };
      // While it is not connected, the connection's return is all there is to wait for.
      const cancel = ovs.problem === null ? clock.after(askAgainMs, wake) : (): void => undefined;
      this.#waiters.add(wake);
    });
  }
}
