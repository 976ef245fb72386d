/**
 * Verification of proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2). Nothing is trusted but the roots: sizes and hashes may
 * be anything. Both functions throw `InvalidArgument` with the reason unless the proof holds, so that a forgotten answer
 * cannot pass for a yes.
 */
import { AgentError } from '../../model/errors.ts';
import { hashBytes, nodeHash } from './hash.ts';
import { proofHashesMax } from '../limits.ts';

export interface InclusionProof {
  readonly leaf_index: number;
  readonly tree_size: number;
  /** From the leaf's sibling to the root's child. */
  readonly audit_path: readonly Uint8Array[];
}

export interface ConsistencyProof {
  /** Size of the older tree, which must not be empty: with an empty tree every tree is consistent. */
  readonly first: number;
  readonly second: number;
  readonly consistency: readonly Uint8Array[];
}

/** The leaf with this hash stands at `leaf_index` in the tree of `tree_size` leaves with this root. */
export function verifyInclusion(leafHash: Uint8Array, proof: InclusionProof, rootHash: Uint8Array): void {
  const { leaf_index, tree_size, audit_path } = proof;
  const fail = failOf(`inclusion of leaf ${leaf_index} in a tree of ${tree_size}`);
  if (!isSize(leaf_index) || !isSize(tree_size)) fail('sizes are whole numbers from 0 to 2^53 - 1');
  if (leaf_index >= tree_size) fail('the tree has no such leaf');
  if (leafHash.length !== hashBytes) fail(`the leaf hash has ${leafHash.length} bytes, not ${hashBytes}`);
  checkHashes(audit_path, fail);
  let fn = leaf_index;
  let sn = tree_size - 1;
  let r = leafHash;
  for (const p of audit_path) {
    if (sn === 0) fail('the audit path is too long');
    if (isOdd(fn) || fn === sn) {
      r = nodeHash(p, r);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else r = nodeHash(r, p);
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) fail('the audit path is too short');
  if (!isEqual(r, rootHash)) fail('the audit path leads to another root');
}

/** The tree of `first` leaves with `firstRoot` is the beginning of the tree of `second` leaves with `secondRoot`. */
export function verifyConsistency(proof: ConsistencyProof, firstRoot: Uint8Array, secondRoot: Uint8Array): void {
  const { first, second, consistency } = proof;
  const fail = failOf(`consistency of trees of ${first} and ${second}`);
  if (!isSize(first) || !isSize(second)) fail('sizes are whole numbers from 0 to 2^53 - 1');
  if (first > second) fail('the first tree is the larger one');
  if (first === second) {
    if (consistency.length > 0) fail('trees of one size need no proof');
    if (!isEqual(firstRoot, secondRoot)) fail('trees of one size have different roots');
    return;
  }
  if (first === 0) fail('an empty tree is consistent with every tree: that proves nothing');
  if (consistency.length === 0) fail('the proof is empty');
  checkHashes([firstRoot, secondRoot], fail);
  checkHashes(consistency, fail);
  let fn = first - 1;
  let sn = second - 1;
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  // 0 only when `first` is a power of two: its root is a node of the second tree, and the proof leaves it out.
  const [seed = firstRoot, ...rest] = fn === 0 ? [firstRoot, ...consistency] : consistency;
  let fr = seed;
  let sr = seed;
  for (const c of rest) {
    if (sn === 0) fail('the proof is too long');
    if (isOdd(fn) || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else sr = nodeHash(sr, c);
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) fail('the proof is too short');
  if (!isEqual(fr, firstRoot)) fail('the proof does not lead to the first root');
  if (!isEqual(sr, secondRoot)) fail('the proof does not lead to the second root');
}

type Fail = (why: string) => never;

function failOf(what: string): Fail {
  return (why) => {
    throw new AgentError('InvalidArgument', `${what} is not proven: ${why}`);
  };
}

function checkHashes(hashes: readonly Uint8Array[], fail: Fail): void {
  if (hashes.length > proofHashesMax) fail(`${hashes.length} hashes, at most ${proofHashesMax}`);
  const odd = hashes.find((hash) => hash.length !== hashBytes);
  if (odd !== undefined) fail(`a hash has ${odd.length} bytes, not ${hashBytes}`);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

// Numbers above 2^31: no bit operators.
function isOdd(value: number): boolean {
  return value % 2 === 1;
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
