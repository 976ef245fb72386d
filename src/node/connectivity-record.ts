/**
 * Whom the service lost and found again, in the ledger: the switch, the bus, systemd. What it did not hear of meanwhile it could
 * not record. A peer that comes and goes all the time fills no disk: changes beyond a number are counted.
 */
import type { BlockDraft } from '../ledger/block.ts';
import type { Clock } from '../ports/contracts.ts';

const periodMs = 10 * 60_000;
/** Blocks about a peer within a period; what comes then is in one block after it. */
const blocksMax = 10;

export type Peer = 'switch' | 'bus' | 'systemd';

export interface ConnectivityRecordOptions {
  readonly append: (draft: BlockDraft) => Promise<unknown>;
  /** Told when the ledger could not take a block. */
  readonly onLedgerGap: (error: unknown) => void;
  readonly clock: Pick<Clock, 'after'>;
  /** Name of this node. */
  readonly host: string;
  /** The service ends: what it leaves from then on is no loss. */
  readonly stopSignal: AbortSignal;
}

interface Sight {
  /** Why it is not there; null when it is. */
  problem: string | null;
  /** Changes that no block tells of. */
  changes: number;
  /** Of this period. */
  blocks: number;
  /** null outside of any. */
  endPeriod: (() => void) | null;
}

export class ConnectivityRecord {
  readonly #options: ConnectivityRecordOptions;
  readonly #sights = new Map<Peer, Sight>();
  #isClosed = false;

  constructor(options: ConnectivityRecordOptions) {
    this.#options = options;
  }

  /** How a peer is now: recorded when that is another way than before. That one is there to begin with is no change. */
  note(peer: Peer, problem: string | null): void {
    if (this.#isClosed || this.#options.stopSignal.aborted) return;
    const sight = this.#sights.get(peer) ?? { problem: null, changes: 0, blocks: 0, endPeriod: null };
    this.#sights.set(peer, sight);
    const isChange = (problem === null) !== (sight.problem === null);
    sight.problem = problem;
    if (!isChange) return;
    sight.changes++;
    if (sight.blocks < blocksMax) this.#record(peer, sight);
  }

  /** Records what was only counted so far; nothing afterwards. */
  close(): void {
    this.#isClosed = true;
    for (const [peer, sight] of this.#sights) {
      if (sight.changes > 0) this.#append(peer, sight);
      sight.endPeriod?.();
    }
  }

  #record(peer: Peer, sight: Sight): void {
    sight.endPeriod ??= this.#options.clock.after(periodMs, () => {
      sight.endPeriod = null;
      sight.blocks = 0;
      if (sight.changes > 0) this.#record(peer, sight);
    });
    sight.blocks++;
    this.#append(peer, sight);
  }

  #append(peer: Peer, sight: Sight): void {
    const { append, onLedgerGap, host } = this.#options;
    const { problem, changes } = sight;
    sight.changes = 0;
    append({
      category: 'connectivity',
      action: problem === null ? 'regained' : 'lost',
      metadata: { user: 'root', uid: 0, host, plugin: 'agent', cause: 'connection' },
      data: { peer, changes, ...(problem === null ? {} : { why: problem }) },
    }).catch(onLedgerGap);
  }
}
