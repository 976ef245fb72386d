/** What the file system says of a path. */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import type { DiskFacts } from '../node/doctor/facts.ts';
import { isMissing } from './bounded-file.ts';

/** Permission bits; null when there is no such file. */
export async function modeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mode & 0o7777;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** null when there is no such folder. Free is what root may still use. */
export async function diskOf(path: string): Promise<DiskFacts | null> {
  try {
    const { bfree, bsize } = await statfs(path);
    const isReadOnly = await access(path, constants.W_OK).then(
      () => false,
      (error: unknown) => (error as NodeJS.ErrnoException).code === 'EROFS',
    );
    return { path, freeBytes: bfree * bsize, isReadOnly };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
