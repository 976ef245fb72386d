/** Checkpoints: signed tree heads (C2SP tlog-checkpoint). */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import type { TreeHead } from './compact-range.ts';
import { parseDecimal, parseHash, renderHash } from './fields.ts';
import type { SignerKey, VerifierKey } from './key.ts';
import { parseNote, renderNote } from './note.ts';
import type { SignedNote } from './note.ts';
import { signText, verifySignatures } from './signature.ts';

export interface Checkpoint extends TreeHead {
  /** Which log: of a ledger the name of its key. */
  readonly origin: string;
  /** Lines after the root hash; opaque. */
  readonly extensions: readonly string[];
}

/** Throws `InvalidArgument` for a text that is no checkpoint's. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n');
  const last = lines.pop();
  const [origin, size, root, ...extensions] = lines;
  if (last !== '' || origin === undefined || size === undefined || root === undefined || lines.includes('')) {
    throw new AgentError('InvalidArgument', 'not a checkpoint: expected origin, tree size and root hash, a line each');
  }
  return {
    origin,
    tree_size: parseDecimal(size, 'the tree size of a checkpoint'),
    sha256_root_hash: parseHash(root, 'the root hash of a checkpoint'),
    extensions,
  };
}

/** The checkpoint of a log by its own key, whose name is the origin. Without extension lines: nobody audits them. */
export function signCheckpoint({ tree_size, sha256_root_hash }: TreeHead, key: SignerKey): string {
  const text = `${key.name}\n${tree_size}\n${renderHash(sha256_root_hash)}\n`;
  return renderNote({ text, signatures: [signText(text, key)] });
}

/** A checkpoint with a signature that was verified. */
export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly note: SignedNote;
}

/**
 * Opens a checkpoint by one of `logKeys` whose name is its origin. Throws `InvalidArgument` when it is none, when no
 * such key signed it, and when one of their signatures is wrong.
 */
export function openCheckpoint(bytes: Uint8Array, logKeys: readonly VerifierKey[]): OpenedCheckpoint {
  const note = parseNote(bytes);
  const checkpoint = parseCheckpoint(note.text);
  const ownKeys = logKeys.filter(({ name }) => name === checkpoint.origin);
  if (ownKeys.length === 0) {
    throw new AgentError('InvalidArgument', `the checkpoint is of ${quote(checkpoint.origin)}, which has no key here`);
  }
  if (verifySignatures(note, ownKeys).length === 0) {
    throw new AgentError('InvalidArgument', `the checkpoint of ${quote(checkpoint.origin)} is not signed by its key`);
  }
  return { checkpoint, note };
}
