/**
 * What became of a transaction whose reply was lost. A server that stood still may carry it out long after its sender has
 * given up, also when that has connected anew meanwhile: what a connection had sent is read before its end is. Only when
 * the server has answered something that was asked later does the replica say which (RFC 7047 section 4): requests of one
 * connection are carried out in their order, and the lock of one connection is given to another when the first is over.
 */
import type { Operation } from '../ovsdb/wire.ts';
import type { Clock, Switch } from './contracts.ts';
import { switchLock } from './transaction.ts';

/** Between two questions to a server that is connected and does not answer. */
const askAgainMs = 1000;
/** Changes nothing. That the lock is ours says that everything sent before is done. */
const question: readonly Operation[] = [{ op: 'assert', lock: switchLock }];

export interface LostRepliesOptions {
  readonly switch: Pick<Switch, 'problem'>;
  readonly clock: Clock;
  /** Sends when no other transaction is in flight. */
  readonly send: (operations: readonly Operation[]) => Promise<unknown>;
}

export class LostReplies {
  readonly #options: LostRepliesOptions;
  readonly #waiters = new Set<() => void>();
  readonly #timers = new Set<() => void>();
  #isStopped = false;

  constructor(options: LostRepliesOptions) {
    this.#options = options;
  }

  /** The replica changed, or the connection came or went. */
  onSwitchChanged(): void {
    if (!this.#isStopped) for (const wake of [...this.#waiters]) wake();
  }

  /** Resolves when the replica tells what became of everything sent so far; never after `stop`. */
  async known(): Promise<void> {
    while (!(await this.#isAnswered())) await this.#nextChange();
  }

  /** What is not known by now is looked for by the next run. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of [...this.#timers]) cancel();
  }

  async #isAnswered(): Promise<boolean> {
    if (this.#options.switch.problem !== null) return false;
    try {
      await this.#options.send(question);
      return true;
    } catch {
      return false;
    }
  }

  #nextChange(): Promise<void> {
    const { clock, switch: ovs } = this.#options;
    return new Promise((resolve) => {
      if (this.#isStopped) return;
      const wake = (): void => {
        cancel();
        this.#timers.delete(cancel);
        this.#waiters.delete(wake);
        resolve();
      };
      // While it is not connected, the connection's return is all there is to wait for.
      const cancel = ovs.problem === null ? clock.after(askAgainMs, wake) : (): void => undefined;
      this.#timers.add(cancel);
      this.#waiters.add(wake);
    });
  }
}
