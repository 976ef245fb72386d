/** Which ports the managed block lists, and when it is written: after a change, one write for many, never waited for. */
import type { ListedPort } from '../interfaces/managed-block.ts';
import type { Guest } from '../model/guest.ts';
import type { VlanTag, Vmid } from '../model/names.ts';
import type { ObservedPort } from '../model/port.ts';
import type { Cause, Clock, Journal, Listing } from './contracts.ts';
import { isOurs } from './marks.ts';
import { ownerText } from './owner-text.ts';
import { portNameOfRow } from './plan.ts';

export interface ListingOutcome {
  readonly state: 'unknown' | 'present' | 'absent';
  readonly foreign: readonly { name: string; line: number }[];
  /** null when the block is as it should be. */
  readonly error: Error | null;
}

/**
 * For so long changes are gathered. Guests that start together come in one write; and the write, which takes a lock by
 * way of a child process, comes after their ports and not between them.
 */
const gatherMs = 100;
/** The ports that are listed have blocks of their own, which say why. */
const listingCause: Cause = { cause: 'managed block', user: 'root', uid: 0 };

export interface ListingWriterOptions {
  readonly listing: Listing;
  readonly journal: Pick<Journal, 'change'>;
  readonly clock: Clock;
}

export class ListingWriter {
  readonly #options: ListingWriterOptions;
  readonly #ports: () => ListedPort[] | null;
  #wanted = false;
  #cancelGathering: (() => void) | null = null;
  #running: Promise<void> | null = null;
  #outcome: ListingOutcome = { state: 'unknown', foreign: [], error: null };

  /** `ports` answers null while the switch cannot be read: the block then stays as it is. */
  constructor(options: ListingWriterOptions, ports: () => ListedPort[] | null) {
    this.#options = options;
    this.#ports = ports;
  }

  get outcome(): ListingOutcome {
    return this.#outcome;
  }

  /** Asks for a write soon. */
  request(): void {
    this.#wanted = true;
    if (this.#running !== null) return;
    this.#cancelGathering ??= this.#options.clock.after(gatherMs, () => {
      this.#start();
    });
  }

  /** Writes what was asked for so far without further ado; resolves when it is written, or has failed. */
  async settled(): Promise<void> {
    if (this.#cancelGathering !== null) this.#start();
    await this.#running;
  }

  #start(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = null;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // `#running` is set before it is unset, also when there is nothing to write.
    await Promise.resolve();
    while (this.#wanted) {
      this.#wanted = false;
      const ports = this.#ports();
      if (ports === null) continue;
      const { listing, journal } = this.#options;
      try {
        const { state, foreign } = await listing.update(ports, journal, listingCause);
        this.#outcome = { state, foreign, error: null };
      } catch (error) {
        this.#outcome = { ...this.#outcome, error: error instanceof Error ? error : new Error(String(error)) };
      }
    }
    this.#running = null;
  }
}

/** Rows that carry our mark, as the block lists them. */
export function listedPorts(rows: readonly ObservedPort[], guestOf: (vmid: Vmid) => Guest | null): ListedPort[] {
  return rows.flatMap((row) => {
    const port = portNameOfRow(row);
    if (port === null || !isOurs(row)) return [];
    return [
      {
        port,
        bridge: row.bridge,
        tag: row.tag as VlanTag | null,
        trunks: row.trunks as readonly VlanTag[],
        vlanMode: row.vlanMode,
        owner: ownerText(row, guestOf),
      },
    ];
  });
}
