/** Chunks of a file become lines, whatever the chunks' borders. */
import { asBuffer } from './block.ts';
import { AgentError } from '../model/errors.ts';
import { lineBytesMax } from './limits.ts';

/**
 * Called per line without its newline; null stands for a line longer than `lineBytesMax`, whose bytes are not kept.
 * The bytes are valid during the call only. Returning false ends the splitting.
 */
type OnLine = (line: Buffer | null, offset: number) => boolean;

/** Holds at most one unfinished line. */
export class LineSplitter {
  readonly #onLine: OnLine;
  readonly #carry = Buffer.allocUnsafe(lineBytesMax);
  /** Bytes of the unfinished line so far; above `lineBytesMax` they are only counted. */
  #carried = 0;
  #lineOffset = 0;
  #offset = 0;

  constructor(onLine: OnLine) {
    this.#onLine = onLine;
  }

  /** False once the listener has had enough. */
  push(bytes: Uint8Array): boolean {
    const chunk = asBuffer(bytes);
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end === -1) break;
      const line = this.#carried === 0 ? chunk.subarray(start, end) : this.#finish(chunk.subarray(start, end));
      const offset = this.#lineOffset;
      start = end + 1;
      this.#carried = 0;
      this.#lineOffset = this.#offset + start;
      if (!this.#onLine(line !== null && line.length <= lineBytesMax ? line : null, offset)) return false;
    }
    this.#keep(chunk.subarray(start));
    this.#offset += chunk.length;
    return true;
  }

  /** Where an unfinished last line begins and how many bytes it has; null after a whole line. */
  rest(): { offset: number; bytes: number } | null {
    return this.#carried === 0 ? null : { offset: this.#lineOffset, bytes: this.#carried };
  }

  #finish(end: Buffer): Buffer | null {
    this.#keep(end);
    return this.#carried > lineBytesMax ? null : this.#carry.subarray(0, this.#carried);
  }

  #keep(part: Buffer): void {
    if (this.#carried < lineBytesMax) part.copy(this.#carry, this.#carried);
    this.#carried += part.length;
  }
}

/** One line of a ledger that begins with line 0. Rejects with `Tampered` when there are not so many. */
export async function readLine(chunks: AsyncIterable<Uint8Array>, number: number): Promise<Buffer> {
  let at = 0;
  const found: Buffer[] = [];
  const splitter = new LineSplitter((line) => {
    if (at++ < number) return true;
    if (line !== null) found.push(Buffer.from(line));
    return false;
  });
  for await (const chunk of chunks) {
    if (!splitter.push(chunk)) break;
  }
  const [line] = found;
  if (line === undefined) throw new AgentError('Tampered', `ledger block ${number} is not in the file any more`);
  return line;
}

const newline = 0x0a;
