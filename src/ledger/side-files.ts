/** Blocks that account for what lies beside the ledger. */
import { createHash } from 'node:crypto';
import type { BlockDraft, JsonObject } from './block.ts';
import type { ChainState } from './state.ts';
import type { LedgerStore, SideFile } from './store.ts';

/**
 * Drafts for every byte beside the ledger that no block names yet. Asked after every load, not only after a repair:
 * a crash between moving a tail and recording it is then made good by the next start.
 */
export async function unrecordedSideFiles(
  store: LedgerStore,
  chain: ChainState,
  metadata: JsonObject,
): Promise<BlockDraft[]> {
  const drafts: BlockDraft[] = [];
  for (const side of await store.sideFiles()) {
    const from = side.kind === 'torn' ? chain.tornBytes : 0;
    const known = side.kind === 'torn' ? side.size <= from : chain.named.has(side.name);
    if (known) continue;
    drafts.push({ category: 'storage', action: side.kind, metadata, data: await describe(store, side, from) });
  }
  // What was acknowledged and an older ledger were first, so the blocks that commit to them come first.
  return drafts.sort((a, b) => a.action.localeCompare(b.action));
}

async function describe(store: LedgerStore, side: SideFile, from: number): Promise<JsonObject> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of store.readSide(side.name, from, side.size)) {
    hash.update(chunk);
    length += chunk.length;
  }
  return { file: side.name, offset: from, length, sha256: hash.digest('hex') };
}
