/**
 * Proofs out of stored tiles (RFC 6962 sections 2.1.1 and 2.1.2). What the tiles say is not checked here: a proof from
 * wrong tiles does not verify against the root of a signed checkpoint, and whoever hands one out verifies it first.
 */
import { AgentError } from '../../model/errors.ts';
import { foldRange } from './compact-range.ts';
import type { Hash } from './hash.ts';
import { readNodes } from './tile-reader.ts';
import type { Node, TileReader } from './tile-reader.ts';
import type { ConsistencyProof, InclusionProof } from './verify-proofs.ts';

/** As it is made: hashes, which a proof that comes from outside need not have. */
interface MadeInclusionProof extends InclusionProof {
  readonly audit_path: readonly Hash[];
}

/** Rejects with `InvalidArgument` when the tree has no such leaf, and as the reader does. */
export async function proveInclusion(
  reader: TileReader,
  leafIndex: number,
  treeSize: number,
): Promise<MadeInclusionProof> {
  if (!(leafIndex >= 0 && leafIndex < treeSize)) {
    throw new AgentError('InvalidArgument', `no leaf ${leafIndex} in a tree of ${treeSize}`);
  }
  const audit_path = await readSubtrees(reader, siblings(leafIndex, treeSize), treeSize);
  return { leaf_index: leafIndex, tree_size: treeSize, audit_path };
}

/** Rejects with `InvalidArgument` unless 0 < `first` <= `second`, and as the reader does. */
export async function proveConsistency(reader: TileReader, first: number, second: number): Promise<ConsistencyProof> {
  if (!(first > 0 && first <= second)) {
    throw new AgentError('InvalidArgument', `no consistency proof from a tree of ${first} to one of ${second}`);
  }
  return { first, second, consistency: await readSubtrees(reader, subproof(first, second), second) };
}

/** Leaves `begin` to `end`, the latter not included. */
type Span = readonly [begin: number, end: number];

/** `PATH(m, D[n])`, the leaf's sibling first. */
function siblings(leafIndex: number, treeSize: number): Span[] {
  const path: Span[] = [];
  let [begin, end] = [0, treeSize];
  while (end - begin > 1) {
    const middle = begin + splitOf(end - begin);
    if (leafIndex < middle) {
      path.unshift([middle, end]);
      end = middle;
    } else {
      path.unshift([begin, middle]);
      begin = middle;
    }
  }
  return path;
}

/** `PROOF(m, D[n])`: down to where the first tree ends, the siblings on the way, and what it ends with unless known. */
function subproof(first: number, second: number): Span[] {
  const path: Span[] = [];
  let [begin, end] = [0, second];
  while (first < end) {
    const middle = begin + splitOf(end - begin);
    if (first <= middle) {
      path.unshift([middle, end]);
      end = middle;
    } else {
      path.unshift([begin, middle]);
      begin = middle;
    }
  }
  // From leaf 0 on it is the first tree itself, whose root the verifier has.
  return begin === 0 ? path : [[begin, end], ...path];
}

/** The largest power of two smaller than `leaves`. */
function splitOf(leaves: number): number {
  let power = 1;
  while (power * 2 < leaves) power *= 2;
  return power;
}

async function readSubtrees(reader: TileReader, spans: readonly Span[], treeSize: number): Promise<Hash[]> {
  const subtrees = spans.map(perfectSubtrees);
  const hashOf = await readNodes(reader, subtrees.flat(), treeSize);
  return subtrees.map((nodes) => foldRange(nodes.map(hashOf)));
}

/** Spans of a tree begin where their perfect subtrees do: the largest first. */
function perfectSubtrees([begin, end]: Span): Node[] {
  const nodes: Node[] = [];
  let height = 0;
  while (2 ** (height + 1) <= end - begin) height++;
  for (let at = begin; at < end; height--) {
    const leaves = 2 ** height;
    if (leaves > end - at) continue;
    nodes.push({ height, index: at / leaves });
    at += leaves;
  }
  return nodes;
}
