/** Copies of the package's snippet on storages: regular files of their own, which outlive the package. */
import { chmod, lstat, mkdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AgentError } from '../model/errors.ts';
import type { SnippetFile, SnippetFiles } from '../node/contracts.ts';
import { isMissing, readBoundedFile } from './bounded-file.ts';
import { replaceFile } from './durable-file.ts';

const snippetBytesMax = 64 * 1024;
const executable = 0o111;
/** What every version of the snippet speaks of; the scripts of the package look for the same. */
const mark = '/usr/lib/ovs-port-agent/';

/** `source` is what the package has installed. */
export function snippetFiles(source: string): SnippetFiles {
  return {
    async look(path): Promise<SnippetFile | null> {
      try {
        const link = await lstat(path);
        const file = await stat(path).catch((error: unknown) => {
          if (isMissing(error)) return null;
          throw error;
        });
        if (file?.isFile() !== true) return { isRunnable: false, isOurs: false, isCurrent: false };
        const isRunnable = (file.mode & executable) !== 0;
        if (file.size > snippetBytesMax) return { isRunnable, isOurs: false, isCurrent: false };
        const text = (await readBoundedFile(path, snippetBytesMax)) ?? '';
        const isOurs = text.includes(mark);
        const isCurrent =
          isOurs && isRunnable && link.isFile() && text === (await readBoundedFile(source, snippetBytesMax));
        return { isRunnable, isOurs, isCurrent };
      } catch (error) {
        if (isMissing(error)) return null;
        if (error instanceof AgentError) throw error;
        throw new AgentError('Unavailable', `cannot look at ${path}: ${(error as Error).message}`, { cause: error });
      }
    },
    async put(path) {
      const bytes = await readBoundedFile(source, snippetBytesMax);
      if (bytes === null) {
        throw new AgentError('NotFound', `${source} does not exist: install the package ovs-port-agent`);
      }
      // Complete and durable under another name first; renamed over whatever is there. A link is replaced, not followed: what
      // it leads to may go.
      const complete = join(dirname(path), `.${basename(path)}.new`);
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o755 });
        await replaceFile(complete, Buffer.from(bytes, 'latin1'), { mode: 0o755 });
        await chmod(complete, 0o755);
        await rename(complete, path);
      } catch (error) {
        if (error instanceof AgentError) throw error;
        throw new AgentError('Unavailable', `cannot write ${path}: ${(error as Error).message}`, { cause: error });
      }
    },
    async remove(path) {
      await unlink(path).catch((error: unknown) => {
        if (!isMissing(error)) {
          throw new AgentError('Unavailable', `cannot remove ${path}: ${(error as Error).message}`, { cause: error });
        }
      });
    },
  };
}
