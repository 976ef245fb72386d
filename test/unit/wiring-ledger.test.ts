import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseConfig } from '../../src/model/config.ts';
import { acquireFlock } from '../../src/platform/flock.ts';
import { nodeName, ownCause, underLedgerLock, withLedger } from '../../src/wiring.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('the ledger of a command that runs without the service', () => {
  const folder = temporaryFolder();
  const config = () => {
    const state = join(folder(), 'state');
    return parseConfig({ state_dir: state, ledger_path: join(state, 'ledger', 'ledger.jsonl') }).config;
  };
  const append = (action: string) =>
    underLedgerLock(config(), 100, () =>
      withLedger(config(), (ledger) => {
        const metadata = { ...ownCause('setup'), host: nodeName(), plugin: 'node' };
        return ledger.append({ category: 'settings', action, metadata, data: {} });
      }),
    );

  it('is made when there is none, for root alone, and goes on from one command to the next', async () => {
    await append('first');
    await append('second');
    const lines = readFileSync(config().ledger_path, 'utf8').trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => {
        const { height, action, metadata } = JSON.parse(line) as { height: number; action: string; metadata: object };
        return [height, action, metadata];
      }),
      ['first', 'second'].map((action, height) => [
        height,
        action,
        {
          cause: 'setup',
          user: process.getuid?.() === 0 ? 'root' : `uid ${process.getuid?.()}`,
          uid: process.getuid?.(),
          process: `ovs-port-agent[${process.pid}]`,
          host: nodeName(),
          plugin: 'node',
        },
      ]),
    );
    for (const made of [config().state_dir, dirname(config().ledger_path)]) {
      assert.equal(statSync(made).mode & 0o777, 0o750);
    }
  });

  it("is left alone while a service has it, and that is said after the command's patience", async () => {
    await append('first');
    const lock = await acquireFlock(`${config().ledger_path}.lock`, { deadlineMs: 1000 });
    const before = readFileSync(config().ledger_path);
    await assert.rejects(append('second'), hasCode('Busy'));
    await lock.release();
    assert.deepEqual(readFileSync(config().ledger_path), before);
  });
});
