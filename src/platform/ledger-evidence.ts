/** What an altered ledger leaves behind once an operator has seen it: everything stays, in a folder of its own. */
import { createHash } from 'node:crypto';
import { mkdir, open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AgentError } from '../model/errors.ts';
import { readLedgerFile } from './ledger-file.ts';
import { segmentNumbers, segmentPath } from './ledger-segments.ts';

/**
 * Moves ledger, index, tiles, key and checkpoints to `<ledger>.evidence-<8 hex digits of its SHA-256>`, which must not be there
 * yet, and resolves with that folder. The next start begins a ledger with a key of its own, whose first blocks commit to
 * what lies there. Rejects with `Conflict` or `Unavailable`. The caller holds the lock on the ledger.
 *
 * 1. the folder is made; 2. the ledger moves, its active file first; 3. index, tiles, key and what witnesses cosigned; 4. the checkpoint: COMMIT POINT; 5. both folders are synced.
 * A crash before 4 leaves a checkpoint whose blocks are missing: the ledger stays altered, and acknowledging it again moves
 * what is left to a folder of its own. An altered ledger without a checkpoint is acknowledged with step 2.
 */
export async function moveEvidence(ledgerPath: string): Promise<string> {
  const folder = dirname(ledgerPath);
  const stem = basename(ledgerPath, '.jsonl');
  const target = join(folder, `${stem}.evidence-${await fingerprint(ledgerPath)}`);
  try {
    await mkdir(target, { mode: 0o750 });
    const segments = (await segmentNumbers(ledgerPath)).map((number) => basename(segmentPath(ledgerPath, number)));
    const beside = ['index', 'tile', 'ledger.key', 'checkpoint.cosigned', 'checkpoint'];
    for (const name of [basename(ledgerPath), ...segments, ...beside]) {
      await rename(join(folder, name), join(target, name)).catch(ignoreMissing);
    }
    for (const path of [target, folder]) await syncFolder(path);
    return target;
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    const code = isErrno(thrown, 'EEXIST') ? 'Conflict' : 'Unavailable';
    throw new AgentError(code, `the evidence could not be moved to ${target}: ${why}`, { cause: thrown });
  }
}

async function fingerprint(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readLedgerFile(path)) hash.update(chunk);
  return hash.digest('hex').slice(0, 8);
}

function ignoreMissing(thrown: unknown): void {
  if (!isErrno(thrown, 'ENOENT')) throw thrown;
}

function isErrno(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
