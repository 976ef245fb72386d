import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentWorld } from '../support/agent-world.ts';
import { waitFor } from '../support/wait-for.ts';

/** A host without Proxmox VE. */
const withoutProxmox = (w: AgentWorld): Promise<void> => rm(join(w.folder, 'pve'), { recursive: true });

describe('devices that are renamed', function () {
  this.timeout(60_000);
  let w: AgentWorld;
  let web: string;
  before(async () => {
    w = await AgentWorld.start({
      prepare: withoutProxmox,
      config: ['naming_mode = "rename"', 'include_prefixes = ["ve"]'].join('\n'),
    });
    web = await w.addContainer('lxc7', '192.0.2.107');
    await w.addContainer('lxc8', '192.0.2.108');
    await w.call('create_container_interface', 'ssu', ['lxc7', 'web', 107]);
    await w.call('create_container_interface', 'ssu', ['lxc8', 'db', 108]);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(w.log.replaceAll(/^/gm, '      | '));
  });
  after(() => w.stop());

  /** Name and altnames of the device that answers to this name. */
  const names = async (name: string): Promise<string> => {
    const [link] = JSON.parse(await w.ip('-json', 'link', 'show', 'dev', name)) as {
      ifname: string;
      altnames?: string[];
    }[];
    return [link?.ifname, ...(link?.altnames ?? []).sort()].join(' ');
  };
  const isGone = async (name: string): Promise<boolean> =>
    (await w.inside('ip', 'link', 'show', 'dev', name)).exitCode !== 0;
  const interfaces = async (): Promise<string[]> =>
    (await w.ovs.vsctl('--columns=name', '--bare', 'list', 'Interface'))
      .split('\n')
      .filter((name) => /^v/.test(name))
      .sort();
  const ports = (...expected: string[]): Promise<void> => w.waitForPorts(...expected);

  it('are called like their ports, answer to their old names, and packets flow', async () => {
    assert.equal(await names('lxc7'), 'vi107 lxc7 ovs-port-agent.lxc7');
    assert.deepEqual(await interfaces(), ['vi107', 'vi108']);
    assert.deepEqual(await w.rows('ovsbr0'), ['vi107', 'vi108']);
    await waitFor('an answer', () => w.reaches(web, '192.0.2.108'));
    assert.equal((await w.status()).state, 'running');
  });

  it('are the same when they are handed over again, and are found by either name', async () => {
    assert.deepEqual(await w.call('create_container_interface', 'ssu', ['lxc7', 'web', 107]), ['vi107']);
    assert.deepEqual(await interfaces(), ['vi107', 'vi108']);
    const { stdout } = await w.cli('get', '/ports/lxc7', '--output-format', 'json');
    assert.equal((JSON.parse(stdout) as { port: string }).port, 'vi107');
  });

  it('keep their rows through restarts, and get them back after the database was wiped', async () => {
    const before = await w.ovs.vsctl('get', 'Interface', 'vi107', '_uuid', 'ofport');
    await w.killService('SIGKILL');
    await w.startService();
    await w.call('Reconcile');
    assert.equal(await w.ovs.vsctl('get', 'Interface', 'vi107', '_uuid', 'ofport'), before);
    await w.ovs.vsctl('del-br', 'ovsbr0', '--', 'del-br', 'ovsbr1');
    await w.addBridges();
    await ports('vi107', 'vi108');
    await waitFor('an answer', () => w.reaches(web, '192.0.2.108'));
  });

  it('that are found by their prefix are renamed too, and go with their containers', async () => {
    await w.addContainer('veabc', '192.0.2.1');
    await ports('vi107', 'vi108', 'vi_veabc');
    assert.equal(await names('veabc'), 'vi_veabc ovs-port-agent.veabc veabc');
    await w.killService();
    await w.startService();
    await ports('vi107', 'vi108', 'vi_veabc');
    await w.removeDevice('vi_veabc');
    await ports('vi107', 'vi108');
    assert.deepEqual(await interfaces(), ['vi107', 'vi108']);
  });

  it('get their names back when their ports are removed, by any of their names', async () => {
    for (const name of ['vi108', 'lxc8']) {
      await w.call('remove_container_interface', 's', [name]);
      assert.equal(await names('lxc8'), 'lxc8');
      assert.ok(await isGone('vi108'));
      await w.call('create_container_interface', 'ssu', ['lxc8', 'db', 108]);
      assert.equal(await names('lxc8'), 'vi108 lxc8 ovs-port-agent.lxc8');
    }
  });

  it('leave no row behind when their container stops, which a hook tells of too', async () => {
    await w.removeDevice('vi108');
    await w.hook('108', 'post-stop');
    await ports('vi107');
    await w.addContainer('lxc8', '192.0.2.108');
    // Its address is another device's now.
    await w.inside('ip', '-n', web, 'neighbour', 'flush', 'all');
    await ports('vi107', 'vi108');
    assert.equal(await names('lxc8'), 'vi108 lxc8 ovs-port-agent.lxc8');
  });

  it('are refused when another device has the name, and then nothing is changed', async () => {
    await w.addDevice('vi109');
    await w.addContainer('lxc9', '192.0.2.109');
    await assert.rejects(
      w.call('create_container_interface', 'ssu', ['lxc9', 'mail', 109]),
      /lxc9 could not be renamed to vi109; does another device have that name/,
    );
    assert.equal(await names('lxc9'), 'lxc9');
    assert.match(await w.ip('link', 'show', 'lxc9'), /[<,]UP[,>]/);
    assert.deepEqual(await w.ports(), ['vi107', 'vi108']);
    await w.removeDevice('vi109');
  });

  for (const [what, ...steps] of [
    ['before the new name', ['link', 'property', 'add', 'dev', 'veold', 'altname', 'ovs-port-agent.veold']],
    [
      'after the new name',
      ['link', 'property', 'add', 'dev', 'veold', 'altname', 'ovs-port-agent.veold'],
      ['link', 'set', 'dev', 'veold', 'name', 'vi_veold'],
    ],
  ] as [string, ...string[][]][]) {
    it(`converge when a kill came ${what}, and the transaction was never sent`, async () => {
      await w.killService('SIGKILL');
      await w.addContainer('veold', '192.0.2.2');
      for (const step of steps) await w.ip(...step);
      await w.startService();
      await ports('vi107', 'vi108', 'vi_veold');
      assert.equal(await names('veold'), 'vi_veold ovs-port-agent.veold veold');
      await w.removeDevice('vi_veold');
      await ports('vi107', 'vi108');
    });
  }

  it('get their names back when a kill came between the removal of a port and its device', async () => {
    await w.killService('SIGKILL');
    await w.addDevice('vi110');
    await w.ip('link', 'property', 'add', 'dev', 'vi110', 'altname', 'ovs-port-agent.lxc10');
    await w.startService();
    await waitFor('the name', async () => !(await isGone('lxc10')) && (await names('lxc10')) === 'lxc10');
    await w.removeDevice('lxc10');
  });

  it('are named as before after the naming mode was changed, and again after it was changed back', async () => {
    await w.reconfigure('naming_mode', '"auto"');
    await waitFor('the names', async () => (await names('lxc7')) === 'lxc7 vi107');
    await waitFor('the rows', async () => (await interfaces()).length === 0);
    await ports('vi107', 'vi108');
    await waitFor('an answer', () => w.reaches(web, '192.0.2.108'));
    await w.reconfigure('naming_mode', '"rename"');
    await waitFor('the rows', async () => (await interfaces()).join() === 'vi107,vi108');
    await waitFor('an answer', () => w.reaches(web, '192.0.2.108'));
    assert.equal(await names('lxc7'), 'vi107 lxc7 ovs-port-agent.lxc7');
    assert.match(await w.ledgerVerdict(), /^VALID/);
  });

  it('is what enable_rename means where there is no Proxmox VE, and is refused where there is', async () => {
    await w.reconfigure('naming_mode', '"auto"\nenable_rename = true');
    await waitFor('the names', async () => (await names('lxc7')) === 'vi107 lxc7 ovs-port-agent.lxc7');
    const other = await AgentWorld.start({ isStarted: false, config: 'naming_mode = "rename"' });
    try {
      const { exitCode, said } = await other.failToStart();
      assert.equal(exitCode, 64);
      assert.match(said, /config\.toml:\d+:1: naming_mode: "rename" is for hosts without Proxmox VE/);
    } finally {
      await other.stop();
    }
  });
});
