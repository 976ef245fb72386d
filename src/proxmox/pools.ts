/** Pools in `/etc/pve/user.cfg`: `pool:<name>:<comment>:<vmids>:<storages>:`, colons in texts percent-encoded. */
import type { Vmid } from '../model/names.ts';

/** A guest is in one pool at most; of a guest that two lines claim the first counts, as in Proxmox VE. */
export function parsePools(text: string): Map<Vmid, string> {
  const pools = new Map<Vmid, string>();
  for (const line of text.split('\n')) {
    const [kind, pool, , vmids] = line.trim().split(':');
    if (kind !== 'pool' || pool === undefined || !/^[A-Za-z0-9._/-]+$/.test(pool) || vmids === undefined) continue;
    for (const text of vmids.split(/[;,\s]+/)) {
      const vmid = Number(text) as Vmid;
      if (/^[1-9][0-9]{2,8}$/.test(text) && !pools.has(vmid)) pools.set(vmid, pool);
    }
  }
  return pools;
}
