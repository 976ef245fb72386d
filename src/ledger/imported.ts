/** Ledgers of the older tool of this name, which were moved aside whole: what this ledger says of them. */
import { createHash } from 'node:crypto';
import { parseBlock } from './block.ts';
import { ChainVerifier } from './chain.ts';
import type { Unseen } from './chain.ts';
import { ledgerPlugin } from './state.ts';

export interface ImportedLedger {
  /** Beside the ledger. */
  readonly file: string;
  readonly length: number;
  /** In hex. */
  readonly sha256: string;
  /** Of the block that commits to it. */
  readonly height: number;
}

/**
 * Those that a ledger commits to, by its own blocks alone. `onUnseen` hears of the blocks that are not there, which may commit
 * to others. What stands behind a bad line is not looked at.
 */
export async function importedLedgers(
  chunks: AsyncIterable<Uint8Array>,
  onUnseen: (unseen: Unseen) => void,
): Promise<ImportedLedger[]> {
  const found: ImportedLedger[] = [];
  const verifier = new ChainVerifier({
    onUnseen,
    onBlock: ({ category, action, height }, bytes) => {
      if (category !== 'storage' || action !== 'imported') return;
      const { metadata, data } = parseBlock(bytes);
      const { file, length, sha256 } = data;
      if (metadata['plugin'] !== ledgerPlugin) return;
      if (typeof file === 'string' && typeof length === 'number' && typeof sha256 === 'string') {
        found.push({ file, length, sha256, height });
      }
    },
  });
  for await (const chunk of chunks) verifier.push(chunk);
  return found;
}

/** Whether a file is what the block commits to. */
export async function isAsCommitted(
  { length, sha256 }: ImportedLedger,
  chunks: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return bytes === length && hash.digest('hex') === sha256;
}
