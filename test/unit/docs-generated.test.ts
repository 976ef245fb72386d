/** What scripts/generate-docs.mjs writes is committed as it writes it. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');
const generated = ['README.md', 'docs/api.md'] as const;
const deadlineMs = 9_000;

describe('the generated documents', () => {
  const folder = temporaryFolder();

  beforeEach(() => {
    mkdirSync(join(folder(), 'docs'));
    for (const file of generated) cpSync(join(root, file), join(folder(), file));
  });

  const generate = (...args: string[]) =>
    execa(
      process.execPath,
      ['--import', fileURLToPath(import.meta.resolve('tsx')), join(root, 'scripts/generate-docs.mjs'), ...args],
      { cwd: folder(), reject: false, timeout: deadlineMs },
    );
  const edit = (file: string, from: string, to: string): void => {
    const text = readFileSync(join(folder(), file), 'utf8');
    assert.ok(text.includes(from), `${file} has no ${from}`);
    writeFileSync(join(folder(), file), text.replace(from, to));
  };

  it('are up to date', async () => {
    const { exitCode, stdout, stderr } = await generate('--check');
    assert.deepEqual([exitCode, stdout, stderr], [0, '', '']);
  });

  it('are found out when they are not, and written anew', async () => {
    edit('README.md', '`debounce_ms`', '`debounce_s`');
    edit('docs/api.md', '`NotifyLifecycle`', '`NotifyLife`');
    const check = await generate('--check');
    assert.equal(check.exitCode, 1);
    assert.deepEqual(
      check.stdout.split('\n'),
      generated.map((file) => `${file} is not up to date: run \`npm run docs\``),
    );
    await generate();
    for (const file of generated) {
      assert.equal(readFileSync(join(folder(), file), 'utf8'), readFileSync(join(root, file), 'utf8'));
    }
  });
});
