import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { FakeOvsdbServer, thingSchema } from '../support/fake-ovsdb-server.ts';
import { ovsdbSuite } from '../support/ovsdb-suite.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';

const startReal = (): ReturnType<typeof startPrivateSwitch> => startPrivateSwitch({ schema: thingSchema });
ovsdbSuite('ovsdb-server', startReal);
ovsdbSuite('ovsdb-server without monitor_cond_since', startReal, ['monitor_cond_since']);
ovsdbSuite('ovsdb-server without monitor_cond', startReal, ['monitor_cond_since', 'monitor_cond']);

for (const method of ['monitor_cond_since', 'monitor_cond', 'monitor'] as const) {
  ovsdbSuite(`the fake server, whose newest method is ${method}`, () => startFake(method));
}

async function startFake(
  monitorMethod: FakeOvsdbServer['monitorMethod'],
): Promise<{ endpoint: string; stop: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'fake-ovsdb-'));
  const server = new FakeOvsdbServer();
  server.monitorMethod = monitorMethod;
  const path = join(folder, 'db.sock');
  await server.listen(path);
  return {
    endpoint: `unix:${path}`,
    stop: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
