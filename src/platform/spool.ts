/** Events that hooks left behind while the service was away: one small `key=value` file each. */
import { readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'ini';
import { AgentError } from '../model/errors.ts';

/** Files read at one time; the hook itself stops at as many. */
const spoolFilesMax = 1000;

export interface SpooledEvent {
  readonly vmid: string;
  readonly phase: string;
  readonly time: string;
  readonly reason: string;
}

/**
 * Hands every event to `take`, oldest first, and removes its file once `take` has resolved. What `take` refuses as
 * `InvalidArgument` is kept under a name that is not read again, and answered: one line for each. Any other rejection
 * stops; the rest stays for the next time.
 */
export async function drainSpool(folder: string, take: (event: SpooledEvent) => Promise<void>): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const refused: string[] = [];
  // A leading dot: still being written, or refused.
  for (const name of names
    .filter((entry) => !entry.startsWith('.'))
    .sort()
    .slice(0, spoolFilesMax)) {
    const path = join(folder, name);
    try {
      const fields: Record<string, unknown> = parse(await readEvent(path));
      const text = (key: string): string => (typeof fields[key] === 'string' ? fields[key] : '');
      await take({ vmid: text('vmid'), phase: text('phase'), time: text('time'), reason: text('reason') });
      await unlink(path);
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'InvalidArgument') throw error;
      const kept = join(folder, `.refused-${name}`);
      await rename(path, kept);
      refused.push(`${path} is no event of a hook: ${error.message}; kept as ${kept}`);
    }
  }
  return refused;
}

async function readEvent(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new AgentError('InvalidArgument', `it cannot be read: ${(cause as Error).message}`, { cause });
  }
}
