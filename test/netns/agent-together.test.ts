import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentWorld } from '../support/agent-world.ts';
import { refusedWith } from '../support/refused.ts';
import { waitFor } from '../support/wait-for.ts';

const container = (...options: string[]): string =>
  `hostname: guest\nnet0: ${['name=eth0', 'bridge=ovsbr0', ...options].join(',')}\n`;

describe('guests beside each other on real devices', function () {
  this.timeout(30_000);
  let w: AgentWorld;

  beforeEach(async () => {
    w = await AgentWorld.start();
    await w.addGuest(302, container('tag=10'));
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
    await w.stop();
  });

  const isServed = (): Promise<unknown> =>
    waitFor('vi302 without any hook', async () => (await w.ports()).includes('vi302'), 6000);

  it('are served without any hook while the file of another cannot be read, which is named', async () => {
    await mkdir(join(w.folder, 'pve/lxc/301.conf'));
    await w.addDevice('veth302i0');
    await isServed();
    await waitFor('the report', async () => {
      const { problems } = await w.status();
      return problems.length === 1 && /301\.conf.*EISDIR/.test(problems[0]!);
    });
  });

  it('are served without any hook while another sits behind a firewall that has no bridge, which is named', async () => {
    await w.addGuest(301, container('firewall=1'));
    await w.addDevice('veth301i0');
    await w.addDevice('veth302i0');
    assert.match((await w.hook('301', 'post-start')).stdout, /fwln301o0 could not be put into fwbr301i0/);
    await isServed();
    await w.call('Reconcile');
    await waitFor('the report', async () =>
      (await w.status()).problems.includes('vi301: fwln301o0 could not be put into fwbr301i0'),
    );
  });

  it('are known to the first answer after every restart', async () => {
    await w.addDevice('veth302i0');
    await w.hook('302', 'post-start');
    for (let round = 0; round < 5; round++) {
      await w.killService('SIGKILL');
      await w.startService();
      assert.deepEqual(await w.ports(), ['vi302'], `round ${round}`);
    }
  });

  it('get the same good answer from three hooks of one start', async () => {
    await w.addDevice('veth302i0');
    const answers = await Promise.all([1, 2, 3].map(() => w.hook('302', 'post-start')));
    assert.deepEqual(
      answers.map(({ stdout }) => stdout),
      Array(3).fill('CT 302: net0 is vi302 on ovsbr0, tag 10'),
    );
    assert.deepEqual(
      (await w.blocks()).filter((block) => /^(port|outcome)/.test(block)),
      ['port attach'],
    );
  });

  it('keep their devices: one that is handed over under another number is refused, and plugged as its own', async () => {
    await w.addDevice('veth302i0');
    await assert.rejects(
      w.call('create_container_interface', 'ssu', ['veth302i0', 'web', 777]),
      refusedWith('Conflict', 'veth302i0 belongs to guest 302'),
    );
    await w.call('Reconcile');
    for (const round of [1, 2]) {
      const [json] = await w.call('Reconcile');
      assert.deepEqual(JSON.parse(String(json)), { changes: [], problems: {} }, `pass ${round}`);
    }
    assert.deepEqual(await w.ports(), ['vi302']);
    assert.equal(await w.ovs.vsctl('get', 'port', 'veth302i0', 'tag'), '10');
  });
});
