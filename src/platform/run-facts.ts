/** What this host's kernel tells about running guests. */
import type { RunFacts } from '../proxmox/run-state.ts';
import { readBoundedFile } from './bounded-file.ts';

/** Some 100 bytes for each socket of the host. */
const socketsBytesMax = 32 * 1024 * 1024;

/** Sockets alone: systemd is not asked, so a container whose `lxc-start` is only beginning counts as stopped. */
export async function readRunFacts(lxcDir: string): Promise<RunFacts> {
  return { unixSockets: (await readBoundedFile('/proc/net/unix', socketsBytesMax)) ?? '', lxcDir, units: [] };
}
