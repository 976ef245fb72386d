/** Ledgers for the benchmarks: blocks as the ports module writes them, files of any length, and how they are opened. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { encodeBlock, zeroHash } from '../src/ledger/block.ts';
import type { BlockDraft } from '../src/ledger/block.ts';
import { Ledger } from '../src/ledger/ledger.ts';
import { StoredTree } from '../src/ledger/stored-tree.ts';
import type { SignerKey } from '../src/ledger/tlog/key.ts';
import { openLedgerFile } from '../src/platform/ledger-file.ts';
import { ledgerIndexFiles } from '../src/platform/ledger-index-files.ts';
import { ledgerTreeFiles } from '../src/platform/ledger-tree-files.ts';
import { systemTimers, wallClockMs } from '../src/platform/timers.ts';

/** Guests and users that take turns in a ledger. */
export const firstVmid = 100;
export const guestsInLedger = 1_000;
export const usersInLedger = 20;
/** When the first block of a written ledger was written; one a second follows. */
export const ledgerBeginMs = Date.UTC(2025, 0);

export function draftOf(at: number): BlockDraft {
  const vmid = firstVmid + ((at * 7) % guestsInLedger);
  const metadata = {
    user: `user${at % usersInLedger}`,
    uid: 0,
    host: 'bench',
    plugin: 'ports',
    cause: 'hook post-start',
  };
  if (at % 10 === 0) return { category: 'guest', action: 'post-start', metadata, data: { vmid } };
  const row = '5f7d1b1e-1c1c-5a5a-9b9b-000000000000';
  const device = { nic: 'net0', port: `vi${vmid}`, netdev: `veth${vmid}i0`, bridge: 'ovsbr0' };
  const data = { vmid, ...device, tag: 10, trunks: null, row, txn: 'abcdef123456-1' };
  return { category: 'port', action: at % 2 === 0 ? 'attach' : 'detach', metadata, data };
}

/** Opened as the service does; a checkpoint is written when it is closed, and not before. */
export async function openBenchLedger(folder: string, key: SignerKey): Promise<Ledger> {
  return Ledger.open(await openLedgerFile(join(folder, 'ledger.jsonl')), {
    nowMs: wallClockMs,
    host: 'bench',
    tree: new StoredTree(ledgerTreeFiles(folder)),
    key,
    checkpointBlocks: Infinity,
    checkpointMs: 2 ** 31 - 1,
    clock: systemTimers,
    segmentBytes: Infinity,
    index: { files: ledgerIndexFiles(join(folder, 'index')) },
  });
}

/** Writes the file of a ledger of so many blocks. */
export async function writeLedger(path: string, blocks: number): Promise<void> {
  const file = createWriteStream(path, { highWaterMark: 1_048_576 });
  let prevHash = zeroHash;
  for (let height = 0; height < blocks; height++) {
    const { line, hash } = encodeBlock(draftOf(height), height, prevHash, ledgerBeginMs + height * 1_000);
    prevHash = hash;
    file.write(line);
    if (!file.write('\n')) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
}
