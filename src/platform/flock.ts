/**
 * Kernel file locks (flock(2)), which Node cannot take itself. A child holds the lock: flock(1) opens the file, waits
 * for the lock and becomes cat(1), which keeps the locked descriptor until its standard input ends. That pipe's other
 * end is only ours, so the lock goes when we release it and when this process dies, however it dies. cat gives back
 * what it reads: one byte returned means that the lock is held.
 */
import { open, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { AgentError } from '../model/errors.ts';
import { cancelled, throwIfCancelled } from './cancellation.ts';

export interface Flock {
  /** Resolves once the kernel has given the lock up. May be called again. Never rejects. */
  release(): Promise<void>;
  /**
   * Resolves when the lock is held at this moment, by asking its holder: that it ended is otherwise heard of a little
   * later than the kernel lets others have the lock. Rejects with `Busy` when it is lost or nothing answers.
   */
  confirm(): Promise<void>;
  /** Resolves when the holder ended without `release`: the lock is gone. Otherwise never. */
  readonly lost: Promise<Error>;
}

/** Exit code of flock(1) when its time is over; none of sysexits(3), which it uses for everything else. */
const timedOutExitCode = 200;
/** What a holder gets to end after its standard input did. */
const releaseMs = 1_000;
/** What a holder gets to give a byte back. */
const answerMs = 1_000;
/** What a holder gets beyond the deadline to end by itself: opening the file can hang as well. */
const graceMs = 500;
const stderrCharactersMax = 4_096;

/**
 * Takes the exclusive lock on `path`, creating the file (0644) when it is missing and never removing it. Throws `Busy`
 * when another holds the lock for `deadlineMs`, `Unavailable` when it cannot be taken at all or the call was cancelled.
 */
export async function acquireFlock(
  path: string,
  { deadlineMs, signal }: { deadlineMs: number; signal?: AbortSignal | undefined },
): Promise<Flock> {
  const what = `waiting for the lock on ${path}`;
  throwIfCancelled(signal, what);
  await createIfMissing(path);
  const holder = startHolder(path, deadlineMs);

  const outcome = await new Promise<'held' | 'overdue' | 'cancelled' | HolderEnd>((resolve) => {
    const overdue = setTimeout(settle, deadlineMs + graceMs, 'overdue' as const);
    const onAbort = (): void => {
      settle('cancelled');
    };
    function settle(result: 'held' | 'overdue' | 'cancelled' | HolderEnd): void {
      clearTimeout(overdue);
      signal?.removeEventListener('abort', onAbort);
      resolve(result);
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    void holder.held.then(settle);
    void holder.ended.then(settle);
  });
  if (outcome === 'held') return heldLock(path, holder);

  holder.kill();
  if (outcome === 'cancelled' && signal !== undefined) throw cancelled(signal, what);
  if (typeof outcome === 'string' || outcome.exitCode === timedOutExitCode) {
    throw new AgentError(
      'Busy',
      `${path} stayed locked by another process for ${deadlineMs} ms: nothing was written; try again when it is free`,
    );
  }
  throw new AgentError('Unavailable', `cannot lock ${path}: ${outcome.reason}`);
}

interface HolderEnd {
  readonly exitCode: number | null;
  readonly reason: string;
}

interface Holder {
  readonly held: Promise<'held'>;
  /** Resolves when one byte came back. Never rejects. */
  echo(): Promise<'held'>;
  /** Never rejects. */
  readonly ended: Promise<HolderEnd>;
  closeInput(): void;
  kill(): void;
}

function startHolder(path: string, deadlineMs: number): Holder {
  const timeout = (deadlineMs / 1000).toFixed(3);
  const child = execa(
    'flock',
    ['--exclusive', '--no-fork', '--timeout', timeout, '--conflict-exit-code', String(timedOutExitCode), path, 'cat'],
    { reject: false, buffer: { stdout: false }, env: { LC_ALL: 'C' }, maxBuffer: stderrCharactersMax },
  );
  // The holder may end before it reads; how it ended is in its result.
  child.stdin.on('error', () => undefined);
  const echo = (): Promise<'held'> =>
    new Promise((resolve) => {
      child.stdout.once('data', () => {
        resolve('held');
      });
      child.stdin.write('.');
    });
  return {
    held: echo(),
    echo,
    ended: child.then((result) => ({
      exitCode: result.exitCode ?? null,
      reason:
        result.stderr === ''
          ? (result.originalMessage ?? `flock(1) ended with ${result.exitCode ?? 'a signal'}`)
          : result.stderr,
    })),
    closeInput: () => {
      child.stdin.end();
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function heldLock(path: string, holder: Holder): Flock {
  let released = false;
  const lostBecause = (reason: string): AgentError =>
    new AgentError('Busy', `the lock on ${path} was lost: its holder ended (${reason})`);
  return {
    confirm: async () => {
      const timer = new AbortController();
      const overdue = delay(answerMs, null, { signal: timer.signal }).catch(() => null);
      const answer = await Promise.race([holder.echo(), holder.ended, overdue]);
      timer.abort();
      if (answer === null) throw new AgentError('Busy', `the holder of the lock on ${path} does not answer: try again`);
      if (answer !== 'held') throw lostBecause(answer.reason);
    },
    release: async () => {
      released = true;
      holder.closeInput();
      const stubborn = setTimeout(() => {
        holder.kill();
      }, releaseMs);
      await holder.ended;
      clearTimeout(stubborn);
    },
    lost: new Promise((resolve) => {
      void holder.ended.then(({ reason }) => {
        if (!released) resolve(lostBecause(reason));
      });
    }),
  };
}

/** With O_CREAT alone: the file is a meeting place, and whether it existed says nothing about the lock. */
async function createIfMissing(path: string): Promise<void> {
  try {
    const existed = await stat(path).then(
      () => true,
      () => false,
    );
    if (existed) return;
    const handle = await open(path, 'a', 0o644);
    try {
      // The umask may have taken bits away that other lockers need.
      await handle.chmod(0o644);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new AgentError(
      'Unavailable',
      `cannot create the lock file ${path}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
