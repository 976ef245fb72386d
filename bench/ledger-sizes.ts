/** Verification, starts and queries of ledgers from a thousand blocks to a million. */
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { writeLedger } from './bench-ledger.ts';
import { informationOf, resultOf } from './benchmark.ts';
import type { BenchmarkContext, BenchmarkResult, Grid, Information, Unit } from './benchmark.ts';
import type { Later } from './cleanup.ts';
import type { LedgerFigures } from './ledger-child.ts';
import { growthExponent, median } from './measure.ts';
import type { Side } from './measure.ts';
import { takeTurns } from './rounds.ts';

const sizes = [1_000, 10_000, 100_000, 1_000_000];
const quickSizes = [1_000, 10_000];
const rounds = 5;
const warmUpRounds = 0;
const verifyRatioMax = 5;
const startWithMaxMs = 1_000;
const startWithoutMaxMs = 10_000;
const queryMaxMs = 10;

export async function measureSizes(later: Later, context: BenchmarkContext): Promise<BenchmarkResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-ledger-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const all: Sized[] = [];
  for (const blocks of context.isQuick ? quickSizes : sizes) {
    context.progress(`${blocks} blocks are written`);
    all.push(await prepare(join(folder, String(blocks)), blocks));
  }
  await takeTurns(all.flatMap(sidesOf), { rounds, warmUpRounds }, context);
  const largest = all.at(-1);
  if (largest === undefined) throw new Error('no ledger was measured');
  return results(largest, all);
}

/** A ledger of one size, and what was measured of it. */
interface Sized {
  readonly blocks: number;
  readonly folder: string;
  readonly bytes: number;
  readonly verifyMs: number[];
  readonly withCheckpointMs: number[];
  readonly sha256sumMs: number[];
  readonly startWithMs: number[];
  readonly startWithoutMs: number[];
  readonly rssWithMb: number[];
  readonly rssWithoutMb: number[];
  readonly p99Ms: LedgerFigures['p99Ms'][];
}

async function prepare(folder: string, blocks: number): Promise<Sized> {
  await mkdir(folder);
  const path = join(folder, 'ledger.jsonl');
  await writeLedger(path, blocks);
  // Its checkpoint, tiles and index; every later start finds them.
  await runChild(folder);
  const none = { verifyMs: [], withCheckpointMs: [], sha256sumMs: [], startWithMs: [], startWithoutMs: [] };
  return { blocks, folder, bytes: (await stat(path)).size, ...none, rssWithMb: [], rssWithoutMb: [], p99Ms: [] };
}

function sidesOf(sized: Sized): Side[] {
  const { folder } = sized;
  const file = join(folder, 'ledger.jsonl');
  const program = 'dist/ovs-port-agent.mjs';
  return [
    timed('verify', sized.verifyMs, [process.execPath, program, 'ledger', 'verify', file]),
    timed('sha256sum', sized.sha256sumMs, ['sha256sum', file]),
    timed('with checkpoint', sized.withCheckpointMs, [
      ...[process.execPath, program, 'ledger', 'verify', file],
      ...['--checkpoint', join(folder, 'checkpoint')],
    ]),
    {
      name: 'start without index',
      async sample() {
        await rm(join(folder, 'index'), { recursive: true, force: true });
        const { openMs, rssMb } = await runChild(folder);
        sized.startWithoutMs.push(openMs);
        sized.rssWithoutMb.push(rssMb);
        return openMs;
      },
    },
    {
      name: 'start with index',
      async sample() {
        const { openMs, rssMb, p99Ms } = await runChild(folder, 'queries');
        sized.startWithMs.push(openMs);
        sized.rssWithMb.push(rssMb);
        sized.p99Ms.push(p99Ms);
        return openMs;
      },
    },
  ];
}

/** A command from its start to its end. */
function timed(name: string, samples: number[], [command = '', ...words]: string[]): Side {
  return {
    name,
    async sample() {
      const startedMs = performance.now();
      await execa(command, words);
      const elapsedMs = performance.now() - startedMs;
      samples.push(elapsedMs);
      return elapsedMs;
    },
  };
}

async function runChild(folder: string, ...words: string[]): Promise<LedgerFigures> {
  // Beside the bundle of this program, made by run.ts.
  const program = join(dirname(process.argv[1] ?? ''), 'ledger-child.mjs');
  const { stdout } = await execa(process.execPath, [program, folder, ...words]);
  return JSON.parse(stdout) as LedgerFigures;
}

function results(sized: Sized, all: readonly Sized[]): BenchmarkResult[] {
  const { blocks, bytes, verifyMs, withCheckpointMs, sha256sumMs, startWithMs, startWithoutMs } = sized;
  const name = blocks.toLocaleString('en');
  const ledger = `a ledger of ${name} blocks, ${(bytes / 1e6).toFixed(0)} MB`;
  const common = { unit: 'ms', warmUpRounds, rival: null } as const;
  const keys = Object.keys(sized.p99Ms[0] ?? {});
  const p99Of = (key: string): number[] => sized.p99Ms.map((figures) => figures[key] ?? 0);
  return [
    resultOf({
      ...common,
      name: 'ledger-verify',
      clock: 'end to end',
      subject: { what: `\`ovs-port-agent ledger verify\` of ${ledger}`, samples: verifyMs },
      rival: { what: '`sha256sum` of the same file', samples: sha256sumMs },
      target: { kind: 'ratio', atMost: verifyRatioMax },
      information: [
        informationOf(`the same against a checkpoint over all blocks`, 'end to end', 'ms', withCheckpointMs),
        ...exponents(all),
      ],
      grids: grids(all),
    }),
    resultOf({
      ...common,
      name: 'ledger-start',
      clock: 'end to end',
      subject: { what: `\`Ledger.open\` of ${ledger}, its index there`, samples: startWithMs },
      target: { kind: 'time', atMost: startWithMaxMs },
      information: [
        informationOf(
          `RSS of a process with that ledger alone, after queries by every key`,
          'resident',
          'MB',
          sized.rssWithMb,
        ),
      ],
    }),
    resultOf({
      ...common,
      name: 'ledger-rebuild',
      clock: 'end to end',
      subject: { what: `the same without an index, which is made meanwhile`, samples: startWithoutMs },
      target: { kind: 'time', atMost: startWithoutMaxMs },
      information: [informationOf('RSS of the process after that', 'resident', 'MB', sized.rssWithoutMb)],
    }),
    resultOf({
      ...common,
      name: 'ledger-query',
      clock: 'end to end',
      subject: {
        what: `p99 of 200 queries by the slowest of ${keys.length} keys, ${ledger}`,
        samples: sized.p99Ms.map((figures) => Math.max(...Object.values(figures))),
      },
      target: { kind: 'time', atMost: queryMaxMs },
      information: keys.map((key) => informationOf(`p99 of queries: ${key}`, 'end to end', 'ms', p99Of(key))),
    }),
  ];
}

const growing: readonly (readonly [name: string, unit: Unit, figure: (sized: Sized) => readonly number[]])[] = [
  ['verify', 'ms', ({ verifyMs }) => verifyMs],
  ['sha256sum', 'ms', ({ sha256sumMs }) => sha256sumMs],
  ['start with index', 'ms', ({ startWithMs }) => startWithMs],
  ['start without', 'ms', ({ startWithoutMs }) => startWithoutMs],
  ['p99 of the slowest query', 'ms', ({ p99Ms }) => p99Ms.map((figures) => Math.max(...Object.values(figures)))],
  ['RSS after queries', 'MB', ({ rssWithMb }) => rssWithMb],
];

/** The figures of every size, times and memory apart. */
function grids(all: readonly Sized[]): Grid[] {
  return (['ms', 'MB'] as const).map((unit) => {
    const columns = growing.filter(([, each]) => each === unit);
    return {
      title: unit === 'ms' ? 'ledgers of every size' : 'memory of a process with one ledger',
      clock: unit === 'ms' ? 'end to end' : 'resident',
      unit,
      header: ['blocks', ...columns.map(([name]) => name)],
      rows: all.map((sized) => ({
        label: sized.blocks.toLocaleString('en'),
        figures: columns.map(([, , figure]) => median(figure(sized))),
      })),
    };
  });
}

/** 0: the same at every size; 1: ten times the blocks, ten times the figure. */
function exponents(all: readonly Sized[]): Information[] {
  return growing.map(([name, , figure]) => {
    const points = all.map((sized) => [sized.blocks, median(figure(sized))] as const);
    return informationOf(`exponent of growth: ${name}`, 'end to end', '', [growthExponent(points)]);
  });
}
