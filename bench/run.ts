/**
 * `npm run bench`: builds, takes every benchmark in a network namespace of its own, prints the table.
 * Exit code 0: every comparison is as its target wants it; 1: one is not; 2: could not be measured; 64: called wrongly.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { execa } from 'execa';
import { benchmarks } from './all.ts';
import { isFailure } from './benchmark.ts';
import type { BenchmarkResult } from './benchmark.ts';
import { messageOf } from './message.ts';
import { describeMachine, renderText, writeReport } from './report.ts';

const exitMet = 0;
const exitMissed = 1;
const exitNotMeasured = 2;
const exitUsage = 64;

const help = `Usage: npm run bench -- [--write | --quick] [benchmark ...]

Compares the agent with what a user would run instead, both in the same run, taking turns.
Needs root: it makes network devices, in a network namespace of its own. Leaves nothing behind.
The table goes to standard output, progress to standard error.

${benchmarks.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}

  --quick   few rounds: shows that all can be taken, its figures say nothing
  --write   put the figures of this run, and no others, into docs/benchmarks.md and docs/benchmarks.json
  --help    this text

Examples:
  npm run bench
  npm run bench -- hook commit
  npm run bench -- --write`;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  let chosen: Choice | 'help';
  try {
    chosen = choose(argv);
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n\n${help}\n`);
    return exitUsage;
  }
  if (chosen === 'help') {
    process.stdout.write(`${help}\n`);
    return exitMet;
  }
  try {
    const machine = describeMachine();
    const results = await measureInside(chosen);
    const report = { date: new Date().toISOString().slice(0, 10), machine, benchmarks: results };
    process.stdout.write(`${renderText(report)}\n`);
    if (chosen.write) await writeReport(report);
    return results.some(isFailure) ? exitMissed : exitMet;
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n`);
    return exitNotMeasured;
  }
}

interface Choice {
  readonly names: readonly string[];
  readonly write: boolean;
  readonly quick: boolean;
}

function choose(args: string[]): Choice | 'help' {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      write: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const all = benchmarks.map(({ name }) => name);
  const unknown = positionals.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`there is no benchmark ${unknown.join(', ')}`);
  if (values.write && values.quick) throw new Error('--write is for figures of a full run');
  const { write, quick } = values;
  return { names: positionals.length === 0 ? all : positionals, write, quick };
}

async function measureInside({ names, quick }: Choice): Promise<BenchmarkResult[]> {
  if (process.getuid?.() !== 0) throw new Error('needs root, for a network namespace of its own');
  await execa(process.execPath, ['scripts/build.mjs'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const folder = await mkdtemp(join(tmpdir(), 'bench-run-'));
  try {
    const outfile = join(folder, 'inside.mjs');
    await bundle('bench/inside.ts', outfile);
    await bundle('bench/ledger-child.ts', join(folder, 'ledger-child.mjs'));
    const results: BenchmarkResult[] = [];
    const child = spawn('unshare', ['--net', process.execPath, outfile, ...(quick ? ['--quick'] : []), ...names], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    child.on('message', (result) => results.push(result as BenchmarkResult));
    const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
    process.on('SIGTERM', (signal) => {
      child.kill(signal);
    });
    // A terminal sends it to both.
    process.on('SIGINT', () => undefined);
    const [[code]] = (await ended) as [[number | null], unknown];
    if (code !== 0 || results.length < names.length) throw new Error('not everything could be measured');
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Like the product: what a loader adds for debugging would be measured as the agent's own. */
async function bundle(entry: string, outfile: string): Promise<void> {
  await build({
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    entryPoints: [entry],
    outfile,
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: 'error',
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  });
}
