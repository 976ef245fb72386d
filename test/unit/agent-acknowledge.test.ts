import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { errorTable } from '../../src/model/errors.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import type { SignerKey } from '../../src/ledger/tlog/key.ts';
import { Witnesses } from '../../src/ledger/witnesses.ts';
import { openLedgerFile } from '../../src/platform/ledger-file.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { witnessFolder } from '../../src/platform/witness-folder.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attach, openLedger, startMs } from '../support/ledger-fixtures.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const program = resolve('dist/ovs-port-agent.mjs');
const [ownKey, witnessKey] = nodeKeys;

describe('a ledger that was written anew, whole in itself, after a witness had seen it', function () {
  this.timeout(60_000);
  const folder = temporaryFolder();
  const own = (...names: string[]): string => join(folder(), 'own', ...names);
  const shared = (): string => join(folder(), 'shared');
  const configPath = (): string => join(folder(), 'config.toml');

  before(() => {
    assert.ok(existsSync(program), 'the command is not built: run `npm run build`');
  });

  beforeEach(async () => {
    for (const name of ['own', 'other', 'shared']) await mkdir(join(folder(), name));
    const keys = [ownKey, witnessKey];
    const policy = [
      ...keys.map((key) => `log ${key.verifierKey.render()}`),
      ...keys.map((key, index) => `witness w${index} ${key.cosignerKey.render()}`),
      'group enough any w0 w1',
      'quorum enough',
      '',
    ];
    await writeFile(join(shared(), 'policy'), policy.join('\n'));
    await writeFile(own('ledger.key'), `${ownKey.render()}\n`, { mode: 0o600 });
    await writeFile(
      configPath(),
      `state_dir = "${own()}"\nledger_path = "${own('ledger.jsonl')}"\n[ledger]\nwitness_dir = "${shared()}"\n`,
    );
    await seen();
  });

  async function open(name: string, key: SignerKey): Promise<Ledger> {
    const store = await openLedgerFile(join(folder(), name, 'ledger.jsonl'));
    return openLedger(store, { key, tree: new StoredTree(ledgerTreeFiles(join(folder(), name))) });
  }

  /** Three blocks that the other node has cosigned. */
  async function seen(): Promise<void> {
    let nowMs = startMs;
    const nodes = await Promise.all(
      (
        [
          ['own', ownKey],
          ['other', witnessKey],
        ] as const
      ).map(async ([name, key]) => {
        const ledger = await open(name, key);
        for (let block = 0; block < 3; block++) await ledger.append(attach(100 + block));
        await ledger.prove(2);
        const witnesses = new Witnesses({
          ledger,
          key,
          folder: witnessFolder(shared()),
          files: ledgerTreeFiles(join(folder(), name)),
          nowMs: () => (nowMs += 60_000),
          clock: new FakeClock(),
          writeMs: 1000,
          onRewritten: () => undefined,
        });
        await witnesses.open();
        return { ledger, witnesses };
      }),
    );
    for (let round = 0; round < 3; round++) for (const { witnesses } of nodes) await witnesses.look();
    assert.equal(nodes[0]?.witnesses.cosignedBlocks, 3);
    for (const { ledger, witnesses } of nodes) {
      await witnesses.close();
      await ledger.close();
    }
  }

  const acknowledge = () =>
    execa(process.execPath, [program, 'ledger', 'acknowledge', '--config', configPath()], { reject: false });

  it('is refused while nothing is wrong with it', async () => {
    const { exitCode, stderr } = await acknowledge();
    assert.equal(exitCode, errorTable.Conflict.exit, stderr);
    assert.match(stderr, /was not altered: nothing was moved/);
  });

  it('is kept as evidence, with what the witness cosigned, and a new one begins', async () => {
    const cosigned = await readFile(own('checkpoint.cosigned'));
    for (const name of ['ledger.jsonl', 'tile', 'checkpoint']) await rm(own(name), { recursive: true });
    const forged = await open('own', ownKey);
    for (let block = 0; block < 5; block++) await forged.append(attach(200 + block));
    await forged.close();
    const bytes = await readFile(own('ledger.jsonl'));

    const { exitCode, stderr } = await acknowledge();
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /does not continue the 3 that .* has seen/);
    const [evidence = ''] = (await readdir(own())).filter((name) => name.startsWith('ledger.evidence-'));
    assert.deepEqual(await readFile(own(evidence, 'ledger.jsonl')), bytes);
    assert.deepEqual(await readFile(own(evidence, 'checkpoint.cosigned')), cosigned);
    const begun = (await readFile(own('ledger.jsonl'), 'utf8')).trimEnd().split('\n');
    const actions = begun.map((line) => (JSON.parse(line) as { action: string }).action);
    // Ledger, checkpoint, and what the witness cosigned.
    assert.deepEqual(actions, ['evidence', 'evidence', 'evidence', 'acknowledge']);
  });
});
