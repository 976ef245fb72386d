import assert from 'node:assert/strict';
import { appendFileSync, existsSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostFiles } from '../../src/platform/host-files.ts';
import { TaskOutputFiles } from '../../src/platform/task-outputs.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('files of the host', () => {
  const folder = temporaryFolder();

  it('are read byte for byte, with the time of their last change', async () => {
    const path = join(folder(), '100.conf');
    writeFileSync(path, Buffer.from([0x61, 0xff, 0x0a]));
    utimesSync(path, 1_000, 2_000.5);
    assert.deepEqual(await hostFiles.read(path), { text: 'a\u00ff\n', mtimeMs: 2_000_500 });
    assert.equal(await hostFiles.exists(path), true);
  });

  it('of the kernel are read, though it says that they are empty', async () => {
    assert.match((await hostFiles.read('/proc/net/unix'))?.text ?? '', /^Num /);
  });

  it('that are missing are told from those that cannot be read', async () => {
    writeFileSync(join(folder(), 'file'), '');
    for (const missing of ['nothing', 'file/below']) {
      assert.equal(await hostFiles.read(join(folder(), missing)), null);
      assert.equal(await hostFiles.exists(join(folder(), missing)), false);
    }
    await assert.rejects(hostFiles.read(folder()), refusedWith('Unavailable', folder()));
  });
});

describe('output of tasks', () => {
  const folder = temporaryFolder();

  it('is read as it grows, from a file for root alone', async () => {
    const output = await new TaskOutputFiles(join(folder(), 'tasks')).create('a.service.log');
    assert.equal(statSync(output.path).mode & 0o777, 0o600);
    assert.equal((await output.read(0, 10)).toString(), '');
    appendFileSync(output.path, 'one\ntwo\n');
    assert.equal((await output.read(4, 2)).toString(), 'tw');
    assert.equal((await output.read(100, 2)).toString(), '');
    await output.remove();
    assert.equal(existsSync(output.path), false);
    await output.remove();
  });

  it('never goes through a link that lies there', async () => {
    const victim = join(folder(), 'victim');
    writeFileSync(victim, 'kept');
    symlinkSync(victim, join(folder(), 'a.log'));
    const output = await new TaskOutputFiles(folder()).create('a.log');
    appendFileSync(output.path, 'x');
    assert.equal((await hostFiles.read(victim))?.text, 'kept');
  });
});
