/** A program: works on the ledger in argv[2] and dies at the file operation of number argv[3]; prints what was durable. */
import { writeSync } from 'node:fs';
import { injectFault } from './faulty-files.ts';
import { work } from './ledger-scenarios.ts';

const [path = '', call = ''] = process.argv.slice(2);
await injectFault(Number(call), 'killed');
await work(path, ({ height, hash }) => {
  writeSync(1, `${height} ${hash}\n`);
});
