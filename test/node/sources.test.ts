/**
 * The matrix of event sources: every event in the life of a guest with each source alone, and with each one off. Every guest
 * goes through two rounds, away from what it is and back, so that each run of the matrix begins alike.
 */
import assert from 'node:assert/strict';
import { waitFor } from '../support/wait-for.ts';
import { hearOnly, sourceKeys, sources, withoutConsequence } from './event-sources.ts';
import type { GuestEvent, Source, SourceKey } from './event-sources.ts';
import { installPackage } from './package.ts';
import { portProblems } from './port-state.ts';
import { makeBridges, makeContainer, makeMachine, makeProxmox } from './proxmox.ts';
import { TestNode } from './test-node.ts';

/** Guests that are worked on at a time; more only wait for each other. */
const togetherMax = 6;
/** A source's own delay, patience and what a busy machine adds. */
const convergeMsMax = 12_000;
/** A look costs as much as what is looked for. */
const lookIntervalMs = 200;

const rounds = ['away', 'back'] as const;
type Round = (typeof rounds)[number];

interface Step {
  readonly event: GuestEvent;
  readonly act: () => Promise<unknown>;
}

/** A guest and its two rounds. */
interface Life {
  readonly vmid: number;
  readonly away: Step;
  readonly back: Step;
}

describe('the sources of events, on a whole node', function () {
  this.timeout(60_000);
  // Each run begins where the one before ended.
  this.bail(true);
  let node: TestNode;

  before(async function () {
    this.timeout(16 * 60_000);
    node = await TestNode.boot();
    await makeProxmox(node);
    await node.run('mkdir', '--parents', '/etc/pve/nodes/pve2/lxc', '/etc/pve/nodes/pve2/qemu-server');
    for (const { vmid } of containers) {
      await makeContainer(node, { vmid, hostname: `ct${vmid}`, nets: [containerNic(vmid)] });
    }
    await node.write(
      `/var/lib/lxc/${stubborn}/rootfs/etc/inittab`,
      '::respawn:/bin/sleep 100000\n::shutdown:/bin/sleep 100000\n',
    );
    for (const { vmid } of machines) await makeMachine(node, { vmid, hostname: `vm${vmid}`, nets: [machineNic(vmid)] });
    await node.run('pmxcfs');
    await installPackage(node);
    await limited([...containers, ...machines], ({ vmid }) => tool(vmid, 'start'));
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await node.journal()}\n`);
  });
  after(() => node.stop());

  const rebooting = 103;
  const stubborn = 104;
  const mac = (vmid: number): string => `BC:24:11:00:0${Math.floor(vmid / 100)}:${String(vmid % 100).padStart(2, '0')}`;
  const containerNic = (vmid: number, options = 'bridge=ovsbr0,tag=10'): string =>
    `name=eth0,${options},hwaddr=${mac(vmid)},type=veth`;
  const machineNic = (vmid: number, options = 'bridge=ovsbr0,tag=10'): string => `virtio=${mac(vmid)},${options}`;

  const tool = (vmid: number, ...args: readonly string[]): Promise<string> => {
    const [command = '', ...rest] = args;
    return node.run(vmid < 200 ? 'pct' : 'qm', command, String(vmid), ...rest);
  };
  const setNic = (vmid: number, options: string): Promise<string> =>
    tool(vmid, 'set', '-net0', (vmid < 200 ? containerNic : machineNic)(vmid, options));
  const step = (event: GuestEvent, act: Step['act']): Step => ({ event, act });
  const by = (event: GuestEvent, vmid: number, command: string): Step => step(event, () => tool(vmid, command));
  /** From `ovsbr0` with VLAN 10 to `options` and back. */
  const changed = (event: GuestEvent, vmid: number, options: string): Step => step(event, () => setNic(vmid, options));

  async function isGone(path: string): Promise<boolean> {
    return (await node.try('test', '-e', path)).exitCode !== 0;
  }

  async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
    await waitFor(what, condition, 20_000, lookIntervalMs);
  }

  const ends = (unit: string, device: string) => async (): Promise<boolean> =>
    !['active', 'deactivating'].includes((await node.try('systemctl', 'is-active', unit)).stdout) &&
    (await isGone(`/sys/class/net/${device}`));
  const containerEnds = (vmid: number) => until('the end', ends(`pve-container@${vmid}.service`, `veth${vmid}i0`));
  const machineEnds = (vmid: number) => until('the end', ends(`${vmid}.scope`, `tap${vmid}i0`));

  const containers: readonly Life[] = [
    { vmid: 100, away: by('stop', 100, 'stop'), back: by('start', 100, 'start') },
    {
      vmid: 101,
      away: step('poweroff from inside', async () => {
        await node.try('lxc-attach', '--name', '101', '--', 'poweroff');
        await containerEnds(101);
      }),
      back: step('start through systemd', async () => {
        await node.run('systemctl', 'start', 'pve-container@101');
        await node.run('lxc-wait', '-n', '101', '-s', 'RUNNING', '-t', '20');
      }),
    },
    {
      vmid: 102,
      away: step('crash', async () => {
        await node.run('systemctl', 'kill', '--signal=KILL', '--kill-whom=main', 'pve-container@102');
        await containerEnds(102);
      }),
      back: by('start', 102, 'start'),
    },
    {
      vmid: rebooting,
      away: step('reboot from inside', async () => {
        const ifindex = (): Promise<string> => node.read(`/sys/class/net/veth${rebooting}i0/ifindex`).catch(() => '');
        const before = await ifindex();
        // Its own process ends with the container.
        await node.try('lxc-attach', '--name', String(rebooting), '--', 'reboot');
        await until('the new device', async () => !['', before].includes(await ifindex()));
      }),
      back: changed('change of VLAN', rebooting, 'bridge=ovsbr0,tag=10'),
    },
    {
      vmid: stubborn,
      away: step('shutdown that times out', async () => {
        assert.equal((await node.try('pct', 'shutdown', String(stubborn), '--timeout', '1')).exitCode, 255);
      }),
      back: step('reboot', () => tool(stubborn, 'reboot')),
    },
    { vmid: 105, away: by('migration out', 105, 'migrate-out'), back: by('migration in', 105, 'migrate-in') },
    {
      vmid: 106,
      away: by('backup in stop mode', 106, 'backup'),
      back: changed('change of VLAN', 106, 'bridge=ovsbr0,tag=20'),
    },
    {
      vmid: 107,
      away: step('hotplug', () => tool(107, 'set', '-net1', `name=eth1,bridge=ovsbr1,hwaddr=${mac(157)},type=veth`)),
      back: step('hot unplug', () => tool(107, 'set', '--delete', 'net1')),
    },
    {
      vmid: 108,
      away: changed('change of bridge', 108, 'bridge=ovsbr1'),
      back: changed('change of bridge', 108, 'bridge=ovsbr0,tag=10'),
    },
    {
      vmid: 109,
      away: changed('change of the firewall flag', 109, 'bridge=ovsbr0,tag=10,firewall=1'),
      back: changed('change of the firewall flag', 109, 'bridge=ovsbr0,tag=10'),
    },
  ];

  const machines: readonly Life[] = [
    { vmid: 200, away: by('stop', 200, 'stop'), back: by('start', 200, 'start') },
    {
      vmid: 201,
      away: step('poweroff from inside', async () => {
        await tool(201, 'poweroff');
        await machineEnds(201);
        await tool(201, 'cleanup');
      }),
      back: by('start', 201, 'start'),
    },
    {
      vmid: 202,
      away: step('crash', async () => {
        await node.run('systemctl', 'kill', '--signal=KILL', '202.scope');
        await machineEnds(202);
      }),
      back: by('start', 202, 'start'),
    },
    {
      vmid: 203,
      away: step('shutdown that times out', async () => {
        assert.equal((await node.try('qm', 'shutdown', '203', '--timeout', '1')).exitCode, 255);
      }),
      back: by('reboot', 203, 'reboot'),
    },
    { vmid: 204, away: by('migration out', 204, 'migrate-out'), back: by('migration in', 204, 'migrate-in') },
    { vmid: 205, away: by('suspend', 205, 'suspend'), back: by('resume', 205, 'resume') },
    {
      vmid: 206,
      away: by('backup in stop mode', 206, 'backup'),
      back: by('reboot', 206, 'reboot'),
    },
    {
      vmid: 207,
      away: step('hotplug', () => tool(207, 'set', '-net1', `virtio=${mac(257)},bridge=ovsbr1`)),
      back: step('hot unplug', () => tool(207, 'set', '--delete', 'net1')),
    },
    {
      vmid: 208,
      away: changed('change of bridge', 208, 'bridge=ovsbr1,tag=10'),
      back: changed('change of bridge', 208, 'bridge=ovsbr0,tag=10'),
    },
    {
      vmid: 209,
      away: changed('change of the firewall flag', 209, 'bridge=ovsbr0,tag=10,firewall=1'),
      back: changed('change of the firewall flag', 209, 'bridge=ovsbr0,tag=10'),
    },
    {
      vmid: 210,
      away: changed('change of VLAN', 210, 'bridge=ovsbr0,tag=20'),
      back: changed('change of VLAN', 210, 'bridge=ovsbr0,tag=10'),
    },
  ];

  /** All of them to their ends, also when one fails, so that the next test does not meet them. */
  async function limited<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
    const waiting = [...items];
    const worker = async (): Promise<void> => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
    };
    const workers = await Promise.allSettled(Array.from({ length: togetherMax }, worker));
    for (const outcome of workers) if (outcome.status === 'rejected') throw outcome.reason;
  }

  const everybody = [...containers, ...machines];
  const eventsOf = (round: Round): Map<number, GuestEvent> =>
    new Map(everybody.map((life) => [life.vmid, life[round].event]));

  const isBlind = (source: SourceKey, { vmid }: Life, event: GuestEvent): boolean => {
    const { blindTo }: Source = sources[source];
    return (vmid < 200 ? blindTo.containers : blindTo.machines).includes(event);
  };
  /** Those in whose rounds the source has something to tell. */
  const toldBy = (source: SourceKey): Life[] =>
    everybody.filter((life) =>
      rounds.some((round) => {
        const { event } = life[round];
        return !withoutConsequence.has(event) && !isBlind(source, life, event);
      }),
    );

  const go = (round: Round, lives: readonly Life[]): Promise<void> => limited(lives, (life) => life[round].act());

  /** Resolves when nothing is wrong with any guest but those that may have to wait for something else. */
  async function converges(
    round: Round,
    mayWait: (life: Life, event: GuestEvent) => boolean = () => false,
  ): Promise<void> {
    let wrong: string[] = [];
    await waitFor(
      'the ports',
      async () => {
        const problems = await portProblems(node);
        wrong = everybody.flatMap((life) => {
          const { vmid, [round]: step } = life;
          const found = problems.get(vmid);
          return found === undefined || mayWait(life, step.event)
            ? []
            : [`${step.event} of ${vmid}: ${found.join('; ')}`];
        });
        return wrong.length === 0;
      },
      convergeMsMax,
      lookIntervalMs,
    ).catch((error: unknown) => {
      throw new Error(wrong.join('\n'), { cause: error });
    });
  }

  let isLxcHeard = true;

  async function begin(on: ReadonlySet<SourceKey>): Promise<void> {
    await hearOnly(node, on);
    // A container that reboots from inside has the hooks with which it was started.
    if (on.has('lxc') !== isLxcHeard) await tool(rebooting, 'reboot');
    isLxcHeard = on.has('lxc');
    // The first pass is over then: none is left to find what comes now.
    await node.run('ovs-port-agent', 'reconcile');
    await converges('back');
  }

  it('are all off when they are switched off: what happens is found by a whole pass that somebody asks for', async () => {
    await begin(new Set());
    for (const round of rounds) {
      await go(round, everybody);
      await converges(round, (_, event) => !withoutConsequence.has(event));
      const found = await portProblems(node);
      const unexpected = [...eventsOf(round)].filter(
        ([vmid, event]) => found.has(vmid) === withoutConsequence.has(event),
      );
      assert.deepEqual(unexpected, []);
      await node.run('systemctl', 'kill', '--signal=HUP', '--kill-whom=main', 'ovs-port-agent');
      await converges(round);
    }
  });

  describe('each alone: what it tells is put right by', () => {
    for (const key of sourceKeys) {
      it(sources[key].name, async () => {
        await begin(new Set([key]));
        for (const round of rounds) {
          await go(round, toldBy(key));
          await converges(round, (life, event) => isBlind(key, life, event));
        }
      });
    }
  });

  describe('all but one: everything is put right without', () => {
    for (const key of sourceKeys) {
      it(sources[key].name, async () => {
        await begin(new Set(sourceKeys.filter((other) => other !== key)));
        for (const round of rounds) {
          await go(round, toldBy(key));
          await converges(round);
        }
      });
    }
  });

  describe('when the host was reset, and its database wiped', () => {
    it('have nothing left over, and tell of all that starts', async () => {
      await begin(new Set(sourceKeys));
      // Proxmox VE does so at every boot.
      await node.run('rm', '/etc/openvswitch/conf.db');
      await node.reset();
      await makeBridges(node);
      await converges('away');
      await limited(everybody, ({ vmid }) => tool(vmid, 'start'));
      await converges('back');
    });
  });
});
