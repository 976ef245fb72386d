/**
 * Decides when a pass runs: one at a time; guests and handed-over ports that an event touched at once, everything at most every `debounceMs`
 * and at least every `timerMs`. Events only say where to look; losing one costs time, never truth.
 */
import type { Clock } from './contracts.ts';
import type { Scope, Subject } from './scope.ts';

/** More touched than this are cheaper to look at all together. */
const touchedMax = 64;

export interface RunnerOptions {
  readonly clock: Clock;
  readonly debounceMs: number;
  /** A full pass without any event. */
  readonly timerMs: number;
  /** One pass. Its failure is reported by it; here it only means that another try follows. */
  readonly pass: (scope: Scope, cause: string) => Promise<boolean>;
  readonly nextRipeMs: () => number | null;
}

/** A failed pass is tried again after this time, doubled up to the timer. */
const retryMs = 500;

export class Runner {
  readonly #options: RunnerOptions;
  #all: string | null = null;
  #touched = new Map<Subject, string>();
  #running = false;
  /** Until `start`, and after `stop`. */
  #stopped = true;
  #lastAllMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #passStartedMs: number | null = null;
  #cancel: () => void = () => undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    this.wake('start');
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Everything has to be looked at. */
  wake(cause: string): void {
    this.#all ??= cause;
    void this.#turn();
  }

  /** These have to be looked at. */
  touch(subjects: Iterable<Subject>, cause: string): void {
    for (const subject of subjects) if (!this.#touched.has(subject)) this.#touched.set(subject, cause);
    if (this.#touched.size > touchedMax) this.#all ??= cause;
    if (this.#touched.size > 0) void this.#turn();
  }

  /** How long the present pass has been running; 0 when none is. */
  passAgeMs(): number {
    return this.#passStartedMs === null ? 0 : this.#options.clock.nowMs() - this.#passStartedMs;
  }

  async #turn(): Promise<void> {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    this.#cancel();
    try {
      // What came in while the last pass was ending must not sleep.
      while ((await this.#passOnce()) || this.#hasMore());
    } finally {
      this.#passStartedMs = null;
      this.#running = false;
    }
    this.#sleep();
  }

  /** Whether another pass may follow at once. */
  async #passOnce(): Promise<boolean> {
    const work = this.#stopped ? null : this.#take();
    if (work === null) return false;
    this.#passStartedMs = this.#options.clock.nowMs();
    const ok = await this.#options.pass(work.scope, work.cause);
    this.#failures = ok ? 0 : this.#failures + 1;
    return ok;
  }

  #hasMore(): boolean {
    return !this.#stopped && this.#failures === 0 && (this.#isAllDue() || this.#isTouchedDue());
  }

  #isAllDue(): boolean {
    return this.#all !== null && this.#options.clock.nowMs() >= this.#lastAllMs + this.#options.debounceMs;
  }

  #isTouchedDue(): boolean {
    return this.#touched.size > 0 && this.#touched.size <= touchedMax;
  }

  #take(): { scope: Scope; cause: string } | null {
    const nowMs = this.#options.clock.nowMs();
    if (this.#all !== null && this.#isAllDue()) {
      const cause = this.#all;
      this.#all = null;
      this.#touched.clear();
      this.#lastAllMs = nowMs;
      return { scope: 'all', cause };
    }
    if (!this.#isTouchedDue()) return null;
    const [cause = ''] = this.#touched.values();
    const scope = new Set(this.#touched.keys());
    this.#touched.clear();
    return { scope, cause };
  }

  #sleep(): void {
    if (this.#stopped) return;
    const { clock, debounceMs, timerMs, nextRipeMs } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#failures > 0) {
      this.#wakeAfter(Math.min(retryMs * 2 ** (this.#failures - 1), timerMs), 'retry');
      return;
    }
    const dueMs = this.#lastAllMs + debounceMs;
    const debounced = this.#all === null ? Number.POSITIVE_INFINITY : dueMs - nowMs;
    // What is ripe needs a full pass as well: waking before that may run would only wake again.
    const ripe = Math.max(nextRipeMs() ?? Number.POSITIVE_INFINITY, dueMs) - nowMs;
    const [delayMs, cause] = debounced <= ripe ? [debounced, this.#all ?? ''] : [ripe, 'patience'];
    this.#wakeAfter(Math.min(Math.max(delayMs, 0), timerMs), delayMs >= timerMs ? 'timer' : cause);
  }

  #wakeAfter(delayMs: number, cause: string): void {
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.wake(cause);
    });
  }
}
