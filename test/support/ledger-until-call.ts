/** A program: works on the ledger argv[2] as scenario argv[4] says, dies at file operation argv[3], prints what was durable. */
import { writeSync } from 'node:fs';
import { injectFault } from './faulty-files.ts';
import { scenarios, work } from './ledger-scenarios.ts';

const [path = '', call = '', name = ''] = process.argv.slice(2);
const scenario = scenarios.find((known) => known === name);
if (scenario === undefined) throw new Error(`no scenario ${name}`);
await injectFault(Number(call), 'killed');
await work(scenario, path, ({ height, hash }) => {
  writeSync(1, `${height} ${hash}\n`);
});
