/** A policy that asks for a pool, through the real service: `.version` tells of the change, as on a node of Proxmox VE. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

const policies = 'policy = [{ match = { pool = "prod" }, tag = 30 }, { match = { pool = "test" }, tag = 40 }]';

describe('a guest in a pool', function () {
  this.timeout(30_000);
  let w: AgentWorld;
  let writes = 0;

  const put = (name: string, text: string): void => {
    writeFileSync(join(w.folder, 'pve', name), text);
  };
  /** As the cluster file system shows it: the file, and then a number that counts its writes. */
  const writePools = (text: string): void => {
    put('user.cfg', `user:root@pam:1:0::::::\n${text}`);
    put('.version', JSON.stringify({ starttime: 1_760_000_000, clinfo: 1, vmlist: 1, 'user.cfg': ++writes }));
  };
  const tag = (): Promise<string> => w.ovs.vsctl('get', 'port', 'vi107', 'tag');

  before(async () => {
    w = await AgentWorld.start({
      config: policies,
      prepare: async (made) => {
        w = made;
        put('.members', JSON.stringify({ nodename: 'pve1', version: 0 }));
        await made.addGuest(107, 'hostname: web\n');
        put('.vmlist', JSON.stringify({ version: 1, ids: { 107: { node: 'pve1', type: 'lxc', version: 1 } } }));
        writePools('pool:prod::107::\n');
        await made.addDevice('dummy1');
      },
    });
    assert.deepEqual(await w.call('create_container_interface', 'ssu', ['dummy1', 'web', 107]), ['vi107']);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
  });
  after(() => w.stop());

  it('has what its policy says, and soon what that of another pool says', async () => {
    assert.equal(await tag(), '30');
    writePools('pool:prod::::\npool:test::107::\n');
    // A full pass comes once a minute by itself.
    await waitFor('the VLAN of the other pool', async () => (await tag()) === '40', 5000);
    writePools('pool:prod::::\npool:test::::\n');
    await waitFor('no VLAN', async () => (await tag()) === '[]', 5000);
  });
});
