/** Tasks of Proxmox VE, followed to their end. */
import { AgentError, isRetryable } from '../model/errors.ts';
import type { ProxmoxClient } from './api-client.ts';
import { codeOfRefusal, plainText, ProxmoxError } from './api-error.ts';
import type { Task } from './upid.ts';

/** Between two looks at a running task; Proxmox VE's own tools take 1 to 2 s. */
const pollIntervalMs = 500;
/** Lines of a log asked for at a time. */
const logPageLines = 500;
/** Lines that are handed on; what a task prints after that is left out, and said to be. */
const logLinesMax = 10_000;
/** Lines at the end of a failed task's log that its error repeats. */
const errorLines = 3;

/** Monotonic milliseconds, and a callback after some; the answer ends the wait. */
export interface TaskClock {
  nowMs(): number;
  after(delayMs: number, callback: () => void): () => void;
}

export interface FollowOptions {
  readonly clock: TaskClock;
  /** From the call to the task's end, in milliseconds. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** One line of the task's log, without control characters. */
  readonly onLine?: ((line: string) => void) | undefined;
}

export interface TaskResult {
  readonly task: Task;
  /** The task did what it was asked and printed this many warnings. */
  readonly warnings: number;
}

/**
 * Resolves when the task ended well. Rejects with what it said when it did not; with `Timeout` at the deadline, and with
 * the signal's reason when that is aborted: the task then goes on in Proxmox VE, and the message names it. A look that
 * fails is repeated until the deadline, because looking changes nothing.
 */
export async function followTask(client: ProxmoxClient, task: Task, options: FollowOptions): Promise<TaskResult> {
  const { clock, deadlineMs, signal } = options;
  const endMs = clock.nowMs() + deadlineMs;
  const log = new TaskLog(client, task, options.onLine);
  let lastError: unknown = null;
  for (;;) {
    const leftMs = endMs - clock.nowMs();
    if (leftMs <= 0) {
      const why = lastError instanceof Error ? `; the last look at it failed: ${lastError.message}` : '';
      throw new AgentError('Timeout', `${describe(task)} did not end within ${deadlineMs} ms; it goes on in Proxmox VE${why}`); // prettier-ignore
    }
    try {
      const call = { deadlineMs: Math.max(1, leftMs), signal };
      // The state first: once it says that the task ended, the log is whole.
      const exit = await readExit(client, task, call);
      await log.read(call);
      if (exit !== null) return resultOf(task, exit, log.tail);
      lastError = null;
    } catch (error) {
      if (signal?.aborted === true || !isRetryable(error) || error instanceof TaskFailed) throw error;
      lastError = error;
    }
    await pause(clock, Math.min(pollIntervalMs, endMs - clock.nowMs()), signal, task);
  }
}

class TaskFailed extends ProxmoxError {}

type Call = { deadlineMs: number; signal: AbortSignal | undefined };

/** null while the task runs. */
async function readExit(client: ProxmoxClient, { node, upid }: Task, call: Call): Promise<string | null> {
  const answer: unknown = await client.api(call).nodes.$(node).tasks.$(upid).status.$get();
  const { status, exitstatus } = (answer ?? {}) as { status?: unknown; exitstatus?: unknown };
  if (status === 'running') return null;
  if (status !== 'stopped') throw new ProxmoxError('Unavailable', `the state of ${upid} is not understood`);
  return typeof exitstatus === 'string' ? plainText(exitstatus) : 'it ended without a result';
}

function resultOf(task: Task, exit: string, tail: readonly string[]): TaskResult {
  if (exit === 'OK') return { task, warnings: 0 };
  const warnings = /^WARNINGS: (\d{1,9})$/.exec(exit)?.[1];
  if (warnings !== undefined) return { task, warnings: Number(warnings) };
  const said = tail.filter((line) => !line.startsWith('TASK ') && !exit.includes(line));
  const words = [exit, ...(said.length === 0 ? [] : [`its log ends with: ${said.join(' | ')}`])].join('; ');
  throw new TaskFailed(codeOfRefusal(500, words, true), `${describe(task)} failed: ${plainText(words)}`);
}

function describe({ type, id, upid }: Task): string {
  return `task ${type}${id === '' ? '' : ` of ${id}`} (${upid})`;
}

class TaskLog {
  /** The last lines. */
  tail: readonly string[] = [];
  readonly #client: ProxmoxClient;
  readonly #task: Task;
  readonly #onLine: ((line: string) => void) | undefined;
  #lines = 0;

  constructor(client: ProxmoxClient, task: Task, onLine: ((line: string) => void) | undefined) {
    this.#client = client;
    this.#task = task;
    this.#onLine = onLine;
  }

  /** Hands on what was printed since the last call. */
  async read(call: Call): Promise<void> {
    for (;;) {
      const before = this.#lines;
      const { node, upid } = this.#task;
      const page: unknown = await this.#client
        .api(call)
        .nodes.$(node)
        .tasks.$(upid)
        .log.$get({ start: before, limit: logPageLines });
      if (!Array.isArray(page)) throw new ProxmoxError('Unavailable', `the log of ${describe(this.#task)} is no list`);
      for (const entry of page as unknown[]) this.#take(entry, page.length);
      if (page.length < logPageLines || this.#lines === before) return;
    }
  }

  #take(entry: unknown, pageLines: number): void {
    const { n, t } = (entry ?? {}) as { n?: unknown; t?: unknown };
    if (typeof n !== 'number' || typeof t !== 'string' || n !== this.#lines + 1) return;
    // What Proxmox VE says of a log that is still empty; its first line will have the same number.
    if (n === 1 && pageLines === 1 && t === 'no content') return;
    this.#lines = n;
    const line = plainText(t);
    if (line !== '') this.tail = [...this.tail, line].slice(-errorLines);
    if (n <= logLinesMax) this.#onLine?.(line);
    else if (n === logLinesMax + 1) this.#onLine?.(`(the log has more than ${logLinesMax} lines)`);
  }
}

function pause(clock: TaskClock, delayMs: number, signal: AbortSignal | undefined, task: Task): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelled = (): AgentError =>
      signal?.reason instanceof AgentError
        ? signal.reason
        : new AgentError(
            'Unavailable',
            `following ${describe(task)} was given up: the call was cancelled; the task goes on`,
          );
    if (signal?.aborted === true) {
      reject(cancelled());
      return;
    }
    const onAbort = (): void => {
      stop();
      reject(cancelled());
    };
    const stop = clock.after(Math.max(0, delayMs), () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
