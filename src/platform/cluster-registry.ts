/**
 * Proxmox VE's own list of guests, kept as long as `/etc/pve/.version` says that nothing changed. inotify does not see
 * what other nodes write there, so the file is read again each time somebody asks, once for all who ask at a time.
 */
import { join } from 'node:path';
import { AgentError } from '../model/errors.ts';
import type { Vmid } from '../model/names.ts';
import type { ClusterCodec } from '../proxmox/cluster-codec.ts';
import type { ClusterMembers, ClusterVersion, RegisteredGuest } from '../proxmox/cluster-state.ts';
import { readClusterFile } from './bounded-file.ts';

/** `.vmlist` has some 60 bytes for each guest of the cluster. */
const stateBytesMax = 16 * 1024 * 1024;

export interface Registry {
  /** Guests of this node. */
  readonly guests: ReadonlyMap<Vmid, RegisteredGuest>;
  readonly members: ClusterMembers;
  readonly version: ClusterVersion;
}

export class ClusterRegistry {
  readonly #pveDir: string;
  readonly #codec: Pick<ClusterCodec, 'version' | 'vmlist' | 'members'>;
  #known: Registry | null = null;
  #problem: string | null = null;
  #running: Promise<Registry | null> | null = null;
  #next: Promise<Registry | null> | null = null;

  constructor(pveDir: string, codec: Pick<ClusterCodec, 'version' | 'vmlist' | 'members'>) {
    this.#pveDir = pveDir;
    this.#codec = codec;
  }

  /** What an operator should know of the cluster; null when there is nothing. */
  get problem(): string | null {
    if (this.#problem !== null || this.#known === null || this.#known.members.quorate) return this.#problem;
    return 'the cluster has no quorum: Proxmox VE neither starts guests nor takes changes until it has';
  }

  /**
   * As it is at a moment after the call. null on a host without such a file system, and where its files are of a shape
   * that is not understood: the folders then say which guests there are. Rejects with `Unavailable` when the file system
   * was there and is gone, so that nobody takes its guests for removed.
   */
  current(): Promise<Registry | null> {
    // A read that began before this call may have missed what the caller just heard of: it waits for the one after.
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<Registry | null> {
    this.#next = null;
    const running = this.#read().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }

  async #read(): Promise<Registry | null> {
    const known = this.#known;
    // `.version` first: what is newer than its numbers is then read again at the next call, never missed.
    const version = await this.#readState('.version', this.#codec.version);
    if (version === null) return null;
    const isSame = (key: 'vmlist' | 'clinfo'): boolean =>
      known?.version.starttime === version.starttime && known.version[key] === version[key];
    const members = isSame('clinfo') && known !== null ? known.members : await this.#readState('.members', this.#codec.members); // prettier-ignore
    if (members === null) return null;
    const guests = isSame('vmlist') && known !== null ? known.guests : await this.#readGuests(members.node);
    if (guests === null) return null;
    this.#problem = null;
    this.#known = { version, members, guests };
    return this.#known;
  }

  async #readGuests(node: string): Promise<Map<Vmid, RegisteredGuest> | null> {
    const all = await this.#readState('.vmlist', this.#codec.vmlist);
    if (all === null) return null;
    return new Map(all.flatMap((guest) => (guest.node === node ? [[guest.vmid, guest]] : [])));
  }

  async #readState<T>(name: string, parse: (text: string) => T | null): Promise<T | null> {
    const path = join(this.#pveDir, name);
    const text = await readClusterFile(path, stateBytesMax);
    if (text === null) {
      if (this.#known === null) return null;
      throw new AgentError(
        'Unavailable',
        `${path} is gone: the cluster file system of Proxmox VE is not mounted; see \`systemctl status pve-cluster\``,
      );
    }
    const value = parse(text);
    if (value === null) this.#problem = `${path} is not of a shape that is understood: its folders are read instead`;
    return value;
  }
}
