/** A command as its caller sees it: from starting it until it has ended and nobody holds its output any more. */
import { spawnSync } from 'node:child_process';
import type { Side } from './measure.ts';

export interface CommandSide {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  /** What it must have printed; a command that does something else is no rival. */
  readonly prints: RegExp;
}

const commandDeadlineMs = 10_000;

export function commandSide({ name, argv: [file, ...args], env, prints }: CommandSide): Side {
  return {
    name,
    sample() {
      const startedMs = performance.now();
      // Synchronous: the benchmark does nothing meanwhile that could cost either side time.
      const { status, stdout, stderr, error } = spawnSync(file, args, {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        encoding: 'utf8',
        timeout: commandDeadlineMs,
      });
      const elapsedMs = performance.now() - startedMs;
      if (error !== undefined) throw error;
      if (status !== 0 || !prints.test(stdout)) {
        throw new Error(`${name} ended with ${status ?? 'a signal'} and printed ${JSON.stringify(stdout + stderr)}`);
      }
      return elapsedMs;
    },
  };
}
