/** A clock that goes only when it is told to. */
export class FakeClock {
  #nowMs = 1_000_000;
  #timers: { atMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Everything that is on its way arrives before the next timer fires. */
  afterReceiving(callback: () => void): () => void {
    return this.after(0, callback);
  }

  /** When each timer that is set will fire, in milliseconds from now. */
  get pendingMs(): number[] {
    return this.#timers.map(({ atMs }) => atMs - this.#nowMs).sort((a, b) => a - b);
  }

  /** Fires the timers of the next `ms` milliseconds in their order, letting promises settle around each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settled();
    for (;;) {
      const next = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await settled();
    }
    this.#nowMs = endMs;
  }
}

/** Resolves when every promise that could settle without I/O or a timer has. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
