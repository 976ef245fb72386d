import assert from 'node:assert/strict';
import { parseContainerName, parseNetdevName, parseVmid } from '../../src/model/names.ts';
import { engineOnSwitch } from '../support/engine-on-switch.ts';
import type { EngineOnSwitch } from '../support/engine-on-switch.ts';
import { cause, linkOf } from '../support/ports-fixtures.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { refusedWith } from '../support/refused.ts';
import { waitFor } from '../support/wait-for.ts';

describe('rows of devices that are renamed', () => {
  let ovs: PrivateSwitch;
  let world: EngineOnSwitch;
  beforeEach(async () => {
    ovs = await startPrivateSwitch();
    await ovs.vsctl('add-br', 'ovsbr0', '--', 'add-br', 'ovsbr1');
    world = await engineOnSwitch(ovs.endpoint, { namingMode: 'rename', includePrefixes: ['ve'] });
    await world.engine.start();
  });
  afterEach(async () => {
    await world.close();
    await ovs.stop();
  });

  const lxc7 = parseNetdevName('lxc7');
  const handOver = (): Promise<string> =>
    world.engine.createContainerInterface(lxc7, parseContainerName('web'), parseVmid(107), cause);
  /** Port and Interface of every row that is no bridge's own. */
  const rows = async (): Promise<string[]> =>
    (await ovs.vsctl('list-ports', 'ovsbr0'))
      .split('\n')
      .filter((row) => row !== '')
      .sort();
  const rowsAre = (...expected: string[]): Promise<void> =>
    waitFor('the rows', async () => {
      assert.deepEqual(await rows(), expected);
      for (const row of expected) assert.equal(await ovs.vsctl('get', 'interface', row, 'name'), row);
      return true;
    });
  const devices = (): string[] => [...world.links.devices.keys()].sort();

  it('have their name, port and Interface, and come back after the database was wiped', async () => {
    world.links.add('lxc7');
    assert.equal(await handOver(), 'vi107');
    assert.equal(await handOver(), 'vi107', 'asked again it is the same');
    await rowsAre('vi107');
    assert.deepEqual(world.engine.interfaceBindings()[0]?.['altname'], 'lxc7');
    await ovs.vsctl('del-br', 'ovsbr0');
    await ovs.vsctl('add-br', 'ovsbr0');
    await rowsAre('vi107');
    assert.deepEqual(devices(), ['vi107']);
  });

  it('go when they are asked to, by the old name too, and the device has its name again', async () => {
    world.links.add('lxc7');
    for (const name of ['lxc7', 'vi107']) {
      await handOver();
      assert.equal(await world.engine.removePort(name, cause), 'vi107');
      await rowsAre();
      assert.deepEqual(devices(), ['lxc7']);
    }
  });

  it('go when their device does', async () => {
    world.links.add('lxc7');
    await handOver();
    world.links.devices.clear();
    world.engine.onLinkChanges(['vi107']);
    await rowsAre();
  });

  it('are none when the name is taken, and nothing remembers the device', async () => {
    world.links.add('lxc7');
    world.links.add('vi107');
    await assert.rejects(handOver(), refusedWith('Conflict', 'lxc7 could not be renamed to vi107'));
    assert.deepEqual(world.saved.bindings, { version: 1, bindings: [] });
    assert.deepEqual(devices(), ['lxc7', 'vi107']);
    await rowsAre();
  });

  it('are none of a device that somebody else has plugged, which keeps its name', async () => {
    await ovs.vsctl('add-port', 'ovsbr0', 've1');
    await waitFor('the row', () => Promise.resolve(world.engine.bridges().some(({ ports }) => ports === 2)));
    world.links.devices.set('ve1', { ...linkOf('ve1'), peerElsewhere: true });
    await world.engine.reconcile(cause);
    assert.deepEqual([devices(), await rows()], [['ve1'], ['ve1']]);
  });

  it('are made of a container that is found by its prefix, and of one whose row a kill came before', async () => {
    world.links.devices.set('ve1', { ...linkOf('ve1'), peerElsewhere: true });
    world.links.devices.set('vi_ve2', { ...linkOf('vi_ve2'), peerElsewhere: true, originalName: 've2' });
    await world.engine.reconcile(cause);
    await rowsAre('vi_ve1', 'vi_ve2');
    assert.deepEqual(devices(), ['vi_ve1', 'vi_ve2']);
    assert.deepEqual(world.links.devices.get('vi_ve2')?.altnames, ['ve2']);
  });

  it('are none of a device that nobody wants under its new name: it gets its own back', async () => {
    world.links.devices.set('vi108', { ...linkOf('vi108', null, 'lxc8'), originalName: 'lxc8' });
    await world.engine.reconcile(cause);
    assert.deepEqual(devices(), ['lxc8']);
    await rowsAre();
  });
});
