import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import type { ListedPort } from '../../src/interfaces/port-stanza.ts';
import { parseBridgeName, parsePortName, parseVlanTag } from '../../src/model/names.ts';
import { replaceFile } from '../../src/platform/durable-file.ts';
import { acquireFlock } from '../../src/platform/flock.ts';
import { InterfacesFile } from '../../src/platform/interfaces-file.ts';
import type { InterfacesFileOptions } from '../../src/platform/interfaces-file.ts';
import type { Journal, PlannedChange } from '../../src/ports/contracts.ts';
import { cause } from '../support/ports-fixtures.ts';
import { temporaryFolder, withTmpfs } from '../support/temporary-folder.ts';
import { unrecorded } from '../support/unrecorded.ts';
import { waitFor } from '../support/wait-for.ts';

const tag = 'ovs-port-agent';
const original = 'auto lo\niface lo inet loopback\n\n# caf\xc3\xa9 \xff\nauto ovsbr0\niface ovsbr0 inet manual\n';

function portsOf(...names: string[]): ListedPort[] {
  return names.map((name) => ({
    port: parsePortName(name),
    bridge: parseBridgeName('ovsbr0'),
    tag: parseVlanTag(10),
    trunks: [],
    vlanMode: null,
    owner: `CT ${name.slice(2)} net0 (veth${name.slice(2)}i0)`,
  }));
}

function planned(text: string, ports: readonly ListedPort[]): string {
  return planManagedBlock(text, ports, tag).text;
}

describe('interfaces file', () => {
  const folder = temporaryFolder();
  const network = (): string => join(folder(), 'network');
  const path = (): string => join(network(), 'interfaces');
  const pending = (): string => `${path()}.new`;
  const lockPath = (): string => join(network(), '.pve-interfaces.lock');
  const stateDir = (): string => join(folder(), 'state');
  const kept = (): string => join(stateDir(), 'interfaces.ovs-port-agent.orig');
  const read = (file = path()): string => readFileSync(file, 'latin1');
  const write = (text: string, file = path()): void => {
    writeFileSync(file, text, 'latin1');
  };
  const open = (options: Partial<InterfacesFileOptions> = {}, journal: Pick<Journal, 'change'> = unrecorded) => {
    const file = new InterfacesFile({
      path: path(),
      stateDir: stateDir(),
      plan: (text, ports) => planManagedBlock(text, ports, tag),
      ...options,
    });
    return {
      update: (ports: readonly ListedPort[], signal?: AbortSignal) => file.update(ports, journal, cause, signal),
      look: () => file.look(),
    };
  };

  beforeEach(() => {
    mkdirSync(network());
    mkdirSync(stateDir());
    write(original);
  });

  it('is written after a block said so, with what the files hold before and after', async () => {
    write(`${original}# pending\n`, pending());
    const told: (PlannedChange & { atWrite: string[] })[] = [];
    const digests = (): string[] => [pending(), path()].map((file) => hash('sha256', readFileSync(file)));
    const journal: Pick<Journal, 'change'> = {
      change: (changes, action) => {
        told.push(...changes.map((change) => ({ ...change, atWrite: digests() })));
        return action([]);
      },
    };
    const before = digests();
    await open({}, journal).update(portsOf('vi100'));
    const after = digests();
    assert.deepEqual(
      told,
      [pending(), path()].map((file, index) => ({
        category: 'netcfg',
        action: 'write',
        cause,
        data: {
          file,
          before: { sha256: before[index]! },
          after: { sha256: after[index]! },
          listed: ['vi100'],
          listed_count: 1,
        },
        atWrite: before,
      })),
    );
    await open({}, journal).update(portsOf('vi100'));
    assert.equal(told.length, 2, 'a file that stays as it is has no block');
  });

  it('writes the block, keeps mode and every foreign byte, and takes the block out again', async () => {
    chmodSync(path(), 0o640);
    const ports = portsOf('vi101', 'vi100');
    const first = await open().update(ports);
    assert.deepEqual(first, { state: 'present', written: true, foreign: [], listed: ['vi100', 'vi101'] });
    assert.equal(read(), planned(original, ports));
    assert.equal(statSync(path()).mode & 0o7777, 0o640);
    assert.equal((await open().update([])).written, true);
    assert.equal(read(), original);
    assert.deepEqual(readdirSync(network()).sort(), ['.pve-interfaces.lock', 'interfaces']);
  });

  it('neither writes nor locks when nothing changed', async () => {
    await open().update(portsOf('vi100'));
    const { ino, mtimeNs } = statSync(path(), { bigint: true });
    unlinkSync(lockPath());
    assert.deepEqual(await open().update(portsOf('vi100')), {
      state: 'present',
      written: false,
      foreign: [],
      listed: ['vi100'],
    });
    assert.equal(existsSync(lockPath()), false);
    assert.deepEqual(
      [statSync(path(), { bigint: true }).ino, statSync(path(), { bigint: true }).mtimeNs],
      [ino, mtimeNs],
    );
  });

  it('keeps the file as it was before the first write, once', async () => {
    await open().update(portsOf('vi100'));
    appendFileSync(path(), 'auto eno9\n');
    await open().update(portsOf('vi101'));
    assert.equal(read(kept()), original);
    assert.equal(statSync(kept()).mode & 0o7777, 0o600);
  });

  it('writes nothing when the original cannot be kept', async () => {
    rmSync(stateDir(), { recursive: true });
    await assert.rejects(open().update(portsOf('vi100')), { code: 'Unavailable', message: /ovs-port-agent\.orig/ });
    assert.equal(read(), original);
  });

  it('reports a foreign stanza and does not list that port', async () => {
    write(`${original}\niface vi100 inet manual\n\tmtu 1400\n`);
    const update = await open().update(portsOf('vi100', 'vi101'));
    assert.deepEqual(update.foreign, [{ name: 'vi100', line: 8, kind: 'iface' }]);
    assert.deepEqual(update.listed, ['vi101']);
  });

  it('says what the files are, and which ports they list', async () => {
    await open().update(portsOf('vi100', 'vi101'));
    write(original, pending());
    const found = await open().look();
    assert.deepEqual(Object.fromEntries(found), {
      [path()]: { sha256: hash('sha256', Buffer.from(read(), 'latin1')), listed: ['vi100', 'vi101'] },
      [pending()]: { sha256: hash('sha256', Buffer.from(original, 'latin1')), listed: [] },
    });
    unlinkSync(path());
    assert.deepEqual([...(await open().look()).keys()], [pending()]);
  });

  it('writes nothing on a host without the file', async () => {
    unlinkSync(path());
    assert.deepEqual(await open().update(portsOf('vi100')), {
      state: 'absent',
      written: false,
      foreign: [],
      listed: [],
    });
    rmSync(network(), { recursive: true });
    assert.equal((await open().update([])).state, 'absent');
    assert.deepEqual(readdirSync(folder()), ['state']);
  });

  it('leaves a file alone that is UTF-16 or contains NUL bytes, and so a pending one', async () => {
    for (const [bytes, message] of [
      ['\xff\xfea\0', /interfaces is left as it is: it is UTF-16/],
      ['\xfe\xff\0a', /it is UTF-16/],
      [`${original}\0`, /it contains NUL bytes/],
    ] as const) {
      write(bytes);
      await assert.rejects(open().update(portsOf('vi100')), { code: 'Conflict', message });
      assert.equal(read(), bytes);
    }
    write(original);
    write('\0', pending());
    await assert.rejects(open().update(portsOf('vi100')), { code: 'Conflict', message: /interfaces\.new is left/ });
    assert.equal(read(), original);
  });

  it('replaces the file behind a symbolic link, and locks beside the link', async () => {
    mkdirSync(join(folder(), 'elsewhere'));
    renameSync(path(), join(folder(), 'elsewhere/real'));
    symlinkSync('../elsewhere/real', path());
    await open().update(portsOf('vi100'));
    assert.equal(readlinkSync(path()), '../elsewhere/real');
    assert.equal(read(), planned(original, portsOf('vi100')));
    assert.deepEqual(readdirSync(join(folder(), 'elsewhere')), ['real']);
    assert.ok(existsSync(lockPath()));
  });

  it('leaves the file alone on a full disk', async () => {
    await withTmpfs(network(), 'size=64k', async () => {
      write(original + '#'.repeat(32 * 1024));
      const before = read();
      writeFileSync(join(network(), 'filler'), Buffer.alloc(24 * 1024));
      await assert.rejects(open().update(portsOf('vi100')), { code: 'Unavailable', message: /ENOSPC.*is unchanged/ });
      assert.equal(read(), before);
      assert.deepEqual(readdirSync(network()).sort(), ['.pve-interfaces.lock', 'filler', 'interfaces']);
    });
  });

  it('leaves the file alone on a read-only file system, with the lock file there or not', async () => {
    await withTmpfs(network(), 'size=64k', async (remount) => {
      write(original);
      await remount('ro');
      await assert.rejects(open().update(portsOf('vi100')), { code: 'Unavailable', message: /lock file.*EROFS/ });
      await remount('rw');
      write('', lockPath());
      await remount('ro');
      await assert.rejects(open().update(portsOf('vi100')), { code: 'Unavailable', message: /EROFS.*is unchanged/ });
      assert.equal(read(), original);
    });
  });

  it('is Busy when the lock never comes free, and writes nothing', async () => {
    const lock = await acquireFlock(lockPath(), { deadlineMs: 5_000 });
    await assert.rejects(open({ lockDeadlineMs: 50 }).update(portsOf('vi100')), {
      code: 'Busy',
      message: /\.pve-interfaces\.lock/,
    });
    await lock.release();
    assert.equal(read(), original);
    assert.ok(!existsSync(kept()));
  });

  it('plans again under the lock what changed while it waited', async () => {
    const lock = await acquireFlock(lockPath(), { deadlineMs: 5_000 });
    const update = open().update(portsOf('vi100'));
    await waitFor('the waiting update', () => waiters(lockPath()) === 1);
    const changed = `${original}\nauto eno5\niface eno5 inet manual\n`;
    write(changed);
    await lock.release();
    assert.equal((await update).written, true);
    assert.equal(read(), planned(changed, portsOf('vi100')));
  });

  it('stops waiting for the lock when cancelled', async () => {
    const lock = await acquireFlock(lockPath(), { deadlineMs: 5_000 });
    const controller = new AbortController();
    const update = open().update(portsOf('vi100'), controller.signal);
    await waitFor('the waiting update', () => waiters(lockPath()) === 1);
    controller.abort();
    await assert.rejects(update, { code: 'Unavailable' });
    await lock.release();
    assert.equal(read(), original);
  });

  it('keeps every foreign byte while two updaters fight', async () => {
    const [a, b] = [portsOf('vi100'), portsOf('vi200', 'vi201')];
    await Promise.all(Array.from({ length: 16 }, (_, i) => open().update(i % 2 === 0 ? a : b)));
    assert.ok([planned(original, a), planned(original, b)].includes(read()));
    assert.deepEqual(readdirSync(network()).sort(), ['.pve-interfaces.lock', 'interfaces']);
  });

  it('leaves old or new bytes when killed at any moment, and the lock free', async function () {
    this.timeout(60_000);
    const script = join(import.meta.dirname, '../support/interfaces-updater.ts');
    const count = 40;
    let whole = '';
    for (let round = 0; round < 8; round++) {
      const updater = execa('node', ['--import', 'tsx', script, path(), stateDir(), String(count)], { reject: false });
      await new Promise((resolve) => updater.stdout.once('data', resolve));
      if (whole === '') {
        await waitFor('the block', () => read() !== original);
        whole = read();
        assert.equal(whole.match(/^iface vi1\d\d inet manual$/gm)?.length, count);
      }
      // A different stretch into the next updates each round.
      await new Promise((resolve) => setTimeout(resolve, 3 * round));
      updater.kill('SIGKILL');
      await updater;
      assert.ok([original, whole].includes(read()), `round ${round}`);
    }
    await open().update(portsOf('vi999'));
    assert.equal(read(), planned(original, portsOf('vi999')));
    assert.deepEqual(readdirSync(network()).sort(), ['.pve-interfaces.lock', 'interfaces']);
  });

  describe('with changes pending in interfaces.new', () => {
    const changes = `${original}\nauto bond0\niface bond0 inet manual\n`;
    beforeEach(() => {
      write(changes, pending());
    });

    it('edits both files', async () => {
      assert.equal((await open().update(portsOf('vi100'))).written, true);
      assert.equal(read(), planned(original, portsOf('vi100')));
      assert.equal(read(pending()), planned(changes, portsOf('vi100')));
      assert.equal((await open().update(portsOf('vi100'))).written, false);
    });

    it('edits the pending file alone when only that one lacks the block', async () => {
      write(planned(original, portsOf('vi100')));
      const { ino } = statSync(path());
      assert.equal((await open().update(portsOf('vi100'))).written, true);
      assert.equal(statSync(path()).ino, ino);
      assert.equal(read(pending()), planned(changes, portsOf('vi100')));
    });

    /** Runs `step` right before the n-th check that precedes a rename, or right after that check. */
    const steppingIn = (when: 'before' | 'after', nth: number, step: () => void): typeof replaceFile => {
      let calls = 0;
      return (target, bytes, options) => {
        calls++;
        if (calls !== nth) return replaceFile(target, bytes, options);
        return replaceFile(target, bytes, {
          ...options,
          beforeRename: async () => {
            if (when === 'before') step();
            await options?.beforeRename?.();
            if (when === 'after') step();
          },
        });
      };
    };
    const apply = (): void => {
      renameSync(pending(), path());
    };
    const revert = (): void => {
      unlinkSync(pending());
    };

    for (const nth of [1, 2]) {
      it(`starts over when "Apply" comes before the check of write ${nth}`, async () => {
        const update = await open({ replace: steppingIn('before', nth, apply) }).update(portsOf('vi100'));
        assert.equal(update.written, true);
        assert.equal(read(), planned(changes, portsOf('vi100')));
        assert.equal(existsSync(pending()), false);
      });
    }

    it('takes back the pending file that its rename brought back after "Apply"', async () => {
      await open({ replace: steppingIn('after', 1, apply) }).update(portsOf('vi100'));
      assert.equal(read(), planned(changes, portsOf('vi100')));
      assert.equal(existsSync(pending()), false);
    });

    it('keeps changes pending whose "Apply" its rename undid', async () => {
      await open({ replace: steppingIn('after', 2, apply) }).update(portsOf('vi100'));
      assert.equal(read(), planned(original, portsOf('vi100')));
      assert.equal(read(pending()), planned(changes, portsOf('vi100')));
    });

    it('never makes reverted changes current', async () => {
      for (const when of ['before', 'after'] as const) {
        for (const nth of [1, 2]) {
          write(original);
          write(changes, pending());
          await open({ replace: steppingIn(when, nth, revert) }).update(portsOf('vi100'));
          assert.equal(read(), planned(original, portsOf('vi100')), `${when} ${nth}`);
        }
      }
    });

    it('starts over when somebody edits the file in place meanwhile', async () => {
      const step = (): void => {
        appendFileSync(path(), '# by hand\n');
      };
      await open({ replace: steppingIn('before', 2, step) }).update(portsOf('vi100'));
      assert.equal(read(), planned(`${original}# by hand\n`, portsOf('vi100')));
    });

    it('is Busy when the file changes all the time', async () => {
      let edits = 0;
      const replace: typeof replaceFile = (target, bytes, options) =>
        replaceFile(target, bytes, {
          ...options,
          beforeRename: async () => {
            appendFileSync(path(), `# edit ${++edits}\n`);
            await options?.beforeRename?.();
          },
        });
      await assert.rejects(open({ replace }).update(portsOf('vi100')), { code: 'Busy', message: /changed by others/ });
      assert.match(read(), /# edit 1\n[^]*# edit 5\n$/);
    });

    it('does not rename once its lock is gone', async () => {
      const replace: typeof replaceFile = (target, bytes, options) =>
        replaceFile(target, bytes, {
          ...options,
          beforeRename: async () => {
            for (const pid of lockerPids(lockPath())) process.kill(pid, 'SIGKILL');
            await waitFor('the end of the holder', async () => {
              const { exitCode } = await execa('flock', ['--nonblock', lockPath(), 'true'], { reject: false });
              return exitCode === 0;
            });
            await options?.beforeRename?.();
          },
        });
      await assert.rejects(open({ replace }).update(portsOf('vi100')), { code: 'Busy', message: /lock .* was lost/ });
      assert.equal(read(), original);
      assert.equal(read(pending()), changes);
    });
  });
});

/** Processes that wait for the lock on `path`. */
function waiters(path: string): number {
  return lockLines(path).filter((line) => line.includes('->')).length;
}

function lockerPids(path: string): number[] {
  return lockLines(path).map((line) => Number(/FLOCK +\S+ +\S+ +(\d+)/.exec(line)?.[1]));
}

function lockLines(path: string): string[] {
  const { ino } = statSync(path);
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`:${ino} `));
}
