/** From a byte stream to whole messages ("Message Format" of the D-Bus specification), whatever the chunks. */
import { AgentError } from '../../model/errors.ts';
import { headerBytesMax, messageBytesMax } from './limits.ts';

/** One message. When it was longer than `messageBytesMax`, `bytes` is its header alone and `oversized` its length. */
export interface Frame {
  readonly bytes: Buffer;
  readonly oversized: number | null;
}

/** Bytes before the header fields: endianness, type, flags, version, body length, serial, length of the fields. */
const fixedBytes = 16;

export class MessageSplitter {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #skipBytes = 0;

  /** The messages that `chunk` completes. Throws `Unavailable` when the stream is not D-Bus; it is then unusable. */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    for (;;) {
      if (this.#skipBytes > 0) this.#skipBytes -= this.#take(Math.min(this.#skipBytes, this.#heldBytes)).length;
      if (this.#skipBytes > 0 || this.#heldBytes < fixedBytes) return frames;
      const { headerBytes, bodyBytes } = readLengths(this.#peekFixed());
      const wholeBytes = headerBytes + bodyBytes;
      const fits = wholeBytes <= messageBytesMax;
      const wantedBytes = fits ? wholeBytes : headerBytes;
      if (this.#heldBytes < wantedBytes) return frames;
      frames.push({ bytes: this.#take(wantedBytes), oversized: fits ? null : wholeBytes });
      if (!fits) this.#skipBytes = bodyBytes;
    }
  }

  #peekFixed(): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= fixedBytes) return first;
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #take(bytes: number): Buffer {
    const first = this.#chunks[0];
    if (first === undefined || first.length < bytes) this.#chunks = [Buffer.concat(this.#chunks)];
    const whole = this.#chunks[0] ?? Buffer.alloc(0);
    if (whole.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(bytes);
    this.#heldBytes -= bytes;
    return whole.subarray(0, bytes);
  }
}

function readLengths(fixed: Buffer): { headerBytes: number; bodyBytes: number } {
  const endian = fixed[0];
  const version = fixed[3];
  if ((endian !== 0x6c && endian !== 0x42) || version !== 1) {
    throw new AgentError(
      'Unavailable',
      `the bus sent ${fixed.subarray(0, 4).toString('hex')} where a D-Bus message should begin`,
    );
  }
  const read = (offset: number) => (endian === 0x6c ? fixed.readUInt32LE(offset) : fixed.readUInt32BE(offset));
  const headerBytes = fixedBytes + Math.ceil(read(12) / 8) * 8;
  if (headerBytes > headerBytesMax) {
    throw new AgentError('Unavailable', `the bus sent a message with a header of ${headerBytes} bytes`);
  }
  return { headerBytes, bodyBytes: read(4) };
}
