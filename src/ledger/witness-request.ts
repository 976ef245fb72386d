/** A node as the log: which checkpoint it has cosigned, by whom, and what it asks of each witness. */
import { AgentError } from '../model/errors.ts';
import type { StoredCheckpoint, TreeFiles } from './stored-tree.ts';
import { renderAddCheckpoint } from './tlog/add-checkpoint.ts';
import { openCheckpoint } from './tlog/checkpoint.ts';
import type { TreeHead } from './tlog/compact-range.ts';
import type { VerifierKey } from './tlog/key.ts';
import { parseNote, renderNote } from './tlog/note.ts';
import type { NoteSignature } from './tlog/note.ts';
import { hasQuorum } from './tlog/policy.ts';
import type { Policy } from './tlog/policy.ts';
import { verifySignatures } from './tlog/signature.ts';
import { verifyConsistency } from './tlog/verify-proofs.ts';

/** What the ledger has to offer; `Ledger` does. */
export interface WitnessedLedger {
  readonly checkpoint: StoredCheckpoint | null;
  readonly tampered: boolean;
  /** Hashes from the tree of `first` to that of `second`, out of the stored tiles; unverified. */
  proveConsistency(first: number, second: number): Promise<readonly Uint8Array[]>;
  /** False, and an alarm, when the ledger does not continue a tree that it has signed. */
  holdAgainst(head: TreeHead, who: string): Promise<boolean>;
  /** A checkpoint with enough cosignatures: proofs are made with it from now on where it covers their block. */
  setCosigned(checkpoint: StoredCheckpoint): void;
}

/** The last that a witness has cosigned of this log. */
export interface WitnessSight {
  readonly name: string;
  readonly head: TreeHead;
  /** When, in seconds since 1970 by its clock. */
  readonly timestampS: number;
}

interface Sight extends WitnessSight {
  readonly text: string;
  readonly signature: NoteSignature;
}

export interface WitnessRequestOptions {
  readonly ledger: WitnessedLedger;
  readonly logKey: VerifierKey;
  readonly files: Pick<TreeFiles, 'read' | 'replace'>;
}

const cosignedPath = 'checkpoint.cosigned';

export class WitnessRequest {
  readonly #options: WitnessRequestOptions;
  /** By the key ID of the witness. */
  readonly #sights = new Map<string, Sight>();
  /** What witnesses are asked to cosign; kept until enough have, so that they meet at one checkpoint. */
  #asked: StoredCheckpoint | null = null;
  #cosigned: StoredCheckpoint | null = null;

  constructor(options: WitnessRequestOptions) {
    this.#options = options;
  }

  get sights(): readonly WitnessSight[] {
    return [...this.#sights.values()].map(({ name, head, timestampS }) => ({ name, head, timestampS }));
  }

  /** Blocks of the checkpoint that witnesses are asked for. */
  get askedSize(): number {
    return this.#asked?.head.tree_size ?? 0;
  }

  /** The last checkpoint that enough witnesses have cosigned. */
  get cosigned(): StoredCheckpoint | null {
    return this.#cosigned;
  }

  /** Reads the checkpoint that enough had cosigned, for proofs. One that is damaged is none. */
  async load(): Promise<void> {
    const note = await this.#options.files.read(cosignedPath);
    if (note === null) return;
    try {
      this.#take({ head: openCheckpoint(note, [this.#options.logKey]).checkpoint, note });
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
    }
  }

  /** What this node asked for before it was started anew: an `add-checkpoint` request of its own. */
  resume(checkpoint: Uint8Array): void {
    try {
      const { checkpoint: head } = openCheckpoint(checkpoint, [this.#options.logKey]);
      this.#asked ??= { head, note: Buffer.from(checkpoint) };
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
    }
  }

  /**
   * Takes in what a witness says it has cosigned of this log. A tree that the ledger does not continue is an alarm, whoever
   * shows it: this node has signed it.
   */
  async see(note: string, witness: VerifierKey): Promise<void> {
    const { logKey, ledger } = this.#options;
    const bytes = Buffer.from(note);
    const { checkpoint: head, note: signed } = openCheckpoint(bytes, [logKey]);
    const known = this.#sights.get(witness.keyId);
    if (known?.text === signed.text) return;
    if (!(await ledger.holdAgainst(head, witness.name))) return;
    const [verified] = verifySignatures(signed, [witness]);
    const signature = signed.signatures.find(({ name, keyId }) => name === witness.name && keyId === witness.keyId);
    if (verified?.timestampS == null || signature === undefined) return;
    // A file of before, brought back: a witness does not go back.
    if (known !== undefined && known.head.tree_size > head.tree_size) return;
    const { timestampS } = verified;
    this.#sights.set(witness.keyId, { name: witness.name, head, timestampS, text: signed.text, signature });
  }

  /** Keeps the checkpoint that was asked for when enough have cosigned it. */
  async collect(policy: Policy): Promise<void> {
    const asked = this.#asked;
    if (asked === null) return;
    const { text, signatures } = parseNote(asked.note);
    const agreeing = [...policy.witnesses.values()].filter((key) => this.#sights.get(key.keyId)?.text === text);
    if (agreeing.length === 0 || !hasQuorum(policy, agreeing)) return;
    if (this.#cosigned?.head.tree_size !== asked.head.tree_size || this.#hasMore(agreeing)) {
      const cosignatures = agreeing.flatMap(({ keyId }) => this.#sights.get(keyId)?.signature ?? []);
      const note = Buffer.from(renderNote({ text, signatures: [...signatures, ...cosignatures] }));
      await this.#options.files.replace(cosignedPath, note);
      this.#take({ head: asked.head, note });
    }
  }

  /**
   * The requests to the witnesses of the policy, by key ID. The checkpoint is the one that was asked for while too few have
   * cosigned it, and the newest otherwise, or when `isStale`: those that are missing may be gone for good.
   */
  async requests(policy: Policy, ownKeyId: string, isStale: boolean): Promise<Map<string, string>> {
    const { ledger } = this.#options;
    const newest = ledger.checkpoint;
    if (ledger.tampered || newest === null) return new Map();
    const asked = this.#asked;
    const isDone = asked === null || this.#cosigned?.head.tree_size === asked.head.tree_size;
    if (isDone || isStale) this.#asked = newest;
    const checkpoint = this.#asked ?? newest;
    const requests = new Map<string, string>();
    for (const { keyId } of policy.witnesses.values()) {
      const seen = this.#sights.get(keyId)?.head ?? null;
      if (keyId === ownKeyId || (seen !== null && seen.tree_size >= checkpoint.head.tree_size)) continue;
      const request = await this.#request(seen, checkpoint);
      if (request !== null) requests.set(keyId, request);
    }
    return requests;
  }

  /** Verified before it is asked for; null when the tiles do not lead there, which the ledger finds out by itself. */
  async #request(seen: TreeHead | null, { head, note }: StoredCheckpoint): Promise<string | null> {
    const old = seen?.tree_size ?? 0;
    const checkpoint = Buffer.from(note);
    if (seen === null || old === 0) {
      return renderAddCheckpoint({ old: 0, consistency: [], checkpoint }).toString();
    }
    try {
      const consistency = await this.#options.ledger.proveConsistency(old, head.tree_size);
      const proof = { first: old, second: head.tree_size, consistency };
      verifyConsistency(proof, seen.sha256_root_hash, head.sha256_root_hash);
      return renderAddCheckpoint({ old, consistency, checkpoint }).toString();
    } catch (thrown) {
      if (thrown instanceof AgentError) return null;
      throw thrown;
    }
  }

  #hasMore(agreeing: readonly VerifierKey[]): boolean {
    const held = new Set(parseNote(this.#cosigned?.note ?? Buffer.alloc(0)).signatures.map(({ keyId }) => keyId));
    return agreeing.some(({ keyId }) => !held.has(keyId));
  }

  #take(checkpoint: StoredCheckpoint): void {
    this.#cosigned = checkpoint;
    this.#options.ledger.setCosigned(checkpoint);
  }
}
