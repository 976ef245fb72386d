// Loaded before the service with `node --expose-gc --import`: on SIGUSR2 it collects garbage and writes the heap's size,
// in bytes, to `heap` beside the configuration file, which is the last argument.
import { renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

const path = join(dirname(process.argv.at(-1)), 'heap');

process.on('SIGUSR2', () => {
  globalThis.gc();
  writeFileSync(`${path}.new`, String(process.memoryUsage().heapUsed));
  renameSync(`${path}.new`, path);
});
