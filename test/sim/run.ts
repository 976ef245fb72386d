/**
 * Plays histories: `node --import tsx test/sim/run.ts FIRST-SEED [COUNT]`. Of one, prints everything that happened; of more,
 * which rules were broken, by which seeds. Exit 1 when one was. `--json` prints what test/sim/play.ts reads.
 */
import type { Found } from './play.ts';
import { Simulation } from './simulation.ts';

const [first = 1, count = 1] = process.argv
  .slice(2)
  .filter((word) => /^\d+$/.test(word))
  .map(Number);
const broken: Found['broken'][number][] = [];
const counts: Record<string, number> = {};
const startedMs = performance.now();
let unhandled: string[] = [];
process.on('unhandledRejection', (error) => {
  unhandled.push(`unhandled: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
});

for (let seed = first; seed < first + count; seed++) {
  unhandled = [];
  const outcome = await new Simulation(seed).run();
  for (const [what, times] of Object.entries(outcome.counts)) counts[what] = (counts[what] ?? 0) + times;
  const violations = [...outcome.violations, ...unhandled];
  if (violations.length > 0) broken.push({ seed, violations });
  if (count === 1) console.log(outcome.log.join('\n'));
}

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ broken, counts } satisfies Found));
} else {
  const kinds = new Map<string, Found['broken'][number][]>();
  for (const found of broken) {
    const kind = (found.violations[0] ?? '').replace(/\d+/g, 'N');
    kinds.set(kind, [...(kinds.get(kind) ?? []), found]);
  }
  for (const [kind, found] of kinds) {
    console.log(`${found.length} x ${kind}\n    seeds ${found.map(({ seed }) => seed).slice(0, 8).join(' ')}`); // prettier-ignore
  }
  const eachMs = (performance.now() - startedMs) / count;
  console.log(`${count} histories, ${broken.length} broke a rule, ${eachMs.toFixed(1)} ms each`);
  process.exitCode = broken.length === 0 ? 0 : 1;
}
