import assert from 'node:assert/strict';
import { callResource, parseParameters } from '../../src/api/call.ts';
import { portAgentObject } from '../../src/api/port-agent-object.ts';
import type { Service } from '../../src/api/service.ts';
import { statusOf } from '../../src/api/status.ts';
import { checkProof } from '../../src/ledger/check-proof.ts';
import { AgentError } from '../../src/model/errors.ts';
import { ContainerCreation } from '../../src/node/container-creation.ts';
import { resourceTable } from '../../src/resources/table.ts';
import type { Privilege, ResourceSpec } from '../../src/resources/table.ts';
import { settled } from '../support/fake-clock.ts';
import { guestDirectory } from '../support/guest-directory.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { NicHost } from '../support/nic-host.ts';
import { cause, guestOf } from '../support/ports-fixtures.ts';
import { refusedWith } from '../support/refused.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { startEngine } from '../support/test-engine.ts';

/** A service with guest 100 plugged by Proxmox VE and a device `dummy0` that nobody plugged. */
async function start(
  notices: readonly string[] = [],
  ledgerKey: Service['ledgerKey'] = nodeKeys[0],
  witnesses: Service['witnesses'] = null,
) {
  const world = await startEngine();
  const tell = world.ovs.onChanges;
  world.ovs.onChanges = (changes) => {
    tell(changes);
    if (changes.some(({ table }) => table === 'Bridge'))
      setImmediate(() => {
        world.ovs.apply();
      });
  };
  world.configure(guestOf(100, [{ tag: 10 }]));
  world.links.add('veth100i0');
  world.links.add('dummy0');
  world.ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0', tag: 10 });
  world.ovs.plug({ bridge: 'ovsbr1', row: 'eth0' });
  await world.engine.start();
  for (let turn = 0; turn < 60; turn++) await world.clock.advance(0);
  const controlled: unknown[] = [];
  const service: Service = {
    version: '1.2.3',
    node: 'pve1',
    engine: world.engine,
    ledger: world.ledger,
    ledgerKey,
    directory: guestDirectory({ 100: container }),
    nics: new NicHost({ 100: container }).nics,
    creation: new ContainerCreation({
      files: new MemoryHost(),
      pveDir: '/etc/pve',
      api: null,
      recorder: world.ledger,
      node: 'pve1',
      onProgress: () => undefined,
    }),
    witnesses,
    processOf: () => Promise.resolve('busctl[4711]'),
    notices: () => notices,
    guests: {
      control: (vmid, { action, timeoutMs }) => {
        controlled.push([vmid, action, timeoutMs]);
        const way = vmid === 101 ? null : 'pct';
        const reasons = way === null ? [] : ['it has pending changes'];
        return Promise.resolve({
          guest: `CT ${vmid}`,
          action,
          state: 'stopped',
          changed: way !== null,
          way,
          reasons,
          ports: null,
        });
      },
    },
  };
  const asked: Privilege[] = [];
  const call = (
    verb: string,
    path: string,
    input: Record<string, unknown> = {},
    allows: (privilege: Privilege) => boolean = () => true,
  ): Promise<unknown> =>
    callResource(service, {
      verb,
      path,
      input,
      cause,
      signal: new AbortController().signal,
      authorise: (privilege) => {
        asked.push(privilege);
        return allows(privilege)
          ? Promise.resolve()
          : Promise.reject(new AgentError('AccessDenied', `no ${privilege} for you`));
      },
    });
  return { ...world, service, call, asked, controlled };
}

const container = `#the web server
hostname: web01
hookscript: local:snippets/ovs-port-agent
lock: backup
net0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=dhcp,tag=10
net1: name=eth1,bridge=vmbr9,firewall=1,future=1
parent: before
tags: prod;web
garbage

[pve:pending]
memory: 1024

[before]
hostname: old
`;
const vi100 = {
  port: 'vi100',
  bridge: 'ovsbr0',
  netdev: 'veth100i0',
  tag: 10,
  ofport: 1,
  owner: 'CT 100 net0 guest100',
};

describe('the control of guests in the resource table', () => {
  it('hands vmid, action and time on, and answers without what is not there', async () => {
    const { call, asked, controlled } = await start();
    assert.deepEqual(await call('create', '/guests/100/status/shutdown', { timeout: 90 }), {
      guest: 'CT 100',
      action: 'shutdown',
      state: 'stopped',
      changed: true,
      way: 'pct',
      reasons: ['it has pending changes'],
    });
    assert.deepEqual(await call('create', '/nodes/pve1/guests/101/status/stop'), {
      guest: 'CT 101',
      action: 'stop',
      state: 'stopped',
      changed: false,
    });
    for (const action of ['start', 'reboot']) await call('create', `/guests/102/status/${action}`);
    assert.deepEqual(controlled, [
      [100, 'shutdown', 90_000],
      [101, 'stop', 60_000],
      [102, 'start', 60_000],
      [102, 'reboot', 60_000],
    ]);
    assert.deepEqual(new Set(asked), new Set(['guests']));
  });

  it('refuses numbers and times that are none', async () => {
    const { call, controlled } = await start();
    for (const [vmid, timeout] of [
      [99, 60],
      [100, 0],
      [100, 601],
    ] as const) {
      await assert.rejects(call('create', `/guests/${vmid}/status/start`, { timeout }), refusedWith('InvalidArgument'));
    }
    assert.deepEqual(controlled, []);
  });
});

describe('the resources', () => {
  it('show ports with what is known of them, and nothing that is not', async () => {
    const { call } = await start();
    assert.deepEqual(await call('get', '/ports'), [vi100]);
    for (const name of ['vi100', 'veth100i0']) assert.deepEqual(await call('get', `/ports/${name}`), vi100);
    await assert.rejects(call('get', '/ports/vi101'), refusedWith('NotFound', 'no port vi101'));
    await assert.rejects(call('get', '/ports/eth0'), refusedWith('NotFound', 'no port eth0'));
  });

  it('show bridges, managed or not', async () => {
    const { call, ovs } = await start();
    ovs.addBridge('vmbr9');
    assert.deepEqual(await call('get', '/bridges'), [
      { bridge: 'ovsbr0', managed: true, ports: 1, datapath_type: 'system' },
      { bridge: 'ovsbr1', managed: true, ports: 1, datapath_type: 'system' },
      { bridge: 'vmbr9', managed: false, ports: 0, datapath_type: 'system' },
    ]);
    await assert.rejects(call('get', '/bridges/none'), refusedWith('NotFound', 'bridge none does not exist'));
  });

  it('create and delete ports', async () => {
    const { call, ovs } = await start();
    assert.equal(await call('create', '/ports', { netdev: 'dummy0' }), 'vi_dummy0');
    assert.equal(await call('delete', '/ports/vi_dummy0'), 'vi_dummy0');
    assert.equal(await call('create', '/ports', { netdev: 'dummy0', bridge: 'ovsbr1' }), 'vi_dummy0');
    assert.equal(await call('delete', '/ports/dummy0'), 'vi_dummy0');
    assert.equal(await call('create', '/ports', { netdev: 'dummy0', container: 'web', vmid: 107 }), 'vi107');
    assert.deepEqual(ovs.portRows(), ['eth0', 'veth100i0', 'vi107']);
  });

  for (const [input, said] of [
    [{ netdev: 'dummy0', vmid: 107 }, 'container and vmid go together'],
    [{ netdev: 'dummy0', container: 'web' }, 'container and vmid go together'],
    [{ netdev: 'dummy0', container: 'web', vmid: 107, bridge: 'ovsbr0' }, 'bridge goes without container and vmid'],
    [{ netdev: 'dummy0', bridge: 'vmbr0' }, 'bridge vmbr0 is not managed'],
    [{ netdev: 'dummy0', bridge: 'a b' }, 'bridge name "a b"'],
    [{ netdev: 'a b' }, 'network device name "a b"'],
    [{ netdev: 'dummy0', vmid: 99, container: 'web' }, 'vmid: value must have a minimum value of 100'],
    [{}, 'netdev: property is missing'],
    [{ netdev: ['dummy0'] }, 'netdev: expected text'],
  ] as const) {
    it(`refuse to create a port from ${JSON.stringify(input)}`, async () => {
      const { call, ovs } = await start();
      await assert.rejects(call('create', '/ports', input), refusedWith('InvalidArgument', said));
      assert.deepEqual(ovs.portRows(), ['eth0', 'veth100i0']);
    });
  }

  it('list guests, and show one with its nics and ports', async () => {
    const { call } = await start();
    const entry = {
      vmid: 100,
      kind: 'lxc',
      name: 'web01',
      status: 'stopped',
      node: 'pve1',
      lock: 'backup',
      tags: ['prod', 'web'],
    };
    assert.deepEqual(await call('get', '/guests'), [entry]);
    assert.deepEqual(await call('get', '/guests', { local: true }), [entry]);
    assert.deepEqual(await call('get', '/guests/100'), {
      ...entry,
      config: {
        hostname: 'web01',
        hookscript: 'local:snippets/ovs-port-agent',
        lock: 'backup',
        net0: 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=dhcp,tag=10',
        net1: 'name=eth1,bridge=vmbr9,firewall=1,future=1',
        parent: 'before',
        tags: 'prod;web',
      },
      nics: [
        {
          nic: 'net0',
          netdev: 'veth100i0',
          firewall: false,
          link_down: false,
          bridge: 'ovsbr0',
          tag: 10,
          mac: 'bc:24:11:00:01:00',
          name: 'eth0',
          ip: 'dhcp',
        },
        {
          nic: 'net1',
          netdev: 'fwln100o1',
          firewall: true,
          link_down: false,
          bridge: 'vmbr9',
          name: 'eth1',
          unknown: ['future'],
        },
      ],
      ports: [vi100],
      pending: true,
      description: 'the web server\n',
      hookscript: 'local:snippets/ovs-port-agent',
      parent: 'before',
      snapshots: ['before'],
      problems: ['line 9 is not "key: value": "garbage"'],
    });
    await assert.rejects(call('get', '/guests/101'), refusedWith('NotFound', 'guest 101 has no configuration on pve1'));
    await assert.rejects(call('get', '/guests/99'), refusedWith('InvalidArgument', 'vmid'));
  });

  it("show and change a guest's nics", async () => {
    const { call, asked } = await start();
    const value = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,ip=dhcp,tag=10';
    const net0 = { nic: 'net0', value, netdev: 'veth100i0', firewall: false, link_down: false, bridge: 'ovsbr0', tag: 10, mac: 'bc:24:11:00:01:00', name: 'eth0', ip: 'dhcp' }; // prettier-ignore
    assert.deepEqual(((await call('get', '/guests/100/net')) as unknown[])[0], net0);
    assert.deepEqual(await call('get', '/guests/100/net/net0'), net0);
    const same = { guest: 'CT 100', nic: 'net0', changed: false, before: value, after: value };
    assert.deepEqual(await call('set', '/guests/100/net/net0', { tag: '10', firewall: false }), same);
    await assert.rejects(call('set', '/guests/100/net/net0', { tag: '20' }), refusedWith('Busy', 'locked (backup)'));
    await assert.rejects(call('delete', '/guests/100/net/net0', { timeout: 5 }), refusedWith('Busy'));
    await assert.rejects(call('create', '/guests/100/net', { options: 'bridge=b' }), refusedWith('Busy'));
    await assert.rejects(call('create', '/guests/100/net', { nic: 'net1', options: 'bridge=b' }), refusedWith('Conflict', 'has net1 already')); // prettier-ignore
    await assert.rejects(call('create', '/guests/100/net'), refusedWith('InvalidArgument', 'options'));
    await assert.rejects(call('set', '/guests/100/net/net0'), refusedWith('InvalidArgument', 'nothing to change'));
    await assert.rejects(call('get', '/guests/100/net/net5'), refusedWith('NotFound', 'it has net0, net1'));
    await assert.rejects(call('get', '/guests/100/net/eth0'), refusedWith('InvalidArgument', 'net0 to net31'));
    assert.deepEqual(asked, [
      'read',
      'read',
      'guests',
      'guests',
      'guests',
      'guests',
      'guests',
      'guests',
      'read',
      'read',
    ]);
  });

  it('create a container, or say what would be asked for', async () => {
    const { call, asked } = await start();
    const input = { vmid: '102', template: 'local:vztmpl/d.tar.zst', size: '8', net0: 'bridge=ovsbr0', start: '1' };
    assert.deepEqual(await call('create', '/guests', { ...input, dry_run: true }), {
      guest: 'CT 102',
      node: 'pve1',
      changed: false,
      call: 'pvesh create /nodes/pve1/lxc --vmid 102 --ostemplate local:vztmpl/d.tar.zst --rootfs local:8 --memory 512 --unprivileged 1 --start 1 --net0 name=eth0,bridge=ovsbr0',
    });
    await assert.rejects(call('create', '/guests', input), refusedWith('Unavailable', 'no [proxmox]'));
    await assert.rejects(call('create', '/guests', { vmid: 102 }), refusedWith('InvalidArgument', 'template'));
    assert.deepEqual(asked, ['guests', 'guests']);
  });

  it('show the observed state, of one plugin or of all', async () => {
    const { call } = await start();
    const net = {
      interfaces: [
        { name: 'ovsbr0', type: 'ovs-bridge', ports: [vi100] },
        { name: 'ovsbr1', type: 'ovs-bridge', ports: [] },
      ],
    };
    assert.deepEqual(await call('get', '/state'), { net });
    assert.deepEqual(await call('get', '/state/net'), net);
    assert.deepEqual(await call('get', '/state/network'), net, 'the older name');
    await assert.rejects(call('get', '/state/lxc'), refusedWith('NotFound', 'no plugin lxc; there is net'));
  });

  it("show the public half of the ledger's key, or that there is none", async () => {
    const [key] = nodeKeys;
    const shown = await (await start()).call('get', '/ledger/key');
    const [vkey, witness_vkey] = [key.verifierKey.render(), key.cosignerKey.render()];
    assert.deepEqual(shown, { origin: key.name, vkey, witness_vkey });
    const { call } = await start(['the ledger has no key: why'], null);
    await assert.rejects(call('get', '/ledger/key'), refusedWith('Unavailable', 'status'));
  });

  it('show the ledger', async () => {
    const { call } = await start();
    const [block] = (await call('get', '/ledger/blocks')) as { height: number; action: string; hash: string }[];
    assert.equal(block?.action, 'add-altname');
    assert.deepEqual(await call('get', `/ledger/blocks/${block.height}`), block);
    assert.deepEqual(await call('get', '/ledger/blocks', { category: 'guest' }), []);
    assert.deepEqual(await call('get', '/ledger/verify'), { valid: true, blocks: 2, last_hash: block.hash });
    const { total_blocks, tampered } = (await call('get', '/ledger')) as { total_blocks: number; tampered: boolean };
    assert.deepEqual([total_blocks, tampered], [2, false]);
    await assert.rejects(call('get', '/ledger/blocks/99'), refusedWith('NotFound', 'no block 99'));
    await assert.rejects(call('get', '/ledger/blocks/x'), refusedWith('InvalidArgument', 'height'));
  });

  it('name the witnesses, and what they have cosigned', async () => {
    const head = { tree_size: 1, sha256_root_hash: Buffer.alloc(32) };
    const sights = [{ name: 'prod/pve2/ovs-port-agent', head, timestampS: 1_760_443_260 }];
    const { call } = await start([], nodeKeys[0], { sights: () => sights, cosignedBlocks: 1 });
    const { cosigned, witnesses } = (await call('get', '/ledger')) as Record<string, unknown>;
    const time = '2025-10-14T12:01:00.000Z';
    assert.deepEqual([cosigned, witnesses], [1, [{ name: 'prod/pve2/ovs-port-agent', blocks: 1, time }]]);
  });

  it('prove a block, and show the checkpoint that the proof is made with', async () => {
    const [key] = nodeKeys;
    const { call } = await start();
    await assert.rejects(call('get', '/ledger/checkpoint'), refusedWith('NotFound', 'no checkpoint yet'));
    const proof = Buffer.from((await call('get', '/ledger/proof/0')) as string);
    const { block, checkpoint } = checkProof(proof, { key: key.verifierKey, policy: null });
    assert.deepEqual(block, await call('get', '/ledger/blocks/0'));
    assert.equal(checkpoint.tree_size, 2);
    assert.ok(proof.toString().endsWith((await call('get', '/ledger/checkpoint')) as string));
    await assert.rejects(call('get', '/ledger/proof/2'), refusedWith('NotFound', 'no block 2'));
  });

  it('find blocks of a period', async () => {
    const { call } = await start();
    const [block, first] = (await call('get', '/ledger/blocks')) as { timestamp: string }[];
    const timestamp = block?.timestamp ?? '';
    assert.deepEqual(await call('get', '/ledger/blocks', { since: timestamp }), [block]);
    assert.deepEqual(await call('get', '/ledger/blocks', { until: timestamp }), [first]);
    assert.deepEqual(await call('get', '/ledger/blocks', { until: '2100-01-01' }), [block, first]);
    for (const since of ['yesterday', '2025-10-14T12:00:00', '2025-13-01', '']) {
      await assert.rejects(call('get', '/ledger/blocks', { since }), refusedWith('InvalidArgument', 'since'));
    }
  });

  it('answer with the keys that they declare, and every one that is not optional', async () => {
    const { call } = await start();
    const paths = { port: 'vi100', bridge: 'ovsbr0', plugin: 'net', height: '0', vmid: '100', nic: 'net0' };
    for (const { path, methods } of resourceTable as readonly ResourceSpec[]) {
      const returns = methods.get?.returns;
      if (returns?.type !== 'object' && returns?.type !== 'array') continue;
      const properties = returns.type === 'object' ? returns.properties : returns.items.properties;
      const real = path.replaceAll(/\{(.+?)\}/g, (_, name: keyof typeof paths) => paths[name]);
      const result = await call('get', real);
      for (const entry of (returns.type === 'array' ? result : [result]) as object[]) {
        const keys = Object.keys(entry);
        assert.deepEqual(
          keys.filter((key) => !(key in properties)),
          [],
          path,
        );
        const required = Object.keys(properties).filter((key) => properties[key]?.optional !== true);
        assert.deepEqual(
          required.filter((key) => !keys.includes(key)),
          [],
          path,
        );
      }
    }
  });

  it('ask for the privilege that the table names, and do nothing without it', async () => {
    const { call, asked, ovs } = await start();
    await call('get', '/ports');
    await assert.rejects(
      call('create', '/ports', { netdev: 'dummy0' }, (privilege) => privilege === 'read'),
      refusedWith('AccessDenied', 'no ports for you'),
    );
    assert.deepEqual(asked, ['read', 'ports']);
    assert.deepEqual(ovs.portRows(), ['eth0', 'veth100i0']);
  });

  it('are listed and described without any privilege', async () => {
    const { call, asked } = await start();
    assert.ok(((await call('ls', '/')) as { name: string }[]).some(({ name }) => name === 'ports'));
    assert.match(String(await call('usage', '/ports')), /^USAGE:/);
    assert.deepEqual(asked, []);
    await assert.rejects(call('ls', '/x'), refusedWith('NotFound'));
    await assert.rejects(call('patch', '/ports'), refusedWith('InvalidArgument', 'verb "patch" is not one of'));
  });
});

describe('parameters as JSON', () => {
  it('may be absent', () => {
    assert.deepEqual(parseParameters(''), {});
    assert.deepEqual(parseParameters('{"a":1}'), { a: 1 });
  });
  for (const json of ['{', 'null', '[]', '5', '"x"', 'undefined', "{'a':1}"]) {
    it(`are not ${json}`, () => {
      assert.throws(() => parseParameters(json), refusedWith('InvalidArgument', 'parameters_json is not'));
    });
  }
});

describe('the status', () => {
  it('is running when there is nothing to say', async () => {
    const { service } = await start();
    await settled();
    const { state, version, problems, ports } = statusOf(service);
    assert.deepEqual([state, version, problems, ports], ['running', '1.2.3', [], 1]);
  });

  it('gathers every problem, one sentence each', async () => {
    const world = await start(['/etc/pve/lxc/100.conf: line 3 is not "key: value"']);
    world.configure(guestOf(101, [{ bridge: 'ovsbr1' }]));
    world.links.add('veth101i0');
    world.ovs.plug({ bridge: 'ovsbr0', row: 'veth101i0' });
    for (let turn = 0; turn < 60; turn++) await world.clock.advance(20);
    world.ovs.problem = new AgentError('Unavailable', 'Open vSwitch is not connected');
    const { state, switch: ovs, problems } = statusOf(world.service);
    assert.deepEqual([state, ovs], ['degraded', 'not connected']);
    assert.deepEqual(problems, [
      'Open vSwitch is not connected',
      'vi101: veth101i0 is on ovsbr0, its configuration says ovsbr1',
      '/etc/pve/lxc/100.conf: line 3 is not "key: value"',
    ]);
  });
});

describe('the D-Bus object', () => {
  async function object() {
    const world = await start();
    const served = portAgentObject(world.service, () => Promise.resolve());
    const signal = new AbortController().signal;
    const method = async (name: string, ...args: (string | number | bigint)[]): Promise<unknown> => {
      const [answer] = await served.handlers.get(name)!(args, { sender: ':1.1', uid: 1000 }, signal);
      return answer;
    };
    return { ...world, method };
  }

  it('answers the older tool’s methods from the same resources', async () => {
    const { method, ledger } = await object();
    assert.equal(await method('ping'), 'pong');
    assert.deepEqual(await method('list_ports'), ['vi100']);
    assert.deepEqual(
      JSON.parse(String(await method('QueryState', 'network'))),
      JSON.parse(String(await method('QueryState', 'net'))),
    );
    assert.deepEqual(Object.keys(JSON.parse(String(await method('QueryState', ''))) as object), ['net']);
    assert.equal(await method('verify_blockchain_integrity'), `VALID: 2 blocks, last hash ${ledger.lastHash}`);
    assert.deepEqual(JSON.parse(String(await method('get_block_by_hash', ledger.lastHash))), await ledger.blockAt(1));
    assert.deepEqual(
      (JSON.parse(String(await method('get_blocks_by_height', 0n, 10n))) as { height: number }[]).map(
        ({ height }) => height,
      ),
      [0, 1],
    );
    assert.deepEqual(JSON.parse(String(await method('get_interface_bindings'))), [
      {
        vmid: 100,
        nic: 'net0',
        netdev: 'veth100i0',
        port: 'vi100',
        row: 'veth100i0',
        altname: 'vi100',
        stanza: 'vi100',
      },
    ]);
  });

  it('writes down who asked', async () => {
    const { method, ledger } = await object();
    await method('add_port', 'dummy0');
    const [block] = await ledger.query({ action: 'attach' });
    const { cause: why, user, uid, host, process } = block!.metadata;
    assert.deepEqual([why, user, uid, host, process], ['api add_port', 'uid 1000', 1000, 'pve1', 'busctl[4711]']);
  });

  it('refuses heights that no ledger can have', async () => {
    const { method } = await object();
    await assert.rejects(method('get_blocks_by_height', 0n, 2n ** 64n - 1n), refusedWith('InvalidArgument', 'to: '));
  });

  it('tells what a reconcile did', async () => {
    const { method, ovs } = await object();
    ovs.unplug('veth100i0');
    assert.deepEqual(JSON.parse(String(await method('Reconcile'))), {
      changes: [{ action: 'attach', port: 'vi100' }],
      problems: {},
    });
    assert.deepEqual(JSON.parse(String(await method('Reconcile'))), { changes: [], problems: {} });
  });
});
