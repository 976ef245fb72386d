/** Where a ledger begins whose older segments were moved away: what follows goes on in the chain and in the tree. */
import { parseBlock } from './block.ts';
import type { Block } from './block.ts';
import { lineBytesMax } from './limits.ts';
import { beginsSegment, ChainState } from './state.ts';
import type { LedgerStore } from './store.ts';
import type { StoredTree } from './stored-tree.ts';
import { readTileEdge } from './tlog/tile-edge.ts';
import { AgentError } from '../model/errors.ts';

/** The first block that is there, and where it stands. */
export interface FirstBlock {
  readonly height: number;
  readonly bytes: number;
}

/**
 * The chain before the first block that is there. The tree over what is not there comes from the tiles. Rejects with
 * `Tampered` when the first block does not begin a segment or the tiles are not there.
 */
export async function firstChain(store: LedgerStore, tree: StoredTree): Promise<ChainState> {
  if (store.start === 0) return new ChainState();
  const block = await firstBlock(store);
  try {
    const edge = await readTileEdge(tree, block.height);
    return ChainState.before(block, store.start, edge.range());
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    const what = `segments before block ${block.height} were moved away, and the tree over them is not there: ${why}`;
    throw new AgentError('Tampered', `${what}; put the segments back`, { cause: thrown });
  }
}

async function firstBlock(store: LedgerStore): Promise<Block> {
  const bytes = await store.readAt(store.start, Math.min(store.size, store.start + lineBytesMax + 1));
  const line = bytes.subarray(0, bytes.indexOf('\n'));
  try {
    const block = parseBlock(line);
    if (beginsSegment(block)) return block;
  } catch (thrown) {
    if (!(thrown instanceof AgentError)) throw thrown;
  }
  throw new AgentError('Tampered', 'the first line that is there does not begin a segment');
}
