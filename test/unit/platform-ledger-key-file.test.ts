import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadOrCreateKey } from '../../src/platform/ledger-key-file.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe("the file of the ledger's key", () => {
  const folder = temporaryFolder();
  const path = (): string => join(folder(), 'ledger.key');
  const never = (): string => {
    throw new Error('a new key was made');
  };

  it('is made at the first start, for its owner alone, whatever the umask, and read ever after', async () => {
    const umask = process.umask(0);
    try {
      assert.equal(await loadOrCreateKey(path(), () => 'secret'), 'secret');
    } finally {
      process.umask(umask);
    }
    assert.equal(statSync(path()).mode & 0o7777, 0o600);
    assert.equal(readFileSync(path(), 'utf8'), 'secret\n');
    assert.deepEqual(readdirSync(folder()), ['ledger.key']);
    assert.equal(await loadOrCreateKey(path(), never), 'secret');
  });

  it('is refused when others may read or write it, and stays as it is', async () => {
    writeFileSync(path(), 'secret\n');
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      chmodSync(path(), mode);
      await assert.rejects(
        loadOrCreateKey(path(), never),
        refusedWith('Unavailable', path(), mode.toString(8), 'chmod 600'),
      );
    }
    assert.equal(readFileSync(path(), 'utf8'), 'secret\n');
    chmodSync(path(), 0o400);
    assert.equal(await loadOrCreateKey(path(), never), 'secret');
  });

  it('is never replaced: not when it is empty, a folder or far too long', async () => {
    writeFileSync(path(), '', { mode: 0o600 });
    assert.equal(await loadOrCreateKey(path(), never), '');
    writeFileSync(path(), 'x'.repeat(5000));
    await assert.rejects(loadOrCreateKey(path(), never), refusedWith('Unavailable', '5000 bytes'));
    mkdirSync(join(folder(), 'folder'));
    await assert.rejects(
      loadOrCreateKey(join(folder(), 'folder'), never),
      refusedWith('Unavailable', 'not a regular file'),
    );
  });

  it('that cannot be written is no key', async () => {
    const missing = join(folder(), 'missing/ledger.key');
    await assert.rejects(
      loadOrCreateKey(missing, () => 'secret'),
      refusedWith('Unavailable', missing),
    );
    assert.ok(!existsSync(missing));
  });
});
