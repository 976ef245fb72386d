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
  /** First byte, in the chunk being scanned, of the message under way. */
  #begin = 0;
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
    for (let end = this.#scan(chunk, start); end !== -1; end = this.#scan(chunk, start)) {
      yield this.#parse(this.#join(chunk.subarray(this.#begin, end)));
      start = end;
    }
    if (this.#begin < chunk.length) this.#hold(chunk.subarray(this.#begin));
  }

  /**
   * Where the message that reaches into `chunk` at `from` ends, or -1; `#begin` is where its bytes in this chunk begin.
   * The state lives in locals while it runs: this loop sees every byte.
   */
  #scan(chunk: Uint8Array, from: number): number {
    const { nestingMax } = this.#limits;
    let begin = from;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    let end = -1;
    for (let i = from; i < chunk.length && end === -1; i++) {
      const byte = chunk[i] as number;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quoteByte) inString = false;
      } else if (byte === quoteByte) {
        inString = true;
        if (depth === 0) throw notJsonRpc('a string outside any object');
      } else if (byte === 0x7b || byte === 0x5b) {
        if (++depth > nestingMax) throw notJsonRpc(`nesting deeper than ${nestingMax}`);
      } else if (byte === 0x7d || byte === 0x5d) {
        if (--depth < 0) throw notJsonRpc('a closing bracket without an opening one');
        if (depth === 0) end = i + 1;
      } else if (depth === 0) {
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          throw notJsonRpc(`byte 0x${byte.toString(16).padStart(2, '0')} between messages`);
        }
        begin = i + 1;
      }
    }
    this.#begin = begin;
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return end;
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
