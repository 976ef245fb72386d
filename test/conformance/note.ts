/**
 * Reads vectors of signed notes on standard input (test/conformance/README.md). Run it as
 * `node --import tsx test/conformance/note.ts <FILE`.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { openCheckpoint, parseCheckpoint } from '../../src/ledger/tlog/checkpoint.ts';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import { SignerKey, signatureTypes, VerifierKey } from '../../src/ledger/tlog/key.ts';
import { parseNote, renderNote } from '../../src/ledger/tlog/note.ts';
import { hasQuorum, parsePolicy } from '../../src/ledger/tlog/policy.ts';
import { parseTlogProof } from '../../src/ledger/tlog/proof-file.ts';
import { cosignText, signText, verifySignatures } from '../../src/ledger/tlog/signature.ts';
import { verifyInclusion } from '../../src/ledger/tlog/verify-proofs.ts';
import { bytesOf, expectError, runVectors, standardInput } from './vectors.ts';
import type { Vector } from './vectors.ts';

export function judgeNote(vector: Vector): string {
  const { desc, wantErr, note, skey, vkey } = vector;
  if (typeof skey === 'string') {
    expectError(wantErr, () => {
      sign(vector, skey);
    });
  } else if (typeof vector['proof'] === 'string') {
    expectError(wantErr, () => {
      checkProof(vector, String(vector['proof']));
    });
  } else if (typeof vector['policy'] === 'string') {
    expectError(wantErr, () => {
      countCosigners(vector, String(vector['policy']));
    });
  } else if (typeof note === 'string') {
    expectError(wantErr, () => {
      open(vector, note);
    });
  } else {
    expectError(wantErr, () => {
      assert.equal(parseKey(String(vkey)).render(), vkey);
    });
  }
  return String(desc);
}

function sign({ text, time, note, vkey }: Vector, skey: string): void {
  const key = SignerKey.parse(skey);
  assert.equal((time === undefined ? key.verifierKey : key.cosignerKey).render(), vkey);
  const made = time === undefined ? signText(String(text), key) : cosignText(String(text), key, Number(time));
  assert.equal(renderNote({ text: String(text), signatures: [made] }), note);
}

/** Like `note.Open` of Go: at least one of the keys must have signed. */
function open({ vkeys, text, signers, checkpoint }: Vector, bytes: string): void {
  const note = parseNote(Buffer.from(bytes));
  assert.equal(renderNote(note), bytes);
  const keys = (vkeys as string[]).map(parseKey);
  const verified = verifySignatures(note, keys).map(({ key }) => key.name);
  assert.notEqual(verified.length, 0, 'signed by none of the keys');
  if (text !== undefined) assert.equal(note.text, text);
  if (signers !== undefined) assert.deepEqual(verified, signers);
  if (checkpoint === undefined) return;
  const { origin, tree_size, sha256_root_hash } = parseCheckpoint(note.text);
  assert.deepEqual({ origin, size: tree_size, hash: sha256_root_hash.toString('base64') }, checkpoint);
}

/** A proof of any log: `entry` is what is proven. */
function checkProof({ vkeys, entry }: Vector, file: string): void {
  const { leaf_index, audit_path, checkpoint: note } = parseTlogProof(Buffer.from(file));
  const { checkpoint } = openCheckpoint(note, (vkeys as string[]).map(parseKey));
  const { tree_size, sha256_root_hash } = checkpoint;
  verifyInclusion(leafHash(bytesOf(entry)), { leaf_index, tree_size, audit_path }, sha256_root_hash);
}

/** Reads a policy; with a `note`, asks whether enough have cosigned it. */
function countCosigners({ note }: Vector, text: string): void {
  const policy = parsePolicy(Buffer.from(text));
  if (typeof note !== 'string') return;
  const verified = verifySignatures(parseNote(Buffer.from(note)), [...policy.witnesses.values()]);
  assert.ok(
    hasQuorum(
      policy,
      verified.map(({ key }) => key),
    ),
    'no quorum',
  );
}

/** A vkey of whichever type it says. */
function parseKey(vkey: string): VerifierKey {
  const [type] = Buffer.from(vkey.split('+').slice(2).join('+').slice(0, 4), 'base64');
  return VerifierKey.parse(vkey, type === signatureTypes.cosignature ? type : signatureTypes.ed25519);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = runVectors(standardInput(), judgeNote, console.log);
}
