import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findAlteration } from '../../src/ledger/load.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { moveEvidence } from '../../src/platform/ledger-evidence.ts';
import { openLedgerFile } from '../../src/platform/ledger-file.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { attach, ledgerBytes, openLedger } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('an altered ledger that is acknowledged', () => {
  const folder = temporaryFolder();
  const path = (...names: string[]): string => join(folder(), ...names);
  const tree = (): StoredTree => new StoredTree(ledgerTreeFiles(folder()));
  const open = async (): Promise<Ledger> =>
    openLedger(await openLedgerFile(path('ledger.jsonl')), { tree: tree(), key: nodeKeys[0] });
  const isAltered = async (): Promise<boolean> => {
    const store = await openLedgerFile(path('ledger.jsonl'));
    return (await findAlteration(store, tree()).finally(() => store.close())) !== null;
  };

  /** Three blocks under a checkpoint, of which the last was cut off. */
  async function alter(): Promise<Buffer> {
    await writeFile(path('ledger.jsonl'), ledgerBytes(3));
    await writeFile(path('ledger.key'), 'a secret\n', { mode: 0o600 });
    await (await open()).close();
    const cut = ledgerBytes(2);
    await writeFile(path('ledger.jsonl'), cut);
    assert.equal(await isAltered(), true);
    return cut;
  }

  it('is kept whole, and a new one begins that commits to it', async () => {
    const cut = await alter();
    const note = await readFile(path('checkpoint'));
    const target = await moveEvidence(path('ledger.jsonl'));
    assert.deepEqual((await readdir(target)).sort(), ['checkpoint', 'ledger.jsonl', 'ledger.key', 'tile']);
    assert.deepEqual(await readFile(join(target, 'ledger.jsonl')), cut);
    assert.deepEqual(await readFile(join(target, 'checkpoint')), note);

    const ledger = await open();
    assert.equal(ledger.tampered, false);
    const blocks = await ledger.query({ order: 'oldest' });
    assert.deepEqual(
      blocks.map(({ category, action, data }) => [category, action, data['sha256']]),
      [note, cut].map((bytes) => ['storage', 'evidence', createHash('sha256').update(bytes).digest('hex')]),
    );
    await ledger.append(attach(100));
    await ledger.close();
    const again = await open();
    assert.deepEqual([again.tampered, again.blocks], [false, 3], 'what is recorded is not recorded again');
    await again.close();
  });

  it('stays altered when a crash came between any two of the moves', async () => {
    for (const moved of [[], ['ledger.jsonl'], ['ledger.jsonl', 'tile'], ['ledger.jsonl', 'tile', 'ledger.key']]) {
      const cut = await alter();
      await mkdir(path('ledger.evidence-00000000'), { recursive: true });
      for (const name of moved) await rename(path(name), path('ledger.evidence-00000000', name));
      assert.equal(await isAltered(), true, moved.join());
      await moveEvidence(path('ledger.jsonl'));
      assert.equal(await isAltered(), false, moved.join());
      const kept = moved.length === 0 ? null : await readFile(path('ledger.evidence-00000000', 'ledger.jsonl'));
      if (kept !== null) assert.deepEqual(kept, cut);
      for (const name of await readdir(folder())) await rename(path(name), `${path(name)}-${moved.length}.old`);
    }
  });

  it('never goes over evidence that is there', async () => {
    await alter();
    await moveEvidence(path('ledger.jsonl'));
    await alter();
    await assert.rejects(moveEvidence(path('ledger.jsonl')), hasCode('Conflict'));
    assert.equal(await isAltered(), true);
  });

  it('is left alone by a look at it', async () => {
    const bytes = Buffer.concat([ledgerBytes(2), Buffer.from('torn')]);
    await writeFile(path('ledger.jsonl'), bytes);
    assert.equal(await isAltered(), false);
    assert.deepEqual(await readFile(path('ledger.jsonl')), bytes);
  });
});
