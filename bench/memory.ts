/** Resident memory of the service with 1,000 ports, against the same service without a guest. */
import { setTimeout as sleep } from 'node:timers/promises';
import { informationOf, resultOf } from './benchmark.ts';
import type { Benchmark, Information } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Side } from './measure.ts';
import { startPrivateNode } from './private-node.ts';
import type { PrivateNode, RunningService } from './private-node.ts';
import { childrenOf, cpuMsOf, memoryOf, untilQuiet } from './process-figures.ts';
import { takeTurns } from './rounds.ts';

const guests = Array.from({ length: 1000 }, (_, index) => 1000 + index);
const rounds = 20;
const warmUpRounds = 2;
const differenceMaxMb = 30;
/** Before the first round: nothing to do for this long, garbage of the start collected or not. */
const settledMs = 3000;
/** In each round, after the pass. */
const restedMs = 500;
const idleMs = 10_000;

export const memoryBenchmark: Benchmark = {
  name: 'memory',
  about: 'resident memory of the service with 1,000 ports against the idle service',
  run: (context) =>
    withCleanup(async (later) => {
      const { signal, progress } = context;
      const idleNode = await startPrivateNode({ later, devices: 'own' });
      const fullNode = await startPrivateNode({ later, devices: 'shared' });
      const idle = await idleNode.startService();
      const full = await fullNode.startService();
      progress('1,000 guests arrive');
      await fullNode.addGuests(guests);
      await full.listedMs(guests.length);
      progress('until nothing moves');
      await untilQuiet(full.pid, settledMs);
      await untilQuiet(idle.pid, settledMs);
      const settledMb = [mb(memoryOf(full.pid).rssBytes), mb(memoryOf(idle.pid).rssBytes)] as const;

      const pss: [number[], number[]] = [[], []];
      const [fullRss = [], idleRss = []] = await takeTurns(
        [residentSide('1,000 ports', fullNode, full.pid, pss[0]), residentSide('idle', idleNode, idle.pid, pss[1])],
        { rounds, warmUpRounds },
        context,
      );
      const peakMb = [mb(memoryOf(full.pid).peakBytes), mb(memoryOf(idle.pid).peakBytes)] as const;
      const helpers = childrenOf(full.pid).map((pid) => mb(memoryOf(pid).pssBytes));
      progress(`idle for ${idleMs / 1000} s`);
      const cpu = [await idleCpuPercent(full.pid), await idleCpuPercent(idle.pid)] as const;
      signal.throwIfAborted();
      progress('starting again');
      const again = await fullNode.startService();
      const listedMs = await again.listedMs(guests.length);
      await untilQuiet(again.pid, settledMs);
      const idleAgain = await idleNode.startService();

      const one = (what: string, clock: Information['clock'], unit: Information['unit'], figure: number) =>
        informationOf(what, clock, unit, [figure]);
      return resultOf({
        name: 'memory',
        clock: 'resident',
        unit: 'MB',
        warmUpRounds,
        subject: { what: 'RSS of the service, 1,000 guests with a port each', samples: fullRss },
        rival: { what: 'RSS of the service without a guest', samples: idleRss },
        target: { kind: 'difference', atMost: differenceMaxMb },
        information: [
          one('RSS with 1,000 ports, settled, before the first round', 'resident', 'MB', settledMb[0]),
          one('RSS idle, settled, before the first round', 'resident', 'MB', settledMb[1]),
          one(
            'RSS with 1,000 ports after a restart of the service',
            'resident',
            'MB',
            mb(memoryOf(again.pid).rssBytes),
          ),
          one('largest RSS with 1,000 ports, adoption of all of them included', 'resident', 'MB', peakMb[0]),
          one('largest RSS idle', 'resident', 'MB', peakMb[1]),
          informationOf('PSS with 1,000 ports', 'resident', 'MB', pss[0].slice(-rounds)),
          informationOf('PSS idle', 'resident', 'MB', pss[1].slice(-rounds)),
          one(
            `PSS of its ${helpers.length} \`ip\` helpers together`,
            'resident',
            'MB',
            helpers.reduce((sum, each) => sum + each, 0),
          ),
          one(`CPU with 1,000 ports, nothing to do for ${idleMs / 1000} s`, 'CPU time', '%', cpu[0]),
          one(`CPU idle, nothing to do for ${idleMs / 1000} s`, 'CPU time', '%', cpu[1]),
          one('start until the first call is answered, 1,000 guests', 'end to end', 'ms', again.answeredMs),
          one('start until 1,000 ports are listed', 'end to end', 'ms', listedMs),
          one('start until the first call is answered, no guests', 'end to end', 'ms', idleAgain.answeredMs),
        ],
      });
    }),
};

/** A full pass over every guest, as every minute brings one; what is resident once it has settled. */
function residentSide(name: string, node: PrivateNode, pid: RunningService['pid'], pss: number[]): Side {
  return {
    name,
    async sample() {
      await node.call('Reconcile');
      await untilQuiet(pid, restedMs);
      const memory = memoryOf(pid);
      pss.push(mb(memory.pssBytes));
      return mb(memory.rssBytes);
    },
  };
}

async function idleCpuPercent(pid: number): Promise<number> {
  const beforeMs = cpuMsOf(pid);
  const startedMs = performance.now();
  await sleep(idleMs);
  return ((cpuMsOf(pid) - beforeMs) / (performance.now() - startedMs)) * 100;
}

/** Decimal megabytes. */
function mb(bytes: number): number {
  return bytes / 1e6;
}
