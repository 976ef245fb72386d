/**
 * A program: opens the FIFO argv[2], which waits until its test has a tracer on the thread that waits there, and then does
 * argv[3] in the folder argv[4]: a scenario of a ledger, or an edit of `interfaces`. Prints a line as soon as it stands
 * before the gate, and one for each block that is durable. What fails is passed over, as the service does.
 */
import { writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { editInterfaces, interfacesEdit } from './interfaces-scenario.ts';
import { ledgerIn, scenarios, work } from './ledger-scenarios.ts';

const [gate = '', what = '', folder = ''] = process.argv.slice(2);
const tell = ({ height, hash }: { height: number; hash: string }): void => {
  writeSync(1, `${height} ${hash}\n`);
};
const scenario = scenarios.find((known) => known === what);
if (scenario === undefined && what !== interfacesEdit) throw new Error(`no scenario ${what}`);
writeSync(1, 'at the gate\n');
await (await open(gate)).close();
await (scenario === undefined ? editInterfaces(folder, tell) : work(scenario, ledgerIn(folder), tell)).catch(
  () => undefined,
);
