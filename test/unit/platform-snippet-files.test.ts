import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { snippetFiles } from '../../src/platform/snippet-files.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const text = '#!/bin/sh\nexec /usr/lib/ovs-port-agent/hook/ovs-port-agent "$@"\n';

describe('a snippet on a storage', () => {
  const folder = temporaryFolder();
  const path = (): string => join(folder(), 'snippets/ovs-port-agent');
  const files = () => snippetFiles(join(folder(), 'source'));

  beforeEach(() => {
    writeFileSync(join(folder(), 'source'), text);
  });

  it('is put as a regular file that may be executed, its folder with it', async () => {
    assert.equal(await files().look(path()), null);
    await files().put(path());
    const stats = lstatSync(path());
    assert.deepEqual([stats.isFile(), stats.mode & 0o777, readFileSync(path(), 'utf8')], [true, 0o755, text]);
    assert.deepEqual(await files().look(path()), { isRunnable: true, isOurs: true, isCurrent: true });
    assert.deepEqual(readdirSync(join(folder(), 'snippets')), ['ovs-port-agent']);
  });

  it('is not current as a link, as another version, or without leave to execute it; putting it mends that', async () => {
    const spoil: readonly (() => void)[] = [
      () => {
        symlinkSync(join(folder(), 'source'), path());
        chmodSync(join(folder(), 'source'), 0o755);
      },
      () => {
        writeFileSync(path(), `${text}# older\n`, { mode: 0o755 });
      },
      () => {
        chmodSync(path(), 0o644);
      },
    ];
    mkdirSync(join(folder(), 'snippets'));
    for (const make of spoil) {
      make();
      const { isOurs, isCurrent } = (await files().look(path())) ?? assert.fail();
      assert.deepEqual([isOurs, isCurrent], [true, false]);
      await files().put(path());
      assert.equal((await files().look(path()))?.isCurrent, true);
      assert.ok(lstatSync(path()).isFile());
    }
    assert.equal(readFileSync(join(folder(), 'source'), 'utf8'), text, 'what the link led to is not written to');
  });

  it('of somebody else is known as such, also a folder and a link to nothing', async () => {
    mkdirSync(join(folder(), 'snippets'));
    writeFileSync(path(), '#!/bin/sh\n', { mode: 0o755 });
    assert.deepEqual(await files().look(path()), { isRunnable: true, isOurs: false, isCurrent: false });
    mkdirSync(join(folder(), 'snippets/folder'));
    symlinkSync('/nowhere', join(folder(), 'snippets/link'));
    for (const name of ['folder', 'link']) {
      const at = join(folder(), 'snippets', name);
      assert.deepEqual(await files().look(at), { isRunnable: false, isOurs: false, isCurrent: false });
    }
  });

  it('is removed, once', async () => {
    await files().put(path());
    await files().remove(path());
    await files().remove(path());
    assert.equal(await files().look(path()), null);
  });

  it('is not put without the package', async () => {
    const bare = snippetFiles(join(folder(), 'nothing'));
    await assert.rejects(bare.put(path()), refusedWith('NotFound', 'install the package ovs-port-agent'));
  });
});
