/**
 * A shell that waits for the word: starting a command costs what it costs a small process, less than it would cost this
 * one. So a rival that is made of commands has nothing to pay for the benchmark.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Later } from './cleanup.ts';
import { endProcess } from './end-process.ts';

export interface Shell {
  readonly pid: number;
  /** Runs commands to their end and answers how long that took, in milliseconds. Their output is dropped. */
  run(script: string): Promise<number>;
}

const scriptDeadlineMs = 120_000;

export function startShell(later: Later, env: NodeJS.ProcessEnv = process.env): Shell {
  const child = spawn('sh', { env, stdio: ['pipe', 'pipe', 'ignore'] });
  later(() => endProcess(child));
  const lines = createInterface({ input: child.stdout });
  return {
    pid: child.pid as number,
    async run(script) {
      const ended = once(lines, 'line', { signal: AbortSignal.timeout(scriptDeadlineMs) });
      const startedMs = performance.now();
      child.stdin.write(`{ ${script}\n} >/dev/null; echo done\n`);
      await ended;
      return performance.now() - startedMs;
    },
  };
}
