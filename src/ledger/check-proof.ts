/**
 * Checks a proof file with nothing but keys: neither ledger nor service. What must hold, in this order: the checkpoint is
 * signed by a log that is trusted, cosigned as the policy asks, and the block that the file carries is in its tree.
 */
import { AgentError } from '../model/errors.ts';
import { parseBlock } from './block.ts';
import type { Block } from './block.ts';
import type { Checkpoint } from './tlog/checkpoint.ts';
import { openCheckpoint } from './tlog/checkpoint.ts';
import { leafHash } from './tlog/hash.ts';
import type { VerifierKey } from './tlog/key.ts';
import { hasQuorum } from './tlog/policy.ts';
import type { Policy } from './tlog/policy.ts';
import { parseTlogProof } from './tlog/proof-file.ts';
import { verifySignatures } from './tlog/signature.ts';
import { verifyInclusion } from './tlog/verify-proofs.ts';

/** Whom the reader of a proof trusts. */
export interface ProofTrust {
  /** The log's own key; null: any log of the policy. */
  readonly key: VerifierKey | null;
  /** null: no witness is asked for. */
  readonly policy: Policy | null;
}

export interface ProvenBlock {
  readonly block: Block;
  /** As it stands in the ledger, without its newline. */
  readonly line: Buffer;
  readonly checkpoint: Checkpoint;
  /** Of the witnesses that the policy knows: the names of their keys, and when, by their clocks. */
  readonly cosignatures: readonly { readonly name: string; readonly timestampS: number }[];
}

/**
 * The block that is proven. Throws `InvalidArgument` with what does not hold, whatever is in the file, and `Unavailable`
 * when nothing could be told: no log is named, or the file does not carry its block.
 */
export function checkProof(proofFile: Uint8Array, { key, policy }: ProofTrust): ProvenBlock {
  const logs = key === null ? (policy?.logs ?? []) : [key];
  if (logs.length === 0) throw cannotTell('no log is trusted: give its key, or a policy with a log line');
  const { leaf_index, audit_path, extra: line, checkpoint: note } = parseTlogProof(proofFile);
  const { checkpoint, note: signed } = openCheckpoint(note, logs);
  if (key !== null && policy !== null && !isListed(policy, key)) {
    throw new AgentError('InvalidArgument', `the policy does not list the log ${key.name}`);
  }
  const cosigned = verifySignatures(signed, [...(policy?.witnesses.values() ?? [])]);
  if (
    policy !== null &&
    !hasQuorum(
      policy,
      cosigned.map((cosignature) => cosignature.key),
    )
  ) {
    throw new AgentError('InvalidArgument', `${cosigned.length} known witnesses cosigned the checkpoint: no quorum`);
  }
  if (line === null) throw cannotTell('the proof does not carry the block that it proves');
  const { tree_size, sha256_root_hash } = checkpoint;
  verifyInclusion(leafHash(line), { leaf_index, tree_size, audit_path }, sha256_root_hash);
  const block = parseBlock(line);
  if (block.height !== leaf_index) {
    throw new AgentError('InvalidArgument', `entry ${leaf_index} of the log says it is block ${block.height}`);
  }
  const cosignatures = cosigned.flatMap(({ key: { name }, timestampS }) =>
    timestampS === null ? [] : [{ name, timestampS }],
  );
  return { block, line, checkpoint, cosignatures };
}

/** A policy without logs leaves the choice to the caller. */
function isListed({ logs }: Policy, key: VerifierKey): boolean {
  return logs.length === 0 || logs.some((log) => log.name === key.name && log.hasKeyOf(key));
}

function cannotTell(why: string): AgentError {
  return new AgentError('Unavailable', `the proof cannot be checked: ${why}`);
}
