import assert from 'node:assert/strict';
import { appendFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { watchFiles } from '../../src/platform/file-watch.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const intervalMs = 10;

describe('the watch on files', () => {
  const folder = temporaryFolder();
  let path: string;
  let changes: number;
  let lastChangeMs: number;
  let unwatch: () => void;

  beforeEach(async () => {
    path = join(folder(), 'interfaces');
    await writeFile(path, 'auto lo\n');
    changes = 0;
    const onChange = (): void => {
      changes++;
      lastChangeMs = performance.now();
    };
    unwatch = watchFiles([path, `${path}.new`], onChange, { intervalMs });
    // Its first look only remembers.
    await waitFor('the watch to see', async () => {
      await appendFile(path, '#\n');
      return changes > 0;
    });
    await waitFor('the watch to have seen it all', () => performance.now() - lastChangeMs > 20 * intervalMs);
    changes = 0;
  });
  afterEach(() => {
    unwatch();
  });

  const ways: Record<string, () => Promise<void>> = {
    'written in place': () => appendFile(path, '# by hand\n'),
    removed: () => rm(path),
    'replaced by another': async () => {
      await writeFile(`${path}.tmp`, 'auto lo\n');
      await rename(`${path}.tmp`, path);
    },
    made: () => writeFile(`${path}.new`, ''),
  };
  for (const [way, act] of Object.entries(ways)) {
    it(`tells of a file that was ${way}`, async () => {
      await act();
      await waitFor('the change to be told', () => changes > 0);
    });
  }

  it('tells nothing of files that stay, and nothing once it has ended', async () => {
    unwatch();
    let others = 0;
    const end = watchFiles([path], () => others++, { intervalMs });
    await waitFor('another watch to see', async () => {
      await appendFile(path, '#\n');
      return others > 0;
    });
    end();
    assert.equal(changes, 0);
  });
});
