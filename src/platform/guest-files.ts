/** Guests of this node, from the cluster file system of Proxmox VE or any folder of the same shape. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError, toAgentError } from '../model/errors.ts';
import type { Guest, GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import type { ClusterCodec } from '../proxmox/cluster-codec.ts';
import type { RegisteredGuest } from '../proxmox/cluster-state.ts';
import type { GuestConfig, GuestDetails } from '../proxmox/guest-config.ts';
import { isMissing, readClusterFile } from './bounded-file.ts';
import type { ClusterRegistry, Registry } from './cluster-registry.ts';

const folders: Readonly<Record<GuestKind, string>> = { lxc: 'lxc', qemu: 'qemu-server' };
const kinds = ['lxc', 'qemu'] as const;
/** A guest's file larger than this is not one: Proxmox VE itself stops at 1 MiB a file. */
const fileBytesMax = 1024 * 1024;

/** Files read together: a few threads do it, and what waits for its turn is only garbage to come. */
const readTogetherMax = 64;

interface Cached {
  readonly path: string;
  /** Equal while the file is the same: its version in the registry, or what stat(2) says. */
  readonly stamp: string;
  readonly config: GuestConfig;
}

export class GuestFiles {
  readonly #pveDir: string;
  readonly #registry: Pick<ClusterRegistry, 'current'>;
  readonly #codec: Pick<ClusterCodec, 'guestConfig' | 'guestDetails'>;
  readonly #cache = new Map<Vmid, Cached>();
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

  /** The same of many, by one look at the registry. Why one could not be read stands in its place. */
  async readMany(vmids: readonly Vmid[]): Promise<Map<Vmid, Guest | null | AgentError>> {
    const found = new Map<Vmid, Guest | null | AgentError>();
    let registry: Registry | null;
    try {
      registry = await this.#registry.current();
    } catch (error) {
      return new Map(vmids.map((vmid) => [vmid, toAgentError(error)]));
    }
    const unread: Vmid[] = [];
    for (const vmid of vmids) {
      const entry = registry?.guests.get(vmid);
      const cached = entry === undefined ? undefined : this.#cached(entry.kind, vmid, stampOf(registry, entry));
      if (cached !== undefined) found.set(vmid, cached.guest);
      else if (registry !== null && entry === undefined) found.set(vmid, null);
      else unread.push(vmid);
    }
    for (let at = 0; at < unread.length; at += readTogetherMax) {
      await Promise.all(
        unread.slice(at, at + readTogetherMax).map(async (vmid) => {
          const config = await this.#configIn(registry, vmid).catch(toAgentError);
          found.set(vmid, config === null || config instanceof AgentError ? config : config.guest);
        }),
      );
    }
    return found;
  }

  /** The same as `read` with the facts that decide about a start or a change. A file that did not change is not read again. */
  async config(vmid: Vmid): Promise<GuestConfig | null> {
    return this.#configIn(await this.#registry.current(), vmid);
  }

  async #configIn(registry: Registry | null, vmid: Vmid): Promise<GuestConfig | null> {
    if (registry !== null) {
      const entry = registry.guests.get(vmid);
      return entry === undefined ? null : this.#readConfig(entry.kind, vmid, stampOf(registry, entry));
    }
    for (const kind of kinds) {
      const stamp = await this.#statStamp(this.#path(kind, vmid));
      const config = stamp === null ? null : await this.#readConfig(kind, vmid, stamp);
      if (config !== null) return config;
    }
    this.#cache.delete(vmid);
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
    const listed = new Set(vmids);
    for (const vmid of this.#cache.keys()) if (!listed.has(vmid)) this.#cache.delete(vmid);
    return vmids.sort((a, b) => a - b);
  }

  /** What was passed over in files read so far, `file: problem`. */
  problems(): string[] {
    return [
      ...this.#doubles.map(
        (vmid) =>
          `${this.#path('qemu', vmid)}: passed over, because ${this.#path('lxc', vmid)} has the same vmid; remove one`,
      ),
      ...[...this.#cache.values()].flatMap(({ path, config }) =>
        config.problems.map((problem) => `${path}: ${problem}`),
      ),
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
    const cached = this.#cached(kind, vmid, stamp);
    if (cached !== undefined) return cached;
    const path = this.#path(kind, vmid);
    const text = await readClusterFile(path, fileBytesMax);
    if (text === null) {
      this.#cache.delete(vmid);
      return null;
    }
    const config = this.#codec.guestConfig(kind, vmid, text);
    this.#cache.set(vmid, { path, stamp, config });
    return config;
  }

  #cached(kind: GuestKind, vmid: Vmid, stamp: string): GuestConfig | undefined {
    const cached = this.#cache.get(vmid);
    return cached?.stamp === stamp && cached.config.guest.kind === kind ? cached.config : undefined;
  }

  async #statStamp(path: string): Promise<string | null> {
    try {
      const { ino, size, mtimeMs, ctimeMs } = await stat(path);
      return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    } catch (error) {
      if (!isMissing(error)) {
        throw new AgentError('Unavailable', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
      }
      return null;
    }
  }

  #path(kind: GuestKind, vmid: Vmid): string {
    return join(this.#pveDir, folders[kind], `${vmid}.conf`);
  }
}

function stampOf(registry: Registry | null, { version }: RegisteredGuest): string {
  return `${registry?.version.starttime ?? 0} ${version}`;
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
