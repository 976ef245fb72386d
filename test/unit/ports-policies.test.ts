import assert from 'node:assert/strict';
import { parseConfig } from '../../src/model/config.ts';
import { parseBridgeName, parseContainerName, parseNetdevName, parseVmid } from '../../src/model/names.ts';
import type { Policy } from '../../src/model/policy.ts';
import { statusOf } from '../../src/api/status.ts';
import { cause, guestOf, linkOf, ovsbr1 } from '../support/ports-fixtures.ts';
import { passes, running, vmid } from '../support/running-engine.ts';
import type { World } from '../support/running-engine.ts';

const policiesOf = (...policy: unknown[]): readonly Policy[] => parseConfig({ policy }).config.policy;
/** Port, bridge, tag and trunks of every port of ours. */
const ports = ({ engine }: World): string[] =>
  engine
    .ports()
    .map(({ port, row }) =>
      [port, row.bridge, row.tag ?? '', row.trunks.join(',')].filter((word) => word !== '').join(' '),
    );
const dummy0 = parseNetdevName('dummy0');
const handOver = (world: World, container: string, of: number): Promise<string> => {
  world.links.add('ve7');
  return world.engine.createContainerInterface(
    parseNetdevName('ve7'),
    parseContainerName(container),
    parseVmid(of),
    cause,
  );
};
const problems = ({ engine, ledger }: World): readonly string[] =>
  statusOf({ version: '', engine, ledger, notices: () => [] }).problems;

describe('policies', () => {
  it('give a container that is handed over its bridge, tag and trunks', async () => {
    const world = await running({
      policies: policiesOf({ match: { kind: 'lxc', name: 'web-*' }, bridge: 'ovsbr1', tag: 30, trunks: [41, 40] }),
    });
    await handOver(world, 'web-1', 107);
    assert.deepEqual(ports(world), ['vi107 ovsbr1 30 40,41']);
    assert.equal(world.ovs.columnsOf('vi107').vlan_mode, 'native-untagged');
  });

  it('go by the guest of Proxmox VE that the container is, its tags, name and pool', async () => {
    for (const match of [{ tag: 'netmaker' }, { name: 'guest107' }, { pool: 'dmz' }, { vmid: '107-108' }]) {
      const world = await running({
        policies: policiesOf({ match, tag: 30 }),
        pools: { problem: null, poolOf: (of) => (of === 107 ? 'dmz' : null) },
      });
      world.configure({ ...guestOf(107, []), tags: ['prod', 'netmaker'] });
      await handOver(world, 'web', 107);
      assert.match(ports(world).join(), /^vi107 ovsbr[01] 30$/, JSON.stringify(match));
    }
  });

  it('go by the vmid that was given where no guest of that number is known', async () => {
    const world = await running({ policies: policiesOf({ match: { vmid: 107, kind: 'lxc' }, tag: 30 }) });
    await handOver(world, 'web', 107);
    assert.deepEqual(ports(world), ['vi107 ovsbr0 30']);
  });

  it('leave the bridge to the older rule where they name none: a name or a tag that says netmaker', async () => {
    const world = await running({ policies: policiesOf({ match: { bridge: 'ovsbr1' }, tag: 30 }) });
    world.configure({ ...guestOf(107, []), tags: ['Netmaker'] });
    await handOver(world, 'web', 107);
    assert.deepEqual(ports(world), ['vi107 ovsbr1 30']);
  });

  it('apply to a device that was handed over by name, but not to the bridge that somebody asked for', async () => {
    const world = await running({
      policies: policiesOf(
        { match: { kind: 'device', bridge: 'ovsbr0' }, bridge: 'ovsbr1', tag: 30 },
        { match: {}, tag: 40 },
      ),
    });
    world.links.add('dummy0');
    world.links.add('dummy1');
    await world.engine.addPort(dummy0, null, cause);
    await world.engine.addPort(parseNetdevName('dummy1'), ovsbr1, cause);
    assert.deepEqual(ports(world), ['vi_dummy0 ovsbr1 30', 'vi_dummy1 ovsbr1 40']);
    const count = world.ovs.transactions.length;
    await passes(world, 120_000);
    assert.deepEqual(ports(world), ['vi_dummy0 ovsbr1 30', 'vi_dummy1 ovsbr1 40'], 'also when looked at again');
    assert.equal(world.ovs.transactions.length, count);
  });

  it('apply to containers that are found by their prefix, also after their rows are there', async () => {
    const world = await running({
      includePrefixes: ['ve'],
      policies: policiesOf({ match: { kind: 'lxc', name: 've?' }, bridge: 'ovsbr1', tag: 30 }),
    });
    world.links.devices.set('ve1', { ...linkOf('ve1'), peerElsewhere: true });
    await passes(world, 61_000);
    assert.deepEqual(ports(world), ['vi_ve1 ovsbr1 30']);
    world.ovs.edit('vi_ve1', { tag: 7 });
    await passes(world, 61_000);
    assert.deepEqual(ports(world), ['vi_ve1 ovsbr1 30'], 'an edit of somebody else is drift');
  });

  it('leave the nics of guests to their own configuration', async () => {
    const world = await running({ policies: policiesOf({ match: {}, bridge: 'ovsbr1', tag: 30, trunks: [1] }) });
    world.configure(guestOf(100, [{ tag: 10 }]));
    world.links.add('veth100i0');
    await world.engine.notifyLifecycle(vmid, 'post-start', cause);
    assert.deepEqual(ports(world), ['vi100 ovsbr0 10']);
  });

  it('that change change the ports that are there, without being taken for drift; the bridge stays', async () => {
    const policies = [...policiesOf({ match: {}, tag: 30 })];
    const world = await running({ drift: 'report', policies });
    world.links.add('dummy0');
    await world.engine.addPort(dummy0, null, cause);
    policies.splice(0, 1, ...policiesOf({ match: {}, bridge: 'ovsbr1', tag: 31 }));
    await passes(world, 61_000);
    assert.deepEqual(ports(world), ['vi_dummy0 ovsbr0 31']);
    assert.ok(!world.events.some((event) => event.startsWith('drift')));
  });

  it('leave a device as it is while the configuration of its guest cannot be read', async () => {
    const world = await running({ policies: policiesOf({ match: { tag: 'prod' }, tag: 30 }) });
    world.configure({ ...guestOf(107, []), tags: ['prod'] });
    await handOver(world, 'web', 107);
    world.unreadable.add(parseVmid(107));
    await world.engine.reconcile(cause);
    assert.deepEqual(ports(world), ['vi107 ovsbr0 30']);
    world.unreadable.clear();
    world.configure(guestOf(107, []));
    await world.engine.reconcile(cause);
    assert.deepEqual(ports(world), ['vi107 ovsbr0'], 'without its tag it has no policy');
  });

  it('that ask for a pool are named in the status while pools are not known, and match nothing', async () => {
    const world = await running({
      policies: policiesOf({ match: { name: 'x' } }, { match: { pool: 'dmz' }, tag: 30 }, { match: {}, tag: 40 }),
      pools: { problem: 'nobody asked', poolOf: () => null },
    });
    world.links.add('dummy0');
    await world.engine.addPort(dummy0, null, cause);
    assert.deepEqual(ports(world), ['vi_dummy0 ovsbr0 40']);
    assert.deepEqual(problems(world), ['policy 2 matches nothing: its pool dmz is not known, nobody asked']);
  });

  it('without a pool are none the worse for that', async () => {
    const world = await running({
      policies: policiesOf({ match: { bridge: parseBridgeName('ovsbr0') } }),
      pools: { problem: 'nobody asked', poolOf: () => null },
    });
    assert.deepEqual(problems(world), []);
  });
});
