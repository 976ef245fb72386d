/** A line between client and server that breaks on demand, in either direction and at any byte. */
import type { Channel, ChannelEvents, Dial } from '../../src/ovsdb/channel.ts';

/** `sent`: what the client writes. `received`: what the server writes. */
export type Direction = 'sent' | 'received';

export class CuttingDial {
  readonly #dial: Dial;
  /** Bytes that still pass before the line breaks. */
  readonly #left = { sent: Infinity, received: Infinity };
  cuts = 0;
  /** Bytes that have passed since `count`. */
  readonly passed = { sent: 0, received: 0 };

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  count(): void {
    this.passed.sent = 0;
    this.passed.received = 0;
  }

  /** Lets this many more bytes pass, then breaks, once. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#left[direction] = bytes;
  }

  readonly dial: Dial = async (events, signal) => {
    const line = new AbortController();
    const onAbort = (): void => {
      line.abort();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    let isOpen = true;
    const close = (reason: Error | null): void => {
      if (!isOpen) return;
      isOpen = false;
      signal.removeEventListener('abort', onAbort);
      events.onClose(reason);
    };
    const inner: ChannelEvents = {
      onData: (chunk) => {
        if (!isOpen) return;
        const passing = this.#pass('received', chunk.length);
        if (passing > 0) events.onData(chunk.subarray(0, passing));
        if (passing < chunk.length) this.#break(line, close);
      },
      onClose: close,
    };
    const channel: Channel = await this.#dial(inner, line.signal);
    return {
      write: (text) => {
        if (!isOpen) return;
        const bytes = Buffer.from(text);
        const passing = this.#pass('sent', bytes.length);
        // Only ASCII crosses here, so that a cut is never within a character.
        if (passing > 0) channel.write(text.slice(0, passing));
        if (passing < bytes.length) this.#break(line, close);
      },
    };
  };

  #pass(direction: Direction, bytes: number): number {
    const passing = Math.min(bytes, this.#left[direction]);
    this.passed[direction] += passing;
    this.#left[direction] = passing < bytes ? Infinity : this.#left[direction] - passing;
    return passing;
  }

  /** What was written so far still arrives. */
  #break(line: AbortController, close: (reason: Error | null) => void): void {
    this.cuts++;
    setImmediate(() => {
      close(new Error('cut'));
      line.abort();
    });
  }
}
