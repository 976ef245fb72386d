/** Callers that were refused, in the ledger: at most one block for each uid and minute, with a count. */
import type { BlockDraft } from '../ledger/block.ts';
import { AgentError } from '../model/errors.ts';
import type { Clock } from '../ports/contracts.ts';
import type { Authorise } from './dbus/authorise.ts';
import type { Privilege } from './dbus/interface-spec.ts';

/** From one block about a uid to the next. */
const periodMs = 60_000;
/** Uids that are told apart within a period; those beyond share one block. */
const uidsMax = 1000;

export interface RefusalRecordOptions {
  readonly append: (draft: BlockDraft) => Promise<unknown>;
  /** Told when the ledger could not take a block. */
  readonly onLedgerGap: (error: unknown) => void;
  readonly clock: Pick<Clock, 'after'>;
  /** Name of this node. */
  readonly host: string;
}

interface Refusals {
  count: number;
  privilege: Privilege;
  readonly cancel: () => void;
}

export class RefusalRecord {
  readonly #authorise: Authorise;
  readonly #options: RefusalRecordOptions;
  /** Since the last block about a uid; null stands for all beyond `uidsMax`. */
  readonly #since = new Map<number | null, Refusals>();

  constructor(authorise: Authorise, options: RefusalRecordOptions) {
    this.#authorise = authorise;
    this.#options = options;
  }

  /** As the one it was given; the first refusal of a uid is recorded at once, what follows within a minute together after it. */
  readonly authorise: Authorise = async (caller, privilege) => {
    try {
      await this.#authorise(caller, privilege);
    } catch (error) {
      if (error instanceof AgentError && error.code === 'AccessDenied') this.#note(caller.uid, privilege);
      throw error;
    }
  };

  /** Records what was only counted so far. */
  close(): void {
    for (const [uid, { count, privilege, cancel }] of this.#since) {
      cancel();
      if (count > 0) this.#append(uid, privilege, count);
    }
    this.#since.clear();
  }

  #note(asked: number, privilege: Privilege): void {
    const uid = this.#since.has(asked) || this.#since.size < uidsMax ? asked : null;
    const known = this.#since.get(uid);
    if (known === undefined) this.#record(uid, privilege, 1);
    else {
      known.count++;
      known.privilege = privilege;
    }
  }

  #record(uid: number | null, privilege: Privilege, count: number): void {
    const cancel = this.#options.clock.after(periodMs, () => {
      const more = this.#since.get(uid);
      this.#since.delete(uid);
      if (more !== undefined && more.count > 0) this.#record(uid, more.privilege, more.count);
    });
    this.#since.set(uid, { count: 0, privilege, cancel });
    this.#append(uid, privilege, count);
  }

  #append(uid: number | null, privilege: Privilege, count: number): void {
    const { append, onLedgerGap, host } = this.#options;
    append({
      category: 'authorization',
      action: 'refused',
      metadata: { user: uid === null ? 'others' : `uid ${uid}`, uid, host, plugin: 'api', cause: 'api' },
      data: { privilege, count },
    }).catch(onLedgerGap);
  }
}
