/** Guests of this node, from the cluster file system of Proxmox VE or any folder of the same shape. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../model/errors.ts';
import type { Guest, GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import type { ClusterCodec } from '../proxmox/cluster-codec.ts';
import type { GuestConfig, GuestDetails } from '../proxmox/guest-config.ts';
import { isMissing, readClusterFile } from './bounded-file.ts';
import type { ClusterRegistry } from './cluster-registry.ts';

const folders: Readonly<Record<GuestKind, string>> = { lxc: 'lxc', qemu: 'qemu-server' };
const kinds = ['lxc', 'qemu'] as const;
/** A guest's file larger than this is not one: Proxmox VE itself stops at 1 MiB a file. */
const fileBytesMax = 1024 * 1024;

interface Cached {
  /** Equal while the file is the same: its version in the registry, or what stat(2) says. */
  readonly stamp: string;
  readonly config: GuestConfig;
}

export class GuestFiles {
  readonly #pveDir: string;
  readonly #registry: Pick<ClusterRegistry, 'current'>;
  readonly #codec: Pick<ClusterCodec, 'guestConfig' | 'guestDetails'>;
  /** By path. */
  readonly #cache = new Map<string, Cached>();
  #doubles: readonly Vmid[] = [];

  constructor(
    pveDir: string,
    registry: Pick<ClusterRegistry, 'current'>,
    codec: Pick<ClusterCodec, 'guestConfig' | 'guestDetails'>,
  ) {
    this.#pveDir = pveDir;
    this.#registry = registry;
    this.#codec = codec;
  }

  /** null when the guest has no configuration here. A file that cannot be read is an error, not an absent guest. */
  async read(vmid: Vmid): Promise<Guest | null> {
    return (await this.config(vmid))?.guest ?? null;
  }

  /** The same with the facts that decide about a start or a change. A file that did not change is not read again. */
  async config(vmid: Vmid): Promise<GuestConfig | null> {
    const registry = await this.#registry.current();
    if (registry !== null) {
      const entry = registry.guests.get(vmid);
      if (entry === undefined) return null;
      return this.#readConfig(entry.kind, vmid, `${registry.version.starttime} ${entry.version}`);
    }
    for (const kind of kinds) {
      const stamp = await this.#statStamp(this.#path(kind, vmid));
      const config = stamp === null ? null : await this.#readConfig(kind, vmid, stamp);
      if (config !== null) return config;
    }
    return null;
  }

  /** The whole file, read now. */
  async details(vmid: Vmid): Promise<GuestDetails | null> {
    const config = await this.config(vmid);
    if (config === null) return null;
    const { kind } = config.guest;
    const text = await readClusterFile(this.#path(kind, vmid), fileBytesMax);
    return text === null ? null : this.#codec.guestDetails(kind, vmid, text);
  }

  /** vmids of this node, ascending. A host without Proxmox VE has none. */
  async list(): Promise<Vmid[]> {
    const registry = await this.#registry.current();
    const vmids = registry === null ? await this.#listFolders() : [...registry.guests.keys()];
    const paths = new Set(vmids.flatMap((vmid) => kinds.map((kind) => this.#path(kind, vmid))));
    for (const path of this.#cache.keys()) if (!paths.has(path)) this.#cache.delete(path);
    return vmids.sort((a, b) => a - b);
  }

  /** What was passed over in files read so far, `file: problem`. */
  problems(): string[] {
    return [
      ...this.#doubles.map(
        (vmid) =>
          `${this.#path('qemu', vmid)}: passed over, because ${this.#path('lxc', vmid)} has the same vmid; remove one`,
      ),
      ...[...this.#cache].flatMap(([path, { config }]) => config.problems.map((problem) => `${path}: ${problem}`)),
    ];
  }

  async #listFolders(): Promise<Vmid[]> {
    const [containers = [], machines = []] = await Promise.all(
      kinds.map(async (kind) => {
        const names = await readdir(join(this.#pveDir, folders[kind])).catch(ignoreMissing);
        return names.flatMap((name) => {
          const match = /^([1-9][0-9]{2,8})\.conf$/.exec(name);
          return match === null ? [] : [Number(match[1]) as Vmid];
        });
      }),
    );
    const isContainer = new Set(containers);
    this.#doubles = machines.filter((vmid) => isContainer.has(vmid));
    return [...new Set([...containers, ...machines])];
  }

  async #readConfig(kind: GuestKind, vmid: Vmid, stamp: string): Promise<GuestConfig | null> {
    const path = this.#path(kind, vmid);
    const cached = this.#cache.get(path);
    if (cached?.stamp === stamp) return cached.config;
    const text = await readClusterFile(path, fileBytesMax);
    if (text === null) {
      this.#cache.delete(path);
      return null;
    }
    const config = this.#codec.guestConfig(kind, vmid, text);
    this.#cache.set(path, { stamp, config });
    return config;
  }

  async #statStamp(path: string): Promise<string | null> {
    try {
      const { ino, size, mtimeMs, ctimeMs } = await stat(path);
      return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    } catch (error) {
      if (!isMissing(error)) {
        throw new AgentError('Unavailable', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
      }
      this.#cache.delete(path);
      return null;
    }
  }

  #path(kind: GuestKind, vmid: Vmid): string {
    return join(this.#pveDir, folders[kind], `${vmid}.conf`);
  }
}

/** `cluster_name` of corosync's configuration; `otherwise` on a node without a cluster. */
export async function readClusterName(pveDir: string, otherwise: string): Promise<string> {
  const text = await readFile(join(pveDir, 'corosync.conf'), 'utf8').catch(() => '');
  return /^\s*cluster_name:\s*([A-Za-z0-9_-]+)\s*$/m.exec(text)?.[1] ?? otherwise;
}

function ignoreMissing(error: unknown): string[] {
  if (isMissing(error)) return [];
  throw error;
}
