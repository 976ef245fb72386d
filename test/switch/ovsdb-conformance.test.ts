import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { FakeOvsdbServer, thingSchema } from '../support/fake-ovsdb-server.ts';
import { ovsdbSuite } from '../support/ovsdb-suite.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';

ovsdbSuite('ovsdb-server', () => startPrivateSwitch({ schema: thingSchema }));

ovsdbSuite('the fake server', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fake-ovsdb-'));
  const server = new FakeOvsdbServer();
  const path = join(folder, 'db.sock');
  await server.listen(path);
  return {
    endpoint: `unix:${path}`,
    stop: async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});
