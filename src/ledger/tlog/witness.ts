/**
 * What a witness does with a request (C2SP tlog-witness): a decision that follows from the request and from the tree it
 * cosigned last. Whoever carries it out, for one log at a time:
 *
 * 1. decides (`considerCheckpoint`) from the stored head;
 * 2. stores `head` durably: COMMIT POINT;
 * 3. cosigns and answers (`answerBody`).
 * A crash before 2 leaves the old head: the log asks again. A crash between 2 and 3 leaves a head that nobody has a
 * cosignature for: the log asks from the old size, is told the new one, and asks from there. Answering before 2 could cosign
 * two trees of which neither continues the other.
 */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { parseAddCheckpoint } from './add-checkpoint.ts';
import { openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { TreeHead } from './compact-range.ts';
import { emptyRootHash } from './hash.ts';
import type { SignerKey, VerifierKey } from './key.ts';
import { parseNote, renderSignatureLine } from './note.ts';
import { cosignText } from './signature.ts';
import { verifyConsistency } from './verify-proofs.ts';

/** A log that the witness knows, by its origin. */
export interface WitnessedLog {
  readonly keys: readonly VerifierKey[];
  /** What was cosigned last; null for nothing yet. */
  readonly latest: TreeHead | null;
}

/** `status` is what the specification's HTTP answer has. */
export type WitnessDecision =
  | {
      readonly status: 200;
      /** To be stored before anything is answered. */
      readonly head: TreeHead;
      readonly origin: string;
      /** What is cosigned. */
      readonly checkpointText: string;
    }
  | {
      /** Not from the tree that was cosigned last: `tree_size` says which that is. */
      readonly status: 409;
      readonly tree_size: number;
      /** The log signed two trees of this size: proof that it was rewritten. The request is the evidence. */
      readonly isFork: boolean;
      readonly reason: string;
    }
  | {
      /** Malformed; not signed by the log; unknown log; inconsistent, by the proof that came with it. */
      readonly status: 400 | 403 | 404 | 422;
      readonly reason: string;
    };

/** Decides about a request. `logOf` knows the logs by origin. */
export function considerCheckpoint(
  request: Uint8Array,
  logOf: (origin: string) => WitnessedLog | undefined,
): WitnessDecision {
  const parsed = attempt(400, () => {
    const { old, consistency, checkpoint: bytes } = parseAddCheckpoint(request);
    const { text } = parseNote(bytes);
    return { old, consistency, bytes, text, checkpoint: parseCheckpoint(text) };
  });
  if ('status' in parsed) return parsed;
  const { old, consistency, bytes, text, checkpoint } = parsed;
  const { origin, tree_size, sha256_root_hash } = checkpoint;
  const log = logOf(origin);
  if (log === undefined) return { status: 404, reason: `the log ${quote(origin)} is not known` };
  const signed = attempt(403, () => openCheckpoint(bytes, log.keys));
  if ('status' in signed) return signed;
  if (old > tree_size) return { status: 400, reason: `the old size ${old} is larger than ${tree_size}` };
  const latest = log.latest ?? emptyTree;
  if (old !== latest.tree_size) {
    return { status: 409, tree_size: latest.tree_size, isFork: false, reason: `the old size is ${latest.tree_size}` };
  }
  if (old === tree_size && !latest.sha256_root_hash.equals(sha256_root_hash)) {
    const reason = `the log signed another root of size ${tree_size} before`;
    return { status: 409, tree_size, isFork: log.latest !== null, reason };
  }
  const proven = attempt(422, () => {
    checkContinues(latest, checkpoint, consistency);
    return {};
  });
  if ('status' in proven) return proven;
  return { status: 200, head: { tree_size, sha256_root_hash }, origin, checkpointText: text };
}

/** The body of the answer: the cosignature, or the size to ask from. Empty for a refusal, whose reason is for a log. */
export function answerBody(decision: WitnessDecision, key: SignerKey, timestampS: number): string {
  switch (decision.status) {
    case 200:
      return renderSignatureLine(cosignText(decision.checkpointText, key, timestampS));
    case 409:
      return `${decision.tree_size}\n`;
    case 400:
    case 403:
    case 404:
    case 422:
      return '';
  }
}

const emptyTree: TreeHead = { tree_size: 0, sha256_root_hash: emptyRootHash };

function checkContinues(latest: TreeHead, next: Checkpoint, consistency: readonly Uint8Array[]): void {
  if (latest.tree_size === 0) {
    if (consistency.length === 0) return;
    throw new AgentError('InvalidArgument', 'from an empty tree there is nothing to prove: the proof must be empty');
  }
  const proof = { first: latest.tree_size, second: next.tree_size, consistency };
  verifyConsistency(proof, latest.sha256_root_hash, next.sha256_root_hash);
}

/** What `work` returns, or the refusal that its `InvalidArgument` means here. */
function attempt<T extends object, S extends 400 | 403 | 422>(
  status: S,
  work: () => T,
): T | { status: S; reason: string } {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof AgentError)) throw thrown;
    return { status, reason: thrown.message };
  }
}
