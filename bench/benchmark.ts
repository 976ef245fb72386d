/** What a benchmark is and what it answers. */
import { differenceOf, ratioOf, summarise } from './measure.ts';
import type { Comparison, Summary } from './measure.ts';

export interface Benchmark {
  readonly name: string;
  /** For `--help`. */
  readonly about: string;
  readonly run: (context: BenchmarkContext) => Promise<BenchmarkResult>;
}

export interface BenchmarkContext {
  readonly signal: AbortSignal;
  /** One short line for who waits. */
  readonly progress: (what: string) => void;
}

/** What a figure's clock stands for; docs/benchmarks.md explains each. */
export type Clock = 'committed' | 'applied' | 'end to end' | 'resident';
export type Unit = 'ms' | 'MB' | '%';

export interface BenchmarkResult {
  readonly name: string;
  readonly clock: Clock;
  readonly unit: Unit;
  readonly warmUpRounds: number;
  readonly subject: Measured;
  readonly rival: Measured;
  readonly target: Target;
  /** Figures without a target, taken in the same run. */
  readonly information: readonly Information[];
}

interface Measured extends Summary {
  readonly what: string;
}

export interface Target extends Comparison {
  readonly kind: 'ratio' | 'difference';
  /** `ofMedians` must not be larger. */
  readonly atMost: number;
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

export interface ResultInput {
  readonly name: string;
  readonly clock: Clock;
  readonly unit: Unit;
  readonly warmUpRounds: number;
  readonly subject: { what: string; samples: readonly number[] };
  readonly rival: { what: string; samples: readonly number[] };
  readonly target: Pick<Target, 'kind' | 'atMost'>;
  readonly information: readonly Information[];
}

export function resultOf({ subject, rival, target, ...rest }: ResultInput): BenchmarkResult {
  const compare = target.kind === 'ratio' ? ratioOf : differenceOf;
  const comparison = compare(subject.samples, rival.samples);
  return {
    ...rest,
    subject: { what: subject.what, ...summarise(subject.samples) },
    rival: { what: rival.what, ...summarise(rival.samples) },
    target: { ...target, ...comparison, met: comparison.ofMedians <= target.atMost },
  };
}

export function informationOf(
  what: string,
  clock: Information['clock'],
  unit: Unit,
  samples: readonly number[],
): Information {
  const { median, p99, count } = summarise(samples);
  return { what, clock, unit, median, ...(count >= 20 ? { p99 } : {}) };
}
