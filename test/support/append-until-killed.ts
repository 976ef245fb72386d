/**
 * A program: appends to the ledger named by its argument, eight at a time, until it is killed, and prints the height
 * and hash of every block it was told is durable. Checkpoints, tiles and index are written beside, as often as can be.
 */
import { writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { openLedgerFile } from '../../src/platform/ledger-file.ts';
import { ledgerIndexFiles } from '../../src/platform/ledger-index-files.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { attach, ledgerOptions } from './ledger-fixtures.ts';
import { nodeKeys } from './signed-logs.ts';

const writers = 8;

const path = String(process.argv[2]);
const ledger = await Ledger.open(
  await openLedgerFile(path),
  ledgerOptions({
    tree: new StoredTree(ledgerTreeFiles(dirname(path))),
    segmentBytes: 20_000,
    index: { files: ledgerIndexFiles(join(dirname(path), 'index')), runBlocks: 50 },
    key: nodeKeys[0],
    checkpointBlocks: 1,
    clock: systemTimers,
  }),
);
await Promise.all(
  Array.from({ length: writers }, async (_, writer) => {
    for (;;) {
      const { height, hash } = await ledger.append(attach(100 + writer));
      // Straight to the pipe: what was printed was acknowledged, whenever the kill comes.
      writeSync(1, `${height} ${hash}\n`);
    }
  }),
);
