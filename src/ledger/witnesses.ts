/**
 * Witnesses: nodes of a cluster cosign each other's checkpoints through files in a folder that they share. Each node writes
 * one file of its own, as a whole and seldom, and reads those of the others; a policy (C2SP tlog-policy) beside them says
 * which logs are cosigned, and how many of which witnesses are enough. Nothing waits for it: without the folder, without
 * quorum of the cluster or with a file that is half written, what was known stays, and the next look comes.
 *
 * Each look, in this order:
 * 1. what others ask of this node is decided, and stored on its own disk before anybody hears of it;
 * 2. what others have cosigned of this log is held against it: a tree that it does not continue is an alarm;
 * 3. a checkpoint that enough have cosigned is kept for proofs;
 * 4. when there is something new to say and it is time, this node's file is written.
 * A crash before 4 loses nothing: the same is said at the next look.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { Timers } from './publisher.ts';
import type { TreeFiles } from './stored-tree.ts';
import { parseAddCheckpoint } from './tlog/add-checkpoint.ts';
import type { SignerKey, VerifierKey } from './tlog/key.ts';
import { parsePolicy } from './tlog/policy.ts';
import type { Policy } from './tlog/policy.ts';
import { WitnessDuty } from './witness-duty.ts';
import { emptyWitnessFile, parseWitnessFile, renderWitnessFile, saysTheSame } from './witness-file.ts';
import type { WitnessFile } from './witness-file.ts';
import { WitnessRequest } from './witness-request.ts';
import type { WitnessedLedger, WitnessSight } from './witness-request.ts';

/** The shared folder. Files may be of any moment, and the one that is being written may be empty or cut. */
export interface ClusterFolder {
  /** The policy; null when there is none. */
  policy(): Promise<Uint8Array | null>;
  /** Files of nodes by name; what cannot be read is missing. */
  read(): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Rejects when the cluster has no quorum. */
  write(name: string, bytes: Uint8Array): Promise<void>;
}

export interface WitnessesOptions {
  readonly ledger: WitnessedLedger;
  readonly key: SignerKey;
  readonly folder: ClusterFolder;
  /** The node's own disk, beside the ledger. */
  readonly files: TreeFiles;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly clock: Timers;
  /** From one write to the next. */
  readonly writeMs: number;
  /** Another node's log was rewritten: it asked to have two histories cosigned. Once for each log and reason. */
  readonly onRewritten: (origin: string, reason: string) => void;
}

/** Between two looks at the folder, at most. */
const lookMsMax = 60_000;
/** A checkpoint that too few have cosigned for so many writes gives way to a newer one. */
const patienceWrites = 6;

export class Witnesses {
  readonly #options: WitnessesOptions;
  readonly #duty: WitnessDuty;
  readonly #request: WitnessRequest;
  #problem: string | null = null;
  /** By the name of the witness: why it does not cosign. */
  #refusals = new Map<string, string>();
  readonly #told = new Map<string, string>();
  #writeProblem: string | null = null;
  #isResumed = false;
  /** By `nowMs`; a write before it would be one too many. */
  #notBeforeMs = 0;
  #asked = { size: 0, sinceMs: 0 };
  #looking: Promise<void> = Promise.resolve();
  #cancel: () => void = () => undefined;
  #isClosed = false;

  constructor(options: WitnessesOptions) {
    this.#options = options;
    this.#duty = new WitnessDuty(options);
    this.#request = new WitnessRequest({ ...options, logKey: options.key.verifierKey });
  }

  /** What an operator should know, one sentence each. */
  problems(): string[] {
    return [
      ...[this.#problem, this.#writeProblem].flatMap((problem) => (problem === null ? [] : [`witnesses: ${problem}`])),
      ...[...this.#refusals].map(([name, why]) => `the witness ${name} does not cosign this ledger: ${why}`),
      ...[...this.#duty.refused].map(([origin, why]) => `the log ${origin} was rewritten: ${why}`),
    ];
  }

  /** Who has cosigned how much of this ledger. */
  sights(): readonly WitnessSight[] {
    return this.#request.sights;
  }

  /** Blocks that enough witnesses have cosigned. */
  get cosignedBlocks(): number {
    return this.#request.cosigned?.head.tree_size ?? 0;
  }

  /** Looks once, without writing: what others hold is known before anything is appended. Never rejects. */
  async open(): Promise<void> {
    await this.#request.load().catch((error: unknown) => {
      this.#problem = toAgentError(error).message;
    });
    await this.#look(false);
  }

  /** Looks and writes from now on, until `close`. */
  start(): void {
    const { clock, writeMs } = this.#options;
    this.#cancel = clock.after(Math.min(lookMsMax, Math.max(100, writeMs / 10)), () => {
      void this.look().then(() => {
        if (!this.#isClosed) this.start();
      });
    });
  }

  /** One look, after the one under way. Never rejects: `problems` says what is in the way. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look(true));
    return this.#looking;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#looking;
  }

  async #look(mayWrite: boolean): Promise<void> {
    try {
      await this.#exchange(mayWrite);
      this.#problem = null;
    } catch (error) {
      this.#problem = toAgentError(error).message;
    }
  }

  async #exchange(mayWrite: boolean): Promise<void> {
    const { folder, key } = this.#options;
    const bytes = await folder.policy();
    if (bytes === null) throw new AgentError('NotFound', 'there is no policy in the shared folder');
    const all = parsePolicy(bytes);
    // Nobody is a witness of his own log.
    const policy: Policy = { ...all, logs: all.logs.filter((log) => !log.hasKeyOf(key.verifierKey)) };
    await this.#duty.load(policy);
    const files = parsed(await folder.read());
    const ownName = nameOf(key.cosignerKey);
    const own = files.get(ownName) ?? null;
    if (!this.#isResumed) this.#resume(own);
    files.delete(ownName);
    for (const { requests } of files.values()) {
      const request = requests.get(key.cosignerKey.keyId);
      if (request !== undefined) await this.#duty.consider(request, policy);
    }
    this.#tellRewritten();
    await this.#hear(files, policy);
    await this.#request.collect(policy);
    if (mayWrite) await this.#write(ownName, own ?? emptyWitnessFile, policy);
  }

  /** What this node said before it was started anew. */
  #resume(own: WitnessFile | null): void {
    const { nowMs, writeMs } = this.#options;
    this.#isResumed = true;
    if (own === null) return;
    for (const request of own.requests.values()) {
      try {
        this.#request.resume(parseAddCheckpoint(Buffer.from(request)).checkpoint);
      } catch (thrown) {
        if (!(thrown instanceof AgentError)) throw thrown;
      }
    }
    // A time that is still to come was told by a clock that has been put back.
    if (own.writtenMs <= nowMs()) this.#notBeforeMs = own.writtenMs + writeMs;
  }

  async #hear(files: ReadonlyMap<string, WitnessFile>, policy: Policy): Promise<void> {
    const { name: origin } = this.#options.key;
    this.#refusals = new Map();
    for (const witness of policy.witnesses.values()) {
      const file = files.get(nameOf(witness));
      const note = file?.cosigned.get(origin);
      const refusal = file?.refused.get(origin);
      if (refusal !== undefined) this.#refusals.set(witness.name, refusal);
      if (note === undefined) continue;
      try {
        await this.#request.see(note, witness);
      } catch (thrown) {
        const { code, message } = toAgentError(thrown);
        // Not signed by this log, or not by that witness: somebody wrote it who is neither.
        const why = code === 'InvalidArgument' ? 'its file holds what cannot be its cosignature' : 'nobody can tell';
        this.#refusals.set(witness.name, `${why}: ${message}`);
      }
    }
  }

  /** `current`: what the others read of this node, which somebody may have altered or taken away. */
  async #write(ownName: string, current: WitnessFile, policy: Policy): Promise<void> {
    const { folder, nowMs, writeMs, key } = this.#options;
    const writtenMs = nowMs();
    const isStale = writtenMs - this.#asked.sinceMs >= patienceWrites * writeMs;
    const requests = await this.#request.requests(policy, key.cosignerKey.keyId, isStale);
    const size = this.#request.askedSize;
    if (size !== this.#asked.size) this.#asked = { size, sinceMs: writtenMs };
    const { cosigned, refused } = this.#duty;
    const next: WitnessFile = { writtenMs, requests, cosigned, refused: new Map(refused) };
    if (saysTheSame(next, current)) return;
    // A clock that was put back must not keep this node silent for longer than between two writes.
    if (writtenMs < this.#notBeforeMs && this.#notBeforeMs - writtenMs <= writeMs) return;
    // One that failed may have reached the others as well.
    this.#notBeforeMs = writtenMs + writeMs;
    try {
      await folder.write(ownName, renderWitnessFile(next));
      this.#writeProblem = null;
    } catch (error) {
      this.#writeProblem = toAgentError(error).message;
    }
  }

  #tellRewritten(): void {
    for (const [origin, reason] of this.#duty.refused) {
      if (this.#told.get(origin) === reason) continue;
      this.#told.set(origin, reason);
      this.#options.onRewritten(origin, reason);
    }
  }
}

/** Of the file of the node that has this witness key. */
function nameOf({ keyId }: VerifierKey): string {
  return `${keyId}.json`;
}

/** Without those that are no such files, as one that is just being written. */
function parsed(files: ReadonlyMap<string, Uint8Array>): Map<string, WitnessFile> {
  return new Map(
    [...files].flatMap(([name, bytes]) => {
      try {
        return [[name, parseWitnessFile(bytes)] as const];
      } catch (thrown) {
        if (thrown instanceof AgentError) return [];
        throw thrown;
      }
    }),
  );
}
