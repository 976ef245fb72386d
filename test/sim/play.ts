/** Many histories at once: each process plays its share and tells what it found. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Outcome } from './simulation.ts';

const run = promisify(execFile);
const outputBytesMax = 64 * 1024 * 1024;

export interface Found {
  /** Histories that broke a rule, in the order of their seeds. */
  readonly broken: readonly Pick<Outcome, 'seed' | 'violations'>[];
  readonly counts: Readonly<Record<string, number>>;
}

export interface Play {
  readonly firstSeed: number;
  readonly histories: number;
  readonly processes: number;
  /** A copy of this project to play instead. */
  readonly folder?: string;
}

export async function play({ firstSeed, histories, processes, folder }: Play): Promise<Found> {
  const script = folder === undefined ? fileURLToPath(new URL('run.ts', import.meta.url)) : `${folder}/test/sim/run.ts`;
  const share = Math.ceil(histories / processes);
  const shares = Array.from({ length: processes }, (_, index) => {
    const from = firstSeed + index * share;
    return [from, Math.min(share, firstSeed + histories - from)] as const;
  });
  const found = await Promise.all(
    shares
      .filter(([, count]) => count > 0)
      .map(async ([from, count]) => {
        const words = ['--import', 'tsx', script, '--json', String(from), String(count)];
        const { stdout } = await run(process.execPath, words, { maxBuffer: outputBytesMax, cwd: folder });
        return JSON.parse(stdout) as Found;
      }),
  );
  const counts: Record<string, number> = {};
  for (const part of found) {
    for (const [what, times] of Object.entries(part.counts)) counts[what] = (counts[what] ?? 0) + times;
  }
  return { broken: found.flatMap(({ broken }) => broken), counts };
}
