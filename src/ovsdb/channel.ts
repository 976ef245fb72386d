/** What this module asks of the outside: a byte stream and a clock. `platform` satisfies both. */

/** A connected stream. It ends when the signal given to `Dial` is aborted. */
export interface Channel {
  /** Never blocks and never throws; what cannot be sent closes the channel. */
  write(bytes: string): void;
}

export interface ChannelEvents {
  /** The bytes are the channel's again afterwards: what is needed longer is copied. */
  onData(chunk: Uint8Array): void;
  /** Comes once, whoever closed the channel, and nothing comes after it. */
  onClose(reason: Error | null): void;
}

/**
 * Connects; rejects with an error that says why it cannot. Aborting `signal` ends the attempt and, later, the channel.
 * No event comes before those who await the promise have run, and none when it rejects.
 */
export type Dial = (events: ChannelEvents, signal: AbortSignal) => Promise<Channel>;

/** One server of a database. */
export interface Remote {
  /** For messages: where `dial` leads to. */
  readonly endpoint: string;
  readonly dial: Dial;
}

export interface Timers {
  /** Milliseconds that never go back. */
  nowMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
  /** Calls `callback` once what has arrived on channels by now was handed on; the returned function cancels. */
  afterReceiving(callback: () => void): () => void;
}
