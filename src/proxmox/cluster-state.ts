/**
 * The files in which Proxmox VE's cluster file system tells its state: `.version`, `.vmlist` and `.members` under
 * `/etc/pve`. They are made anew at each read; numbers in them only mean "changed" and begin again with `starttime`.
 */
import type { GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import { isObject, parseObject } from './json-object.ts';

/** `.version`: what changed since it was read last. */
export interface ClusterVersion {
  /** When the file system was started, in seconds since the epoch. */
  readonly starttime: number;
  /** Counts with every write to any guest's file, on any node. */
  readonly vmlist: number;
  /** Counts with membership and quorum. */
  readonly clinfo: number;
  /** Count with every write to that file, such as `user.cfg` or `ha/resources.cfg`. */
  readonly files: ReadonlyMap<string, number>;
}

/** One guest in `.vmlist`, which knows each vmid once: a vmid is one kind, on one node. */
export interface RegisteredGuest {
  readonly vmid: Vmid;
  readonly kind: GuestKind;
  readonly node: string;
  /** Another number after every write to the guest's file. */
  readonly version: number;
}

export interface ClusterMembers {
  /** Name of this node. */
  readonly node: string;
  /** Whether the cluster may be written to; a node on its own always may. */
  readonly quorate: boolean;
  /** Nodes of the cluster; empty for a node on its own. */
  readonly nodes: readonly { readonly name: string; readonly online: boolean }[];
}

/** null for a text that is not such a file. */
export function parseClusterVersion(text: string): ClusterVersion | null {
  const object = parseObject(text);
  if (object === null) return null;
  const { starttime, vmlist, clinfo } = object;
  if (!isCount(starttime) || !isCount(vmlist) || !isCount(clinfo)) return null;
  const files = new Map<string, number>();
  for (const [key, value] of Object.entries(object)) if (isCount(value)) files.set(key, value);
  return { starttime, vmlist, clinfo, files };
}

/**
 * null for a text that is not such a file. Without guests the file has no `ids`. Entries of another kind than `lxc` and
 * `qemu`, or of another shape, are passed over.
 */
export function parseVmlist(text: string): RegisteredGuest[] | null {
  const object = parseObject(text);
  if (object === null || !isCount(object['version'])) return null;
  const ids = object['ids'] ?? {};
  if (!isObject(ids)) return null;
  return Object.entries(ids).flatMap(([id, entry]) => {
    if (!/^[1-9][0-9]{2,8}$/.test(id) || !isObject(entry)) return [];
    const { node, type, version } = entry;
    if (typeof node !== 'string' || (type !== 'lxc' && type !== 'qemu') || !isCount(version)) return [];
    return [{ vmid: Number(id) as Vmid, kind: type, node, version }];
  });
}

/** null for a text that is not such a file. */
export function parseMembers(text: string): ClusterMembers | null {
  const object = parseObject(text);
  if (object === null || typeof object['nodename'] !== 'string') return null;
  const { nodename, cluster, nodelist } = object;
  return {
    node: nodename,
    quorate: !isObject(cluster) || Number(cluster['quorate']) === 1,
    nodes: Object.entries(isObject(nodelist) ? nodelist : {}).map(([name, entry]) => ({
      name,
      online: isObject(entry) && Number(entry['online']) === 1,
    })),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
