/**
 * Faults at a chosen system call of a real process, by strace. The process runs its file operations in one thread
 * (`UV_THREADPOOL_SIZE`), so that the calls of every run come in the same order and the n-th of them is the same one.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { waitFor } from './wait-for.ts';

/**
 * `killed`: SIGKILL before the call. Node.js tells its main thread of each finished call by a call of its own, and a kill
 * before that one is a call that was carried out and whose report was lost. `failed`: EIO, and it is not carried out.
 */
export type CallFault = 'killed' | 'failed';

/** The thread that does what is asked of `node:fs/promises`, or the one that runs JavaScript and calls synchronously. */
export type CallThread = 'worker' | 'main';

/** The n-th call of this name, from 1: strace counts each name by itself. */
export interface Call {
  readonly name: string;
  readonly nth: number;
}

export interface CallRun {
  /** Lines that the program printed, without the one at the gate. */
  readonly lines: readonly string[];
  readonly signal: string | undefined;
  readonly exitCode: number | undefined;
  readonly stderr: string;
  /** As strace writes them, in order; the last one of a process that was killed is the one that was not carried out. */
  readonly calls: readonly string[];
  /** The call that failed; null when none did. */
  readonly failedAt: string | null;
}

export interface CallOptions {
  /** A bundle of `behind-gate.ts`. */
  readonly program: string;
  readonly scenario: string;
  /** What the scenario works in; gate and trace lie beside, in `scratch`. */
  readonly folder: string;
  readonly scratch: string;
  readonly thread: CallThread;
  /** null only writes the calls down. */
  readonly fault: { readonly call: Call; readonly kind: CallFault } | null;
}

/** Of the main thread only calls that are about files: it reads and writes pipes of Node.js's own besides. */
const traced: Readonly<Record<CallThread, string>> = {
  worker: '%file,%desc',
  main: '%stat,%lstat,%fstat,pread64,fdatasync',
};
const runMs = 30_000;

export async function runToCall(options: CallOptions): Promise<CallRun> {
  const { program, scenario, folder, scratch, thread, fault } = options;
  const [gate, trace] = [join(scratch, 'gate'), join(scratch, 'trace')];
  await execa('mkfifo', [gate]);
  const child = execa(process.execPath, [program, gate, scenario, folder], {
    env: { UV_THREADPOOL_SIZE: '1' },
    reject: false,
    timeout: runMs,
  });
  let tracer: ReturnType<typeof attach> | undefined;
  try {
    await said(child, 'stdout', /at the gate/);
    assert.ok(child.pid !== undefined);
    const worker = await threadAtGate(child.pid);
    tracer = attach(thread === 'worker' ? worker : child.pid, trace, { thread, fault });
    await said(tracer, 'stderr', /attached/);
    // Both ends, so that it opens at once also when nobody is left who waits.
    const opened = await open(gate, 'r+');
    const { stdout, stderr, signal, exitCode } = await child.finally(() => opened.close());
    await tracer;
    const calls = (await readFile(trace, 'utf8')).split('\n').filter((line) => /^\w+\(/.test(line));
    return {
      lines: stdout.split('\n').slice(1),
      stderr,
      signal,
      exitCode,
      calls,
      failedAt: calls.find((line) => line.includes('(INJECTED)')) ?? null,
    };
  } finally {
    child.kill('SIGKILL');
    tracer?.kill('SIGKILL');
  }
}

/** The calls of a run about files in `folder`; with `reports`, also those that tell of the end of one. */
export function callsOn(folder: string, lines: readonly string[], { reports }: { reports: boolean }): Call[] {
  const counts = new Map<string, number>();
  let begun = false;
  return lines.flatMap((line) => {
    const name = line.slice(0, line.indexOf('('));
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    const isOnFile = line.includes(folder);
    begun ||= isOnFile;
    return isOnFile || (reports && begun && line.includes('[eventfd]')) ? [{ name, nth }] : [];
  });
}

function attach(thread: number, output: string, { thread: kind, fault }: Pick<CallOptions, 'thread' | 'fault'>) {
  const what = fault?.kind === 'killed' ? 'signal=KILL' : 'error=EIO';
  const inject = fault === null ? [] : ['-e', `inject=${fault.call.name}:${what}:when=${fault.call.nth}`];
  const options = ['-y', '-s', '0', '-o', output, '-e', `trace=${traced[kind]}`, ...inject, '-p', String(thread)];
  return execa('strace', options, { reject: false, timeout: runMs });
}

/** A call that is relative to no folder (`AT_FDCWD`) and lasts can only be the one that opens the gate. */
const opening = /^\d+ 0x(f{8})?ffffff9c /;

async function threadAtGate(pid: number): Promise<number> {
  let found: string | undefined;
  await waitFor('a thread at the gate', async () => {
    const threads = await readdir(`/proc/${pid}/task`);
    const calls = await Promise.all(threads.map((tid) => readFile(`/proc/${pid}/task/${tid}/syscall`, 'utf8')));
    found = threads.find((tid, index) => tid !== String(pid) && opening.test(calls[index] ?? ''));
    return found !== undefined;
  });
  return Number(found);
}

/** Waits until the process prints `text`; throws when it ends before. */
async function said(
  from: Pick<ChildProcess, 'exitCode' | 'stdout' | 'stderr'>,
  stream: 'stdout' | 'stderr',
  text: RegExp,
): Promise<void> {
  let seen = '';
  from[stream]?.on('data', (chunk: Buffer) => (seen += chunk.toString()));
  await waitFor(text.source, () => text.test(seen) || from.exitCode !== null, runMs);
  assert.match(seen, text);
}
