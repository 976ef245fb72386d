import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../src/model/errors.ts';
import type { ChainReport } from '../../src/ledger/chain.ts';
import { patrol } from '../../src/ledger/patrol.ts';
import { openLedgerFile } from '../../src/platform/ledger-file.ts';
import { ledgerIndexFiles } from '../../src/platform/ledger-index-files.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attach, openLedger } from '../support/ledger-fixtures.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const [key] = nodeKeys;
const day = 24 * 60 * 60_000;

describe('the patrol of a ledger', () => {
  const folder = temporaryFolder();

  function start(verify: () => Promise<ChainReport>, known: ChainReport['firstBad'] | null = null) {
    const clock = new FakeClock();
    const said: string[] = [];
    const stop = patrol({
      ledger: { verify },
      clock,
      known,
      onAltered: ({ height, reason }) => said.push(`${height}: ${reason}`),
      onTrouble: ({ message }) => said.push(message),
    });
    return { clock, said, stop };
  }
  const report = (bad?: ChainReport['firstBad']): ChainReport => ({
    valid: bad === undefined,
    blocks: 3,
    bytes: 900,
    wholeFromBad: 0,
    lastHash: 'ab',
    ...(bad === undefined ? {} : { firstBad: bad }),
  });

  it('finds an old block that was altered while nothing ran, which the start passed over', async () => {
    const path = join(folder(), 'ledger.jsonl');
    const open = async () =>
      openLedger(await openLedgerFile(path), {
        tree: new StoredTree(ledgerTreeFiles(folder())),
        index: { files: ledgerIndexFiles(join(folder(), 'index')), runBlocks: 8 },
        key,
      });
    const first = await open();
    while (first.blocks < 40) await first.append(attach(100 + first.blocks));
    await first.query({ vmid: 120 });
    await first.close();
    const bytes = await readFile(path);
    const at = bytes.indexOf('"vi103"');
    bytes.write('"vi999"', at);
    await writeFile(path, bytes);

    const ledger = await open();
    assert.equal(ledger.tampered, false, 'the start looks at the newest blocks alone');
    const { clock, said } = start(() => ledger.verify());
    await clock.advance(9 * 60_000);
    assert.equal(ledger.tampered, false);
    await clock.advance(2 * 60_000);
    await waitFor('the find', () => said.length > 0);
    assert.equal(ledger.tampered, true);
    assert.match(said.join(), /^3: /);
    await ledger.close();
  });

  const badAt = (height: number, reason = 'its hash is wrong') => ({
    height,
    offset: 300 * height,
    reason,
    torn: false,
  });

  it('comes back every day, also after a round that failed', async () => {
    const answers = [
      () => Promise.resolve(report()),
      () => Promise.reject(new AgentError('Unavailable', 'EIO')),
      () => Promise.resolve(report(badAt(2))),
    ];
    let rounds = 0;
    const { clock, said } = start(() => answers[rounds++]!());
    await clock.advance(11 * 60_000);
    await clock.advance(day);
    assert.deepEqual([rounds, said], [2, ['EIO']]);
    await clock.advance(day);
    assert.deepEqual(said, ['EIO', '2: its hash is wrong']);
  });

  it('says once what it finds, not at all what the start has said, and again when it is another thing', async () => {
    let bad = badAt(2);
    let rounds = 0;
    const verify = (): Promise<ChainReport> => {
      rounds++;
      return Promise.resolve(report(bad));
    };
    const { clock, said } = start(verify, badAt(2));
    const passDay = async (): Promise<readonly string[]> => {
      await clock.advance(day);
      return said.splice(0);
    };
    await clock.advance(11 * 60_000);
    assert.deepEqual([rounds, said], [1, []]);
    bad = badAt(1);
    assert.deepEqual(await passDay(), ['1: its hash is wrong']);
    assert.deepEqual(await passDay(), []);
    bad = badAt(1, 'it is gone');
    assert.deepEqual(await passDay(), ['1: it is gone']);
    assert.deepEqual([await passDay(), rounds], [[], 5]);
  });

  it('says nothing any more once it was stopped', async () => {
    let answer: (report: ChainReport) => void = () => undefined;
    const { clock, said, stop } = start(() => new Promise((resolve) => (answer = resolve)));
    await clock.advance(11 * 60_000);
    stop();
    answer(report({ height: 2, offset: 600, reason: 'its hash is wrong', torn: false }));
    await clock.advance(2 * day);
    assert.deepEqual([said, clock.pendingMs], [[], []]);
  });
});
