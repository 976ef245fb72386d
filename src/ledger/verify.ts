/** Verification of a whole ledger: chain, what each line says, and the tree against a checkpoint. */
import { AgentError } from '../model/errors.ts';
import { hashFieldBytes, parseBody } from './block.ts';
import { ChainVerifier } from './chain.ts';
import type { BadLine, ChainReport, CheckedLine } from './chain.ts';
import { isPlainBody } from './plain-body.ts';
import { appendLeaf, emptyRange, treeHead } from './tlog/compact-range.ts';
import type { TreeHead } from './tlog/compact-range.ts';
import { leafHash } from './tlog/hash.ts';

/**
 * Streams a ledger: every line is in its place in the chain and is a block, and the first lines are those of `checkpoint`
 * when there is one. Reads to the end also after a bad line. Memory does not grow with the ledger.
 */
export async function verifyLedger(
  chunks: AsyncIterable<Uint8Array>,
  checkpoint: TreeHead | null,
): Promise<ChainReport> {
  const mark = new TreeMarker(checkpoint?.tree_size ?? 0);
  const verifier = new ChainVerifier({
    onBlock: (_line, bytes) => {
      mark.note(bytes);
    },
    whyBad: whyNoBlock,
  });
  for await (const chunk of chunks) verifier.push(chunk);
  const report = verifier.end();
  const differs = checkpoint === null ? null : differsFrom(checkpoint, report, mark.found);
  return differs === null ? report : { ...report, valid: false, firstBad: differs };
}

/** The tree at some size, and where in the file its last block ends. */
export interface TreeMark {
  readonly head: TreeHead;
  readonly bytes: number;
}

/** What contradicts a checkpoint; null when the blocks that it covers are there and are the ones that it covers. */
export function differsFrom(checkpoint: TreeHead, report: ChainReport, mark: TreeMark | null): BadLine | null {
  const { tree_size, sha256_root_hash } = checkpoint;
  if (tree_size === 0) return null;
  if (mark === null) {
    const { reason } = report.firstBad ?? { reason: 'the file ends there' };
    const place = { height: report.blocks, offset: report.bytes, torn: false };
    return { ...place, reason: `${reason}; the checkpoint covers ${tree_size} blocks` };
  }
  if (mark.head.sha256_root_hash.equals(sha256_root_hash)) return null;
  const reason = `the first ${tree_size} blocks are not the ones that the checkpoint covers: some were rewritten`;
  return { height: 0, offset: 0, reason, torn: false };
}

/** The tree up to the size that a checkpoint has. */
class TreeMarker {
  readonly #size: number;
  #range = emptyRange;
  #bytes = 0;
  found: TreeMark | null = null;

  constructor(size: number) {
    this.#size = size;
  }

  note(line: Uint8Array): void {
    if (this.#range.tree_size >= this.#size) return;
    this.#range = appendLeaf(this.#range, leafHash(line));
    this.#bytes += line.length + 1;
    if (this.#range.tree_size === this.#size) this.found = { head: treeHead(this.#range), bytes: this.#bytes };
  }
}

/** A right hash over what is no block: written by something else than this program. */
function whyNoBlock({ bodyAt }: CheckedLine, line: Buffer, text: string): string | null {
  if (isPlainBody(text, bodyAt, text.length - hashFieldBytes)) return null;
  try {
    parseBody(line, bodyAt);
    return null;
  } catch (thrown) {
    if (thrown instanceof AgentError) return thrown.message;
    throw thrown;
  }
}
