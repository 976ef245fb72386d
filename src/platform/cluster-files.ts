/** Files of Proxmox VE that concern the whole cluster, read again when `/etc/pve/.version` counts a write to them. */
import { join } from 'node:path';
import type { Vmid } from '../model/names.ts';
import type { ClusterCodec } from '../proxmox/cluster-codec.ts';
import type { HaResource } from '../proxmox/ha-resources.ts';
import { readClusterFile } from './bounded-file.ts';
import type { ClusterRegistry } from './cluster-registry.ts';

/** Proxmox VE itself stops at 1 MiB a file. */
const fileBytesMax = 1024 * 1024;

/** Below `/etc/pve`; users, tokens and rights stand in it too. */
export const poolsFile = 'user.cfg';

type Codec = Pick<ClusterCodec, 'haResources' | 'pools'>;

export class ClusterFiles {
  readonly #pveDir: string;
  readonly #registry: Pick<ClusterRegistry, 'current'>;
  readonly #codec: Codec;
  /** By name below `pveDir`; `stamp` is null where nothing says whether the file changed. */
  readonly #cache = new Map<string, { stamp: string | null; value: unknown }>();

  constructor(pveDir: string, registry: Pick<ClusterRegistry, 'current'>, codec: Codec) {
    this.#pveDir = pveDir;
    this.#registry = registry;
    this.#codec = codec;
  }

  /** Name of the pool of each guest of the cluster that is in one. */
  poolsOfGuests(): Promise<ReadonlyMap<Vmid, string>> {
    return this.#read(poolsFile, this.#codec.pools);
  }

  /** Guests that high availability manages, whatever their state. */
  haResources(): Promise<readonly HaResource[]> {
    return this.#read('ha/resources.cfg', this.#codec.haResources);
  }

  /** A missing file is an empty one, as in Proxmox VE. */
  async #read<T>(name: string, parse: (text: string) => T): Promise<T> {
    const version = (await this.#registry.current())?.version;
    const count = version?.files.get(name);
    const stamp = version === undefined || count === undefined ? null : `${version.starttime} ${count}`;
    const cached = this.#cache.get(name);
    if (stamp !== null && cached?.stamp === stamp) return cached.value as T;
    const value = parse((await readClusterFile(join(this.#pveDir, name), fileBytesMax)) ?? '');
    this.#cache.set(name, { stamp, value });
    return value;
  }
}
