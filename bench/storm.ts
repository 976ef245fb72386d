/**
 * Guests that start together: the engine in this process, from its hook call to the port that `ovs-vswitchd` has made,
 * ledger block, altname and all, against Proxmox VE's own three forks a port, one `ovs-vsctl` for all and Open vSwitch's
 * Python library.
 */
import { resultOf } from './benchmark.ts';
import type { Benchmark, BenchmarkContext, BenchmarkResult } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Later } from './cleanup.ts';
import { vmidsFrom } from './guests.ts';
import { inRoundsOf, median } from './measure.ts';
import { takeTurns } from './rounds.ts';
import { agentPlugger, commandPluggers, idlPluggers, pluggerNames } from './storm-pluggers.ts';
import { stormLabel, stormSide } from './storm-sides.ts';
import type { Plugger, StormRow } from './storm-sides.ts';

/** Guests present, and how many times faster than Proxmox VE's forks 100 more have to be plugged. */
const levels = [
  { present: 0, atLeast: 30 },
  { present: 200, atLeast: 20 },
  { present: 1000, atLeast: 10 },
] as const;
const storm = 100;
/** "Level with the best batch": at most a quarter slower, files, altnames and ledger included. */
const levelAtMost = 1.25;
const rounds = 20;
const warmUpRounds = 2;
/** Seconds long, and far from the target's edge or only for information. */
const slowEvery = 4;
/** Three forks beside so many ports take 0.3 s and more. */
const slowPorts = 500;
const sampledWhenSlow = 10;
const firstStormVmid = 100;
const firstPresentVmid = 2000;

export const stormBenchmark: Benchmark = {
  name: 'storm',
  about: '1, 10 and 100 guests at once beside 0, 200 and 1,000, against forks, batches and the Python IDL',
  run: (context) =>
    withCleanup(async (later) => {
      const pluggers = await startPluggers(later);
      const results: BenchmarkResult[] = [];
      const times: StormRow[] = [];
      const cpu: StormRow[] = [];
      let present = 0;
      for (const level of levels) {
        context.progress(`${level.present} guests arrive`);
        const arriving = vmidsFrom(firstPresentVmid + present, level.present - present);
        present = level.present;
        if (arriving.length > 0) for (const each of pluggers) await each.addPresent(arriving);
        for (const size of [1, 10]) {
          const figures = await takeStorm(pluggers, size, present, slowEvery, context);
          times.push(figures.times);
          cpu.push(figures.cpu);
        }
        const figures = await takeStorm(pluggers, storm, present, 1, context);
        times.push(figures.times);
        cpu.push(figures.cpu);
        results.push(...resultsOf(level, figures.samples));
      }
      const header = ['', ...pluggers.map(({ name }) => name)];
      const [first, ...others] = results;
      if (first === undefined) return [];
      return [
        {
          ...first,
          grids: [
            { title: 'storm: time until all are applied', clock: 'applied', unit: 'ms', header, rows: times },
            {
              title: 'storm: CPU time of who plugs, `ovsdb-server` and `ovs-vswitchd` together',
              clock: 'CPU time',
              unit: 'ms',
              header,
              rows: cpu,
            },
          ],
        },
        ...others,
      ];
    }),
};

interface StormFigures {
  /** As `pluggers` stand; the slow ones have a sample of every `slowEvery`th round only. */
  readonly samples: readonly (readonly number[])[];
  readonly times: StormRow;
  readonly cpu: StormRow;
}

/** `every` for the fast ways; the slow ones take part every `slowEvery`th round. */
async function takeStorm(
  pluggers: readonly Plugger[],
  size: number,
  present: number,
  every: number,
  context: BenchmarkContext,
): Promise<StormFigures> {
  const vmids = vmidsFrom(firstStormVmid, size);
  const label = stormLabel(size, present);
  const sides = pluggers.map((plugger) => {
    const isSlow = slow.has(plugger.name);
    const sampled = plugger.name === pluggerNames.forks && present > slowPorts ? sampledWhenSlow : size;
    return stormSide(plugger, vmids, {
      every: isSlow ? slowEvery : every,
      cpuEvery: slowEvery,
      sampled: Math.min(sampled, size),
    });
  });
  const progress = (what: string): void => {
    context.progress(`${label}: ${what}`);
  };
  const samples = await takeTurns(
    sides,
    { rounds, warmUpRounds: every === 1 ? warmUpRounds : 0 },
    { ...context, progress },
  );
  return {
    samples,
    times: { label, figures: samples.map(median) },
    cpu: { label, figures: sides.map(({ cpuSamples }) => median(cpuSamples)) },
  };
}

const slow = new Set<string>([pluggerNames.forks, pluggerNames.idlEach]);

function resultsOf({ present, atLeast }: (typeof levels)[number], samples: StormFigures['samples']): BenchmarkResult[] {
  const [agent = [], forks = [], batch = [], together = []] = samples;
  const label = present.toLocaleString('en');
  const best =
    median(batch) <= median(together)
      ? { what: 'one `ovs-vsctl` with all of them', samples: batch }
      : { what: 'one transaction of the Python IDL with all of them', samples: together };
  const subject = { what: `${storm} \`post-start\` at once beside ${label} ports, ledger included`, samples: agent };
  const extrapolated = present > slowPorts ? `, ${sampledWhenSlow} of them taken and multiplied` : '';
  const common = { clock: 'applied', unit: 'ms', warmUpRounds } as const;
  return [
    resultOf({
      ...common,
      name: `storm ${label}`,
      subject: { ...subject, samples: inRoundsOf(slowEvery, agent) },
      rival: { what: `Proxmox VE's three forks a port, one after the other${extrapolated}`, samples: forks },
      target: { kind: 'speed-up', atLeast },
    }),
    resultOf({
      ...common,
      name: `storm ${label}, best batch`,
      subject,
      rival: best,
      target: { kind: 'ratio', atMost: levelAtMost },
    }),
  ];
}

async function startPluggers(later: Later): Promise<Plugger[]> {
  const { forks, batch } = await commandPluggers(later);
  const { together, each } = await idlPluggers(later);
  return [await agentPlugger(later, vmidsFrom(firstStormVmid, storm)), forks, batch, together, each];
}
