/**
 * Uses its thread for files, says `ready`, waits for a line, and updates the managed block of the file in argv[2] once; says what came of it: `written`,
 * `unchanged`, or the code of the error. For tests that let a call of the kernel fail, or kill it there.
 */
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import { toAgentError } from '../../src/model/errors.ts';
import { parseBridgeName, parsePortName } from '../../src/model/names.ts';
import { InterfacesFile } from '../../src/platform/interfaces-file.ts';
import { unrecorded } from './unrecorded.ts';

const [path = '', stateDir = ''] = process.argv.slice(2);
const file = new InterfacesFile({
  path,
  stateDir,
  plan: (text, ports) => planManagedBlock(text, ports, 'ovs-port-agent'),
});
const port = {
  port: parsePortName('vi100'),
  bridge: parseBridgeName('ovsbr0'),
  tag: null,
  trunks: [],
  vlanMode: null,
  owner: 'CT 100',
};
await stat(path);
process.stdout.write('ready\n');
await once(process.stdin, 'data');
try {
  const { written } = await file.update([port], unrecorded, { cause: 'test', user: 'root', uid: 0 });
  process.stdout.write(written ? 'written\n' : 'unchanged\n');
} catch (error) {
  process.stdout.write(`${toAgentError(error).code}\n`);
}
process.stdin.destroy();
