/** A node as witness of the other logs of its cluster: what it cosigned, and what it makes of a request. */
import { AgentError } from '../model/errors.ts';
import type { TreeFiles } from './stored-tree.ts';
import { openCheckpoint } from './tlog/checkpoint.ts';
import type { TreeHead } from './tlog/compact-range.ts';
import type { SignerKey, VerifierKey } from './tlog/key.ts';
import { parseNote, renderNote } from './tlog/note.ts';
import type { Policy } from './tlog/policy.ts';
import { cosignText } from './tlog/signature.ts';
import { considerCheckpoint } from './tlog/witness.ts';
import { parseAddCheckpoint } from './tlog/add-checkpoint.ts';

export interface WitnessDutyOptions {
  readonly key: SignerKey;
  /** On the node's own disk: what was cosigned must outlive the cluster's files. */
  readonly files: Pick<TreeFiles, 'read' | 'replace'>;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
}

interface Cosigned {
  /** Of the log. */
  readonly keyId: string;
  readonly head: TreeHead;
  /** The checkpoint with this node's cosignature. */
  readonly note: string;
}

export class WitnessDuty {
  readonly #options: WitnessDutyOptions;
  /** By origin; without a head when nothing of that key was cosigned yet. */
  readonly #cosigned = new Map<string, Pick<Cosigned, 'keyId'> | Cosigned>();
  readonly #refused = new Map<string, string>();

  constructor(options: WitnessDutyOptions) {
    this.#options = options;
  }

  get cosigned(): ReadonlyMap<string, string> {
    return new Map([...this.#cosigned].flatMap(([origin, last]) => ('note' in last ? [[origin, last.note]] : [])));
  }

  /** By origin: logs that were rewritten, by what they asked for. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  /** Reads what was cosigned of the logs of a policy. Rejects when it cannot be told: then nothing is cosigned. */
  async load({ logs }: Pick<Policy, 'logs'>): Promise<void> {
    for (const log of logs) {
      const { name, keyId } = log;
      // A ledger that was acknowledged begins anew under its name, with another key.
      if (this.#cosigned.get(name)?.keyId === keyId) continue;
      const note = await this.#options.files.read(pathOf(log));
      const last = note === null ? {} : { head: openCheckpoint(note, [log]).checkpoint, note: note.toString() };
      this.#cosigned.set(name, { keyId, ...last });
    }
  }

  /** Answers a request by what `cosigned` and `refused` say afterwards. To be called for one request at a time. */
  async consider(request: string, { logs }: Pick<Policy, 'logs'>): Promise<void> {
    const bytes = Buffer.from(request);
    const decision = considerCheckpoint(bytes, (origin) => {
      const last = this.#cosigned.get(origin);
      const keys = logs.filter(({ name, keyId }) => name === origin && keyId === last?.keyId);
      if (last === undefined || keys.length === 0) return undefined;
      return { keys, latest: 'head' in last ? last.head : null };
    });
    if (decision.status !== 200) {
      const isRewritten = decision.status === 422 || (decision.status === 409 && decision.isFork);
      const origin = isRewritten ? originOf(bytes) : null;
      if (origin !== null) this.#refused.set(origin, decision.reason);
      return;
    }
    const { origin, head, checkpointText } = decision;
    const last = this.#cosigned.get(origin);
    if (last !== undefined && 'head' in last && last.head.tree_size === head.tree_size) return;
    const log = logs.find(({ name, keyId }) => name === origin && keyId === last?.keyId);
    if (log === undefined) return;
    const { key, files, nowMs } = this.#options;
    const { text, signatures } = parseNote(parseAddCheckpoint(bytes).checkpoint);
    const own = signatures.filter(({ name, keyId }) => name === log.name && keyId === log.keyId);
    const cosignature = cosignText(checkpointText, key, Math.floor(nowMs() / 1000));
    const note = renderNote({ text, signatures: [...own, cosignature] });
    // Durable before anybody hears of it: a witness never goes back.
    await files.replace(pathOf(log), Buffer.from(note));
    this.#cosigned.set(origin, { keyId: log.keyId, head, note });
    this.#refused.delete(origin);
  }
}

function pathOf(log: VerifierKey): string {
  return `witness/${log.keyId}`;
}

function originOf(request: Uint8Array): string | null {
  try {
    return parseNote(parseAddCheckpoint(request).checkpoint).text.split('\n', 1)[0] ?? null;
  } catch (thrown) {
    if (thrown instanceof AgentError) return null;
    throw thrown;
  }
}
