// Writes manual pages and completion scripts, which follow from the sources, into a folder: dist/, or the one named.
// Runs under tsx, as a part of `npm run build`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeCommand } from '../src/cli/command-tree.ts';
import { completionScript, shells } from '../src/cli/completion/script.ts';
import { buildProgram } from '../src/cli/program.ts';
import { resourceTable } from '../src/resources/table.ts';
import { manPages } from './man-pages.mjs';
import { sourceDateEpoch } from './source-date.mjs';

const folder = process.argv[2] ?? 'dist';
for (const name of ['man', 'completions']) mkdirSync(join(folder, name), { recursive: true });
const program = describeCommand(buildProgram({ version: '' }, () => {}));
for (const [name, page] of manPages(program, new Date(sourceDateEpoch() * 1000)))
  writeFileSync(join(folder, 'man', name), page);
for (const shell of shells) {
  writeFileSync(join(folder, 'completions', shell), completionScript(shell, program, resourceTable));
}
