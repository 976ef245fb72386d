/**
 * Reads the whole ledger from time to time. A start goes on from the index and so does not notice an old block that was
 * altered in place; this does, some time later.
 */
import type { AgentError } from '../model/errors.ts';
import { toAgentError } from '../model/errors.ts';
import type { BadLine, ChainReport } from './chain.ts';

/** Guests start after a boot, and this can wait. */
const firstMs = 10 * 60_000;
const everyMs = 24 * 60 * 60_000;

export interface PatrolOptions {
  readonly ledger: { verify(): Promise<ChainReport> };
  readonly clock: { after(delayMs: number, callback: () => void): () => void };
  /** What is known to be altered already, and was told; null when nothing is. */
  readonly known: BadLine | null;
  /** Told once of each finding, and again when another is found first. */
  readonly onAltered: (bad: BadLine) => void;
  /** The ledger could not be read; it is tried again the next day. */
  readonly onTrouble: (error: AgentError) => void;
}

/** Begins the rounds; the returned function ends them. One that is under way is not waited for. */
export function patrol({ ledger, clock, known, onAltered, onTrouble }: PatrolOptions): () => void {
  let isOver = false;
  let told = known;
  let cancel = clock.after(firstMs, round);
  return () => {
    isOver = true;
    cancel();
  };

  function round(): void {
    ledger.verify().then(
      ({ firstBad }) => {
        if (isOver) return;
        cancel = clock.after(everyMs, round);
        if (firstBad === undefined || isSame(firstBad, told)) return;
        told = firstBad;
        onAltered(firstBad);
      },
      (error: unknown) => {
        if (isOver) return;
        onTrouble(toAgentError(error));
        cancel = clock.after(everyMs, round);
      },
    );
  }
}

function isSame(bad: BadLine, other: BadLine | null): boolean {
  return bad.height === other?.height && bad.offset === other.offset && bad.reason === other.reason;
}
