/** Many histories, from seeds that the tier `sim` does not play. `SIMULATOR_SEED` says from which on. */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { play } from '../sim/play.ts';
import { report } from '../support/deep-report.ts';

const histories = 20_000;
const firstSeed = Number(process.env['SIMULATOR_SEED'] ?? 1_000_000);

describe('any of many histories of a host', function () {
  this.timeout(3_600_000);

  it('breaks no rule', async () => {
    const startedMs = performance.now();
    const { broken, counts } = await play({ firstSeed, histories, processes: availableParallelism() });
    report('simulator', `${histories} histories`, startedMs, firstSeed, broken.length, counts['committed'] ?? 0, counts['the agent is killed'] ?? 0); // prettier-ignore
    assert.deepEqual(
      broken.map(({ seed, violations }) => `node --import tsx test/sim/run.ts ${seed}: ${violations.join('; ')}`),
      [],
    );
  });
});
