/** Reading a small file that others may have made large. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { AgentError } from '../model/errors.ts';

/**
 * The bytes of a file as latin1, one character each. Read until its end, because the size that FUSE tells may be older
 * than the content. null when the file does not exist; `Unavailable` when it cannot be read or has more bytes than
 * `bytesMax`.
 */
export async function readBoundedFile(path: string, bytesMax: number): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      return await readToEnd(file, bytesMax);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isMissing(error)) return null;
    throw new AgentError('Unavailable', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

async function readToEnd(file: FileHandle, bytesMax: number): Promise<string> {
  let buffer = Buffer.allocUnsafe(4096);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length);
    length += bytesRead;
    if (bytesRead === 0) return buffer.toString('latin1', 0, length);
    if (length > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(buffer.length * 4, bytesMax + 1));
  }
}

export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
