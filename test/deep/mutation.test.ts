/**
 * Faults in the sources, which unit tests have to notice. `MUTATION_SEED` draws others than those of the last run; what is not
 * noticed is printed, and `coverage/mutation` shows it in its place.
 */
import assert from 'node:assert/strict';
import { report } from '../support/deep-report.ts';
import { measureMutations } from './mutation/measure.ts';
import { mutatedModules } from './mutation/modules.ts';

const seed = process.env['MUTATION_SEED'] ?? '1';

describe('faults that are put into the sources', function () {
  this.timeout(3_600_000);

  for (const module of mutatedModules) {
    it(`of ${module.name} are noticed by its tests, at least ${module.target} of a hundred`, async () => {
      const startedMs = performance.now();
      const { score, tried, found, endless, survivors } = await measureMutations(module, { share: module.share, seed });
      report('mutation', module.name, startedMs, `${100 * module.share} %`, seed, tried, found, endless, `${score.toFixed(1)} %`, `${module.target} %`); // prettier-ignore
      assert.ok(score >= module.target, `${score.toFixed(1)} %; not noticed:\n${survivors.join('\n')}`);
    });
  }
});
