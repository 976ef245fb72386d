import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestKind } from '../../src/model/guest.ts';
import { parseVmid } from '../../src/model/names.ts';
import { acquireFlock } from '../../src/platform/flock.ts';
import { GuestLocks } from '../../src/platform/guest-locks.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const guest = (kind: GuestKind, vmid: number) => ({ kind, vmid: parseVmid(vmid) });

describe('the lock of a guest', () => {
  const folder = temporaryFolder();
  const path = (name: string): string => join(folder(), name);

  for (const [kind, file] of [
    ['lxc', 'lxc/pve-config-100.lock'],
    ['qemu', 'qemu-server/lock-100.conf'],
  ] as const) {
    it(`is held while somebody has an flock(2) on ${file}, and no longer`, async () => {
      for (const name of ['lxc', 'qemu-server']) mkdirSync(path(name));
      const locks = new GuestLocks(folder());
      assert.equal(await locks.isLocked(guest(kind, 100)), false, 'without a file');
      const held = await acquireFlock(path(file), { deadlineMs: 5000 });
      assert.equal(await locks.isLocked(guest(kind, 100)), true);
      assert.equal(await locks.isLocked(guest(kind, 101)), false, 'another guest');
      assert.equal(await locks.isLocked(guest(kind === 'lxc' ? 'qemu' : 'lxc', 100)), false, 'another kind');
      await held.release();
      assert.equal(await locks.isLocked(guest(kind, 100)), false, 'the file stays, the lock is free');
    });
  }

  it('is looked up, and never taken: nothing is made, and the next locker does not wait', async () => {
    mkdirSync(path('lxc'));
    const locks = new GuestLocks(folder());
    await locks.isLocked(guest('lxc', 100));
    assert.deepEqual(readdirSync(path('lxc')), []);
    const looks = Promise.all(Array.from({ length: 50 }, () => locks.isLocked(guest('lxc', 100))));
    const held = await acquireFlock(path('lxc/pve-config-100.lock'), { deadlineMs: 5000 });
    await looks;
    await held.release();
  });

  describe('as the kernel lists it', () => {
    /** `/proc/locks` with these lines, `INODE` in them being that of the guest's file. */
    async function isLocked(...lines: string[]): Promise<boolean> {
      mkdirSync(path('lxc'));
      const file = path('lxc/pve-config-100.lock');
      writeFileSync(file, '');
      const text = lines.map((line) => `${line.replace('INODE', String(statSync(file).ino))}\n`).join('');
      writeFileSync(path('locks'), text);
      return new GuestLocks(folder(), path('locks')).isLocked(guest('lxc', 100));
    }

    it('is held for flock(2) and for fcntl(2), to read or to write, as one line of many', async () => {
      assert.equal(
        await isLocked(
          '1: FLOCK  ADVISORY  WRITE 900 00:19:1 0 EOF',
          '2: POSIX  ADVISORY  READ  901 00:19:INODE 0 EOF',
          '2: -> POSIX  ADVISORY  WRITE 902 00:19:INODE 0 EOF',
        ),
        true,
      );
    });

    for (const [what, line] of [
      ['a lease', '1: LEASE  ACTIVE    READ  900 00:19:INODE 0 EOF'],
      ['a file whose number ends with its number', '1: FLOCK  ADVISORY  WRITE 900 00:19:1INODE 0 EOF'],
      ['a file whose number begins with its number', '1: FLOCK  ADVISORY  WRITE 900 00:19:INODE1 0 EOF'],
      ['a device of its number', '1: FLOCK  ADVISORY  WRITE 900 INODE:19:1 0 EOF'],
      ['nothing', ''],
    ] as const) {
      it(`is free with ${what} in the list`, async () => {
        assert.equal(await isLocked(line), false);
      });
    }

    it('counts as free where the list or the file cannot be read, so that no repair waits for ever', async () => {
      mkdirSync(path('lxc'));
      writeFileSync(path('lxc/pve-config-100.lock'), '');
      assert.equal(await new GuestLocks(folder(), path('nothing')).isLocked(guest('lxc', 100)), false);
      symlinkSync('pve-config-101.lock', path('lxc/pve-config-101.lock'));
      assert.equal(await new GuestLocks(folder()).isLocked(guest('lxc', 101)), false, 'a link in a circle');
    });
  });
});
