/** What this module asks of the outside: a byte stream and a clock. `platform` satisfies both. */

/** A connected stream. Exactly one of the two callbacks `onClose` ever comes, once, after which nothing comes. */
export interface Channel {
  write(bytes: string): void;
  /** Closes at once; `onClose` is still called. Safe to call twice. */
  destroy(): void;
}

export interface ChannelEvents {
  onData(chunk: Uint8Array): void;
  onClose(reason: Error | null): void;
}

/** Connects; rejects with `Unavailable` that names the endpoint, or when `signal` aborts. */
export type Dial = (events: ChannelEvents, signal: AbortSignal) => Promise<Channel>;

export interface Timers {
  /** Milliseconds that never go back. */
  nowMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels. Never keeps the process alive by itself. */
  after(delayMs: number, callback: () => void): () => void;
}
