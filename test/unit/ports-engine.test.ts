import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseContainerName, parseNetdevName, parseVmid } from '../../src/model/names.ts';
import { settled } from '../support/fake-clock.ts';
import { cause, guestOf, linkOf } from '../support/ports-fixtures.ts';
import { refusedWith } from '../support/refused.ts';
import { startEngine } from '../support/test-engine.ts';

const vmid = parseVmid(100);
type World = Awaited<ReturnType<typeof startEngine>>;

/** Lets time pass for a pass, as long as it needs no more than milliseconds. */
const soon = ({ clock }: World): Promise<void> => turns(clock);
async function turns(clock: World['clock']): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await clock.advance(0);
}
/** Time goes by in small steps, so that what it sets off has its turns. */
async function passes(world: World, ms: number): Promise<void> {
  for (let step = 0; step < ms; step += 50) {
    await world.clock.advance(Math.min(50, ms - step));
    await soon(world);
  }
}
/** `ovs-vswitchd` is quick: what was committed is applied at once. */
function applyAtOnce({ ovs }: World): void {
  const tell = ovs.onChanges;
  ovs.onChanges = (changes) => {
    tell(changes);
    if (changes.some(({ table }) => table === 'Bridge'))
      setImmediate(() => {
        ovs.apply();
      });
  };
}
async function running(): Promise<World> {
  const world = await startEngine();
  applyAtOnce(world);
  await world.engine.start();
  await soon(world);
  return world;
}
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
      assert.deepEqual(
        world.saved.listed.map(({ port }) => port),
        ['vi100'],
      );
      assert.deepEqual(world.events, ['added vi100 ovsbr0']);
      const blocks = await world.ledger.query({ order: 'oldest' });
      assert.deepEqual(blocks.map(({ category, action }) => `${category} ${action}`).sort(), [
        'guest post-start',
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

  describe('without any hook', () => {
    it('adopts within one pass what Proxmox VE plugs', async () => {
      const world = await running();
      world.configure(guestOf(100));
      world.links.add('veth100i0');
      world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      await soon(world);
      assert.deepEqual(portNames(world), ['vi100']);
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

  describe('behind the firewall', () => {
    it('puts a lost fwln port back, and joins it to the firewall’s bridge', async () => {
      const world = await running();
      world.configure(guestOf(100, [{ firewall: true }]));
      world.links.add('veth100i0', 'fwbr100i0');
      const answer = world.engine.notifyLifecycle(vmid, 'post-start', cause);
      world.links.add('fwln100o0');
      assert.equal(await answer, 'CT 100: net0 is vi100 on ovsbr0');
      assert.deepEqual(world.ovs.portRows(), ['fwln100o0']);
      assert.equal(world.links.devices.get('fwln100o0')?.master, 'fwbr100i0');
      assert.equal(world.links.devices.get('veth100i0')?.master, 'fwbr100i0', 'the guest stays behind its firewall');
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
