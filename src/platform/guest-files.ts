/** Guests of this node, from the cluster file system of Proxmox VE or any folder of the same shape. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../model/errors.ts';
import type { Guest, GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import type { GuestConfig } from '../proxmox/guest-config.ts';

const folders: readonly (readonly [GuestKind, string])[] = [
  ['lxc', 'lxc'],
  ['qemu', 'qemu-server'],
];
/** A guest's file larger than this is not one: Proxmox VE itself stops at 1 MiB a file. */
const fileBytesMax = 1024 * 1024;

interface Cached {
  readonly stamp: string;
  readonly config: GuestConfig;
}

export class GuestFiles {
  readonly #pveDir: string;
  readonly #parse: (kind: GuestKind, vmid: Vmid, text: string) => GuestConfig;
  readonly #cache = new Map<string, Cached>();

  /** `parse` is `parseGuestConfig`. */
  constructor(pveDir: string, parse: (kind: GuestKind, vmid: Vmid, text: string) => GuestConfig) {
    this.#pveDir = pveDir;
    this.#parse = parse;
  }

  /** null when the guest has no configuration here. A file that cannot be read is an error, not an absent guest. */
  async read(vmid: Vmid): Promise<Guest | null> {
    for (const [kind, folder] of folders) {
      const config = await this.#readFile(kind, vmid, join(this.#pveDir, folder, `${vmid}.conf`));
      if (config !== null) return config.guest;
    }
    return null;
  }

  /** vmids of this node, ascending. A host without Proxmox VE has none. */
  async list(): Promise<Vmid[]> {
    const names = await Promise.all(
      folders.map(([, folder]) => readdir(join(this.#pveDir, folder)).catch(ignoreMissing)),
    );
    const vmids = names.flat().flatMap((name) => {
      const match = /^([1-9][0-9]{2,8})\.conf$/.exec(name);
      return match === null ? [] : [Number(match[1]) as Vmid];
    });
    return [...new Set(vmids)].sort((a, b) => a - b);
  }

  /** What was passed over in files read so far, `file: problem`. */
  problems(): string[] {
    return [...this.#cache].flatMap(([path, { config }]) => config.problems.map((problem) => `${path}: ${problem}`));
  }

  async #readFile(kind: GuestKind, vmid: Vmid, path: string): Promise<GuestConfig | null> {
    let stamp: string;
    try {
      const { ino, size, mtimeMs, ctimeMs } = await stat(path);
      if (size > fileBytesMax) throw unreadable(path, `it has ${size} bytes, which no guest's configuration has`);
      stamp = `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    } catch (error) {
      if (!isMissing(error)) throw unreadable(path, error);
      this.#cache.delete(path);
      return null;
    }
    const cached = this.#cache.get(path);
    if (cached?.stamp === stamp) return cached.config;
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if (isMissing(error)) return null;
      throw unreadable(path, error);
    });
    if (text === null) return null;
    const config = this.#parse(kind, vmid, text);
    this.#cache.set(path, { stamp, config });
    return config;
  }
}

/** `cluster_name` of corosync's configuration; `otherwise` on a node without a cluster. */
export async function readClusterName(pveDir: string, otherwise: string): Promise<string> {
  const text = await readFile(join(pveDir, 'corosync.conf'), 'utf8').catch(() => '');
  return /^\s*cluster_name:\s*([A-Za-z0-9_-]+)\s*$/m.exec(text)?.[1] ?? otherwise;
}

function unreadable(path: string, reason: unknown): AgentError {
  if (reason instanceof AgentError) return reason;
  const why = reason instanceof Error ? reason.message : String(reason);
  return new AgentError('Unavailable', `cannot read ${path}: ${why}`, { cause: reason });
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function ignoreMissing(error: unknown): string[] {
  if (isMissing(error)) return [];
  throw error;
}
