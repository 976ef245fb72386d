/** The programs of docs/ovsdb.md, run one after another on one switch, print what the page says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { codeBlocks } from '../support/markdown.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';

const root = join(import.meta.dirname, '../..');
const blocks = codeBlocks(readFileSync(join(root, 'docs/ovsdb.md'), 'utf8')).filter(({ language }) =>
  ['ts', 'text'].includes(language),
);
const run = promisify(execFile);

describe('docs/ovsdb.md', () => {
  let ovs: PrivateSwitch;
  before(async () => {
    ovs = await startPrivateSwitch({ vswitchd: false });
    await ovs.vsctl('--no-wait', 'add-br', 'br0', '--', 'add-port', 'br0', 'p1', 'tag=10');
  });
  after(() => ovs.stop());

  for (const [index, { language, lines, line }] of blocks.entries()) {
    if (language !== 'ts') continue;
    it(`runs the program of line ${line}`, async () => {
      const expected = blocks[index + 1];
      assert.equal(expected?.language, 'text', 'a program is followed by what it prints');
      const path = join(ovs.folder, `example-${line}.mts`);
      const sources = pathToFileURL(join(root, 'src/')).href;
      await writeFile(path, lines.join('\n').replaceAll("'../src/", `'${sources}`));
      const { stdout } = await run(process.execPath, ['--import', 'tsx', path, ovs.endpoint], {
        cwd: root,
        timeout: 9000,
      });
      assert.deepEqual(sorted(stdout.trimEnd().split('\n')), sorted(expected.lines));
    });
  }

  it('has programs', () => {
    assert.ok(blocks.filter(({ language }) => language === 'ts').length >= 3);
  });
});

/** The rows of a table have no order; what is said before and after them has. */
function sorted(lines: readonly string[]): string[] {
  return [...lines].sort();
}
