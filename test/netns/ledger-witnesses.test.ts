import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentWorld } from '../support/agent-world.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { waitFor } from '../support/wait-for.ts';

describe('services that share a folder', function () {
  this.timeout(60_000);
  let shared: string;
  const worlds: AgentWorld[] = [];

  beforeEach(async () => {
    shared = await mkdtemp(join(tmpdir(), 'ovs-port-agent-test-'));
  });
  afterEach(async function () {
    for (const w of worlds.splice(0)) {
      if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
      await w.stop();
    }
    await rm(shared, { recursive: true, force: true });
  });

  /** Services of nodes with names of their own, whatever this host is called. */
  async function start(count: 2 | 3, threshold: string): Promise<void> {
    const keys = nodeKeys.slice(0, count);
    const policy = [
      ...keys.map((key) => `log ${key.verifierKey.render()}`),
      ...keys.map((key, index) => `witness w${index} ${key.cosignerKey.render()}`),
      `group enough ${threshold} ${keys.map((_, index) => `w${index}`).join(' ')}`,
      'quorum enough',
    ];
    await writeFile(join(shared, 'policy'), `${policy.join('\n')}\n`);
    const lines = [
      `witness_dir = "${shared}"`,
      'witness_seconds = 1',
      'checkpoint_seconds = 1',
      'checkpoint_blocks = 2',
    ];
    for (const key of keys) {
      const world = await AgentWorld.start({
        hasVswitchd: false,
        config: ['[ledger]', ...lines].join('\n'),
        prepare: (w) => writeFile(join(w.folder, 'state/ledger.key'), `${key.render()}\n`, { mode: 0o600 }),
      });
      worlds.push(world);
    }
  }

  interface Stats {
    readonly total_blocks: number;
    readonly cosigned: number;
    readonly witnesses: readonly { name: string; blocks: number }[];
  }
  const statsOf = async (w: AgentWorld): Promise<Stats> =>
    JSON.parse(String((await w.call('get_blockchain_stats'))[0])) as Stats;

  async function allAreCosigned(by: number): Promise<void> {
    for (const w of worlds) {
      await waitFor(
        'cosignatures',
        async () => {
          const stats = await statsOf(w);
          const enough = stats.witnesses.length >= by && stats.cosigned > 0;
          if (!enough) throw new Error(JSON.stringify([stats, (await w.status()).problems]));
          return true;
        },
        20_000,
      );
    }
  }

  it('cosign each other, two of two, and one that lost its newest blocks at night is found out in the morning', async () => {
    await start(2, 'any');
    await allAreCosigned(1);
    const [first] = worlds as [AgentWorld];
    assert.match((await first.cli('ledger', 'verify')).stdout, /^VALID: .*; blocks cosigned: \d+ by prod\/pve2\/ovs-port-agent; by enough witnesses: \d+$/); // prettier-ignore
    const { cosigned } = await statsOf(first);
    await first.killService();
    // Root on the node cuts the ledger, and takes away what the node itself knows of it.
    const text = await readFile(first.ledgerPath, 'utf8');
    const left = text.split('\n').slice(0, cosigned - 1);
    await writeFile(first.ledgerPath, left.map((line) => `${line}\n`).join(''));
    for (const name of ['checkpoint', 'checkpoint.cosigned', 'tile']) {
      await rm(join(first.folder, 'state', name), { recursive: true, force: true });
    }
    await first.startService();
    const status = await first.status();
    assert.equal(status.state, 'tampered');
    assert.match(first.log, new RegExp(`was altered: the ledger has ${left.length} blocks and does not continue the \\d+ that prod/pve2`)); // prettier-ignore
    // Guests are served all the same.
    await first.call('ping');
  });

  it('cosign each other, two of three, so that a proof holds by their policy on any machine', async () => {
    await start(3, '2');
    await allAreCosigned(2);
    for (const w of worlds) {
      const proof = join(w.folder, 'block-0.tlog-proof');
      await writeFile(proof, `${(await w.cli('ledger', 'prove', '0')).stdout}\n`);
      const { exitCode, stdout } = await w.cli('ledger', 'check-proof', proof, '--policy', join(shared, 'policy'));
      assert.equal(exitCode, 0, stdout);
      assert.ok(stdout.split('\n').filter((line) => line.startsWith('cosigned by')).length >= 2);
      assert.deepEqual((await w.status()).problems, []);
    }
  });
});
