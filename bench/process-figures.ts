/** What the kernel says about a process (proc(5)). */
import { readFileSync } from 'node:fs';
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
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold blanks and brackets; what follows its last bracket begins with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return (userTicks + systemTicks) * millisecondsPerTick;
}

/** Pids of the processes that `pid` started and that still run. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

/** Resolves when the process has used no CPU time worth a tick for `quietMs`. Throws after `deadlineMs`. */
export async function untilQuiet(pid: number, quietMs: number, deadlineMs = 60_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (let before = cpuMsOf(pid); ;) {
    await sleep(quietMs);
    const now = cpuMsOf(pid);
    if (now - before <= millisecondsPerTick) return;
    before = now;
    if (performance.now() > end) throw new Error(`process ${pid} was busy for ${deadlineMs} ms on end`);
  }
}

/** USER_HZ is 100 on every architecture that Node.js runs on. */
const millisecondsPerTick = 10;

function kibField(text: string, name: string): number {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (kib === undefined) throw new Error(`the kernel does not say ${name}`);
  return Number(kib) * 1024;
}
