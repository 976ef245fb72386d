/**
 * Blocks of an administrator's command: each durable before its change is made, whoever can write it. The running service does,
 * or the command itself while there is none.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { ChangeDraft, Recorded } from './contracts.ts';

/** Resolves once the block is durable. */
export type DraftWriter = (draft: ChangeDraft) => Promise<void>;

export interface RecordedByOptions {
  /** Asked in this order, until one has written the block. */
  readonly writers: readonly DraftWriter[];
  /** Told why nobody could; the change is made all the same. */
  readonly onUnrecorded: (error: AgentError) => void;
}

/** What no other writer would take either. */
const final: ReadonlySet<ErrorCode> = new Set(['InvalidArgument', 'Tampered']);

/** A block before the change, and another, `failed`, when it did not come about. */
export function recordedBy({ writers, onUnrecorded }: RecordedByOptions): Recorded {
  const record = async (draft: ChangeDraft): Promise<void> => {
    let problem = new AgentError('Unavailable', 'nobody writes it');
    for (const write of writers) {
      try {
        await write(draft);
        return;
      } catch (error) {
        problem = toAgentError(error);
        if (final.has(problem.code)) break;
      }
    }
    onUnrecorded(problem);
  };
  return async (draft, action) => {
    await record(draft);
    try {
      return await action();
    } catch (error) {
      const data = { ...draft.data, of: draft.action, reason: toAgentError(error).message };
      await record({ ...draft, action: 'failed', data });
      throw error;
    }
  };
}
