/** The end of a child process, whatever it is doing. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const stopDeadlineMs = 10_000;

/** SIGTERM, and SIGKILL when that is not enough. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const stopped = await Promise.race([exited, sleep(stopDeadlineMs, null, { ref: false })]);
  if (stopped === null) child.kill('SIGKILL');
  await exited;
}
