/**
 * Splits a byte stream into JSON values. OVSDB messages carry neither length nor newline (RFC 7047 section 4), several
 * share one chunk and one may span many, so the scanner tracks depth, strings and escapes byte by byte. UTF-8 never
 * hides an ASCII byte inside a longer sequence, so scanning bytes is safe at any split; each whole message is decoded
 * once, strictly.
 */
import { AgentError } from '../model/errors.ts';
import { messageBytesMax, nestingMax } from './limits.ts';

const quoteByte = 0x22;
const backslash = 0x5c;

export class JsonStream {
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #limits: { messageBytesMax: number; nestingMax: number };
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(limits = { messageBytesMax, nestingMax }) {
    this.#limits = limits;
  }

  /** The values that `chunk` completes. Throws `SwitchError` on anything but a sequence of JSON objects and arrays. */
  push(chunk: Uint8Array): unknown[] {
    const values: unknown[] = [];
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quoteByte) this.#inString = false;
      } else if (byte === quoteByte) {
        this.#inString = true;
        if (this.#depth === 0) throw malformed('a string outside any object');
      } else if (byte === 0x7b || byte === 0x5b) {
        if (++this.#depth > this.#limits.nestingMax) throw malformed(`nesting deeper than ${this.#limits.nestingMax}`);
      } else if (byte === 0x7d || byte === 0x5d) {
        if (--this.#depth < 0) throw malformed('a closing bracket without an opening one');
        if (this.#depth === 0) {
          values.push(this.#finish(chunk.subarray(start, i + 1)));
          start = i + 1;
        }
      } else if (this.#depth === 0) {
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          throw malformed(`byte 0x${byte.toString(16).padStart(2, '0')} between messages`);
        }
        start = i + 1;
      }
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return values;
  }

  #finish(last: Uint8Array): unknown {
    this.#keep(last);
    const bytes = this.#parts.length === 1 ? last : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsBytes = 0;
    try {
      return JSON.parse(this.#decoder.decode(bytes));
    } catch (cause) {
      throw malformed(cause instanceof Error ? cause.message : String(cause), cause);
    }
  }

  #keep(part: Uint8Array): void {
    this.#partsBytes += part.length;
    if (this.#partsBytes > this.#limits.messageBytesMax) {
      throw malformed(`a message longer than ${this.#limits.messageBytesMax} bytes`);
    }
    this.#parts.push(part);
  }
}

function malformed(why: string, cause?: unknown): AgentError {
  return new AgentError('SwitchError', `OVSDB stream is not JSON-RPC: ${why}`, { cause });
}
