/** Rounds of a benchmark: how many, how long each side rests, and who hears of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchmarkContext } from './benchmark.ts';
import { interleave } from './measure.ts';
import type { Side } from './measure.ts';

export interface Rounds {
  readonly rounds: number;
  /** Rounds before these, whose samples are thrown away. */
  readonly warmUpRounds: number;
  /** After each sample; what a side must wait for before the next may begin, it waits for itself. */
  readonly restMs?: number;
}

const quickRounds = 2;

/** The samples of each side, in the order of `sides`. */
export function takeTurns(
  sides: readonly Side[],
  { rounds, warmUpRounds, restMs = 0 }: Rounds,
  { signal, progress, isQuick }: BenchmarkContext,
): Promise<number[][]> {
  const taken = isQuick ? Math.min(rounds, quickRounds) : rounds;
  return interleave(sides, {
    rounds: taken,
    warmUpRounds: isQuick ? 0 : warmUpRounds,
    rest: () => (restMs === 0 ? Promise.resolve() : sleep(restMs)),
    onRound: (round) => {
      progress(`round ${round + 1} of ${taken}`);
    },
    signal,
  });
}
