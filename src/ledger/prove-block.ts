/** Proof of one block out of the stored tiles, which are not authenticated: what does not verify is never handed out. */
import { AgentError } from '../model/errors.ts';
import type { StoredCheckpoint } from './stored-tree.ts';
import { leafHash } from './tlog/hash.ts';
import { renderTlogProof } from './tlog/proof-file.ts';
import { proveInclusion } from './tlog/prove.ts';
import type { TileReader } from './tlog/tile-reader.ts';
import { verifyInclusion } from './tlog/verify-proofs.ts';

interface Published {
  readonly checkpoint: StoredCheckpoint | null;
  /** Makes the tiles anew from the ledger. */
  rebuild(): Promise<void>;
}

/**
 * A C2SP tlog-proof that carries the block. Tiles that are missing or wrong are made anew once; when the proof fails
 * after that too, the block is not the one that the checkpoint covers: `Tampered`.
 */
export async function proveBlock(
  height: number,
  line: Buffer,
  tiles: TileReader,
  published: Published,
): Promise<Buffer> {
  try {
    return await proveLine(line, height, tiles, published.checkpoint);
  } catch (thrown) {
    if (!(thrown instanceof AgentError)) throw thrown;
  }
  await published.rebuild();
  try {
    return await proveLine(line, height, tiles, published.checkpoint);
  } catch (thrown) {
    throw new AgentError('Tampered', `ledger block ${height} cannot be proven: run "ledger verify"`, { cause: thrown });
  }
}

async function proveLine(
  line: Buffer,
  height: number,
  tiles: TileReader,
  checkpoint: StoredCheckpoint | null,
): Promise<Buffer> {
  if (checkpoint === null) throw new AgentError('Unavailable', 'ledger: there is no checkpoint to prove a block with');
  const { tree_size, sha256_root_hash } = checkpoint.head;
  const proof = await proveInclusion(tiles, height, tree_size);
  verifyInclusion(leafHash(line), proof, sha256_root_hash);
  return renderTlogProof({ ...proof, extra: line, checkpoint: checkpoint.note });
}
