/**
 * What runs of the deep tier did: a row for each of its tests in `docs/deep-run.json`, and the page `docs/deep-run.md` made of them.
 * Nothing is written without `DEEP_REPORT`: with `all`, as `scripts/test.sh deep` sets it, the page begins anew, and with `1` a test
 * that runs alone renews its own row.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';

interface Section {
  readonly title: string;
  readonly text: string;
  /** The first is of the names of rows. */
  readonly columns: readonly string[];
}

/** In the order of the page. */
const sections = {
  mutation: {
    title: 'Mutation scores',
    text:
      'A fault is put into a source, and a unit test of its module has to notice it: by failing, or by never ending. Of the ' +
      'faults that [Stryker](https://stryker-mutator.io) knows how to make, a seed draws the share that is tried.',
    columns: ['Module', 'Share', 'Seed', 'Tried', 'Noticed', 'Without end', 'Score', 'Target'],
  },
  calls: {
    title: 'Faults at system calls',
    text:
      'A process works on real files under strace. One of its system calls about them is its last, or fails with EIO; the ' +
      'next run takes the next call. What is left is old or new, the ledger verifies, and both go on from there.',
    columns: ['Work and fault', 'System calls'],
  },
  simulator: {
    title: 'Simulator',
    text: 'Histories of a host that nobody wrote down, one for each seed.',
    columns: ['What', 'First seed', 'Broke a rule', 'Transactions committed', 'Kills of the agent'],
  },
  soak: {
    title: 'Soak',
    text: 'The service with 200 guests that restart, time and again, and a port that somebody deletes; its RSS.',
    columns: ['What', 'After a quarter of them', 'At the end'],
  },
} satisfies Record<string, Section>;

type Cell = string | number;

interface Row {
  readonly name: string;
  readonly cells: readonly Cell[];
  /** Day, UTC. */
  readonly date: string;
  readonly seconds: number;
  /** Processes that wanted a processor in its last minute, and processors that there were. */
  readonly load: number;
  readonly processors: number;
}

type Rows = Partial<Record<keyof typeof sections, readonly Row[]>>;

const folder = join(import.meta.dirname, '../../docs');
const told: (Pick<Row, 'name' | 'cells' | 'seconds'> & { readonly section: keyof typeof sections })[] = [];

/** `startedMs` by `performance.now()`. */
export function report(section: keyof typeof sections, name: string, startedMs: number, ...cells: Cell[]): void {
  told.push({ section, name, cells, seconds: Math.round((performance.now() - startedMs) / 1000) });
}

/** Outside of every suite: runs when all of them are done. */
after(async () => {
  const mode = process.env['DEEP_REPORT'];
  if (mode === undefined || told.length === 0) return;
  const data = join(folder, 'deep-run.json');
  const rows: Rows = mode === 'all' ? {} : (JSON.parse(await readFile(data, 'utf8').catch(() => '{}')) as Rows);
  const machine = { date: new Date().toISOString().slice(0, 10), load: Math.round(loadavg()[0] ?? 0), processors: availableParallelism() }; // prettier-ignore
  for (const { section, ...row } of told) {
    const others = (rows[section] ?? []).filter(({ name }) => name !== row.name);
    rows[section] = [...others, { ...row, ...machine }].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  await write(data, JSON.stringify(rows));
  await write(join(folder, 'deep-run.md'), page(rows));
});

async function write(file: string, text: string): Promise<void> {
  await writeFile(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
}

function page(rows: Rows): string {
  const parts = Object.entries<Section>(sections).flatMap(([section, { title, text, columns }]) => {
    const ran = rows[section as keyof typeof sections];
    if (ran === undefined) return [];
    const header = [...columns, 'Day', 'Seconds', 'Load'];
    const body = ran.map(({ name, cells, date, seconds, load, processors }) => [
      name,
      ...cells,
      date,
      seconds,
      `${load} on ${processors}`,
    ]);
    const table = [header, header.map(() => '---'), ...body];
    return `## ${title}\n\n${text}\n\n${table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
  });
  return `# The last deep run

Written by \`scripts/test.sh deep\`. [CONTRIBUTING.md](../CONTRIBUTING.md#the-deep-tier) says how to look at what it finds. _Load_ is how
many processes wanted a processor in the last minute of a row, and how many processors there were.

${parts.join('\n')}`;
}
