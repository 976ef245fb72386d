import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { AgentError } from '../../src/model/errors.ts';
import { inodeOf, readFileAndInode, readFileOrNull, replaceFile } from '../../src/platform/durable-file.ts';
import { temporaryFolder, withTmpfs } from '../support/temporary-folder.ts';

describe('durable file', () => {
  const folder = temporaryFolder();
  const file = (): string => join(folder(), 'interfaces');
  const bytes = Buffer.from('new\n\xff', 'latin1');

  it('makes a file with mode 0644, or the one given, whatever the umask', async () => {
    const umask = process.umask(0o077);
    try {
      await replaceFile(file(), bytes);
      await replaceFile(join(folder(), 'secret'), bytes, { mode: 0o600 });
    } finally {
      process.umask(umask);
    }
    assert.deepEqual(readFileSync(file()), bytes);
    assert.equal(statSync(file()).mode & 0o7777, 0o644);
    assert.equal(statSync(join(folder(), 'secret')).mode & 0o7777, 0o600);
    assert.deepEqual(readdirSync(folder()).sort(), ['interfaces', 'secret']);
  });

  it('keeps mode and owner of the file it replaces, and names the new inode', async () => {
    writeFileSync(file(), 'old');
    chmodSync(file(), 0o640);
    chownSync(file(), 33, 34);
    const { inode } = await replaceFile(file(), bytes, { mode: 0o600 });
    const stats = statSync(file(), { bigint: true });
    assert.deepEqual([stats.mode & 0o7777n, stats.uid, stats.gid, stats.ino], [0o640n, 33n, 34n, inode]);
    assert.equal(await inodeOf(file()), inode);
  });

  it('gives a new file the owner asked for', async () => {
    await replaceFile(file(), bytes, { uid: 33, gid: 34 });
    assert.deepEqual([statSync(file()).uid, statSync(file()).gid], [33, 34]);
  });

  it('replaces what a symbolic link leads to, in its real folder, and keeps the link', async () => {
    mkdirSync(join(folder(), 'real'));
    writeFileSync(join(folder(), 'real/file'), 'old');
    symlinkSync('real/file', file());
    await replaceFile(file(), bytes);
    assert.equal(readlinkSync(file()), 'real/file');
    assert.deepEqual(readFileSync(join(folder(), 'real/file')), bytes);
    assert.deepEqual(readdirSync(folder()).sort(), ['interfaces', 'real']);
    assert.deepEqual(readdirSync(join(folder(), 'real')), ['file']);
  });

  it('makes the file that a dangling link names', async () => {
    mkdirSync(join(folder(), 'real'));
    symlinkSync('real/file', file());
    await replaceFile(file(), bytes);
    assert.ok(lstatSync(file()).isSymbolicLink());
    assert.deepEqual(readFileSync(join(folder(), 'real/file')), bytes);
  });

  it('leaves the old bytes and no temporary file on a full disk', async () => {
    const disk = join(folder(), 'disk');
    mkdirSync(disk);
    await withTmpfs(disk, 'size=64k', async () => {
      writeFileSync(join(disk, 'interfaces'), 'old');
      await assert.rejects(replaceFile(join(disk, 'interfaces'), Buffer.alloc(256 * 1024)), {
        code: 'Unavailable',
        message: /disk\/interfaces: ENOSPC.*is unchanged/,
      });
      assert.equal(readFileSync(join(disk, 'interfaces'), 'utf8'), 'old');
      assert.deepEqual(readdirSync(disk), ['interfaces']);
    });
  });

  it('leaves the old bytes on a read-only file system', async () => {
    const disk = join(folder(), 'disk');
    mkdirSync(disk);
    await withTmpfs(disk, 'size=64k', async (remount) => {
      writeFileSync(join(disk, 'interfaces'), 'old');
      await remount('ro');
      await assert.rejects(replaceFile(join(disk, 'interfaces'), bytes), { code: 'Unavailable', message: /EROFS/ });
      assert.equal(readFileSync(join(disk, 'interfaces'), 'utf8'), 'old');
    });
  });

  it('says so when the folder is missing', async () => {
    await assert.rejects(replaceFile(join(folder(), 'no/such'), bytes), {
      code: 'Unavailable',
      message: /no\/such: ENOENT.*does not exist yet/,
    });
  });

  it('is abandoned by beforeRename, whose error passes through', async () => {
    writeFileSync(file(), 'old');
    const reason = new RangeError('not now');
    let seen: string[] = [];
    const beforeRename = (): Promise<void> => {
      seen = readdirSync(folder());
      return Promise.reject(reason);
    };
    await assert.rejects(replaceFile(file(), bytes, { beforeRename }), (error) => error === reason);
    assert.equal(seen.length, 2);
    assert.equal(readFileSync(file(), 'utf8'), 'old');
    assert.deepEqual(readdirSync(folder()), ['interfaces']);
  });

  it('is abandoned by an abort before the rename', async () => {
    writeFileSync(file(), 'old');
    const controller = new AbortController();
    const beforeRename = (): Promise<void> => {
      controller.abort(new AgentError('Timeout', 'too late'));
      return Promise.resolve();
    };
    await assert.rejects(replaceFile(file(), bytes, { signal: controller.signal, beforeRename }), {
      code: 'Timeout',
      message: 'too late',
    });
    await assert.rejects(replaceFile(file(), bytes, { signal: AbortSignal.abort() }), {
      code: 'Unavailable',
      message: /replacing .*interfaces was given up/,
    });
    assert.equal(readFileSync(file(), 'utf8'), 'old');
    assert.deepEqual(readdirSync(folder()), ['interfaces']);
  });

  it('removes the temporary files of killed runs, and only those', async () => {
    const gone = await deadPid();
    const temporary = (pid: number | string, of = 'interfaces'): string => `.${of}.${pid}-00ff.ovs-port-agent.tmp`;
    const stale = [temporary(gone), temporary(process.pid)];
    const living = [
      temporary(process.ppid),
      temporary(gone, 'other'),
      temporary('x'),
      '.interfaces.swp',
      'interfaces~',
    ];
    for (const name of [...stale, ...living]) writeFileSync(join(folder(), name), 'x');
    await replaceFile(file(), bytes);
    assert.deepEqual(readdirSync(folder()).sort(), [...living, 'interfaces'].sort());

    utimesSync(join(folder(), temporary(process.ppid)), 0, 0);
    await replaceFile(file(), bytes);
    assert.ok(!readdirSync(folder()).includes(temporary(process.ppid)));
  });

  it('lets two writes of one file pass each other', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => replaceFile(file(), Buffer.from(String(i).repeat(1000)))));
    const text = readFileSync(file(), 'utf8');
    assert.match(text, /^(\d\d?)\1{999}$/);
    assert.deepEqual(readdirSync(folder()), ['interfaces']);
  });

  it('reads bytes with their inode, and null for a file that does not exist', async () => {
    writeFileSync(file(), bytes);
    assert.deepEqual(await readFileOrNull(file()), bytes);
    assert.equal((await readFileAndInode(file()))?.inode, statSync(file(), { bigint: true }).ino);
    assert.equal(await readFileOrNull(join(folder(), 'none')), null);
    assert.equal(await inodeOf(join(folder(), 'none')), null);
  });

  it('refuses to read folders, pipes and files that are too long', async () => {
    await execa('mkfifo', [join(folder(), 'pipe')]);
    writeFileSync(file(), 'four');
    await assert.rejects(readFileOrNull(folder()), { code: 'Unavailable', message: /not a regular file/ });
    await assert.rejects(readFileOrNull(join(folder(), 'pipe')), {
      code: 'Unavailable',
      message: /not a regular file/,
    });
    await assert.rejects(readFileOrNull(file(), { bytesMax: 3 }), {
      code: 'Unavailable',
      message: /4 bytes, at most 3/,
    });
    await assert.rejects(readFileOrNull(file(), { signal: AbortSignal.abort() }), { code: 'Unavailable' });
    await assert.rejects(inodeOf(join(file(), 'below')), { code: 'Unavailable', message: /ENOTDIR/ });
  });
});

/** The number of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = execa('true');
  await child;
  return child.pid!;
}
