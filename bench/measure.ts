/** Rounds that take turns, and what their samples say. Knows nothing of what is measured. */

/** One way of doing the job. `sample` does it once and answers its figure (milliseconds, bytes). */
export interface Side {
  readonly name: string;
  /** Takes part in every so many rounds only, beginning with the first, and in none to warm up; a slow one does. */
  readonly every?: number;
  sample(round: number): Promise<number> | number;
}

export interface InterleaveOptions {
  readonly rounds: number;
  /** Rounds before these, whose samples are thrown away. */
  readonly warmUpRounds: number;
  /** After each sample, so that what one side leaves behind is not paid for by the next. */
  readonly rest: () => Promise<void>;
  readonly onRound?: (round: number) => void;
  readonly signal: AbortSignal;
}

/** One sample of each side in each round: A B A B ... Answers the samples of each side, in the order of `sides`. */
export async function interleave(sides: readonly Side[], options: InterleaveOptions): Promise<number[][]> {
  const samples = sides.map((): number[] => []);
  for (let round = -options.warmUpRounds; round < options.rounds; round++) {
    if (round >= 0) options.onRound?.(round);
    for (const [index, side] of sides.entries()) {
      options.signal.throwIfAborted();
      if (side.every !== undefined && (round < 0 || round % side.every !== 0)) continue;
      const figure = await side.sample(round);
      if (round >= 0) samples[index]?.push(figure);
      await options.rest();
    }
  }
  return samples;
}

/** Of samples of every round, those of the rounds in which a slower side took part too. */
export function inRoundsOf(every: number, samples: readonly number[]): number[] {
  return samples.filter((_, round) => round % every === 0);
}

export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly median: number;
  /** By nearest rank: with fewer than 100 samples the largest of them. */
  readonly p99: number;
  readonly max: number;
}

export function summarise(samples: readonly number[]): Summary {
  return {
    count: samples.length,
    min: quantile(samples, 0),
    median: median(samples),
    p99: quantile(samples, 0.99),
    max: quantile(samples, 1),
  };
}

/** The first of two sides against the second. */
export interface Comparison {
  readonly ofMedians: number;
  /** Each round's two samples compared, and the median of that. */
  readonly pairByPair: number;
}

/** How many times as much the first takes as the second. Both were taken in the same rounds. */
export function ratioOf(subject: readonly number[], rival: readonly number[]): Comparison {
  return {
    ofMedians: median(subject) / median(rival),
    pairByPair: median(pairs(subject, rival).map(([a, b]) => a / b)),
  };
}

/** How much more the first takes than the second. Both were taken in the same rounds. */
export function differenceOf(subject: readonly number[], rival: readonly number[]): Comparison {
  return {
    ofMedians: median(subject) - median(rival),
    pairByPair: median(pairs(subject, rival).map(([a, b]) => a - b)),
  };
}

/** The mean of the two in the middle when there is no middle one. */
export function median(samples: readonly number[]): number {
  const sorted = sortedOrThrow(samples);
  const upper = sorted[Math.floor(sorted.length / 2)] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[sorted.length / 2 - 1] as number) + upper) / 2;
}

/** The smallest sample that at least `share` (0 to 1) of all samples do not exceed. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = sortedOrThrow(samples);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

/** The power of the size with which the figures grow, by least squares of their logarithms: 1 is linear. */
export function growthExponent(points: readonly (readonly [size: number, figure: number])[]): number {
  const logarithms = points.map(([size, figure]) => [Math.log(size), Math.log(figure)] as const);
  const mean = (index: 0 | 1): number => logarithms.reduce((sum, each) => sum + each[index], 0) / points.length;
  const [meanSize, meanFigure] = [mean(0), mean(1)];
  let covariance = 0;
  let variance = 0;
  for (const [size, figure] of logarithms) {
    covariance += (size - meanSize) * (figure - meanFigure);
    variance += (size - meanSize) ** 2;
  }
  if (!(variance > 0)) throw new RangeError('growth shows only between different sizes');
  return covariance / variance;
}

function sortedOrThrow(samples: readonly number[]): number[] {
  if (samples.length === 0) throw new RangeError('no samples, so nothing can be said about them');
  if (samples.some((sample) => !Number.isFinite(sample))) throw new RangeError('a sample is not a finite number');
  return [...samples].sort((a, b) => a - b);
}

function pairs(subject: readonly number[], rival: readonly number[]): [number, number][] {
  if (subject.length !== rival.length) {
    throw new RangeError(`${subject.length} and ${rival.length} samples were not taken in the same rounds`);
  }
  return subject.map((sample, index) => [sample, rival[index] as number]);
}
