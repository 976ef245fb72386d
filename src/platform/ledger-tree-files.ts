/** Tiles and checkpoint as files in the ledger's folder (contract: `TreeFiles`). */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TreeFiles } from '../ledger/stored-tree.ts';
import { AgentError } from '../model/errors.ts';
import { readFileOrNull, replaceFile } from './durable-file.ts';

/** A tile has 8 KiB; a checkpoint has as many bytes as a signed note may have. */
const fileBytesMax = 1_000_000;
/** As the ledger itself: root reads and writes; its group, for auditors, reads. */
const fileMode = 0o640;
const folderMode = 0o750;

export function ledgerTreeFiles(folder: string): TreeFiles {
  return {
    read: (path) => readFileOrNull(join(folder, path), { bytesMax: fileBytesMax }),
    // The folders made here are not synced themselves: tiles that a power loss takes away are made anew.
    replace: async (path, bytes) => {
      const target = join(folder, path);
      await attempt('make the folder of', target, () => mkdir(dirname(target), { recursive: true, mode: folderMode }));
      await replaceFile(target, bytes, { mode: fileMode });
    },
    list: (path) =>
      readdir(join(folder, path)).catch((thrown: unknown) => {
        if (isMissing(thrown)) return [];
        throw unavailable('list', join(folder, path), thrown);
      }),
    remove: (path) =>
      attempt('remove', join(folder, path), () => rm(join(folder, path), { recursive: true, force: true })),
  };
}

async function attempt(what: string, path: string, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (thrown) {
    throw unavailable(what, path, thrown);
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}

function unavailable(what: string, path: string, thrown: unknown): AgentError {
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('Unavailable', `ledger: cannot ${what} ${path}: ${why}`, { cause: thrown });
}
