/**
 * A program: appends to the ledger named by its argument, eight at a time, until it is killed, and prints the height
 * and hash of every block it was told is durable.
 */
import { writeSync } from 'node:fs';
import { Ledger } from '../../src/ledger/ledger.ts';
import { openLedgerFile } from '../../src/platform/ledger-file.ts';
import { attach } from './ledger-fixtures.ts';

const writers = 8;

const ledger = await Ledger.open(await openLedgerFile(String(process.argv[2])), { nowMs: Date.now, host: 'pve1' });
await Promise.all(
  Array.from({ length: writers }, async (_, writer) => {
    for (;;) {
      const { height, hash } = await ledger.append(attach(100 + writer));
      // Straight to the pipe: what was printed was acknowledged, whenever the kill comes.
      writeSync(1, `${height} ${hash}\n`);
    }
  }),
);
