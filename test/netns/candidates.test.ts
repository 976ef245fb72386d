import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

describe('devices that nobody hands over', function () {
  this.timeout(30_000);
  let folder: string;
  let w: AgentWorld;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'candidates-'));
  });
  afterEach(() => w.stop());
  after(() => rm(folder, { recursive: true }));

  /** Tells the container behind a device by a script with these lines, as a runtime's own tool would. */
  async function start(...lines: string[]): Promise<void> {
    const script = join(folder, 'name-of');
    await writeFile(script, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
    const config = `include_prefixes = ["ve"]\ncontainer_name_cmd = "${script} {ifname}"`;
    w = await AgentWorld.start({ config });
  }

  it('are taken when they look like a container’s, under its name, and go when the container goes', async () => {
    await start('echo "web-$1"', 'echo noise');
    await w.addContainer('vea', '192.0.2.1');
    await w.waitForPorts('vi_web_vea');
    assert.deepEqual(await w.rows('ovsbr0'), ['vi_web_vea']);
    assert.match(await w.ip('link', 'show', 'vi_web_vea'), /: vea@/);
    await w.killService('SIGKILL');
    await w.startService();
    await w.waitForPorts('vi_web_vea');
    await w.removeDevice('vea');
    await w.waitForPorts();
  });

  it('go to container_bridge when the container belongs to Netmaker', async () => {
    await start('echo netmaker-1');
    await w.addContainer('veb', '192.0.2.1');
    await w.waitForPorts('vi_netmaker_1');
    assert.deepEqual(await w.rows('ovsbr1'), ['vi_netmaker_1']);
  });

  it('are left alone when they have an address, a master, or both ends here', async () => {
    await start('echo web');
    await w.addContainer('vec', '192.0.2.1');
    await w.waitForPorts('vi_web');
    await w.addDevice('vehere');
    await w.addContainer('x0', '192.0.2.2');
    await w.ip('address', 'add', '192.0.2.3/24', 'dev', 'x0');
    await w.addContainer('x1', '192.0.2.4');
    await w.ip('link', 'add', 'br0', 'type', 'bridge');
    await w.ip('link', 'set', 'x1', 'master', 'br0');
    // Under these names they become candidates, with all that keeps them from being taken.
    for (const [from, to] of Object.entries({ x0: 'veaddr', x1: 'vemaster' })) {
      await w.ip('link', 'set', from, 'down');
      await w.ip('link', 'set', from, 'name', to);
      await w.ip('link', 'set', to, 'up');
    }
    await w.call('Reconcile');
    assert.deepEqual(await w.ports(), ['vi_web']);
  });

  it('are reported when their container cannot be told', async () => {
    await start('exit 3');
    await w.addContainer('ved', '192.0.2.1');
    await waitFor('the report', async () =>
      (await w.status()).problems.some((text) => text.startsWith('ved: ved has no port')),
    );
    assert.deepEqual(await w.ports(), []);
  });
});
