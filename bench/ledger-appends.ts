/** Durable appends of 1, 10 and 100 writers, against SQLite on the same disk. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SignerKey } from '../src/ledger/tlog/key.ts';
import { draftOf, openBenchLedger } from './bench-ledger.ts';
import { resultOf } from './benchmark.ts';
import type { BenchmarkContext, BenchmarkResult } from './benchmark.ts';
import type { Later } from './cleanup.ts';
import { endProcess } from './end-process.ts';
import type { Side } from './measure.ts';
import { takeTurns } from './rounds.ts';

const writers = [1, 10, 100] as const;
const rounds = 40;
const warmUpRounds = 5;
/** Each writer's appends in a sample. */
const appendsEach = 20;
const speedUpMin = 20;
/** About what `draftOf` makes of one block. */
const lineBytes = 520;

export async function measureAppends(later: Later, context: BenchmarkContext): Promise<BenchmarkResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-appends-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const ours = await ledgerAppender(later, folder);
  const theirs = await sqliteAppender(later, join(folder, 'sqlite.db'));
  const sides = writers.flatMap((count): Side[] => [
    { name: `ledger ${count}`, sample: () => ours(count) },
    { name: `SQLite ${count}`, sample: () => theirs(count) },
  ]);
  const samples = await takeTurns(sides, { rounds, warmUpRounds }, context);
  const samplesOf = (index: number, side: 0 | 1): number[] => samples[2 * index + side] ?? [];
  const what = (count: number): string => `one of ${count * appendsEach} durable appends by ${count} writers`;
  return [
    ...writers.map((count, index) =>
      resultOf({
        name: `ledger-append-${count}`,
        clock: 'committed',
        unit: 'ms',
        warmUpRounds,
        subject: { what: `${what(count)}, \`Ledger.append\``, samples: samplesOf(index, 0) },
        rival: {
          what: 'the same in SQLite, WAL mode, `synchronous=FULL`, on the same disk',
          samples: samplesOf(index, 1),
        },
        target: { kind: 'ratio', atMost: 1 },
      }),
    ),
    resultOf({
      name: 'ledger-append-sharing',
      clock: 'committed',
      unit: 'ms',
      warmUpRounds,
      subject: { what: what(writers[2]), samples: samplesOf(2, 0) },
      rival: { what: what(writers[0]), samples: samplesOf(0, 0) },
      target: { kind: 'speed-up', atLeast: speedUpMin },
    }),
  ];
}

/** Milliseconds per append. */
type Appender = (writers: number) => Promise<number>;

async function ledgerAppender(later: Later, folder: string): Promise<Appender> {
  const ledger = await openBenchLedger(folder, SignerKey.generate('bench/bench/ovs-port-agent'));
  later(() => ledger.close());
  let at = 0;
  const write = async (): Promise<void> => {
    for (let append = 0; append < appendsEach; append++) await ledger.append(draftOf(at++));
  };
  return async (count) => {
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: count }, write));
    return (performance.now() - startedMs) / (count * appendsEach);
  };
}

async function sqliteAppender(later: Later, path: string): Promise<Appender> {
  const child = spawn('python3', ['bench/sqlite-appends.py', path], { stdio: ['pipe', 'pipe', 'inherit'] });
  later(() => endProcess(child));
  const ended = once(child, 'exit').then(() => null);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await Promise.race([lines.next(), ended]);
    if (line === null || line.done === true) throw new Error('sqlite-appends.py ended');
    return line.value;
  };
  await next();
  return async (count) => {
    child.stdin.write(`${count} ${appendsEach} ${lineBytes}\n`);
    return Number(await next()) / (count * appendsEach);
  };
}
