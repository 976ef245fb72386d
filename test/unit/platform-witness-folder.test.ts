import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { witnessFolder } from '../../src/platform/witness-folder.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder, withTmpfs } from '../support/temporary-folder.ts';

describe('the folder that witnesses share', () => {
  const folder = temporaryFolder();

  it('gives the files of nodes by name, and no others', async () => {
    for (const name of ['0a1b2c3d.json', 'ffffffff.json', 'policy', '0a1b2c3d.json.bak', 'notes.txt']) {
      await writeFile(join(folder(), name), name);
    }
    const files = await witnessFolder(folder()).read();
    assert.deepEqual([...files.keys()], ['0a1b2c3d.json', 'ffffffff.json']);
    assert.equal(Buffer.from(files.get('ffffffff.json')!).toString(), 'ffffffff.json');
    assert.equal(Buffer.from((await witnessFolder(folder()).policy())!).toString(), 'policy');
  });

  it('reads what it can: a file that is too long or no file hides no other', async () => {
    await mkdir(join(folder(), '00000000.json'));
    await writeFile(join(folder(), '11111111.json'), Buffer.alloc(600_000));
    await writeFile(join(folder(), '22222222.json'), 'x');
    assert.deepEqual([...(await witnessFolder(folder()).read()).keys()], ['22222222.json']);
    for (let node = 0; node < 100; node++) await writeFile(join(folder(), `${10_000_000 + node}.json`), 'x');
    assert.ok((await witnessFolder(folder()).read()).size <= 64);
  });

  it('replaces a file in place, without a temporary one and without changing its mode', async () => {
    const path = join(folder(), '0a1b2c3d.json');
    await writeFile(path, 'a longer text than the next');
    await chmod(path, 0o640);
    const { ino } = await stat(path);
    await witnessFolder(folder()).write('0a1b2c3d.json', Buffer.from('short'));
    const now = await stat(path);
    assert.deepEqual([now.ino, now.mode & 0o777, now.size], [ino, 0o640, 5]);
    assert.deepEqual(await readdir(folder()), ['0a1b2c3d.json']);
  });

  it('has no policy where there is none, and says what is missing when it is not there itself', async () => {
    const gone = witnessFolder(join(folder(), 'none'));
    assert.equal(await witnessFolder(folder()).policy(), null);
    await assert.rejects(gone.read(), refusedWith('Unavailable', 'it does not exist: make it on one node'));
    await assert.rejects(gone.write('0a1b2c3d.json', Buffer.from('x')), refusedWith('Unavailable', 'quorum'));
    await rm(join(folder(), 'none'), { force: true });
  });

  it('says why it cannot be written: no room', async () => {
    await mkdir(join(folder(), 'small'));
    await withTmpfs(join(folder(), 'small'), 'size=64k', async () => {
      const small = witnessFolder(join(folder(), 'small'));
      await assert.rejects(small.write('0a1b2c3d.json', Buffer.alloc(200_000)), refusedWith('Unavailable', 'ENOSPC'));
    });
  });
});
