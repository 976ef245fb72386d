import assert from 'node:assert/strict';
import { statusOf } from '../../src/api/status.ts';
import { parseConfig } from '../../src/model/config.ts';
import { parseNetdevName, parseVmid } from '../../src/model/names.ts';
import { engineOnSwitch } from '../support/engine-on-switch.ts';
import type { EngineOnSwitch } from '../support/engine-on-switch.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import type { TestEngineOptions } from '../support/test-engine.ts';
import { waitFor } from '../support/wait-for.ts';

const { policy: policies } = parseConfig({
  policy: [{ match: { vmid: '100-199' }, mirror_to: 'vi900' }],
}).config;

describe('mirrors on a real switch', () => {
  let ovs: PrivateSwitch;
  let world: EngineOnSwitch;
  const addBridges = (): Promise<string> => ovs.vsctl('add-br', 'ovsbr0', '--', 'add-br', 'ovsbr1');
  beforeEach(async () => {
    ovs = await startPrivateSwitch();
    await addBridges();
  });
  afterEach(async () => {
    await world.close();
    await ovs.stop();
  });
  const start = async (options: TestEngineOptions = {}): Promise<void> => {
    world = await engineOnSwitch(ovs.endpoint, { policies, ...options });
    await world.engine.start();
  };

  /** As Proxmox VE starts a container. */
  async function run(vmid: number, bridge = 'ovsbr0'): Promise<void> {
    world.configure(guestOf(vmid, [{ bridge }]));
    world.links.add(`veth${vmid}i0`);
    await ovs.vsctl('--if-exists', 'del-port', `veth${vmid}i0`, '--', 'add-port', bridge, `veth${vmid}i0`);
    await world.engine.notifyLifecycle(parseVmid(vmid), 'post-start', cause);
  }
  async function stop(vmid: number): Promise<void> {
    world.links.devices.delete(`veth${vmid}i0`);
    await ovs.vsctl('del-port', `veth${vmid}i0`);
    await world.engine.notifyLifecycle(parseVmid(vmid), 'post-stop', cause);
  }

  /** Every Mirror: bridge, name, what it selects and where it puts it, ports by their rows' names. */
  async function mirrors(): Promise<string[]> {
    const csv = async (columns: string, table: string): Promise<string[][]> =>
      (JSON.parse(await ovs.vsctl('--format=json', `--columns=${columns}`, 'list', table)) as { data: string[][] })
        .data;
    const set = (value: unknown): string[] => {
      const [kind, members] = value as [string, unknown[]];
      return kind === 'uuid' ? [String(members)] : members.flatMap(set);
    };
    const names = new Map((await csv('_uuid,name', 'Port')).map(([uuid, name]) => [set(uuid)[0], name ?? '']));
    const ports = (value: unknown): string =>
      set(value)
        .map((uuid) => names.get(uuid))
        .sort()
        .join('+');
    const rows = await csv('_uuid,name,select_src_port,select_dst_port,output_port', 'Mirror');
    const bridges = await csv('name,mirrors', 'Bridge');
    return rows
      .map(([uuid, name, src, dst, output]) => {
        const bridge = bridges.find(([, of]) => set(of).includes(set(uuid)[0] ?? ''))?.[0];
        assert.equal(ports(src), ports(dst));
        return `${bridge} ${name}: ${ports(src)} to ${ports(output)}`;
      })
      .sort();
  }
  const settlesAt = (...expected: string[]): Promise<void> =>
    waitFor(expected.join('; '), async () => {
      assert.deepEqual(await mirrors(), expected);
      return true;
    });
  const problems = (): readonly string[] =>
    statusOf({ version: '', engine: world.engine, ledger: world.ledger, notices: () => [] }).problems;
  const problemsAre = (...expected: string[]): Promise<void> =>
    waitFor('the problems', () => {
      assert.deepEqual(problems(), expected);
      return Promise.resolve(true);
    });
  const both = 'ovsbr0 ovs-port-agent-vi900: veth100i0+veth101i0 to veth900i0';

  it('have the ports of the guests that match, come with the first and go with the last', async () => {
    await start();
    await run(900);
    await run(200);
    assert.deepEqual(await mirrors(), []);
    await run(100);
    assert.deepEqual(await mirrors(), ['ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0']);
    await run(101);
    assert.deepEqual(await mirrors(), [both]);
    assert.match(
      await ovs.vsctl('get', 'mirror', 'ovs-port-agent-vi900', 'external_ids'),
      /owner=dev\.ovs\.PortAgent1/,
    );
    await stop(101);
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
    await stop(100);
    await settlesAt();
    const actions = (await world.ledger.query({ order: 'oldest', limit: 1000 }))
      .filter(({ action }) => action.includes('mirror'))
      .map(({ action, data }) => `${action} ${JSON.stringify([data['port'], data['sources'] ?? []])}`);
    assert.deepEqual(actions, [
      'mirror ["vi900",["vi100"]]',
      'set-mirror ["vi900",["vi100","vi101"]]',
      'set-mirror ["vi900",["vi100"]]',
      'unmirror ["vi900",[]]',
    ]);
    assert.deepEqual(problems(), []);
  });

  it('come to rest: a pass over what is there changes nothing', async () => {
    await start();
    for (const vmid of [900, 100, 101]) await run(vmid);
    await settlesAt(both);
    const uuid = await ovs.vsctl('get', 'mirror', 'ovs-port-agent-vi900', '_uuid');
    const nextCfg = await ovs.vsctl('get', 'open', '.', 'next_cfg');
    for (let round = 0; round < 3; round++) assert.deepEqual((await world.engine.reconcile(cause)).changes, []);
    assert.equal(await ovs.vsctl('get', 'mirror', 'ovs-port-agent-vi900', '_uuid'), uuid);
    assert.equal(await ovs.vsctl('get', 'open', '.', 'next_cfg'), nextCfg);
  });

  it('are put back when ifreload clears the mirrors of a bridge, foreign ones are left to it', async () => {
    await start();
    for (const vmid of [900, 100, 101]) await run(vmid);
    await settlesAt(both);
    await ovs.vsctl('clear', 'bridge', 'ovsbr0', 'mirrors');
    await settlesAt(both);
  });

  it('are put back after the database was wiped, once everything they need is', async () => {
    await start();
    for (const vmid of [900, 100, 101]) await run(vmid);
    await settlesAt(both);
    await ovs.vsctl('del-br', 'ovsbr0', '--', 'del-br', 'ovsbr1');
    await addBridges();
    await settlesAt(both);
    assert.deepEqual(problems(), []);
  });

  it('wait for a target that comes later than its sources, and say so', async () => {
    await start();
    await run(100);
    await problemsAre('mirror to vi900: no port of that name on the switch, 1 port of ovsbr0 not mirrored');
    await run(900);
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
    await problemsAre();
    await stop(900);
    await settlesAt();
    await problemsAre('mirror to vi900: no port of that name on the switch, 1 port of ovsbr0 not mirrored');
    await run(900);
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
  });

  it('may go to a port that somebody else has made, also when that comes later', async () => {
    const toMon0 = parseConfig({ policy: [{ match: {}, mirror_to: 'mon0' }] }).config.policy;
    await start({ policies: toMon0 });
    await run(100);
    await problemsAre('mirror to mon0: no port of that name on the switch, 1 port of ovsbr0 not mirrored');
    await ovs.vsctl('add-port', 'ovsbr0', 'mon0', '--', 'set', 'interface', 'mon0', 'type=internal');
    await settlesAt('ovsbr0 ovs-port-agent-mon0: veth100i0 to mon0');
    assert.equal(await ovs.vsctl('get', 'port', 'mon0', 'external_ids'), '{}');
  });

  it('are none on another bridge than their target, and that is said', async () => {
    await start();
    await run(900);
    await run(100, 'ovsbr1');
    await run(101, 'ovsbr1');
    await problemsAre('mirror to vi900: it is on ovsbr0, 2 ports of ovsbr1 not mirrored');
    assert.deepEqual(await mirrors(), []);
  });

  it('never have their target among their sources, and that is said', async () => {
    await start({ policies: parseConfig({ policy: [{ match: {}, mirror_to: 'vi900' }] }).config.policy });
    await run(900);
    await run(100);
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
    await problemsAre('mirror to vi900: a policy says to mirror that port itself, which an output cannot be');
  });

  it('take in devices that are handed over, and let them go', async () => {
    await start({
      policies: parseConfig({ policy: [{ match: { kind: 'device' }, mirror_to: 'vi900' }] }).config.policy,
    });
    await run(900);
    world.links.add('dummy0');
    await world.engine.addPort(parseNetdevName('dummy0'), null, cause);
    await settlesAt('ovsbr0 ovs-port-agent-vi900: vi_dummy0 to veth900i0');
    await world.engine.removePort('dummy0', cause);
    await settlesAt();
  });

  it('go at the next start when no policy wants them any more, and those of others stay', async () => {
    await start();
    for (const vmid of [900, 100]) await run(vmid);
    await ovs.vsctl(
      ...['--', '--id=@p', 'get', 'port', 'veth100i0', '--', '--id=@o', 'get', 'port', 'ovsbr0'],
      ...['--', '--id=@m', 'create', 'mirror', 'name=theirs', 'select_src_port=@p', 'select_dst_port=@p'],
      ...['output_port=@o', '--', 'add', 'bridge', 'ovsbr0', 'mirrors', '@m'],
    );
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0', 'ovsbr0 theirs: veth100i0 to ovsbr0');
    await world.close();
    await start({ policies: [] });
    await settlesAt('ovsbr0 theirs: veth100i0 to ovsbr0');
  });

  it('stay whole while the configuration of a guest cannot be read, also over a start', async () => {
    await start();
    for (const vmid of [900, 100, 101]) await run(vmid);
    await settlesAt(both);
    world.unreadable.add(parseVmid(100));
    await world.engine.reconcile(cause);
    assert.deepEqual(await mirrors(), [both]);
    await world.close();
    const { links } = world;
    world = await engineOnSwitch(ovs.endpoint, { policies });
    for (const name of links.devices.keys()) world.links.add(name);
    for (const vmid of [900, 100, 101]) world.configure(guestOf(vmid));
    world.unreadable.add(parseVmid(100));
    await world.engine.start();
    await world.engine.reconcile(cause);
    assert.deepEqual(await mirrors(), [both]);
    assert.ok(!(await world.ledger.query({ limit: 100 })).some(({ action }) => action.includes('mirror')));
  });

  const edit = (): Promise<string> =>
    ovs.vsctl('set', 'mirror', 'ovs-port-agent-vi900', 'select_all=true', 'snaplen=96');
  const column = (name: string): Promise<string> => ovs.vsctl('get', 'mirror', 'ovs-port-agent-vi900', name);

  it('are put right when somebody edits them, and that is told and recorded as drift', async () => {
    await start();
    for (const vmid of [900, 100]) await run(vmid);
    await edit();
    await waitFor('the repair', async () => (await column('select_all')) === 'false');
    assert.equal(await column('snaplen'), '96', 'what the agent does not set is theirs');
    await ovs.vsctl('clear', 'mirror', 'ovs-port-agent-vi900', 'output_port');
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
    assert.deepEqual(
      world.events.filter((event) => event.startsWith('drift')),
      [
        'drift vi900 mirror on ovsbr0: select_all: wanted false, got true; put back',
        'drift vi900 mirror on ovsbr0: output_port: wanted vi900, got none; put back',
      ],
    );
    const blocks = await world.ledger.query({ category: 'drift', limit: 10 });
    assert.deepEqual(
      blocks.map(({ action }) => action),
      ['repair', 'repair'],
    );
  });

  it('are left as they are, and told once, when drift is only to be reported; guests still come and go', async () => {
    await start({ drift: 'report' });
    for (const vmid of [900, 100, 101]) await run(vmid);
    await stop(101);
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
    await edit();
    await problemsAre('mirror to vi900: drift on ovsbr0: select_all: wanted false, got true');
    for (let round = 0; round < 3; round++) await world.engine.reconcile(cause);
    assert.equal(await column('select_all'), 'true');
    const blocks = await world.ledger.query({ category: 'drift', limit: 10 });
    assert.deepEqual(
      blocks.map(({ action, data }) => `${action} ${JSON.stringify(data['port'])}`),
      ['report "vi900"'],
    );
    assert.equal(world.events.filter((event) => event.startsWith('drift')).length, 1);
    // Lost altogether is no edit.
    await ovs.vsctl('clear', 'bridge', 'ovsbr0', 'mirrors');
    await settlesAt('ovsbr0 ovs-port-agent-vi900: veth100i0 to veth900i0');
    await problemsAre();
  });

  it('get their marks back when somebody wipes them', async () => {
    await start();
    for (const vmid of [900, 100]) await run(vmid);
    const uuid = await column('_uuid');
    await ovs.vsctl('clear', 'mirror', 'ovs-port-agent-vi900', 'external_ids');
    await waitFor('the marks', async () => (await column('external_ids')).includes('owner=dev.ovs.PortAgent1'));
    assert.equal(await column('_uuid'), uuid);
  });
});
