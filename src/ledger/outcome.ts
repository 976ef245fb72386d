/** The second block of a change that was written ahead and is not there. */
import { AgentError, toAgentError } from '../model/errors.ts';
import { prepareDraft } from './block.ts';
import type { Block, BlockDraft, Category, JsonObject, PreparedDraft } from './block.ts';
import { outcomeMessageCharsMax } from './limits.ts';

/** `failed` with the error of the action. */
export function failedDraft(block: Block, error: unknown): PreparedDraft {
  const { code, message } = toAgentError(error);
  return outcomeDraft(block, 'failed', { error: code, message: wellFormed(message) });
}

/** `abandoned`, for a block in doubt whose change was looked for and is not there. */
export function abandonedDraft(block: Block, reason: string): PreparedDraft {
  return outcomeDraft(block, 'abandoned', { message: wellFormed(reason) });
}

/** Fields of the first block's data that the second repeats, so that the same queries find both. */
const identifying = ['vmid', 'nic', 'port', 'netdev', 'bridge'] as const;

function outcomeDraft(block: Block, action: 'failed' | 'abandoned', what: JsonObject): PreparedDraft {
  const metadata = Object.fromEntries(Object.entries(block.metadata).filter(([name]) => name !== 'ahead'));
  const repeated = identifying.flatMap((name) => {
    const value = block.data[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const draft: BlockDraft = {
    category: block.category as Category,
    action,
    metadata,
    data: { height: block.height, action: block.action, ...Object.fromEntries(repeated), ...what },
  };
  try {
    return prepareDraft(draft);
  } catch (thrown) {
    // The first block was nearly as long as a line may be. The height says all that is needed.
    if (thrown instanceof AgentError)
      return prepareDraft({ ...draft, metadata: {}, data: { height: block.height, ...what } });
    throw thrown;
  }
}

/** Cut to size; a surrogate without its other half becomes U+FFFD. */
function wellFormed(text: string): string {
  return Buffer.from(text.slice(0, outcomeMessageCharsMax)).toString();
}
