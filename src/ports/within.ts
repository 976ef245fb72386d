/** A deadline around work that cannot be stopped half-way: the caller is answered, the work goes on. */
import { AgentError } from '../model/errors.ts';
import type { Clock } from './contracts.ts';

/** What `work` resolves or rejects with, or `Timeout` with `message` after `deadlineMs`. */
export function within<T>(deadlineMs: number, clock: Clock, message: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(deadlineMs, () => {
      reject(new AgentError('Timeout', message));
    });
    // A promise settles once: what comes after the deadline is heard by nobody.
    work.then(resolve, reject).finally(cancel);
  });
}
