/**
 * What a service costs that has nothing to do: a full pass over everything, and a start, with more and more guests. The
 * database stands alone: nothing is changed, so `ovs-vswitchd` has no part in it.
 */
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark, BenchmarkContext, Grid, Information } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Later } from './cleanup.ts';
import { vmidsFrom } from './guests.ts';
import { growthExponent, median } from './measure.ts';
import { startPrivateNode } from './private-node.ts';
import type { PrivateNode } from './private-node.ts';
import { untilQuiet } from './process-figures.ts';
import { takeTurns } from './rounds.ts';

const sizes = [100, 1000, 2500, 5000] as const;
const passRounds = 20;
const startRounds = 7;
const warmUpRounds = 2;
/** After a start the ledger and the managed block are written. */
const quietMs = 500;
const firstVmid = 10_000;
const passGoalsMs = new Map<number, number>([
  [1000, 50],
  [5000, 250],
]);
const startGoalsMs = new Map<number, number>([[1000, 500]]);
/** "Linear": five times the guests, at most a quarter more for each. */
const growthAtMost = 1.25;
const compared = [1000, 5000] as const;

export const scaleBenchmark: Benchmark = {
  name: 'scale',
  about: 'a full pass with nothing to do, and a start, with 100 to 5,000 guests',
  run: (context) =>
    withCleanup(async (later) => {
      const nodes: PrivateNode[] = [];
      for (const size of sizes) {
        context.progress(`${size} guests arrive`);
        nodes.push(await startNodeOf(later, size));
      }
      const passes = await takeTurns(
        nodes.map((node, index) => ({ name: `pass, ${sizes[index] ?? 0}`, sample: () => passMs(node) })),
        { rounds: passRounds, warmUpRounds },
        during(context, 'passes'),
      );
      const starts = await takeTurns(
        nodes.map((node, index) => ({
          name: `start, ${sizes[index] ?? 0}`,
          sample: () => startMs(node, sizes[index] ?? 0),
        })),
        { rounds: startRounds, warmUpRounds: 1 },
        during(context, 'starts'),
      );
      return [
        ...resultsOf('scale, pass', 'a full pass, nothing to do, files unchanged', passGoalsMs, passes),
        ...resultsOf('scale, start', 'from the start of the service until every port is listed', startGoalsMs, starts),
      ];
    }),
};

function during(context: BenchmarkContext, what: string): BenchmarkContext {
  return {
    ...context,
    progress: (step) => {
      context.progress(`${what}: ${step}`);
    },
  };
}

/** Every guest adopted, nothing under way. */
async function startNodeOf(later: Later, size: number): Promise<PrivateNode> {
  const node = await startPrivateNode({ later, devices: 'own', hasVswitchd: false });
  await node.addGuests(vmidsFrom(firstVmid, size));
  const service = await node.startService();
  await service.listedMs(size);
  await untilQuiet(service.pid, quietMs);
  return node;
}

async function passMs(node: PrivateNode): Promise<number> {
  const startedMs = performance.now();
  await node.call('Reconcile');
  return performance.now() - startedMs;
}

async function startMs(node: PrivateNode, size: number): Promise<number> {
  const service = await node.startService();
  const elapsedMs = await service.listedMs(size);
  await untilQuiet(service.pid, quietMs);
  return elapsedMs;
}

function resultsOf(
  name: string,
  what: string,
  goalsMs: ReadonlyMap<number, number>,
  samples: readonly (readonly number[])[],
): ReturnType<typeof resultOf>[] {
  const of = (size: number): readonly number[] => samples[sizes.indexOf(size as (typeof sizes)[number])] ?? [];
  const common = { clock: 'end to end', unit: 'ms', warmUpRounds } as const;
  const [small, large] = compared;
  const perThousand = (size: number): number[] => of(size).map((sample) => (sample / size) * 1000);
  return [
    ...[...goalsMs].map(([size, atMost], index) =>
      resultOf({
        ...common,
        name: `${name} ${size.toLocaleString('en')}`,
        subject: { what: `${what}, ${size.toLocaleString('en')} guests`, samples: of(size) },
        rival: null,
        target: { kind: 'time', atMost },
        ...(index === 0
          ? { grids: [gridOf(`${name}: growth`, samples)], information: [exponentOf(what, samples)] }
          : {}),
      }),
    ),
    resultOf({
      ...common,
      name: `${name}, growth`,
      subject: { what: `${what}, for each 1,000 of ${large.toLocaleString('en')} guests`, samples: perThousand(large) },
      rival: { what: `for ${small.toLocaleString('en')} guests`, samples: perThousand(small) },
      target: { kind: 'ratio', atMost: growthAtMost },
    }),
  ];
}

function gridOf(title: string, samples: readonly (readonly number[])[]): Grid {
  return {
    title,
    clock: 'end to end',
    unit: 'ms',
    header: ['', 'all', 'for each 1,000'],
    rows: sizes.map((size, index) => {
      const middle = median(samples[index] ?? []);
      return { label: `${size.toLocaleString('en')} guests`, figures: [middle, (middle / size) * 1000] };
    }),
  };
}

/** 1 is linear. Of the larger sizes: below, what does not depend on the guests is most of it. */
function exponentOf(what: string, samples: readonly (readonly number[])[]): Information {
  const points = sizes.flatMap((size, index) => (size < 1000 ? [] : [[size, median(samples[index] ?? [])] as const]));
  return informationOf(`exponent of growth from 1,000 on: ${what}`, 'end to end', '', [growthExponent(points)]);
}
