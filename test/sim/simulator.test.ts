/**
 * Histories that nobody wrote down. `SIMULATOR_HISTORIES` says how many are played, `SIMULATOR_SEED` from which seed on; by
 * default always the same, so that a run that fails here fails everywhere. `node --import tsx test/sim/run.ts SEED` plays
 * one again and prints all that happened.
 */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { play } from './play.ts';

const histories = Number(process.env['SIMULATOR_HISTORIES'] ?? 2000);
const firstSeed = Number(process.env['SIMULATOR_SEED'] ?? 1);

describe('any history of a host', function () {
  this.timeout(30_000 + 500 * histories);

  it('leaves its ports as wanted, what is foreign untouched, and a ledger that says what was done', async () => {
    const { broken, counts } = await play({ firstSeed, histories, processes: availableParallelism() });
    assert.deepEqual(
      broken.map(({ seed, violations }) => `node --import tsx test/sim/run.ts ${seed}: ${violations.join('; ')}`),
      [],
    );
    // Of what a thousand histories are made, so that an empty one does not pass for a good one.
    for (const what of [
      'committed',
      'refused',
      'answered',
      'refused call',
      'the agent is killed',
      'the lock is stolen',
      'the next transaction is cut after send',
      'the next transaction is cut before send',
      'the next transaction is cut mid-frame',
      'the database is wiped',
      'the server stalls',
      'the disk is broken',
      'the clock leaps',
      'reboot from inside',
      'somebody plugs or unplugs',
    ]) {
      // prettier-ignore
      assert.ok((counts[what] ?? 0) > histories / 20, `${what}: ${counts[what] ?? 0}`);
    }
  });
});
