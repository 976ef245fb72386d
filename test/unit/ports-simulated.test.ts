/** What histories of the simulator have brought to light, each by itself. */
import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseContainerName, parseNetdevName, parseVmid } from '../../src/model/names.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { attached, passes, running, soon, vmid } from '../support/running-engine.ts';

describe('the port engine', () => {
  it('does not let a plug of Proxmox VE be in the way of itself on a bridge that was just made', async () => {
    const world = await attached();
    world.ovs.removeBridge('ovsbr0');
    world.locked.add(vmid);
    world.ovs.addBridge('ovsbr0');
    await soon(world);
    assert.deepEqual(world.ovs.portRows(), []);
    world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
    await passes(world, 3000);
    assert.equal(world.ovs.idsOf('veth100i0')['port-name'], 'vi100');
  });

  it('counts the time of a missing port anew after a connection was lost: what happened meanwhile nobody saw', async () => {
    const world = await attached();
    await passes(world, 600);
    world.ovs.unplug('veth100i0');
    await passes(world, 600);
    world.ovs.problem = new AgentError('Unavailable', 'gone');
    world.engine.onSwitchState(world.ovs.problem);
    await passes(world, 300);
    world.ovs.problem = null;
    world.engine.onSwitchState(null);
    await passes(world, 800);
    assert.deepEqual(world.ovs.portRows(), []);
    await passes(world, 1000);
    assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
  });

  it('goes on as soon as it has the lock back', async () => {
    const world = await running();
    world.ovs.lockHeld = false;
    world.engine.onSwitchLock(false);
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    world.engine.onLinkChanges(['veth100i0']);
    await passes(world, 30_000);
    assert.deepEqual([world.ovs.portRows(), world.ovs.transactions.length], [[], 0]);
    assert.equal(world.engine.isOutcomeKnown, true);
    world.ovs.lockHeld = true;
    world.engine.onSwitchLock(true);
    await passes(world, 600);
    assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
  });

  it('takes away the row of a card whose firewall was switched on while nobody took it away', async () => {
    const world = await attached();
    world.configure(guestOf(100, [{ firewall: true }]));
    world.links.add('veth100i0', 'fwbr100i0');
    world.links.add('fwln100o0', 'fwbr100i0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'fwln100o0' });
    await passes(world, 3000);
    assert.deepEqual(world.ovs.portRows(), ['fwln100o0']);
    assert.equal(world.ovs.idsOf('fwln100o0')['port-name'], 'vi100');
  });

  it('takes away the firewall port of a card whose firewall was switched off, but of no other', async () => {
    const world = await running();
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'fwln100o0' });
    world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
    world.configure(guestOf(101, [{ firewall: true }]));
    world.links.add('veth101i0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'fwln101o0' });
    world.ovs.plug({ bridge: 'ovsbr0', row: 'veth101i0', portIds: { note: 'plugged by hand' } });
    await passes(world, 3000);
    assert.deepEqual(world.ovs.portRows(), ['fwln101o0', 'veth100i0', 'veth101i0']);
  });

  it('keeps one port for a device, however often it is handed over and under which names', async () => {
    const world = await running();
    const [dummy, another] = [parseNetdevName('dummy0'), parseNetdevName('dummy1')];
    world.links.add('dummy0');
    world.links.add('dummy1');
    await world.engine.addPort(dummy, null, cause);
    await world.engine.addPort(another, null, cause);
    world.links.devices.delete('dummy0');
    world.engine.onLinkChanges(['dummy0']);
    await passes(world, 3000);
    world.links.add('dummy0');
    await world.engine.createContainerInterface(dummy, parseContainerName('web'), parseVmid(901), cause);
    const count = world.ovs.transactions.length;
    await passes(world, 130_000);
    assert.deepEqual(world.ovs.portRows(), ['vi901', 'vi_dummy1']);
    assert.equal(world.ovs.transactions.length, count, 'and nothing moves any more');
  });

  it('does not forget a device because it could not be handed over a second time', async () => {
    const world = await running();
    const netdev = parseNetdevName('dummy0');
    world.links.add('dummy0');
    await world.engine.addPort(netdev, null, cause);
    world.ovs.unplug('vi_dummy0');
    world.ovs.lockHeld = false;
    world.engine.onSwitchLock(false);
    await assert.rejects(world.engine.addPort(netdev, null, cause), { code: 'Busy' });
    world.ovs.lockHeld = true;
    world.engine.onSwitchLock(true);
    await passes(world, 3000);
    assert.deepEqual(world.ovs.portRows(), ['vi_dummy0']);
  });
});
