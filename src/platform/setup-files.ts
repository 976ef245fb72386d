/** Files that `setup` writes and moves, and the journal of what it did. */
import { chmod, link, mkdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AgentError } from '../model/errors.ts';
import type { SetupFiles } from '../node/setup/performer.ts';
import type { SetupJournal } from '../node/setup/setup.ts';
import type { Step } from '../node/setup/step.ts';
import { isMissing } from './bounded-file.ts';
import { readFileOrNull, replaceFile } from './durable-file.ts';

const journalBytesMax = 16 * 1024 * 1024;

export const setupFiles: SetupFiles = {
  async write(path, text, mode) {
    await inWords(`write ${path}`, async () => {
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      await replaceFile(path, Buffer.from(text, 'latin1'), { mode });
      // One that was there keeps its mode, and a token's file may have had another.
      await chmod(path, mode);
    });
  },
  async remove(path) {
    await inWords(`remove ${path}`, () => unlink(path));
  },
  async move(from, to) {
    await inWords(`move ${from} to ${to}`, async () => {
      await mkdir(dirname(to), { recursive: true, mode: 0o700 });
      try {
        // Never over something: a link fails where a rename would replace.
        await link(from, to);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EEXIST') throw new AgentError('Conflict', `cannot move ${from}: there is a ${to} already`);
        if (code !== 'EXDEV') throw error;
        const bytes = await readFileOrNull(from);
        if (bytes !== null) await replaceFile(to, bytes, { mode: 0o755 });
      }
      await unlink(from);
    });
  },
};

/** `setup.json` in the state folder. */
export function setupJournal(stateDir: string): SetupJournal {
  const path = join(stateDir, 'setup.json');
  return {
    async read() {
      const bytes = await readFileOrNull(path, { bytesMax: journalBytesMax });
      if (bytes === null) return [];
      try {
        return (JSON.parse(bytes.toString('utf8')) as { steps: Step[] }).steps;
      } catch (cause) {
        throw new AgentError('Conflict', `${path} is not what setup wrote: move it away to begin a new one`, { cause });
      }
    },
    async write(steps) {
      await mkdir(stateDir, { recursive: true, mode: 0o750 });
      await replaceFile(path, Buffer.from(`${JSON.stringify({ steps }, null, 2)}\n`), { mode: 0o600 });
    },
  };
}

async function inWords(what: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof AgentError) throw error;
    if (what.startsWith('remove') && isMissing(error)) return;
    throw new AgentError('Unavailable', `cannot ${what}: ${(error as Error).message}`, { cause: error });
  }
}
