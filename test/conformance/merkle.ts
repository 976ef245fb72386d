/**
 * Reads vectors of Merkle trees on standard input, in the JSON of transparency-dev/merkle's `testdata` and with `leaves`
 * for whole trees (test/conformance/README.md). Run it as `node --import tsx test/conformance/merkle.ts <FILE`.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { appendLeaf, emptyRange, treeHead } from '../../src/ledger/tlog/compact-range.ts';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/tlog/verify-proofs.ts';
import { bytesOf, expectError, listOf, runVectors, standardInput } from './vectors.ts';
import type { Vector } from './vectors.ts';

export function judgeMerkle(vector: Vector): string {
  const { desc, wantErr } = vector;
  if ('leaves' in vector) {
    const range = listOf(vector['leaves']).reduce((tree, leaf) => appendLeaf(tree, leafHash(leaf)), emptyRange);
    assert.equal(treeHead(range).sha256_root_hash.toString('base64'), vector['root']);
  } else if ('size1' in vector) {
    const proof = {
      first: Number(vector['size1']),
      second: Number(vector['size2']),
      consistency: listOf(vector['proof']),
    };
    expectError(wantErr, () => {
      verifyConsistency(proof, bytesOf(vector['root1']), bytesOf(vector['root2']));
    });
  } else {
    const proof = {
      leaf_index: Number(vector['leafIdx'] ?? vector['leafIndex']),
      tree_size: Number(vector['treeSize']),
      audit_path: listOf(vector['proof']),
    };
    expectError(wantErr, () => {
      verifyInclusion(bytesOf(vector['leafHash']), proof, bytesOf(vector['root']));
    });
  }
  return String(desc);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = runVectors(standardInput(), judgeMerkle, console.log);
}
