/**
 * Callers that were refused, in the ledger: those that may not do what they ask, and those of whom the bus does not say who they
 * are. At most one block for each uid and minute, with a count.
 */
import type { BlockDraft, JsonObject } from '../ledger/block.ts';
import { AgentError, toAgentError } from '../model/errors.ts';
import type { Clock } from '../ports/contracts.ts';
import type { Authorise } from './dbus/authorise.ts';
import type { ServiceBus } from './dbus/contract.ts';

/** From one block about a uid to the next. */
const periodMs = 60_000;
/** Uids that are told apart within a period; those beyond share one block. */
const uidsMax = 1000;

/** What is asked of every call. */
export interface CallerChecks {
  readonly senderUid: ServiceBus['senderUid'];
  readonly authorise: Authorise;
}

export interface RefusalRecordOptions {
  readonly append: (draft: BlockDraft) => Promise<unknown>;
  /** Told when the ledger could not take a block. */
  readonly onLedgerGap: (error: unknown) => void;
  readonly clock: Pick<Clock, 'after'>;
  /** Name of this node. */
  readonly host: string;
}

/** `others`: all beyond `uidsMax`. `unknown`: nobody knows whose call it was. */
type Who = number | 'others' | 'unknown';

interface Refusals {
  count: number;
  /** The last one. */
  what: JsonObject;
  readonly cancel: () => void;
}

export class RefusalRecord implements CallerChecks {
  readonly #checks: CallerChecks;
  readonly #options: RefusalRecordOptions;
  /** Since the last block about somebody. */
  readonly #since = new Map<Who, Refusals>();

  constructor(checks: CallerChecks, options: RefusalRecordOptions) {
    this.#checks = checks;
    this.#options = options;
  }

  /** As the one it was given; the first refusal of a uid is recorded at once, what follows within a minute together after it. */
  readonly authorise: Authorise = async (caller, privilege) => {
    try {
      await this.#checks.authorise(caller, privilege);
    } catch (error) {
      if (error instanceof AgentError && error.code === 'AccessDenied') {
        const isTold = this.#since.has(caller.uid) || this.#since.size < uidsMax;
        this.#note(isTold ? caller.uid : 'others', { privilege });
      }
      throw error;
    }
  };

  /** As the one it was given, recorded likewise. */
  readonly senderUid: ServiceBus['senderUid'] = async (sender) => {
    try {
      return await this.#checks.senderUid(sender);
    } catch (error) {
      this.#note('unknown', { sender, why: toAgentError(error).message });
      throw error;
    }
  };

  /** Records what was only counted so far. */
  close(): void {
    for (const [who, { count, what, cancel }] of this.#since) {
      cancel();
      if (count > 0) this.#append(who, what, count);
    }
    this.#since.clear();
  }

  #note(who: Who, what: JsonObject): void {
    const known = this.#since.get(who);
    if (known === undefined) this.#record(who, what, 1);
    else {
      known.count++;
      known.what = what;
    }
  }

  #record(who: Who, what: JsonObject, count: number): void {
    const cancel = this.#options.clock.after(periodMs, () => {
      const more = this.#since.get(who);
      this.#since.delete(who);
      if (more !== undefined && more.count > 0) this.#record(who, more.what, more.count);
    });
    this.#since.set(who, { count: 0, what, cancel });
    this.#append(who, what, count);
  }

  #append(who: Who, what: JsonObject, count: number): void {
    const { append, onLedgerGap, host } = this.#options;
    const [user, uid] = typeof who === 'number' ? [`uid ${who}`, who] : [who, null];
    append({
      category: who === 'unknown' ? 'authentication' : 'authorization',
      action: 'refused',
      metadata: { user, uid, host, plugin: 'api', cause: 'api' },
      data: { ...what, count },
    }).catch(onLedgerGap);
  }
}
