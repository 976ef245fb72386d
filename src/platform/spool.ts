/** Events that hooks left behind while the service was away: one small `key=value` file each. */
import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'ini';

/** Files read at one time; the hook itself stops at as many. */
const spoolFilesMax = 1000;

export interface SpooledEvent {
  readonly vmid: string;
  readonly phase: string;
  readonly time: string;
  readonly reason: string;
}

/**
 * Hands every event to `take`, oldest first, and removes its file once `take` has resolved. A file that cannot be
 * understood is handed over with empty fields, so that it is reported and not kept for ever. Stops at the first
 * rejection; the rest stays for the next time.
 */
export async function drainSpool(folder: string, take: (event: SpooledEvent) => Promise<void>): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  // A leading dot: still being written.
  for (const name of names
    .filter((entry) => !entry.startsWith('.'))
    .sort()
    .slice(0, spoolFilesMax)) {
    const path = join(folder, name);
    const fields: Record<string, unknown> = parse(await readFile(path, 'utf8'));
    const text = (key: string): string => (typeof fields[key] === 'string' ? fields[key] : '');
    await take({ vmid: text('vmid'), phase: text('phase'), time: text('time'), reason: text('reason') });
    await unlink(path);
  }
}
