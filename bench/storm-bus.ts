/**
 * Guests that start together, end to end: `hooks/ovs-port-agent` for each, some at a time, against
 * as many times Proxmox VE's three forks.
 */
import { resolve } from 'node:path';
import { resultOf } from './benchmark.ts';
import type { Benchmark, BenchmarkResult } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import type { Later } from './cleanup.ts';
import { removeConfigurations, vmidsFrom, writeConfigurations } from './guests.ts';
import { median } from './measure.ts';
import { observe } from './observed-switch.ts';
import { eachOf, plugByForks } from './plugging.ts';
import { startPrivateNode } from './private-node.ts';
import { childrenOf, runningMsOf, untilQuiet, waitedForMsOf } from './process-figures.ts';
import { takeTurns } from './rounds.ts';
import { startShell } from './shell.ts';
import { commandPluggers, quietMs } from './storm-pluggers.ts';
import { stormLabel, stormSide } from './storm-sides.ts';
import type { Plugger, StormRow } from './storm-sides.ts';

const levels = [0, 200, 1000] as const;
const storm = vmidsFrom(100, 100);
/** Of both sides. With all at once the forks would overrun `ovsdb-server`'s listen queue and fail. */
const atATime = 4;
const atLeast = 5;
const rounds = 5;
/** Three forks beside so many ports take 0.3 s and more. */
const slowPorts = 500;
const sampledWhenSlow = 20;
const firstPresentVmid = 2000;

export const stormBusBenchmark: Benchmark = {
  name: 'storm-bus',
  about: "100 guests at once, hookscript and D-Bus included, against Proxmox VE's three forks",
  run: (context) =>
    withCleanup(async (later) => {
      const hooks = await hookPlugger(later);
      const forks = await forksPlugger(later);
      const header = ['', hooks.name, forks.name];
      const results: BenchmarkResult[] = [];
      const cpu: StormRow[] = [];
      let before = 0;
      for (const present of levels) {
        context.progress(`${present} guests arrive`);
        const arriving = vmidsFrom(firstPresentVmid + before, present - before);
        before = present;
        if (arriving.length > 0) for (const plugger of [hooks, forks]) await plugger.addPresent(arriving);
        const label = stormLabel(storm.length, present);
        const sampled = present > slowPorts ? sampledWhenSlow : storm.length;
        const sides = [
          stormSide(hooks, storm, { every: 1, cpuEvery: 1 }),
          stormSide(forks, storm, { every: 1, cpuEvery: 1, sampled }),
        ];
        const warmUpRounds = present === 0 ? 1 : 0;
        const progress = (what: string): void => {
          context.progress(`${label}: ${what}`);
        };
        const [called = [], forked = []] = await takeTurns(sides, { rounds, warmUpRounds }, { ...context, progress });
        cpu.push({ label, figures: sides.map(({ cpuSamples }) => median(cpuSamples)) });
        const extrapolated = sampled < storm.length ? `, ${sampled} of them taken and multiplied` : '';
        results.push(
          resultOf({
            name: `storm-bus ${present.toLocaleString('en')}`,
            clock: 'end to end',
            unit: 'ms',
            warmUpRounds,
            subject: {
              what: `100 times \`hooks/ovs-port-agent <vmid> post-start\`, ${atATime} at a time, beside ${present.toLocaleString('en')} ports`,
              samples: called,
            },
            rival: {
              what: `100 times Proxmox VE's three forks, ${atATime} at a time${extrapolated}`,
              samples: forked,
            },
            target: { kind: 'speed-up', atLeast },
            grids:
              present === levels.at(-1)
                ? [
                    {
                      title: 'storm-bus: CPU time of callers, service, `ovsdb-server` and `ovs-vswitchd` together',
                      clock: 'CPU time',
                      unit: 'ms',
                      header,
                      rows: cpu,
                    },
                  ]
                : [],
          }),
        );
      }
      return results;
    }),
};

async function hookPlugger(later: Later): Promise<Plugger> {
  const node = await startPrivateNode({ later, devices: 'shared' });
  await node.devices.addBridge();
  await node.devices.add(storm);
  const { pid } = await node.startService();
  const shell = startShell(later, { ...node.env, HOOK: resolve('hooks/ovs-port-agent') });
  let present = 0;
  return {
    name: 'hooks',
    observed: await observe(later, node.ovs),
    plug: (vmids) => shell.run(eachOf(vmids, '"$HOOK" "$vmid" post-start', atATime)),
    async addPresent(vmids) {
      await node.addGuests(vmids);
      present += vmids.length;
      await node.untilListed(present);
      await untilQuiet(pid, quietMs);
    },
    cpuMs: () =>
      [pid, ...childrenOf(pid), shell.pid].reduce(
        (sum, each) => sum + runningMsOf(each),
        waitedForMsOf(shell.pid) + waitedForMsOf(pid),
      ),
    settle: () => untilQuiet(pid, quietMs),
    prepare: (vmids) => writeConfigurations(node.pveDir, vmids),
    async tidy(vmids) {
      await node.devices.forgetAltnames(vmids);
      await removeConfigurations(node.pveDir, vmids);
    },
  };
}

async function forksPlugger(later: Later): Promise<Plugger> {
  const { forks, shell } = await commandPluggers(later);
  return { ...forks, plug: (vmids) => plugByForks(shell, vmids, atATime) };
}
