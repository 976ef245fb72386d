/** Verification of a whole ledger: chain, what each line says, and the tree against a checkpoint. */
import { AgentError } from '../model/errors.ts';
import { hashFieldBytes, parseBody, zeroHash } from './block.ts';
import { ChainVerifier } from './chain.ts';
import type { BadLine, ChainReport, CheckedLine, Unseen } from './chain.ts';
import { isPlainBody } from './plain-body.ts';
import { appendLeaf, emptyRange, treeHead } from './tlog/compact-range.ts';
import type { CompactRange, TreeHead } from './tlog/compact-range.ts';
import { leafHash } from './tlog/hash.ts';

interface VerifyOptions {
  /** What is known of the blocks before the first line; without it, that line is block 0 or begins a later segment. */
  readonly from?: VerifiedFrom;
}

/**
 * Streams a ledger: every line is in its place in the chain and is a block, and the first lines are those of `checkpoint`
 * when there is one. Reads to the end also after a bad line. Memory does not grow with the ledger. Rejects with
 * `Unavailable` when segments are not there without which nothing can be said of the checkpoint.
 */
export async function verifyLedger(
  chunks: AsyncIterable<Uint8Array>,
  checkpoint: TreeHead | null,
  { from }: VerifyOptions = {},
): Promise<ChainReport> {
  const begin = from ?? { blocks: 0, bytes: 0, lastHash: zeroHash, range: emptyRange };
  const mark = new TreeMarker(checkpoint?.tree_size ?? 0, begin);
  const unseen: Unseen[] = [];
  const verifier = new ChainVerifier({
    from: begin,
    onBlock: (_line, bytes) => {
      if (unseen.length === 0) mark.note(bytes);
    },
    whyBad: whyNoBlock,
    onUnseen: (blocks) => unseen.push(blocks),
  });
  for await (const chunk of chunks) verifier.push(chunk);
  const seen = verifier.end();
  const report = unseen.length === 0 ? seen : { ...seen, unseen };
  if (checkpoint === null) return report;
  const [missing] = unseen;
  if (missing !== undefined && missing.from < checkpoint.tree_size && report.valid) {
    const what = `the checkpoint covers ${checkpoint.tree_size} blocks, and ${sayUnseen(missing)}`;
    throw new AgentError('Unavailable', `${what}: put the segments back, or verify without the checkpoint`);
  }
  const differs = differsFrom(checkpoint, report, mark.found);
  return differs === null ? report : { ...report, valid: false, firstBad: differs };
}

/** The verdict in words, with a line for all that could not be seen. */
export function sayVerdict({ firstBad, blocks, lastHash, unseen = [] }: ChainReport): string {
  if (firstBad !== undefined) return `INVALID: ${sayBad(firstBad)}`;
  return [`VALID: ${blocks} blocks, last hash ${lastHash}`, ...unseen.map(sayUnseen)].join('\n');
}

export function sayBad({ height, offset, reason }: BadLine): string {
  return `block ${height} at byte ${offset}: ${reason}`;
}

function sayUnseen({ from, to }: Unseen): string {
  return `blocks ${from} to ${to - 1} are in segments that are not there`;
}

/** The chain and the tree before the first line that is read. */
interface VerifiedFrom {
  readonly blocks: number;
  readonly bytes: number;
  readonly lastHash: string;
  readonly range: CompactRange;
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
  #range: CompactRange;
  #bytes: number;
  found: TreeMark | null = null;

  constructor(size: number, { range, bytes }: VerifiedFrom) {
    this.#size = size;
    this.#range = range;
    this.#bytes = bytes;
    this.#look();
  }

  note(line: Uint8Array): void {
    if (this.#range.tree_size >= this.#size) return;
    this.#range = appendLeaf(this.#range, leafHash(line));
    this.#bytes += line.length + 1;
    this.#look();
  }

  #look(): void {
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
