/** Updates the managed block of the file in argv[2] for ever, a line on standard output each time; to be killed. */
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import { parseBridgeName, parsePortName } from '../../src/model/names.ts';
import { InterfacesFile } from '../../src/platform/interfaces-file.ts';
import { unrecorded } from './unrecorded.ts';

const [path = '', stateDir = '', count = ''] = process.argv.slice(2);
const file = new InterfacesFile({
  path,
  stateDir,
  plan: (text, ports) => planManagedBlock(text, ports, 'ovs-port-agent'),
});
const ports = Array.from({ length: Number(count) }, (_, index) => ({
  port: parsePortName(`vi${100 + index}`),
  bridge: parseBridgeName('ovsbr0'),
  tag: null,
  trunks: [],
  vlanMode: null,
  owner: `CT ${100 + index}`,
}));
for (let full = true; ; full = !full) {
  await file.update(full ? ports : [], unrecorded, { cause: 'test', user: 'root', uid: 0 });
  process.stdout.write('.\n');
}
