/** Reading a small file that others may have made large. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { AgentError } from '../model/errors.ts';

/**
 * The bytes of a file as latin1, one character each. Read until its end, because the size that FUSE tells may be older
 * than the content. null when the file does not exist; `Unavailable` when it cannot be read or has more bytes than
 * `bytesMax`.
 */
export function readBoundedFile(path: string, bytesMax: number): Promise<string | null> {
  return readBounded(path, (file) => readToEnd(file, bytesMax, false));
}

/**
 * The same of a file in the cluster file system, or on a disk, where a read that gives less than it was asked for has
 * reached the end (unlike in /proc). Every guest that starts waits for some of them.
 */
export function readClusterFile(path: string, bytesMax: number): Promise<string | null> {
  return readBounded(path, (file) => readToEnd(file, bytesMax, true));
}

async function readBounded(path: string, read: (file: FileHandle) => Promise<string>): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      return await read(file);
    } finally {
      // Nobody waits for this, and of a file that was only read it has nothing to say.
      file.close().catch(() => undefined);
    }
  } catch (error) {
    if (isMissing(error)) return null;
    throw new AgentError('Unavailable', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Longer than nearly every guest's configuration. */
const firstReadBytes = 4096;

async function readToEnd(file: FileHandle, bytesMax: number, isShortAtEnd: boolean): Promise<string> {
  let buffer = Buffer.allocUnsafe(firstReadBytes);
  let length = 0;
  for (;;) {
    const room = buffer.length - length;
    const { bytesRead } = await file.read(buffer, length, room);
    length += bytesRead;
    if (length > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    if (bytesRead === 0 || (isShortAtEnd && bytesRead < room)) return buffer.toString('latin1', 0, length);
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(buffer.length * 4, bytesMax + 1));
  }
}

export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
