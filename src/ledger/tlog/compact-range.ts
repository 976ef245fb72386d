/**
 * A growing tree in O(log n) memory: the roots of the perfect subtrees that its leaves fall into. Values, never changed
 * in place, so that a writer can look at the tree as it would be and keep the old one when the write fails.
 */
import { emptyRootHash, nodeHash } from './hash.ts';
import type { Hash } from './hash.ts';

/** What a checkpoint says of a tree; spelled as in RFC 6962 section 4.3. */
export interface TreeHead {
  readonly tree_size: number;
  readonly sha256_root_hash: Hash;
}

export interface CompactRange {
  readonly tree_size: number;
  /** One for each 1 in the binary form of `tree_size`, the largest subtree, which is the leftmost, first. */
  readonly hashes: readonly Hash[];
}

export const emptyRange: CompactRange = { tree_size: 0, hashes: [] };

/** The range with one more leaf: one node hash on average, log2(n) at most. */
export function appendLeaf(range: CompactRange, leaf: Hash): CompactRange {
  const hashes = range.hashes.slice();
  let hash = leaf;
  for (let size = range.tree_size; size % 2 === 1; size = (size - 1) / 2) {
    const left = hashes.pop();
    if (left === undefined) throw new TypeError('compact range: fewer hashes than tree_size asks for');
    hash = nodeHash(left, hash);
  }
  hashes.push(hash);
  return { tree_size: range.tree_size + 1, hashes };
}

export function treeHead({ tree_size, hashes }: CompactRange): TreeHead {
  return { tree_size, sha256_root_hash: foldRange(hashes) };
}

/** `MTH` over perfect subtrees that stand beside each other, the largest first. */
export function foldRange(hashes: readonly Hash[]): Hash {
  return hashes.length === 0 ? emptyRootHash : hashes.reduceRight((right, left) => nodeHash(left, right));
}
