import assert from 'node:assert/strict';
import { join } from 'node:path';
import { execa } from 'execa';
import { openLedgerFile, readLedgerFile } from '../../src/platform/ledger-file.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { checkProof } from '../../src/ledger/check-proof.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { ledgerIndexFiles } from '../../src/platform/ledger-index-files.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const program = join(import.meta.dirname, '../support/append-until-killed.ts');
/** Lines after which it is killed, run by run: before its first checkpoint, and after many. */
const killAfterLines = [37, 111, 500];
const [key] = nodeKeys;

describe('a service killed while it appends', function () {
  this.timeout(30_000);
  const folder = temporaryFolder();

  it('leaves a ledger that opens, is valid and holds every block it acknowledged', async () => {
    const path = join(folder(), 'ledger.jsonl');
    const acknowledged: string[] = [];
    let checkpoint = 0;
    for (const lines of killAfterLines) {
      acknowledged.push(...(await appendUntilKilled(path, lines)));
      const tree = new StoredTree(ledgerTreeFiles(folder()));
      const index = { files: ledgerIndexFiles(join(folder(), 'index')), runBlocks: 50 };
      const ledger = await openLedger(await openLedgerFile(path), { tree, key, index });
      assert.equal(ledger.tampered, false);
      ({ checkpoint } = ledger.stats());
      assert.equal((await verifyLedger(readLedgerFile(path), ledger.checkpoint?.head ?? null)).valid, true);
      const found = new Set<string>();
      for (let from = 0; from < ledger.blocks; from += 1_000) {
        const blocks = await ledger.query({ from, to: from + 999, limit: 1_000 });
        for (const { height, hash } of blocks) found.add(`${height} ${hash}`);
      }
      assert.deepEqual(
        acknowledged.filter((line) => !found.has(line)),
        [],
      );
      for (const height of [0, ledger.blocks - 1]) {
        checkProof(await ledger.prove(height), { key: key.verifierKey, policy: null });
      }
      await ledger.close();
    }
    assert.ok(checkpoint > 0, 'checkpoints were written meanwhile');
  });
});

/** The lines the program printed until it was killed, right after the line of this number. */
async function appendUntilKilled(path: string, killAfter: number): Promise<string[]> {
  const child = execa(process.execPath, ['--import', 'tsx', program, path], { reject: false, timeout: 20_000 });
  const lines: string[] = [];
  for await (const line of child) {
    lines.push(line);
    if (lines.length === killAfter) child.kill('SIGKILL');
  }
  const { signal } = await child;
  assert.equal(signal, 'SIGKILL');
  assert.ok(lines.length >= killAfter);
  return lines;
}
