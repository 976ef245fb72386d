/** The pools that policies ask for, read again whenever guests are. */
import { toAgentError } from '../model/errors.ts';
import type { Vmid } from '../model/names.ts';
import type { Guests, Pools } from '../ports/contracts.ts';
import type { ClusterFiles } from './cluster-files.ts';

export class GuestPools implements Pools {
  readonly #files: Pick<ClusterFiles, 'poolsOfGuests'>;
  #pools: ReadonlyMap<Vmid, string> | null = null;
  #problem = 'they were not read yet';
  #running: Promise<void> | null = null;

  constructor(files: Pick<ClusterFiles, 'poolsOfGuests'>) {
    this.#files = files;
  }

  /** Pools that were known once stay so while the file cannot be read: a port must not move because of that. */
  get problem(): string | null {
    return this.#pools === null ? this.#problem : null;
  }

  poolOf(vmid: Vmid): string | null {
    return this.#pools?.get(vmid) ?? null;
  }

  /** Guests whose pools are at least as new as they are. */
  before(guests: Guests): Guests {
    return {
      list: async () => {
        await this.#refresh();
        return guests.list();
      },
      read: async (vmid) => {
        await this.#refresh();
        return guests.read(vmid);
      },
      readMany: async (vmids) => {
        await this.#refresh();
        return guests.readMany(vmids);
      },
    };
  }

  /** Once for all who ask at a time. */
  #refresh(): Promise<void> {
    this.#running ??= this.#read().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #read(): Promise<void> {
    try {
      this.#pools = await this.#files.poolsOfGuests();
    } catch (error) {
      this.#problem = toAgentError(error).message;
    }
  }
}
