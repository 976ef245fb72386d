/** Changes that were made although the ledger could not take their blocks: counted, shown, recorded when there is room. */
import type { AgentError } from '../model/errors.ts';
import type { Recorder } from './contracts.ts';

export class LedgerGap {
  #changes = 0;
  #reason = '';

  /** What `status` says; null when every change since the start has its block, or the gap has one. */
  get problem(): string | null {
    return this.#changes === 0 ? null : `${this.#changes} changes are missing in the ledger: ${this.#reason}`;
  }

  note(changes: number, error: AgentError): void {
    this.#changes += changes;
    this.#reason = error.message;
  }

  /** To be called after the ledger took a block. Rejects when it does not take this one; the gap then stays open. */
  async record(recorder: Recorder, host: string): Promise<void> {
    const changes = this.#changes;
    if (changes === 0) return;
    this.#changes = 0;
    try {
      await recorder.append({
        category: 'storage',
        action: 'gap',
        metadata: { user: 'root', uid: 0, host, plugin: 'ports', cause: 'ledger' },
        data: { changes, why: this.#reason },
      });
    } catch (error) {
      this.#changes += changes;
      throw error;
    }
  }
}
