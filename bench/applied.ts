/** One guest's port, from the hook call in this process to the port that `ovs-vswitchd` has made, against `ovs-vsctl`. */
import { resultOf } from './benchmark.ts';
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import { takeTurns } from './rounds.ts';
import { agentPlugger, commandPluggers } from './storm-pluggers.ts';
import { stormSide } from './storm-sides.ts';

const rounds = 30;
const warmUpRounds = 5;
const atLeast = 3;
const vmids = [100];

export const appliedBenchmark: Benchmark = {
  name: 'applied',
  about: "one guest's port on an empty switch against `ovs-vsctl add-port`",
  run: (context) =>
    withCleanup(async (later) => {
      const { batch } = await commandPluggers(later);
      const sides = [await agentPlugger(later, vmids), batch].map((plugger) =>
        stormSide(plugger, vmids, { every: 1, cpuEvery: rounds }),
      );
      const [agent = [], command = []] = await takeTurns(sides, { rounds, warmUpRounds }, context);
      return resultOf({
        name: 'applied',
        clock: 'applied',
        unit: 'ms',
        warmUpRounds,
        subject: { what: 'one `post-start` in process on an empty switch, ledger included', samples: agent },
        rival: { what: '`ovs-vsctl add-port`', samples: command },
        target: { kind: 'speed-up', atLeast },
      });
    }),
};
