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
      await take(parseEvent(await readEvent(path)));
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

/** The reason is somebody else's words up to the end of its line, in which `;`, `#` and quotes stand for themselves. */
function parseEvent(text: string): SpooledEvent {
  const [plain = '', ...rest] = text.split(/^reason=/m);
  const [reason = ''] = rest.join('reason=').split('\n');
  const fields: Record<string, unknown> = parse(plain);
  const field = (key: string): string => (typeof fields[key] === 'string' ? fields[key] : '');
  return { vmid: field('vmid'), phase: field('phase'), time: field('time'), reason };
}

async function readEvent(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new AgentError('InvalidArgument', `it cannot be read: ${(cause as Error).message}`, { cause });
  }
}
