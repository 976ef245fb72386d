/**
 * The mutation score of one module: `node --import tsx test/deep/mutation/run.ts MODULE [SHARE [SOURCE ...]]` prints each mutant
 * that no test finds. SHARE from 0 to 1 is how many are tried (1); sources, when only some of the module are wanted.
 */
import { measureMutations } from './measure.ts';
import { mutatedModules } from './modules.ts';

const [name, share = '1', ...sources] = process.argv.slice(2);
const module = mutatedModules.find((known) => known.name === name);
if (module === undefined) throw new Error(`${name ?? 'nothing'} is none of ${mutatedModules.map(({ name }) => name).join()}`); // prettier-ignore
const startedMs = performance.now();
const seed = process.env['MUTATION_SEED'] ?? '1';
const mutated = sources.length > 0 ? { ...module, sources } : module;
const { score, tried, found, endless, survivors } = await measureMutations(mutated, { share: Number(share), seed });
console.log(survivors.join('\n'));
const seconds = (performance.now() - startedMs) / 1000;
console.log(
  `${module.name}: ${score.toFixed(1)} % (${found} of ${tried}, ${endless} without end), target ${module.target} %, ${seconds.toFixed(0)} s`,
);
process.exitCode = score >= module.target ? 0 : 1;
