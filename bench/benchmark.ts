/** What a benchmark is and what it answers. */
import { differenceOf, median, ratioOf, summarise } from './measure.ts';
import type { Comparison, Summary } from './measure.ts';

export interface Benchmark {
  readonly name: string;
  /** For `--help`. */
  readonly about: string;
  /** Several results were taken in the same run; their names begin with the benchmark's. */
  readonly run: (context: BenchmarkContext) => Promise<BenchmarkResult | readonly BenchmarkResult[]>;
}

export interface BenchmarkContext {
  readonly signal: AbortSignal;
  /** Few rounds: only to see that it can be taken. */
  readonly isQuick: boolean;
  /** One short line for who waits. */
  readonly progress: (what: string) => void;
}

/** What a figure's clock stands for; docs/benchmarks.md explains each. */
export type Clock = 'committed' | 'applied' | 'end to end' | 'seen' | 'resident';
/** Empty for a bare number. */
export type Unit = 'ms' | 'MB' | '%' | '';

export interface BenchmarkResult {
  readonly name: string;
  readonly clock: Clock;
  readonly unit: Unit;
  readonly warmUpRounds: number;
  readonly subject: Measured;
  /** null where nobody else does the job. */
  readonly rival: Measured | null;
  readonly target: Target;
  /** Figures without a target, taken in the same run. */
  readonly information: readonly Information[];
  readonly grids: readonly Grid[];
}

interface Measured extends Summary {
  readonly what: string;
}

/**
 * `ratio`: the subject takes at most so many times as much as the rival; `speed-up`: the rival takes at least so many
 * times as much as the subject; `difference`: the subject takes at most so much more; `time`: the subject takes at most so
 * much, which depends on the machine, so that missing it is said and is no failure.
 */
export type Goal =
  | { readonly kind: 'ratio' | 'difference' | 'time'; readonly atMost: number }
  | { readonly kind: 'speed-up'; readonly atLeast: number };

export interface Target {
  readonly goal: Goal;
  /** As the goal's kind compares; of a `time` how many times faster than the rival. null without a rival. */
  readonly comparison: Comparison | null;
  readonly met: boolean;
}

export interface Information {
  readonly what: string;
  readonly clock: Clock | 'CPU time';
  readonly unit: Unit;
  readonly median: number;
  /** Only where there are enough samples for it. */
  readonly p99?: number;
}

/** Figures side by side that were taken in the same rounds. */
export interface Grid {
  readonly title: string;
  readonly clock: Information['clock'];
  readonly unit: Unit;
  /** The first one heads the column of labels. */
  readonly header: readonly string[];
  /** null where nothing was taken. */
  readonly rows: readonly { readonly label: string; readonly figures: readonly (number | null)[] }[];
}

export interface ResultInput {
  readonly name: string;
  readonly clock: Clock;
  readonly unit: Unit;
  readonly warmUpRounds: number;
  readonly subject: { what: string; samples: readonly number[] };
  /** Taken in the same rounds; only a `time` does without. */
  readonly rival: { what: string; samples: readonly number[] } | null;
  readonly target: Goal;
  readonly information?: readonly Information[];
  readonly grids?: readonly Grid[];
}

export function resultOf({
  subject,
  rival,
  target: goal,
  information = [],
  grids = [],
  ...rest
}: ResultInput): BenchmarkResult {
  const comparison = rival === null ? null : compare(goal, subject.samples, rival.samples);
  const figure = goal.kind === 'time' ? median(subject.samples) : comparison?.ofMedians;
  if (figure === undefined) throw new Error(`${rest.name} has nothing to be compared with`);
  return {
    ...rest,
    subject: { what: subject.what, ...summarise(subject.samples) },
    rival: rival === null ? null : { what: rival.what, ...summarise(rival.samples) },
    target: { goal, comparison, met: goal.kind === 'speed-up' ? figure >= goal.atLeast : figure <= goal.atMost },
    information,
    grids,
  };
}

function compare({ kind }: Goal, subject: readonly number[], rival: readonly number[]): Comparison {
  switch (kind) {
    case 'ratio':
      return ratioOf(subject, rival);
    case 'difference':
      return differenceOf(subject, rival);
    case 'speed-up':
    case 'time':
      return ratioOf(rival, subject);
  }
}

/** Whether a missed target is a failure. */
export function isFailure({ target: { goal, met } }: BenchmarkResult): boolean {
  return !met && goal.kind !== 'time';
}

export function informationOf(
  what: string,
  clock: Information['clock'],
  unit: Unit,
  samples: readonly number[],
): Information {
  const { p99, count } = summarise(samples);
  return { what, clock, unit, median: median(samples), ...(count >= 20 ? { p99 } : {}) };
}
