/**
 * Changes are written ahead, and made all the same when the ledger cannot take their blocks: a full or damaged disk must
 * not keep a guest from its network. What is missing then is counted, shown, and recorded when there is room.
 */
import type { AgentError } from '../model/errors.ts';
import { toAgentError } from '../model/errors.ts';
import type { Block, BlockDraft } from '../ledger/block.ts';
import type { Journal, PlannedChange, Recorder } from './contracts.ts';
import { LedgerGap } from './ledger-gap.ts';

export interface WriteAheadOptions {
  readonly recorder: Recorder;
  /** Name of this node. */
  readonly host: string;
  /** Comes before whatever is written ahead: what the last run left in doubt. */
  readonly settle: () => Promise<void>;
  /** Told when the ledger could not take a block. */
  readonly onLedgerGap: (error: AgentError) => void;
}

export class WriteAhead implements Journal {
  readonly #options: WriteAheadOptions;
  readonly #gap = new LedgerGap();

  constructor(options: WriteAheadOptions) {
    this.#options = options;
  }

  /** What `status` says of changes without a block; null when there are none. */
  get problem(): string | null {
    return this.#gap.problem;
  }

  async change<T>(changes: readonly PlannedChange[], action: (blocks: readonly Block[]) => Promise<T>): Promise<T> {
    const { recorder, host, settle, onLedgerGap } = this.#options;
    const drafts = changes.map((change) => draftOf(change, host));
    const progress = { isWritten: false };
    try {
      await settle();
      return await recorder.writeAheadAll(drafts, (blocks) => {
        progress.isWritten = true;
        this.#gap.record(recorder, host).catch((error: unknown) => {
          onLedgerGap(toAgentError(error));
        });
        return action(blocks);
      });
    } catch (error) {
      if (progress.isWritten) throw error;
      this.noteGap(changes.length, toAgentError(error));
      return action([]);
    }
  }

  async undone(block: Block, reason: string): Promise<void> {
    try {
      await this.#options.recorder.abandon(block, reason);
    } catch (error) {
      this.#options.onLedgerGap(toAgentError(error));
    }
  }

  /** Changes were made that the ledger could not take. */
  noteGap(changes: number, error: AgentError): void {
    this.#gap.note(changes, error);
    this.#options.onLedgerGap(error);
  }
}

/** The block of a planned change, as the modules of ports write it. */
export function draftOf({ category, action, cause, data }: PlannedChange, host: string): BlockDraft {
  return { category, action, metadata: { ...cause, host, plugin: 'ports' }, data };
}
