/**
 * Splits a byte stream into JSON values. OVSDB messages carry neither length nor newline (RFC 7047 section 4), several
 * share one chunk and one may span many, so the scanner tracks depth, strings and escapes byte by byte. UTF-8 never
 * hides an ASCII byte inside a longer sequence, so scanning bytes is safe at any split; each whole message is decoded
 * once, strictly.
 */
import { messageBytesMax, nestingMax } from './limits.ts';
import { malformed } from './malformed.ts';

const quoteByte = 0x22;
const backslash = 0x5c;
const nothing = new Uint8Array(0);

export class JsonStream {
  /** What has come of a message that is not complete: the first `#heldBytes` of `#held`, which grows by doubling. */
  #held = nothing;
  #heldBytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #limits: { readonly messageBytesMax: number; readonly nestingMax: number };
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(limits = { messageBytesMax, nestingMax }) {
    this.#limits = limits;
  }

  /**
   * Yields the values that `chunk` completes; iterate to the end before the next call. Throws `SwitchError` on anything
   * but a sequence of JSON objects and arrays, after the values before it, and must not be called again then.
   */
  *push(chunk: Uint8Array): Generator<unknown, void, undefined> {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quoteByte) this.#inString = false;
      } else if (byte === quoteByte) {
        this.#inString = true;
        if (this.#depth === 0) throw notJsonRpc('a string outside any object');
      } else if (byte === 0x7b || byte === 0x5b) {
        if (++this.#depth > this.#limits.nestingMax) throw notJsonRpc(`nesting deeper than ${this.#limits.nestingMax}`);
      } else if (byte === 0x7d || byte === 0x5d) {
        if (--this.#depth < 0) throw notJsonRpc('a closing bracket without an opening one');
        if (this.#depth === 0) {
          yield this.#parse(this.#join(chunk.subarray(start, i + 1)));
          start = i + 1;
        }
      } else if (this.#depth === 0) {
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          throw notJsonRpc(`byte 0x${byte.toString(16).padStart(2, '0')} between messages`);
        }
        start = i + 1;
      }
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  /** The whole message. One that came in one chunk, as nearly all do, is not copied. */
  #join(last: Uint8Array): Uint8Array {
    if (this.#heldBytes === 0) {
      this.#checkLength(last.length);
      return last;
    }
    this.#hold(last);
    const whole = this.#held.subarray(0, this.#heldBytes);
    this.#held = nothing;
    this.#heldBytes = 0;
    return whole;
  }

  #hold(part: Uint8Array): void {
    const bytes = this.#heldBytes + part.length;
    this.#checkLength(bytes);
    if (bytes > this.#held.length) {
      const grown = new Uint8Array(Math.max(bytes, this.#held.length * 2));
      grown.set(this.#held);
      this.#held = grown;
    }
    this.#held.set(part, this.#heldBytes);
    this.#heldBytes = bytes;
  }

  #checkLength(bytes: number): void {
    const { messageBytesMax } = this.#limits;
    if (bytes > messageBytesMax) throw notJsonRpc(`a message longer than ${messageBytesMax} bytes`);
  }

  #parse(message: Uint8Array): unknown {
    try {
      return JSON.parse(this.#decoder.decode(message));
    } catch (cause) {
      throw notJsonRpc(cause instanceof Error ? cause.message : String(cause), cause);
    }
  }
}

function notJsonRpc(why: string, cause?: unknown): Error {
  return malformed(`what is not JSON-RPC: ${why}`, { cause });
}
