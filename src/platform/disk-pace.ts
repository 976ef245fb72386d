/**
 * Whether to wait for a disk at once. To another thread and back takes longer than a good disk needs for a block, and the
 * longer the busier the machine is. But while this thread waits for the disk nothing else runs, and some disks take ten
 * milliseconds and more. So a disk has to prove itself with every wait by another thread, loses that with the first slow
 * one, and others get their turn after a number of waits.
 */

/** What a disk may take to be a quick one. */
const quickMs = 2;
/** Quick ones in a row before this thread waits. */
const provenAfter = 8;
/** Waits at once, one after the other: a few milliseconds. */
const atOnceMax = 16;
/** More is left to other threads, whatever the disk is. */
const atOnceBytesMax = 65_536;

export class DiskPace {
  #quickInARow = 0;
  #atOnce = 0;

  /** Whether to wait for these bytes at once. */
  mayWait(bytes: number): boolean {
    if (bytes <= atOnceBytesMax && this.#quickInARow >= provenAfter && ++this.#atOnce <= atOnceMax) return true;
    this.#atOnce = 0;
    return false;
  }

  /** What the disk took; Infinity when it failed. */
  note(tookMs: number): void {
    this.#quickInARow = tookMs <= quickMs ? this.#quickInARow + 1 : 0;
  }
}
