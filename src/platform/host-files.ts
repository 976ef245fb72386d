/** Small files of this host as they are now: configurations, and tables of the kernel. */
import { open, readdir, stat } from 'node:fs/promises';
import { AgentError } from '../model/errors.ts';
import type { HostFile, HostFiles, HostFolders } from '../node/contracts.ts';
import { isMissing } from './bounded-file.ts';

/** `/proc/net/unix` of a node with thousands of guests has some megabytes; a configuration never has that many. */
const fileBytesMax = 16 * 1024 * 1024;

export const hostFiles: HostFiles & HostFolders = {
  async read(path): Promise<HostFile | null> {
    try {
      const file = await open(path, 'r');
      try {
        // Of files that the kernel makes up, the size is 0.
        const { size, mtimeMs } = await file.stat();
        if (size > fileBytesMax) throw new Error(`it has ${size} bytes, at most ${fileBytesMax} are read`);
        return { text: await file.readFile('latin1'), mtimeMs };
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isMissing(error)) return null;
      const why = error instanceof Error ? error.message : String(error);
      throw new AgentError('Unavailable', `cannot read ${path}: ${why}`, { cause: error });
    }
  },
  exists: (path) =>
    stat(path).then(
      () => true,
      (error: unknown) => !isMissing(error),
    ),
  async list(path): Promise<readonly string[]> {
    try {
      return (await readdir(path)).sort();
    } catch (error) {
      if (isMissing(error)) return [];
      const why = error instanceof Error ? error.message : String(error);
      throw new AgentError('Unavailable', `cannot list ${path}: ${why}`, { cause: error });
    }
  },
};
