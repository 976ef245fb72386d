/**
 * Reads of files that the kernel mostly has in its cache. From there a read takes two microseconds; asking another thread for
 * it takes ten times as long, and far longer on a busy machine. From a disk it may take long, and nothing else would run
 * meanwhile. So a read is made at once, until one is slow: the disk is left to other threads for a while then. And however quick
 * they are, others get their turn after a number of them.
 */
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

/** A read that took longer was from a disk, or the machine is busy. */
const slowMs = 2;
/** For so long after one. */
const leftToThreadsMs = 500;
/** Reads at once, one after the other: with what is done with them, about a millisecond. */
const atOnceMax = 64;

let slowUntilMs = 0;
let atOnce = 0;

/** Up to `length` bytes from `position` on, fewer where the file ends. Rejects with the disk's own error. */
export async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  for (let read = 1; read > 0 && done < length; done += read) {
    read = isQuick()
      ? readAtOnce(handle.fd, bytes, done, position + done)
      : (await handle.read(bytes, done, length - done, position + done)).bytesRead;
  }
  return done === length ? bytes : bytes.subarray(0, done);
}

function isQuick(): boolean {
  if (++atOnce <= atOnceMax && performance.now() >= slowUntilMs) return true;
  atOnce = 0;
  return false;
}

function readAtOnce(fd: number, bytes: Buffer, offset: number, position: number): number {
  const beganMs = performance.now();
  const read = readSync(fd, bytes, offset, bytes.length - offset, position);
  const endedMs = performance.now();
  if (endedMs - beganMs > slowMs) slowUntilMs = endedMs + leftToThreadsMs;
  return read;
}
