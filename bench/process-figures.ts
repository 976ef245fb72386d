/** What the kernel says about a process (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Memory {
  readonly rssBytes: number;
  /** Resident, pages shared with other processes counted in part (proc(5), smaps_rollup). */
  readonly pssBytes: number;
  /** The largest RSS so far. */
  readonly peakBytes: number;
}

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return {
    rssBytes: kibField(rollup, 'Rss'),
    pssBytes: kibField(rollup, 'Pss'),
    peakBytes: kibField(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmHWM'),
  };
}

/** Time on a CPU so far, in its own code and in the kernel, in milliseconds of 10 ms grain. */
export function cpuMsOf(pid: number): number {
  const fields = statFieldsOf(pid);
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return (userTicks + systemTicks) * millisecondsPerTick;
}

/** Time on a CPU so far of all threads that still run, to the nanosecond (Documentation/scheduler/sched-stats.rst). */
export function runningMsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return nanoseconds.reduce((sum, each) => sum + Number(each), 0) / 1e6;
}

/** What the children of a process used that it has waited for, and theirs, in milliseconds of 10 ms grain. */
export function waitedForMsOf(pid: number): number {
  const fields = statFieldsOf(pid);
  return (Number(fields[13]) + Number(fields[14])) * millisecondsPerTick;
}

/** Pids of the processes that `pid` started and that still run. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

/** Resolves when the process has used no CPU time worth a tick for `quietMs`. Throws after `deadlineMs`. */
export async function untilQuiet(pid: number, quietMs: number, deadlineMs = 180_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (let before = cpuMsOf(pid); ;) {
    await sleep(quietMs);
    const now = cpuMsOf(pid);
    if (now - before <= millisecondsPerTick) return;
    before = now;
    if (performance.now() > end) throw new Error(`process ${pid} was busy for ${deadlineMs} ms on end`);
  }
}

/** Fields of proc(5)'s `stat`, beginning with the third. */
function statFieldsOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold blanks and brackets.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Pids of this process's children among whose words one contains `text`. */
export function childrenNaming(text: string): number[] {
  return childrenOf(process.pid).filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text));
}

/** USER_HZ is 100 on every architecture that Node.js runs on. */
const millisecondsPerTick = 10;

function kibField(text: string, name: string): number {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (kib === undefined) throw new Error(`the kernel does not say ${name}`);
  return Number(kib) * 1024;
}
