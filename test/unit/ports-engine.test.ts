import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseContainerName, parseNetdevName, parseVmid } from '../../src/model/names.ts';
import { settled } from '../support/fake-clock.ts';
import { cause, guestOf, linkOf } from '../support/ports-fixtures.ts';
import { refusedWith } from '../support/refused.ts';
import { attached, blocksOf, passes, running, soon, vmid } from '../support/running-engine.ts';
import type { World } from '../support/running-engine.ts';
import { startEngine } from '../support/test-engine.ts';

const portNames = ({ engine }: World): string[] => engine.ports().map(({ port }) => port);
const altnamesOf = ({ links }: World, netdev: string): readonly string[] => links.devices.get(netdev)?.altnames ?? [];

describe('the port engine', () => {
  describe('when a guest starts', () => {
    it('adopts what Proxmox VE plugged: marks, altname, listing, ledger, signal', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ tag: 10 }]));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
      await soon(world);
      assert.equal(
        await world.engine.notifyLifecycle(vmid, 'post-start', cause),
        'CT 100: net0 is vi100 on ovsbr0, tag 10',
      );
      await soon(world);
      assert.equal(world.ovs.idsOf('veth100i0')['port-name'], 'vi100');
      assert.deepEqual(altnamesOf(world, 'veth100i0'), ['vi100']);
      await world.engine.listingSettled();
      assert.deepEqual(
        world.saved.listed.map(({ port }) => port),
        ['vi100'],
      );
      assert.deepEqual(world.events, ['added vi100 ovsbr0']);
      const blocks = await world.ledger.query({ order: 'oldest' });
      assert.deepEqual(blocks.map(({ category, action }) => `${category} ${action}`).sort(), [
        'guest post-start',
        'interface add-altname',
        'port adopt',
      ]);
    });

    it('attaches what nobody plugged, and answers when it is applied', async () => {
      const world = await running();
      world.configure(guestOf(100, [{}, { bridge: 'ovsbr1', trunks: [20, 30] }]));
      world.links.add('veth100i0');
      world.links.add('veth100i1');
      assert.equal(
        await world.engine.notifyLifecycle(vmid, 'post-start', cause),
        'CT 100: net0 is vi100 on ovsbr0; net1 is vi100i1 on ovsbr1, trunks 20,30',
      );
      assert.deepEqual(world.ovs.portRows(), ['veth100i0', 'veth100i1']);
      assert.deepEqual(portNames(world), ['vi100', 'vi100i1']);
    });

    it('does nothing the second time', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      const first = await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      const count = world.ovs.transactions.length;
      assert.equal(await world.engine.notifyLifecycle(vmid, 'post-start', cause), first);
      await passes(world, 5000);
      assert.equal(world.ovs.transactions.length, count);
    });

    it('says in words why a nic has no port, and answers all the same', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ linkDown: true }, { bridge: 'vmbr0' }, {}, {}]));
      world.links.add('veth100i1');
      world.links.add('veth100i3', 'fwbr100i3');
      world.links.add('veth100i0');
      assert.equal(
        await world.engine.notifyLifecycle(vmid, 'post-start', cause),
        'CT 100: net0 is set to link_down; net1 is on vmbr0, which is not a managed bridge; ' +
          'net2 has no device veth100i2 yet; net3 not attached: veth100i3 is held by fwbr100i3',
      );
      assert.deepEqual(world.ovs.portRows(), []);
    });

    it('says at its start and in the status that a nic can never have a device', async () => {
      const world = await running();
      world.configure(
        guestOf(
          999_999_999,
          Array.from({ length: 11 }, (_, index) => ({ linkDown: index < 10 })),
        ),
      );
      const reason =
        'net10 can have no device: veth999999999i10 has 16 bytes, the kernel allows 15; use a card below net10 or a shorter vmid';
      const answer = await world.engine.notifyLifecycle(parseVmid(999_999_999), 'post-start', cause);
      assert.equal(answer.split('; net10 ')[1], reason.slice('net10 '.length));
      assert.deepEqual(world.engine.status().problems, [['vi999999999i10', reason]]);
      world.forget(999_999_999);
      world.engine.wake('gone');
      await passes(world, 600);
      assert.deepEqual(world.engine.status().problems, []);
    });

    it('says that its bridge does not exist, before and after the start', async () => {
      const bare = await running();
      bare.configure(guestOf(100, [{ bridge: 'ovsbr1' }], 'qemu'));
      bare.links.add('tap100i0');
      bare.ovs.removeBridge('ovsbr1');
      assert.equal(
        await bare.engine.notifyLifecycle(vmid, 'pre-start', cause),
        'VM 100: bridge ovsbr1 does not exist on the switch',
      );
      assert.equal(
        await bare.engine.notifyLifecycle(vmid, 'post-start', cause),
        'VM 100: net0: bridge ovsbr1 does not exist on the switch',
      );
    });

    it('says that the switch has not applied the port after a second', async () => {
      const world = await startEngine();
      await world.engine.start();
      await soon(world);
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      const answer = world.engine.notifyLifecycle(vmid, 'post-start', cause);
      await passes(world, 1100);
      assert.match(
        await answer,
        /^CT 100: net0 is vi100 on ovsbr0; committed, but ovs-vswitchd did not apply it within 1000 ms/,
      );
    });

    it('answers within 700 ms when the switch is away, loses nothing, and repairs when it is back', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.ovs.problem = new AgentError('Unavailable', 'Open vSwitch at unix:/x is not connected');
      world.engine.onSwitchState(world.ovs.problem);
      const answer = world.engine.notifyLifecycle(vmid, 'post-start', cause);
      await passes(world, 700);
      assert.match(await answer, /^guest 100: Open vSwitch at unix:\/x is not connected; ovs-port-agent tries again/);
      assert.deepEqual(
        (await world.ledger.query({})).map(({ action }) => action),
        ['post-start'],
      );
      world.ovs.problem = null;
      world.engine.onSwitchState(null);
      await passes(world, 3000);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('answers for a guest that is not here', async () => {
      const world = await running();
      assert.equal(
        await world.engine.notifyLifecycle(parseVmid(555), 'post-start', cause),
        'guest 555: no configuration on this node, nothing to do',
      );
    });
  });

  describe('when a guest stops', () => {
    async function withRunningGuest(): Promise<World> {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      await soon(world);
      return world;
    }

    it('changes nothing before its devices are gone', async () => {
      const world = await withRunningGuest();
      assert.equal(
        await world.engine.notifyLifecycle(vmid, 'pre-stop', cause),
        'CT 100: stopping, ports stay until its devices are gone',
      );
      assert.match(await world.engine.notifyLifecycle(vmid, 'post-stop', cause), /no ports left behind$/);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('removes what is left of it at once at post-stop, listing included', async () => {
      const world = await withRunningGuest();
      world.links.devices.delete('veth100i0');
      assert.equal(await world.engine.notifyLifecycle(vmid, 'post-stop', cause), 'CT 100: removed vi100 from ovsbr0');
      await soon(world);
      assert.deepEqual([portNames(world), world.saved.listed, world.ovs.portRows()], [[], [], []]);
      assert.deepEqual(world.events.at(-1), 'removed vi100');
    });

    it('removes it after a second when no hook says anything, and not before', async () => {
      const world = await withRunningGuest();
      world.links.devices.delete('veth100i0');
      world.engine.onLinkChanges(['veth100i0']);
      await passes(world, 900);
      assert.deepEqual(portNames(world), ['vi100']);
      await passes(world, 700);
      assert.deepEqual(portNames(world), []);
    });

    it('keeps the port of a guest that comes back within that second', async () => {
      const world = await withRunningGuest();
      world.links.devices.delete('veth100i0');
      world.engine.onLinkChanges(['veth100i0']);
      await passes(world, 500);
      world.links.add('veth100i0');
      world.engine.onLinkChanges(['veth100i0']);
      await passes(world, 3000);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('removes what an unclean stop left, at pre-start, so that Proxmox VE can plug', async () => {
      const world = await withRunningGuest();
      world.links.devices.delete('veth100i0');
      assert.equal(await world.engine.notifyLifecycle(vmid, 'pre-start', cause), 'CT 100: removed vi100 from ovsbr0');
    });
  });

  describe('when a guest was started by the service itself', () => {
    it('puts its ports right at once, answers as a hook is answered, and records no hook', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ tag: 10 }]));
      world.links.add('veth100i0');
      assert.equal(await world.engine.applyGuest(vmid, 'post-start', cause), 'CT 100: net0 is vi100 on ovsbr0, tag 10');
      assert.deepEqual(await blocksOf(world, 'guest', 'port'), ['port attach']);
      world.links.devices.delete('veth100i0');
      assert.equal(await world.engine.applyGuest(vmid, 'post-stop', cause), 'CT 100: removed vi100 from ovsbr0');
    });

    it('answers in words while the switch is away', async () => {
      const world = await running();
      world.ovs.problem = new AgentError('Unavailable', 'the switch is away');
      const answer = world.engine.applyGuest(vmid, 'post-start', cause);
      await passes(world, 1_000);
      assert.equal(await answer, 'guest 100: the switch is away; ovs-port-agent tries again by itself');
    });

    it('counts what the ledger could not take', async () => {
      const world = await running();
      world.engine.noteLedgerGap(new AgentError('Unavailable', 'no space left'));
      assert.equal(world.engine.status().ledgerGap, '1 changes are missing in the ledger: no space left');
    });
  });

  describe('without any hook', () => {
    it('adopts within one pass what Proxmox VE plugs', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await soon(world);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('finds start and end by the signals of units alone', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.engine.onUnitChange(vmid);
      await passes(world, 800);
      // The unit was active long before; no other event tells of the device.
      world.links.add('veth100i0');
      await passes(world, 2_500);
      assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
      await passes(world, 10_000);
      world.links.devices.delete('veth100i0');
      world.engine.onUnitChange(vmid);
      await passes(world, 2_500);
      assert.deepEqual(world.ovs.portRows(), []);
    });

    it('finds by its written configuration alone what Proxmox VE plugs before or after it', async () => {
      const world = await running({ switchWakes: false });
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.engine.onGuestFilesChanged([vmid]);
      await soon(world);
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await passes(world, 300);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('follows a start of which only `pre-start` was told, and an end that comes after its `post-stop`', async () => {
      const world = await running({ switchWakes: false });
      world.configure(guestOf(100));
      await world.engine.notifyLifecycle(vmid, 'pre-start', cause);
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await passes(world, 300);
      assert.deepEqual(portNames(world), ['vi100']);
      await world.engine.notifyLifecycle(vmid, 'post-stop', cause);
      world.links.devices.delete('veth100i0');
      await passes(world, 2_500);
      assert.deepEqual(world.ovs.portRows(), []);
    });

    it('takes changes of the switch in, also when they wake nothing', async () => {
      const world = await running({ switchWakes: false });
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await passes(world, 3_000);
      assert.deepEqual(portNames(world), []);
      await passes(world, 60_000);
      assert.deepEqual(portNames(world), ['vi100'], 'the timer');
    });

    it('leaves a missing row to Proxmox VE for a second before it attaches', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.engine.onLinkChanges(['veth100i0']);
      await passes(world, 900);
      assert.deepEqual(world.ovs.portRows(), []);
      await passes(world, 700);
      assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
    });

    it('lets Proxmox VE delete and add a row again, and marks the new one', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await soon(world);
      world.ovs.unplug('veth100i0');
      world.links.devices.set('veth100i0', linkOf('veth100i0'));
      await passes(world, 400);
      assert.deepEqual(world.ovs.portRows(), [], 'nothing is put back into Proxmox’s way');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await soon(world);
      assert.deepEqual([portNames(world), altnamesOf(world, 'veth100i0')], [['vi100'], ['vi100']]);
    });

    it('puts everything back at once when the database was wiped', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      await passes(world, 600);
      world.ovs.removeBridge('ovsbr0');
      world.ovs.removeBridge('ovsbr1');
      world.ovs.addBridge('ovsbr0');
      await passes(world, 550);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('never touches a foreign row, with or without a device', async () => {
      const world = await running();
      for (const row of ['eth0', 'vi_web', 'bond0']) world.ovs.plug({ bridge: 'ovsbr0', row });
      world.ovs.plug({ bridge: 'ovsbr0', row: 'bond1', bondedWith: 'eth5' });
      await passes(world, 5000);
      assert.deepEqual(world.ovs.portRows(), ['bond0', 'bond1', 'eth0', 'vi_web']);
      assert.equal(world.ovs.transactions.length, 0);
    });

    it('reports what stands in the way for as long as it does', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr1', row: 'veth100i0' });
      await passes(world, 600);
      assert.deepEqual(world.engine.status().problems, [
        ['vi100', 'veth100i0 is on ovsbr1, its configuration says ovsbr0'],
      ]);
      world.ovs.unplug('veth100i0');
      await passes(world, 3000);
      assert.deepEqual(world.engine.status().problems, []);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('says which altname could not be given', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('vi100');
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await passes(world, 600);
      assert.deepEqual(world.engine.status().problems, [
        ['vi100', 'veth100i0 could not be given the altname vi100; does another device have it?'],
      ]);
    });
  });

  describe('when somebody changes what the agent set', () => {
    it('puts it back after a second, and tells and records it once', async () => {
      const world = await attached();
      world.ovs.edit('veth100i0', { tag: 20 });
      await passes(world, 900);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 20, 'it may be Proxmox VE, and not yet done');
      await passes(world, 700);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 10);
      await passes(world, 5000);
      assert.deepEqual(
        world.events.filter((event) => event.startsWith('drift')),
        ['drift vi100 tag: wanted 10, got 20; put back'],
      );
      const [block, another] = await world.ledger.query({ category: 'drift' });
      assert.equal(another, undefined);
      assert.equal(block?.action, 'repair');
      assert.deepEqual(block.data['differences'], [{ column: 'tag', wanted: '10', got: '20' }]);
      assert.deepEqual([block.data['port'], block.data['vmid']], ['vi100', 100]);
      assert.deepEqual(world.engine.status().problems, []);
    });

    it('puts every column back: tag, trunks, vlan_mode; the mtu is asked for at the plug alone', async () => {
      const world = await running();
      world.links.add('ovsbr0', null, 9000);
      world.configure(guestOf(100, [{ tag: 10, trunks: [20, 30] }]));
      world.links.add('veth100i0');
      await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      const before = world.ovs.columnsOf('veth100i0');
      assert.deepEqual(
        [before.tag, before.trunks, before.vlan_mode, before.mtu_request],
        [10, [20, 30], 'native-untagged', 9000],
      );
      for (const edit of [{ trunks: [] }, { vlan_mode: 'trunk' }, { tag: null, trunks: [1] }]) {
        world.ovs.edit('veth100i0', edit);
        await passes(world, 1700);
        assert.deepEqual(world.ovs.columnsOf('veth100i0'), before, JSON.stringify(edit));
      }
      assert.equal((await blocksOf(world, 'drift')).length, 3);
    });

    it('says nothing when it was put back within that second', async () => {
      const world = await attached();
      world.ovs.edit('veth100i0', { tag: 20 });
      await passes(world, 500);
      world.ovs.edit('veth100i0', { tag: 10 });
      await passes(world, 3000);
      assert.deepEqual(await blocksOf(world, 'drift'), []);
      assert.ok(!world.events.some((event) => event.startsWith('drift')));
    });

    it('does it at once when a person asks', async () => {
      const world = await attached();
      world.ovs.edit('veth100i0', { tag: 20 });
      const { changes } = await world.engine.reconcile(cause);
      assert.deepEqual(
        changes.map((change) => change.kind === 'set' && change.drift),
        [true],
      );
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 10);
    });

    it('does it at once for a device that Proxmox VE never plugs', async () => {
      const world = await running();
      world.links.add('dummy0');
      await world.engine.addPort(parseNetdevName('dummy0'), null, cause);
      await passes(world, 600);
      world.ovs.edit('vi_dummy0', { tag: 20 });
      world.engine.wake('somebody looks');
      await passes(world, 600);
      assert.equal(world.ovs.columnsOf('vi_dummy0').tag, null);
    });

    it('follows a changed configuration, which is no drift', async () => {
      const world = await attached();
      world.configure(guestOf(100, [{ tag: 30 }]));
      world.engine.wake('configuration changed');
      await passes(world, 2200);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 30);
      assert.deepEqual(await blocksOf(world, 'port', 'drift'), ['port attach', 'port set']);
      assert.ok(!world.events.some((event) => event.startsWith('drift')));
    });

    it('only names what is wrong with a row that Proxmox VE plugged', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ tag: 10 }]));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
      await passes(world, 600);
      world.ovs.edit('veth100i0', { tag: 20 });
      await passes(world, 3000);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 20);
      assert.deepEqual(world.engine.status().problems, [['vi100', 'tag: wanted 10, got 20']]);
      assert.deepEqual(await blocksOf(world, 'port', 'drift'), ['port adopt']);
      world.ovs.edit('veth100i0', { tag: 10 });
      await passes(world, 600);
      assert.deepEqual(world.engine.status().problems, []);
    });

    describe('and it is told to report', () => {
      it('leaves it, writes one block and tells once, and names it as long as it lasts', async () => {
        const world = await attached({ drift: 'report' });
        world.ovs.edit('veth100i0', { tag: 20 });
        await passes(world, 5000);
        await world.engine.reconcile(cause);
        assert.equal(world.ovs.columnsOf('veth100i0').tag, 20);
        assert.deepEqual(await blocksOf(world, 'drift'), ['drift report']);
        assert.deepEqual(
          world.events.filter((event) => event.startsWith('drift')),
          ['drift vi100 tag: wanted 10, got 20; left as it is'],
        );
        assert.deepEqual(world.engine.status().problems, [['vi100', 'drift: tag: wanted 10, got 20']]);
        assert.equal(world.engine.port('vi100').problem, 'drift: tag: wanted 10, got 20');

        world.ovs.edit('veth100i0', { tag: 10 });
        await passes(world, 600);
        assert.deepEqual(world.engine.status().problems, [], 'gone with the difference');
      });

      it('tells of another edit, and of the same one when it comes again', async () => {
        const world = await attached({ drift: 'report' });
        for (const tag of [20, 21, 10, 21]) {
          world.ovs.edit('veth100i0', { tag });
          await passes(world, 600);
        }
        assert.deepEqual(
          world.events.filter((event) => event.startsWith('drift')),
          [20, 21, 21].map((tag) => `drift vi100 tag: wanted 10, got ${tag}; left as it is`),
        );
        assert.equal((await blocksOf(world, 'drift')).length, 3);
      });

      it('still sets what the configuration says anew', async () => {
        const world = await attached({ drift: 'report' });
        world.configure(guestOf(100, [{ tag: 30 }]));
        world.engine.wake('configuration changed');
        await passes(world, 2200);
        assert.equal(world.ovs.columnsOf('veth100i0').tag, 30);
      });
    });
  });

  describe('while Proxmox VE holds the lock of the guest', () => {
    it('leaves a lost row to it, and attaches within two seconds of its end', async () => {
      const world = await attached();
      world.locked.add(vmid);
      world.ovs.unplug('veth100i0');
      await passes(world, 10_000);
      assert.deepEqual(world.ovs.portRows(), []);
      world.locked.delete(vmid);
      await passes(world, 2000);
      assert.deepEqual(portNames(world), ['vi100']);
    });

    it('leaves an edit to it as well, and another guest does not wait', async () => {
      const world = await attached();
      world.configure(guestOf(101));
      world.links.add('veth101i0');
      await world.engine.notifyLifecycle(parseVmid(101), 'post-start', cause);
      world.locked.add(vmid);
      world.ovs.edit('veth100i0', { tag: 20 });
      world.ovs.edit('veth101i0', { tag: 20 });
      await passes(world, 3000);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 20);
      assert.equal(world.ovs.columnsOf('veth101i0').tag, null);
      world.locked.delete(vmid);
      await passes(world, 2000);
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 10);
    });

    it('still does what its own hook asks for, at once', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.locked.add(vmid);
      assert.equal(await world.engine.notifyLifecycle(vmid, 'post-start', cause), 'CT 100: net0 is vi100 on ovsbr0');
      world.links.devices.delete('veth100i0');
      assert.equal(await world.engine.notifyLifecycle(vmid, 'post-stop', cause), 'CT 100: removed vi100 from ovsbr0');
    });

    it('still marks what it plugs, and puts everything back a little later when the database was wiped', async () => {
      const world = await attached();
      world.locked.add(vmid);
      world.ovs.unplug('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
      await soon(world);
      assert.equal(world.ovs.idsOf('veth100i0')['port-name'], 'vi100');
      await passes(world, 600);
      world.ovs.removeBridge('ovsbr0');
      world.ovs.addBridge('ovsbr0');
      await passes(world, 600);
      assert.deepEqual(portNames(world), [], 'its own plug may be under way');
      await passes(world, 1100);
      assert.deepEqual(portNames(world), ['vi100']);
    });
  });

  describe('in naming mode', () => {
    for (const [namingMode, rows] of [
      ['auto', ['veth100i0', 'vi_dummy0']],
      ['alias', ['dummy0', 'veth100i0']],
      ['port', ['vi100', 'vi_dummy0']],
    ] as const) {
      it(`${namingMode}, rows are ${rows.join(' and ')}, whoever made them, and answer to the port name`, async () => {
        const world = await running({ namingMode });
        world.configure(guestOf(100, [{ tag: 10 }]));
        world.configure(guestOf(101));
        for (const name of ['veth100i0', 'veth101i0', 'dummy0']) world.links.add(name);
        world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
        await world.engine.addPort(parseNetdevName('dummy0'), null, cause);
        await passes(world, 1700);
        assert.deepEqual(
          world.ovs.portRows().filter((row) => !row.includes('101')),
          rows,
        );
        assert.equal(
          await world.engine.notifyLifecycle(parseVmid(101), 'post-start', cause),
          'CT 101: net0 is vi101 on ovsbr0',
        );
        assert.deepEqual(portNames(world), ['vi100', 'vi101', 'vi_dummy0']);
        assert.equal(world.engine.port('vi100').row.netdev, 'veth100i0');
        assert.equal(world.engine.port('veth100i0').port, 'vi100');
        assert.deepEqual(altnamesOf(world, 'veth100i0'), ['vi100']);
        const count = world.ovs.transactions.length;
        await passes(world, 3000);
        assert.equal(world.ovs.transactions.length, count, 'and then it is quiet');
      });
    }
  });

  describe('behind the firewall', () => {
    it('puts a lost fwln port back, and joins it to the firewall’s bridge', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ firewall: true }]));
      world.links.add('fwbr100i0');
      world.links.add('veth100i0', 'fwbr100i0');
      const answer = world.engine.notifyLifecycle(vmid, 'post-start', cause);
      world.links.add('fwln100o0');
      assert.equal(await answer, 'CT 100: net0 is vi100 on ovsbr0');
      assert.deepEqual(world.ovs.portRows(), ['fwln100o0']);
      assert.equal(world.links.devices.get('fwln100o0')?.master, 'fwbr100i0');
      assert.equal(world.links.devices.get('veth100i0')?.master, 'fwbr100i0', 'the guest stays behind its firewall');
    });

    it('takes the name over from the guest’s own device when the firewall comes while the guest runs', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      assert.deepEqual(altnamesOf(world, 'veth100i0'), ['vi100']);
      world.ovs.unplug('veth100i0');
      world.configure(guestOf(100, [{ firewall: true }]));
      world.links.devices.set('veth100i0', { ...world.links.devices.get('veth100i0')!, master: 'fwbr100i0' });
      world.links.add('fwln100o0', 'fwbr100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'fwln100o0' });
      await passes(world, 1_000);
      assert.deepEqual([altnamesOf(world, 'veth100i0'), altnamesOf(world, 'fwln100o0')], [[], ['vi100']]);
    });

    it('removes it when the guest’s own device is gone', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ firewall: true }]));
      world.links.add('fwln100o0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'fwln100o0' });
      await world.engine.notifyLifecycle(vmid, 'post-stop', cause);
      assert.deepEqual(world.ovs.portRows(), []);
    });
  });

  describe('when two things happen at once', () => {
    const dummy0 = parseNetdevName('dummy0');
    const web = parseContainerName('web');
    const bindingsOf = ({ saved }: World): string[] =>
      (saved.bindings as { bindings: { netdev: string }[] }).bindings.map(({ netdev }) => netdev);

    it('a start that is reported twice is answered well both times, and attached once', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      const answers = await Promise.all([1, 2].map(() => world.engine.notifyLifecycle(vmid, 'post-start', cause)));
      assert.deepEqual(answers, Array(2).fill('CT 100: net0 is vi100 on ovsbr0'));
      assert.deepEqual(await blocksOf(world, 'port', 'outcome'), ['port attach']);
    });

    it('a device that two callers hand over gets one port and one binding, and neither an error', async () => {
      const world = await running();
      world.links.add('dummy0');
      const results = await Promise.allSettled([1, 2].map(() => world.engine.addPort(dummy0, null, cause)));
      await passes(world, 2000);
      assert.deepEqual(
        results.map((result) => result.status === 'fulfilled' && result.value),
        ['vi_dummy0', 'vi_dummy0'],
      );
      assert.deepEqual([world.ovs.portRows(), bindingsOf(world)], [['vi_dummy0'], ['dummy0']]);
    });

    it('a name that two callers give to two devices goes to one, which is remembered; the other is told', async () => {
      const world = await running();
      for (const name of ['ve1', 've2']) world.links.add(name);
      const results = await Promise.allSettled(
        ['ve1', 've2'].map((name) =>
          world.engine.createContainerInterface(parseNetdevName(name), web, parseVmid(107), cause),
        ),
      );
      await passes(world, 2000);
      const [refused, ...more] = results.filter((result) => result.status === 'rejected');
      assert.deepEqual([results[0]?.status, more], ['fulfilled', []]);
      refusedWith('Conflict', 'vi107 is taken by ve1 on ovsbr0')(refused?.reason);
      assert.deepEqual([world.ovs.portRows(), bindingsOf(world)], [['vi107'], ['ve1']]);
    });

    it('a removal and a handover of one device take turns', async () => {
      const world = await running();
      world.links.add('dummy0');
      await world.engine.addPort(dummy0, null, cause);
      const [removed, added] = await Promise.allSettled([
        world.engine.removePort('dummy0', cause),
        world.engine.addPort(dummy0, null, cause),
      ]);
      assert.deepEqual([removed.status, added.status], ['fulfilled', 'fulfilled']);
      await passes(world, 2000);
      assert.deepEqual([world.ovs.portRows(), bindingsOf(world)], [['vi_dummy0'], ['dummy0']]);
    });
  });

  describe("a guest's device that is handed over by name", () => {
    async function withDevice(): Promise<World> {
      const world = await running();
      world.configure(guestOf(100, [{ tag: 10 }]));
      world.links.add('veth100i0');
      return world;
    }

    it('is refused under the number of another guest, and plugged as its own says', async () => {
      const world = await withDevice();
      await assert.rejects(
        world.engine.createContainerInterface(
          parseNetdevName('veth100i0'),
          parseContainerName('web'),
          parseVmid(107),
          cause,
        ),
        refusedWith('Conflict', 'veth100i0 belongs to guest 100'),
      );
      await passes(world, 3000);
      for (const round of [1, 2]) {
        assert.deepEqual((await world.engine.reconcile(cause)).changes, [], `nobody fights over it, pass ${round}`);
      }
      assert.deepEqual([portNames(world), world.engine.status().problems], [['vi100'], []]);
      assert.equal(world.saved.bindings, null);
    });

    it('is plugged at once with the VLAN of its configuration, and leaves nothing to remember or complain of', async () => {
      const world = await withDevice();
      assert.equal(await world.engine.addPort(parseNetdevName('veth100i0'), null, cause), 'vi100');
      assert.equal(world.ovs.columnsOf('veth100i0').tag, 10);
      await passes(world, 3000);
      assert.deepEqual(world.engine.status().problems, []);
      assert.equal(world.saved.bindings, null);
    });

    it('is refused with the reason when its configuration gives it no port', async () => {
      const world = await withDevice();
      world.configure(guestOf(100, [{ linkDown: true }]));
      await assert.rejects(
        world.engine.addPort(parseNetdevName('veth100i0'), null, cause),
        refusedWith('Conflict', 'veth100i0 belongs to guest 100', 'is set to link_down'),
      );
    });
  });

  describe('a device handed over by name', () => {
    const dummy0 = parseNetdevName('dummy0');
    const web = parseContainerName('web');

    it('is attached under a name from the template, and asked again it is the same', async () => {
      const world = await running();
      world.links.add('dummy0');
      assert.equal(await world.engine.addPort(dummy0, null, cause), 'vi_dummy0');
      const count = world.ovs.transactions.length;
      assert.equal(await world.engine.addPort(dummy0, null, cause), 'vi_dummy0');
      assert.equal(world.ovs.transactions.length, count);
      assert.deepEqual(world.ovs.portRows(), ['vi_dummy0']);
      assert.deepEqual(altnamesOf(world, 'dummy0'), ['vi_dummy0']);
    });

    it('is attached as vi<vmid> for a container; Netmaker’s go to container_bridge', async () => {
      const world = await running();
      world.links.add('ve7');
      world.links.add('ve8');
      const { engine } = world;
      assert.equal(await engine.createContainerInterface(parseNetdevName('ve7'), web, parseVmid(107), cause), 'vi107');
      const netmaker = parseContainerName('my-NetMaker-node');
      assert.equal(
        await engine.createContainerInterface(parseNetdevName('ve8'), netmaker, parseVmid(108), cause),
        'vi108',
      );
      assert.deepEqual(
        engine.ports().map(({ port, row }) => `${port} ${row.netdev} ${row.bridge}`),
        ['vi107 ve7 ovsbr0', 'vi108 ve8 ovsbr1'],
      );
    });

    it('is plugged again at once when its row is lost, without a look at all others', async () => {
      const world = await running();
      for (const name of ['dummy0', 'dummy1']) {
        world.links.add(name);
        await world.engine.addPort(parseNetdevName(name), null, cause);
      }
      await passes(world, 3000);
      const { looksAtAll } = world.links;
      world.ovs.unplug('vi_dummy0');
      await soon(world);
      assert.deepEqual(world.ovs.portRows(), ['vi_dummy0', 'vi_dummy1']);
      assert.equal(world.links.looksAtAll, looksAtAll);
    });

    it('is removed by port name or by device, and then is not there', async () => {
      const world = await running();
      for (const name of ['vi_dummy0', 'dummy0']) {
        world.links.add('dummy0');
        await world.engine.addPort(dummy0, null, cause);
        assert.equal(await world.engine.removePort(name, cause), 'vi_dummy0');
        assert.deepEqual([world.ovs.portRows(), altnamesOf(world, 'dummy0')], [[], []]);
        await assert.rejects(world.engine.removePort(name, cause), refusedWith('NotFound', name));
      }
      await passes(world, 3000);
      assert.deepEqual(world.ovs.portRows(), [], 'and nothing puts it back');
    });

    it('costs no other its place in the memory when it comes before anything was read, as the call that starts the service', async () => {
      const first = await running();
      first.links.add('dummy0');
      await first.engine.addPort(dummy0, null, cause);
      const world = await startEngine();
      Object.assign(world.saved, first.saved);
      for (const name of ['dummy0', 've7']) world.links.add(name);
      const added = Promise.allSettled([world.engine.addPort(parseNetdevName('ve7'), null, cause)]);
      await passes(world, 6000);
      await added;
      await world.engine.start();
      const { bindings } = world.saved.bindings as { bindings: { port: string }[] };
      assert.deepEqual(
        bindings.map(({ port }) => port),
        ['vi_dummy0', 'vi_ve7'],
      );
    });

    it('is put back at once when its row is lost, also by a new run of the service', async () => {
      const world = await running();
      world.links.add('dummy0');
      await world.engine.addPort(dummy0, null, cause);
      await passes(world, 600);
      world.ovs.unplug('vi_dummy0');
      await passes(world, 600);
      assert.deepEqual(world.ovs.portRows(), ['vi_dummy0']);
    });

    for (const [what, prepare, code, said] of [
      ['does not exist', () => undefined, 'NotFound', 'network device dummy0 does not exist'],
      [
        'has a master',
        ({ links }: World) => {
          links.add('dummy0', 'vmbr0');
        },
        'Conflict',
        'dummy0 is held by vmbr0',
      ],
      [
        'is plugged by somebody else',
        ({ links, ovs }: World) => {
          links.add('dummy0');
          ovs.plug({ bridge: 'ovsbr1', row: 'dummy0' });
        },
        'Conflict',
        'dummy0 is already plugged into ovsbr1 as dummy0',
      ],
      [
        'would get a name that is taken',
        ({ links, ovs }: World) => {
          links.add('dummy0');
          ovs.plug({ bridge: 'ovsbr0', row: 'vi_dummy0', netdev: 'eth7' });
        },
        'Conflict',
        'the name vi_dummy0 is taken by eth7 on ovsbr0',
      ],
    ] as const) {
      it(`is refused when it ${what}, and nothing remembers it`, async () => {
        const world = await running();
        prepare(world);
        await assert.rejects(world.engine.addPort(dummy0, null, cause), refusedWith(code, said));
        assert.equal(world.saved.bindings, null);
        assert.equal(world.ovs.transactions.length, 0);
      });
    }

    it('is refused when the switch refuses it, and then nothing remembers it', async () => {
      const world = await running();
      world.links.add('dummy0');
      world.ovs.faults.push('refused');
      await assert.rejects(
        world.engine.addPort(dummy0, null, cause),
        refusedWith('SwitchError', 'constraint violation'),
      );
      assert.deepEqual(world.saved.bindings, { version: 1, bindings: [] });
      await passes(world, 2000);
      assert.deepEqual(world.ovs.portRows(), []);
    });

    it('can be removed again when the first removal came to nothing', async () => {
      const world = await running();
      world.links.add('dummy0');
      await world.engine.addPort(dummy0, null, cause);
      world.ovs.faults.push('lost');
      await assert.rejects(world.engine.removePort('vi_dummy0', cause), refusedWith('Timeout'));
      assert.deepEqual(world.ovs.portRows(), ['vi_dummy0']);
      assert.equal(await world.engine.removePort('vi_dummy0', cause), 'vi_dummy0');
      assert.deepEqual(world.ovs.portRows(), []);
    });

    it('is forgotten when attaching it came to nothing, and remembered when only the reply was lost', async () => {
      for (const fault of ['lost', 'landed'] as const) {
        const world = await running();
        world.links.add('dummy0');
        world.ovs.faults.push(fault);
        const attached = await Promise.allSettled([world.engine.addPort(dummy0, null, cause)]);
        assert.equal(attached[0].status, fault === 'lost' ? 'rejected' : 'fulfilled');
        await passes(world, 2000);
        const { bindings } = world.saved.bindings as { bindings: unknown[] };
        assert.deepEqual([world.ovs.portRows().length, bindings.length], fault === 'lost' ? [0, 0] : [1, 1]);
      }
    });

    it('is never taken off when it is foreign, or belongs to a running guest', async () => {
      const world = await running();
      world.ovs.plug({ bridge: 'ovsbr0', row: 'eth0' });
      await assert.rejects(world.engine.removePort('eth0', cause), refusedWith('NotOwner', 'eth0 on ovsbr0'));
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      await world.engine.notifyLifecycle(vmid, 'post-start', cause);
      for (const name of ['vi100', 'veth100i0']) {
        await assert.rejects(world.engine.removePort(name, cause), refusedWith('Conflict', 'running guest 100'));
      }
      assert.deepEqual(world.ovs.portRows(), ['eth0', 'veth100i0']);
    });
  });

  it('leaves a foreign row alone that took the place of a handed-over device', async () => {
    const world = await running();
    world.links.add('dummy0');
    await world.engine.addPort(parseNetdevName('dummy0'), null, cause);
    const tell = world.ovs.onChanges;
    world.ovs.onChanges = () => undefined;
    world.ovs.unplug('vi_dummy0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'operators-own', netdev: 'dummy0' });
    world.ovs.onChanges = tell;
    tell(world.ovs.contents());
    await passes(world, 3000);
    assert.deepEqual(world.ovs.idsOf('operators-own'), {});
    assert.deepEqual(world.ovs.portRows(), ['operators-own']);
    assert.deepEqual(world.engine.status().problems, [
      ['vi_dummy0', 'dummy0 is plugged as operators-own, which is not ours'],
    ]);
  });

  it('gives the name of a stale row of ours to a new port in the same pass', async () => {
    const world = await running();
    world.links.add('ve7');
    await world.engine.createContainerInterface(parseNetdevName('ve7'), parseContainerName('web'), vmid, cause);
    world.links.devices.delete('ve7');
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    assert.equal(await world.engine.notifyLifecycle(vmid, 'post-start', cause), 'CT 100: net0 is vi100 on ovsbr0');
    assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
  });

  it('gives the name of a stale row of ours to a port that Proxmox VE plugged, in the same pass', async () => {
    const world = await running();
    world.links.add('ve7');
    await world.engine.createContainerInterface(parseNetdevName('ve7'), parseContainerName('web'), vmid, cause);
    world.links.devices.delete('ve7');
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
    assert.equal(await world.engine.notifyLifecycle(vmid, 'post-start', cause), 'CT 100: net0 is vi100 on ovsbr0');
    assert.deepEqual(world.ovs.portRows(), ['veth100i0']);
  });

  it('serves the other guests when one file cannot be read, names it, and leaves its ports as they are', async () => {
    const world = await attached();
    world.unreadable.add(vmid);
    world.configure(guestOf(101));
    world.links.add('veth101i0');
    world.engine.onLinkChanges(['veth100i0', 'veth101i0']);
    await passes(world, 2000);
    assert.deepEqual(portNames(world), ['vi100', 'vi101']);
    assert.deepEqual(world.engine.status().unreadable, [[100, 'cannot read 100.conf: EIO']]);
    assert.deepEqual(world.troubles, []);
    world.unreadable.delete(vmid);
    world.engine.wake('mended');
    await passes(world, 600);
    assert.deepEqual(world.engine.status().unreadable, []);
  });

  it('finds a port by its name, its device and its row, and says when there is none', async () => {
    const world = await running();
    world.links.add('dummy0');
    await world.engine.addPort(parseNetdevName('dummy0'), null, cause);
    for (const name of ['vi_dummy0', 'dummy0']) assert.equal(world.engine.port(name).port, 'vi_dummy0');
    assert.throws(
      () => world.engine.port('nothing'),
      refusedWith('NotFound', 'no port nothing', 'ovs-port-agent list'),
    );
  });

  it('tells what became of the port when asked to reconcile', async () => {
    const world = await running();
    world.configure(guestOf(100));
    world.links.add('veth100i0');
    const { changes } = await world.engine.reconcile(cause);
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ['attach'],
    );
    await settled();
    assert.deepEqual((await world.engine.reconcile(cause)).changes, []);
  });
});
