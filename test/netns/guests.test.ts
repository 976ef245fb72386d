/** What the installed command says of guests, through the real service. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentWorld } from '../support/agent-world.ts';

describe('guests, through the service', function () {
  this.timeout(30_000);
  let world: AgentWorld;

  before(async () => {
    world = await AgentWorld.start({
      // Nobody listens on this port of the world's own network.
      config: '[proxmox]\nurl = "https://127.0.0.1:8006"\ntoken_file = "/nonexistent/token"\nca = "/dev/null"\n',
      prepare: async (made) => {
        await made.addGuest(100, 'hostname: web\nnet0: name=eth0,bridge=ovsbr0,tag=10\n');
        await made.addGuest(101, 'name: db\n', 'qemu-server');
        writeFileSync(join(made.folder, 'pve/user.cfg'), 'pool:prod::100::\n');
        await made.addDevice('veth100i0');
        await made.plug('ovsbr0', 'veth100i0', 'tag=10');
      },
    });
    await world.waitForPorts('vi100');
  });
  after(() => world.stop());

  it('are listed from the files of this node', async () => {
    const { stdout } = await world.cli('guest', 'list', '--local', '--output-format', 'json');
    const guests = JSON.parse(stdout) as Record<string, unknown>[];
    assert.deepEqual(
      guests.map(({ vmid, kind, name, status, pool }) => [vmid, kind, name, status, pool]),
      [
        [100, 'lxc', 'web', 'stopped', 'prod'],
        [101, 'qemu', 'db', 'stopped', undefined],
      ],
    );
  });

  it('are shown with the ports that they have on the switch', async () => {
    const { stdout } = await world.cli('guest', 'show', '100', '--output-format', 'json');
    const { nics, ports } = JSON.parse(stdout) as {
      nics: { netdev: string }[];
      ports: { port: string; tag: number }[];
    };
    assert.deepEqual([nics[0]?.netdev, ports[0]?.port, ports[0]?.tag], ['veth100i0', 'vi100', 10]);
    const none = await world.cli('guest', 'show', '102');
    assert.deepEqual([none.exitCode, none.stdout], [3, '']);
    assert.match(none.stderr, /guest 102 has no configuration on /);
  });

  it('of the cluster are not half a list when the Proxmox API cannot be asked', async () => {
    const { exitCode, stdout, stderr } = await world.cli('guest', 'list');
    assert.deepEqual([exitCode, stdout], [10, '']);
    assert.match(
      stderr,
      /the token file .* does not exist; this node's guests alone: `ovs-port-agent guest list --local`/,
    );
  });
});
