/** The two hashes of a Merkle tree (RFC 6962 section 2.1, RFC 9162 section 2.1.1): a prefix keeps leaves and nodes apart. */
import { hash as hashOnce } from 'node:crypto';
import { lineBytesMax } from '../limits.ts';

/** SHA-256: 32 bytes. */
export type Hash = Buffer;

export const hashBytes = 32;

/** `sha256_root_hash` of the tree without leaves. */
export const emptyRootHash: Hash = digest(Buffer.alloc(0));

/** `MTH({d(0)})`: of a ledger, `entry` is a line without its newline. */
export function leafHash(entry: Uint8Array): Hash {
  const input = entry.length <= lineBytesMax ? leafInput : Buffer.allocUnsafe(entry.length + 1);
  input[0] = 0x00;
  input.set(entry, 1);
  return digest(input.subarray(0, entry.length + 1));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Hash {
  nodeInput[0] = 0x01;
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + hashBytes);
  return digest(nodeInput);
}

/** Root of the perfect subtree over `hashes`, a power of two of them, one after the other. */
export function foldHashes(hashes: Buffer): Hash {
  let level = hashes;
  while (level.length > hashBytes) {
    const above = Buffer.allocUnsafe(level.length / 2);
    for (let at = 0; at < above.length; at += hashBytes) {
      const left = level.subarray(2 * at, 2 * at + hashBytes);
      nodeHash(left, level.subarray(2 * at + hashBytes, 2 * at + 2 * hashBytes)).copy(above, at);
    }
    level = above;
  }
  return Buffer.from(level);
}

/** By way of a string: a Buffer made by the hash itself costs as much again as hashing a line. */
function digest(bytes: Uint8Array): Hash {
  return Buffer.from(hashOnce('sha256', bytes, 'binary'), 'latin1');
}

/** Scratch space: hashing is one synchronous call, and an allocation per hash would cost more than the hash. */
const leafInput = Buffer.allocUnsafe(lineBytesMax + 1);
const nodeInput = Buffer.allocUnsafe(1 + 2 * hashBytes);
