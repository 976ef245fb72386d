/**
 * The folder in which the nodes of a cluster keep their files for witnesses: `/etc/pve/ovs-port-agent` on Proxmox VE, whose
 * file system takes files of 1 MiB, replicates every single write, and refuses all while the cluster has no quorum. So a
 * file is written in place and as a whole, without a temporary one and without changing its mode; who reads it meanwhile
 * finds it empty or cut, and comes back.
 */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterFolder } from '../ledger/witnesses.ts';
import { AgentError } from '../model/errors.ts';
import { isMissing, readBoundedFile } from './bounded-file.ts';

/** Of one file; what is longer is not read. */
const fileBytesMax = 512 * 1024;
/** Files of nodes that are read: Proxmox VE has tested clusters of 32. */
const filesMax = 64;

export function witnessFolder(path: string): ClusterFolder {
  return {
    async policy() {
      const text = await readBoundedFile(join(path, 'policy'), fileBytesMax);
      return text === null ? null : Buffer.from(text, 'latin1');
    },
    async read() {
      const names = (await list(path)).filter((name) => /^[0-9a-f]{8}\.json$/.test(name)).sort();
      const found = new Map<string, Uint8Array>();
      for (const name of names.slice(0, filesMax)) {
        // One node's bad file must not hide those of the others.
        const text = await readBoundedFile(join(path, name), fileBytesMax).catch(() => null);
        if (text !== null) found.set(name, Buffer.from(text, 'latin1'));
      }
      return found;
    },
    async write(name, bytes) {
      const file = join(path, name);
      try {
        const handle = await open(file, 'w');
        try {
          await handle.writeFile(bytes);
        } finally {
          await handle.close();
        }
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new AgentError('Unavailable', `cannot write ${file}: ${why}; does the cluster have quorum?`, { cause });
      }
    },
  };
}

async function list(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    const why = isMissing(cause) ? 'it does not exist: make it on one node' : (cause as Error).message;
    throw new AgentError('Unavailable', `cannot read the folder ${path}: ${why}`, { cause });
  }
}
