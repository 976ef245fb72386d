/** Virtual time: what is planned happens in its order, and promises settle around each. */

interface Planned {
  readonly atMs: number;
  readonly order: number;
  callback: (() => void) | null;
}

/** After a leap much is due at once. */
const stepsAtOnceMax = 10_000;

export class Scheduler {
  #nowMs = 1_000_000;
  #leapedMs = 0;
  /** Steps since time last moved. */
  #stepsNow = 0;
  #count = 0;
  /** A binary heap, the next first. */
  readonly #heap: Planned[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Time in which anything could have happened: leaps left out. */
  get livedMs(): number {
    return this.#nowMs - this.#leapedMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const planned: Planned = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#count++, callback };
    this.#push(planned);
    return () => {
      planned.callback = null;
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /** The host slept: everything that became due meanwhile is late. */
  leap(ms: number): void {
    this.#nowMs += ms;
    this.#leapedMs += ms;
  }

  /** Lets everything of the next `ms` milliseconds happen. `afterEach` is called between two steps. */
  async run(ms: number, afterEach: () => void = () => undefined): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settled();
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > Math.max(endMs, this.#nowMs)) break;
      this.#pop();
      if (next.callback === null) continue;
      if (next.atMs > this.#nowMs) {
        this.#nowMs = next.atMs;
        this.#stepsNow = 0;
      } else if (++this.#stepsNow > stepsAtOnceMax) {
        throw new Error(`${stepsAtOnceMax} steps without any time: something spins`);
      }
      next.callback();
      await settled();
      afterEach();
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let at = heap.push(planned) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at]!, heap[parent]!)) return;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    let at = 0;
    for (;;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child]!, heap[first]!)) first = child;
      }
      if (first === at) return;
      [heap[at], heap[first]] = [heap[first]!, heap[at]!];
      at = first;
    }
  }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Resolves when every promise that could settle without a planned step has. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
