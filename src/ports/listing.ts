/** Which ports the managed block lists, and when it is written: after a change, one write for many, never waited for. */
import type { ListedPort } from '../interfaces/managed-block.ts';
import type { Block } from '../ledger/block.ts';
import type { Guest } from '../model/guest.ts';
import type { VlanTag, Vmid } from '../model/names.ts';
import type { ObservedPort } from '../model/port.ts';
import type { Cause, Clock, Journal, Listing, ListingFile, Recorder } from './contracts.ts';
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
  /** What the last run left in doubt is settled. */
  #isSettled = false;

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

  /**
   * Once: what the last run wrote ahead of a file that does not have it was never written. While the files cannot be read
   * it stays in doubt. Rejects when the ledger does not take the block that says so.
   */
  async settleInDoubt(recorder: Pick<Recorder, 'inDoubt' | 'abandon'>): Promise<void> {
    if (this.#isSettled) return;
    const doubts = recorder.inDoubt().filter(({ category, action }) => category === 'netcfg' && action === 'write');
    const files = doubts.length === 0 ? new Map<string, never>() : await this.#look();
    if (files === null) return;
    for (const block of doubts) {
      const why = whyNotLanded(block, files);
      if (why !== null) await recorder.abandon(block, why);
    }
    this.#isSettled = true;
  }

  /** Whoever writes the block next hears why not. */
  async #look(): Promise<ReadonlyMap<string, ListingFile> | null> {
    return this.#options.listing.look().catch(() => null);
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

/**
 * null: the file was written. Pending changes that were applied since are `interfaces` itself by now; and who edited the file
 * afterwards left the managed block, which then lists what it was to list.
 */
function whyNotLanded({ data }: Block, files: ReadonlyMap<string, ListingFile>): string | null {
  const [before, after] = [data['before'], data['after']].map((version) => (version as Version)?.sha256);
  if ([...files.values()].some(({ sha256 }) => sha256 === after)) return null;
  const file = typeof data['file'] === 'string' ? files.get(data['file']) : undefined;
  if (file === undefined) return 'the file is not there';
  if (file.sha256 === before) return 'the file is as it was before';
  const names = Array.isArray(data['listed']) ? data['listed'] : [];
  const isListed =
    file.listed.length === data['listed_count'] && names.every((name) => file.listed.includes(String(name)));
  return isListed ? null : 'the file does not list these ports, and somebody else wrote it since';
}

type Version = { readonly sha256?: unknown } | null | undefined;

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
