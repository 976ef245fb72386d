/** What must hold of a ledger after a fault of its disk or a kill, wherever that came. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkProof } from '../../src/ledger/check-proof.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { readLedgerFile } from '../../src/platform/ledger-file.ts';
import { attach } from './ledger-fixtures.ts';
import { olderLedger, openOnDisk } from './ledger-scenarios.ts';
import type { Scenario } from './ledger-scenarios.ts';
import { nodeKeys } from './signed-logs.ts';

const [key] = nodeKeys;

/** Whatever happened: the next start finds every block that was acknowledged, records on, and proves. */
export async function checkNextStart(scenario: Scenario, path: string, acknowledged: readonly string[]): Promise<void> {
  const ledger = await openOnDisk(path);
  assert.equal(ledger.tampered, false, ledger.tamperedAt?.reason);
  await ledger.append(attach(900));
  const blocks = await ledger.query({ order: 'oldest' });
  const found = new Set(blocks.map(({ height, hash }) => `${height} ${hash}`));
  assert.deepEqual(
    acknowledged.filter((block) => !found.has(block)),
    [],
  );
  for (const height of [0, ledger.blocks - 1]) {
    checkProof(await ledger.prove(height), { key: key.verifierKey, policy: null });
  }
  await ledger.close();
  assert.equal((await verifyLedger(readLedgerFile(path), ledger.checkpoint?.head ?? null)).valid, true);
  if (scenario === "a start with the older tool's ledger") {
    const imported = blocks.filter(({ action }) => action === 'imported');
    assert.equal(imported.length, 1);
    const { file } = imported[0]!.data;
    assert.ok(typeof file === 'string');
    assert.equal(await readFile(join(path, '..', file), 'utf8'), olderLedger);
  }
  // Nothing but what documents name lies beside it.
  const names = (await readdir(join(path, '..'))).filter((name) => !name.endsWith('.tmp'));
  for (const name of names)
    assert.match(
      name,
      /^(ledger\.(jsonl|torn|imported-[0-9a-f]{8}\.jsonl)|ledger-\d{6}\.jsonl|checkpoint|tile|index)$/,
    );
}
