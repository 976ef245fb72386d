/** Whether Proxmox VE is working on a guest. Looked up, never taken: whoever waits for this lock can hold up a start. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';

export class GuestLocks {
  readonly #lockDir: string;
  readonly #procLocks: string;

  /** `lockDir` is `/run/lock` on a node. */
  constructor(lockDir: string, procLocks = '/proc/locks') {
    this.#lockDir = lockDir;
    this.#procLocks = procLocks;
  }

  /**
   * True while anybody holds the guest's configuration lock (flock or fcntl). Locks are told apart by inode number alone:
   * a lock of the same number on another file system only means one more second of patience.
   */
  async isLocked({ kind, vmid }: { kind: GuestKind; vmid: Vmid }): Promise<boolean> {
    const path = kind === 'lxc' ? `lxc/pve-config-${vmid}.lock` : `qemu-server/lock-${vmid}.conf`;
    const inode = await stat(join(this.#lockDir, path)).then(
      ({ ino }) => ino,
      () => null,
    );
    if (inode === null) return false;
    const locks = await readFile(this.#procLocks, 'utf8').catch(() => '');
    return locks.split('\n').some((line) => holdsInode(line, inode));
  }
}

/** proc(5): `1: FLOCK  ADVISORY  WRITE 1234 00:19:5678 0 EOF`; a waiter has `->` after the number. */
function holdsInode(line: string, inode: number): boolean {
  const [, type, , , , file] = line.trim().split(/\s+/);
  return (type === 'FLOCK' || type === 'POSIX') && file?.split(':')[2] === String(inode);
}
