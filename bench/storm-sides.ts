/** Guests that start together, in one of several ways: what all ways have in common, whoever plugs the ports. */
import type { Grid } from './benchmark.ts';
import type { ObservedSwitch } from './observed-switch.ts';
import { childrenNaming, runningMsOf } from './process-figures.ts';
import type { Side } from './measure.ts';

/** One way to plug ports, with a switch to itself. */
export interface Plugger {
  readonly name: string;
  readonly observed: ObservedSwitch;
  /** Plugs the guests' devices; answers how long it took until the last port was applied, in milliseconds. */
  plug(vmids: readonly number[]): Promise<number>;
  /** Brings guests that are there before the storm. */
  addPresent(vmids: readonly number[]): Promise<void>;
  /** CPU time so far of everything but Open vSwitch, in milliseconds. */
  cpuMs(): number;
  /** Until nothing goes on any more that the storm has set off. */
  settle(): Promise<void>;
  /** Before the storm, off the clock. */
  prepare(vmids: readonly number[]): Promise<void>;
  /** After it and after its ports were taken away again, off the clock. */
  tidy(vmids: readonly number[]): Promise<void>;
}

export interface StormSide extends Side {
  readonly plugger: Plugger;
  /** CPU time of who plugs, `ovsdb-server` and `ovs-vswitchd` for all guests of the storm, in milliseconds. */
  readonly cpuSamples: readonly number[];
}

export interface StormSideOptions {
  /** Rounds in which it takes part: every so many. */
  readonly every: number;
  /** Every so many rounds the CPU time is taken too. */
  readonly cpuEvery: number;
  /** Only the first so many are plugged, and the figures multiplied. */
  readonly sampled?: number;
}

export function stormSide(
  plugger: Plugger,
  vmids: readonly number[],
  { every, cpuEvery, sampled = vmids.length }: StormSideOptions,
): StormSide {
  const chosen = vmids.slice(0, sampled);
  const factor = vmids.length / chosen.length;
  const cpuSamples: number[] = [];
  const { observed } = plugger;
  const daemons = childrenNaming(observed.ovs.folder);
  const cpuMs = (): number => daemons.reduce((sum, pid) => sum + runningMsOf(pid), plugger.cpuMs());
  return {
    name: plugger.name,
    every,
    plugger,
    cpuSamples,
    async sample(round) {
      await plugger.prepare(chosen);
      const cpuBeforeMs = cpuMs();
      const elapsedMs = await plugger.plug(chosen);
      if (round >= 0 && round % cpuEvery === 0) {
        await plugger.settle();
        cpuSamples.push((cpuMs() - cpuBeforeMs) * factor);
      }
      await observed.unplug(chosen);
      await plugger.tidy(chosen);
      await plugger.settle();
      return elapsedMs * factor;
    },
  };
}

/** Rows `100 at once, 200 present`, a column for each way. */
export function stormLabel(size: number, present: number): string {
  return `${size} at once, ${present.toLocaleString('en')} present`;
}

export type StormRow = Grid['rows'][number];
