import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { acquireFlock } from '../../src/platform/flock.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const deadlineMs = 5_000;

describe('flock', () => {
  const folder = temporaryFolder();
  const lockFile = (): string => join(folder(), '.pve-interfaces.lock');

  it('makes the lock file with mode 0644 and leaves it', async () => {
    const umask = process.umask(0o077);
    try {
      await (await acquireFlock(lockFile(), { deadlineMs })).release();
    } finally {
      process.umask(umask);
    }
    assert.equal(statSync(lockFile()).mode & 0o7777, 0o644);
    await (await acquireFlock(lockFile(), { deadlineMs })).release();
  });

  it('excludes every other locker until it is released, and release may be repeated', async () => {
    const lock = await acquireFlock(lockFile(), { deadlineMs });
    assert.equal(await isFree(lockFile()), false);
    await lock.release();
    await lock.release();
    assert.equal(await isFree(lockFile()), true);
  });

  it('is Busy, naming the file, when the deadline passes', async () => {
    const lock = await acquireFlock(lockFile(), { deadlineMs });
    await assert.rejects(acquireFlock(lockFile(), { deadlineMs: 50 }), {
      code: 'Busy',
      message: /\.pve-interfaces\.lock stayed locked by another process for 50 ms/,
    });
    await lock.release();
  });

  it('gets the lock as soon as the other one lets it go', async () => {
    const first = await acquireFlock(lockFile(), { deadlineMs });
    const second = acquireFlock(lockFile(), { deadlineMs });
    const order: string[] = [];
    void second.then(() => order.push('second'));
    order.push('release');
    await first.release();
    await (await second).release();
    assert.deepEqual(order, ['release', 'second']);
  });

  it('stops waiting when the call is cancelled, and leaves no holder behind', async () => {
    const lock = await acquireFlock(lockFile(), { deadlineMs });
    const controller = new AbortController();
    const waiting = acquireFlock(lockFile(), { deadlineMs, signal: controller.signal });
    await waitFor('the second holder', () => lockerPids(lockFile()).length === 2);
    controller.abort();
    await assert.rejects(waiting, { code: 'Unavailable', message: /given up/ });
    await waitFor('the end of the second holder', () => lockerPids(lockFile()).length === 1);
    await lock.release();
    await assert.rejects(acquireFlock(lockFile(), { deadlineMs, signal: AbortSignal.abort() }), {
      code: 'Unavailable',
    });
  });

  it('confirms that it is held, and says so at once when the holder was killed', async () => {
    const lock = await acquireFlock(lockFile(), { deadlineMs });
    await lock.confirm();
    await lock.confirm();
    for (const pid of lockerPids(lockFile())) process.kill(pid, 'SIGKILL');
    await assert.rejects(lock.confirm(), { code: 'Busy', message: /was lost/ });
    await lock.release();
  });

  it('does not confirm for a holder that does not answer', async () => {
    const lock = await acquireFlock(lockFile(), { deadlineMs });
    const [holder] = lockerPids(lockFile());
    process.kill(holder!, 'SIGSTOP');
    await assert.rejects(lock.confirm(), { code: 'Busy', message: /does not answer/ });
    process.kill(holder!, 'SIGCONT');
    await lock.confirm();
    await lock.release();
  });

  it('tells when the holder was killed', async () => {
    const lock = await acquireFlock(lockFile(), { deadlineMs });
    for (const pid of lockerPids(lockFile())) process.kill(pid, 'SIGKILL');
    assert.match((await lock.lost).message, /\.pve-interfaces\.lock was lost/);
    await lock.release();
    assert.equal(await isFree(lockFile()), true);
  });

  it('goes when the process that took it is killed', async () => {
    const script = join(folder(), 'take.mts');
    const source = join(import.meta.dirname, '../../src/platform/flock.ts');
    writeFileSync(
      script,
      `import { acquireFlock } from ${JSON.stringify(source)};
       await acquireFlock(process.argv[2], { deadlineMs: 5000 });
       process.stdout.write('held');
       process.stdin.resume();`,
    );
    const taker = execa('node', ['--import', 'tsx', script, lockFile()], { reject: false, stdin: 'pipe' });
    await new Promise((resolve) => taker.stdout.once('data', resolve));
    assert.equal(await isFree(lockFile()), false);
    taker.kill('SIGKILL');
    await taker;
    await waitFor('the lock', () => isFree(lockFile()));
  });

  it('says why a file cannot be locked', async () => {
    await assert.rejects(acquireFlock(join(folder(), 'no/such'), { deadlineMs }), {
      code: 'Unavailable',
      message: /cannot create the lock file .*no\/such: ENOENT/,
    });
    const { PATH } = process.env;
    process.env['PATH'] = join(folder(), 'empty');
    mkdirSync(process.env['PATH']);
    try {
      await assert.rejects(acquireFlock(lockFile(), { deadlineMs }), {
        code: 'Unavailable',
        message: /cannot lock .*ENOENT/,
      });
    } finally {
      process.env['PATH'] = PATH;
    }
    assert.ok(existsSync(lockFile()));
  });
});

async function isFree(path: string): Promise<boolean> {
  const { exitCode } = await execa('flock', ['--nonblock', path, 'true'], { reject: false });
  return exitCode === 0;
}

/** Processes that hold `path` locked or wait for it, by the inode in the kernel's own list. */
function lockerPids(path: string): number[] {
  const inode = statSync(path).ino;
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`:${inode} `))
    .map((line) => Number(/(?:FLOCK|POSIX) +\S+ +\S+ +(\d+)/.exec(line)?.[1]));
}
