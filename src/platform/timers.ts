/** The clock and timers that the other modules ask for. */

export const systemTimers = {
  /** Monotonic milliseconds. */
  nowMs(): number {
    return performance.now();
  },
  after(delayMs: number, callback: () => void): () => void {
    const timer = setTimeout(callback, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
  /** Called from a timer: after Node.js has read its sockets, which it does between timers and immediates. */
  afterReceiving(callback: () => void): () => void {
    const immediate = setImmediate(callback);
    return () => {
      clearImmediate(immediate);
    };
  },
};

/** Wall-clock milliseconds since the epoch, for what is recorded. */
export function wallClockMs(): number {
  return Date.now();
}
