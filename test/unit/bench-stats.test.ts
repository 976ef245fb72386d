import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isFailure, resultOf } from '../../bench/benchmark.ts';
import type { Goal, ResultInput } from '../../bench/benchmark.ts';
import {
  differenceOf,
  growthExponent,
  inRoundsOf,
  interleave,
  median,
  quantile,
  ratioOf,
  summarise,
} from '../../bench/measure.ts';

const someSamples = fc.array(fc.integer({ min: -1_000_000, max: 1_000_000 }), { minLength: 1, maxLength: 300 });
const rested = () => Promise.resolve();

describe('the figures of a benchmark', () => {
  it('have the middle sample as median, or the mean of the two in the middle', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([7]), 7);
  });

  it('have at least half of the samples on either side of the median', () => {
    fc.assert(
      fc.property(someSamples, (samples) => {
        const middle = median(samples);
        assert.ok(samples.filter((sample) => sample <= middle).length * 2 >= samples.length);
        assert.ok(samples.filter((sample) => sample >= middle).length * 2 >= samples.length);
      }),
    );
  });

  it('have the 99th of 100 samples as p99, and the largest of fewer', () => {
    const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    assert.equal(quantile(upTo(100), 0.99), 99);
    assert.equal(quantile(upTo(1000), 0.99), 990);
    assert.equal(quantile(upTo(20), 0.99), 20);
  });

  it('have as quantile the smallest sample that so large a share does not exceed', () => {
    fc.assert(
      fc.property(someSamples, fc.integer({ min: 1, max: 100 }), (samples, percent) => {
        const found = quantile(samples, percent / 100);
        const needed = (samples.length * percent) / 100;
        assert.ok(samples.includes(found));
        // One sample of slack: `percent / 100` is not exact.
        assert.ok(samples.filter((sample) => sample <= found).length >= Math.floor(needed));
        assert.ok(samples.filter((sample) => sample < found).length < Math.ceil(needed) + 1);
      }),
    );
  });

  it('are the same in whatever order the samples came, which stay as they were', () => {
    fc.assert(
      fc.property(someSamples, (samples) => {
        const before = [...samples];
        assert.deepEqual(summarise([...samples].reverse()), summarise(samples));
        assert.deepEqual(samples, before);
      }),
    );
  });

  it('give a ratio of the medians and one pair by pair, which a drift of the machine does not move', () => {
    const drifting = [1, 2, 3, 4, 50];
    assert.deepEqual(
      ratioOf(
        drifting.map((sample) => sample * 1.5),
        drifting,
      ),
      { ofMedians: 1.5, pairByPair: 1.5 },
    );
    assert.deepEqual(ratioOf([10, 20, 90], [10, 10, 10]), { ofMedians: 2, pairByPair: 2 });
    assert.deepEqual(ratioOf([2, 9, 4], [1, 3, 8]), { ofMedians: 4 / 3, pairByPair: 2 });
  });

  it('give a difference in the same two ways', () => {
    assert.deepEqual(differenceOf([10, 14, 11], [1, 2, 9]), { ofMedians: 9, pairByPair: 9 });
    assert.deepEqual(differenceOf([5, 1], [1, 1]), { ofMedians: 2, pairByPair: 2 });
  });

  it('are refused when there are no samples, unpaired ones, or one that is no number', () => {
    assert.throws(() => median([]), /no samples/);
    assert.throws(() => summarise([1, Number.NaN]), /not a finite number/);
    assert.throws(() => ratioOf([1, 2], [1]), /2 and 1 samples/);
    assert.throws(() => differenceOf([1], [1, 2]), /1 and 2 samples/);
  });
});

describe('the growth of figures', () => {
  it('has the exponent that the figures were made with, whatever one of them costs', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        fc.double({ min: 0.01, max: 99, noNaN: true }),
        (power, each) => {
          const points = [100, 1000, 2500, 5000].map((size) => [size, each * size ** power] as const);
          assert.ok(Math.abs(growthExponent(points) - power) < 1e-9);
        },
      ),
    );
  });

  it('cannot be told from one size', () => {
    assert.throws(() => growthExponent([[100, 1]]), /different sizes/);
  });
});

describe('the target of a benchmark', () => {
  const result = (target: Goal, rival: ResultInput['rival']) =>
    resultOf({
      name: 'a',
      clock: 'applied',
      unit: 'ms',
      warmUpRounds: 0,
      subject: { what: 'subject', samples: [10, 10, 10] },
      rival,
      target,
    });
  const rival = { what: 'rival', samples: [30, 30, 30] };

  it('of a speed-up is met when the rival takes at least so many times as much', () => {
    assert.equal(result({ kind: 'speed-up', atLeast: 3 }, rival).target.met, true);
    const slower = result({ kind: 'speed-up', atLeast: 3.1 }, rival);
    assert.equal(slower.target.met, false);
    assert.equal(slower.target.comparison?.ofMedians, 3);
    assert.equal(isFailure(slower), true);
  });

  it('of a ratio or a difference is met when the subject takes no more', () => {
    assert.equal(result({ kind: 'ratio', atMost: 0.34 }, rival).target.met, true);
    assert.equal(result({ kind: 'ratio', atMost: 0.33 }, rival).target.met, false);
    assert.equal(result({ kind: 'difference', atMost: -20 }, rival).target.met, true);
    assert.equal(result({ kind: 'difference', atMost: -21 }, rival).target.met, false);
  });

  it('in milliseconds is said to be missed and is no failure', () => {
    assert.equal(result({ kind: 'time', atMost: 10 }, null).target.met, true);
    const late = result({ kind: 'time', atMost: 9 }, null);
    assert.equal(late.target.met, false);
    assert.equal(late.target.comparison, null);
    assert.equal(isFailure(late), false);
  });

  it('is nothing without a rival, unless it is a time', () => {
    assert.throws(() => result({ kind: 'ratio', atMost: 1 }, null), /nothing to be compared with/);
  });
});

describe('the rounds of a benchmark', () => {
  it('pass over a slow side, which comes in every so many and in none to warm up', async () => {
    const roundsOf: number[] = [];
    const [quick = [], slow = []] = await interleave(
      [
        { name: 'quick', sample: (round: number) => round },
        { name: 'slow', every: 3, sample: (round: number) => roundsOf.push(round) },
      ],
      { rounds: 7, warmUpRounds: 2, rest: rested, signal: new AbortController().signal },
    );
    assert.deepEqual(roundsOf, [0, 3, 6]);
    assert.equal(slow.length, 3);
    assert.deepEqual(inRoundsOf(3, quick), [0, 3, 6]);
  });

  it('take turns, rest after each sample and throw away the warm-up', async () => {
    const order: string[] = [];
    const side = (name: string, factor: number) => ({
      name,
      sample: (round: number) => {
        order.push(`${name}${round}`);
        return round * factor;
      },
    });
    const samples = await interleave([side('a', 1), side('b', 10)], {
      rounds: 2,
      warmUpRounds: 1,
      rest: () => {
        order.push('rest');
        return Promise.resolve();
      },
      signal: new AbortController().signal,
    });
    assert.deepEqual(samples, [
      [0, 1],
      [0, 10],
    ]);
    assert.equal(order.join(' '), 'a-1 rest b-1 rest a0 rest b0 rest a1 rest b1 rest');
  });

  it('end before the next sample when they are aborted', async () => {
    const abort = new AbortController();
    let taken = 0;
    const rounds = interleave(
      [
        {
          name: 'a',
          sample: () => {
            if (++taken === 3) abort.abort(new Error('enough'));
            return 1;
          },
        },
      ],
      { rounds: 10, warmUpRounds: 0, rest: rested, signal: abort.signal },
    );
    await assert.rejects(rounds, /enough/);
    assert.equal(taken, 3);
  });
});
