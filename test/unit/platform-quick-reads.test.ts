import assert from 'node:assert/strict';
import fs from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import sinon from 'sinon';
import { readBytes } from '../../src/platform/quick-reads.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

describe('a read of what the kernel has in its cache', () => {
  const folder = temporaryFolder();
  let handle: FileHandle;
  let byThreads: sinon.SinonSpy;

  beforeEach(async () => {
    const path = join(folder(), 'file');
    await writeFile(path, Buffer.from(Array.from({ length: 100 }, (_, byte) => byte)));
    handle = await open(path);
    byThreads = sinon.spy(handle, 'read');
    await waitFor('reads at once', async () => {
      byThreads.resetHistory();
      await readBytes(handle, 0, 1);
      return byThreads.callCount === 0;
    });
  });

  afterEach(async () => {
    sinon.restore();
    syncBuiltinESMExports();
    await handle.close();
  });

  it('has the bytes that were asked for, and fewer where the file ends', async () => {
    assert.deepEqual([...(await readBytes(handle, 10, 3))], [10, 11, 12]);
    assert.deepEqual([...(await readBytes(handle, 98, 10))], [98, 99]);
    assert.deepEqual([...(await readBytes(handle, 200, 10))], []);
    assert.deepEqual([...(await readBytes(handle, 5, 0))], []);
  });

  it('gives others their turn after a number of them', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    for (let read = 0; read < 64 * 20; read++) await readBytes(handle, 0, 1);
    clearInterval(timer);
    assert.ok(byThreads.callCount >= 19, String(byThreads.callCount));
    assert.ok(turns > 0);
  });

  it('is left to other threads for a while once one was slow, and has the same bytes there', async () => {
    const real = fs.readSync;
    sinon.replace(fs, 'readSync', ((...args: Parameters<typeof real>) => {
      const untilMs = performance.now() + 5;
      while (performance.now() < untilMs);
      return real(...args);
    }) as typeof real);
    syncBuiltinESMExports();
    await readBytes(handle, 0, 1);
    byThreads.resetHistory();
    for (let at = 0; at < 10; at++) assert.deepEqual([...(await readBytes(handle, at, 2))], [at, at + 1]);
    assert.deepEqual([...(await readBytes(handle, 98, 10))], [98, 99]);
    assert.ok(byThreads.callCount >= 11);
  });

  it('rejects with the error of the disk', async () => {
    const writing = await open(join(folder(), 'other'), 'w');
    await assert.rejects(readBytes(writing, 0, 1), { code: 'EBADF' });
    await writing.close();
  });
});
