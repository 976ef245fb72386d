/** What may happen on a simulated host, and how likely it is. */
import {
  parseBridgeName,
  parseContainerName,
  parseNetdevName,
  parseVlanTag,
  parseVmid,
} from '../../src/model/names.ts';
import type { Vmid } from '../../src/model/names.ts';
import { nicNameOf } from '../../src/model/names.ts';
import type { Guest, GuestNic } from '../../src/model/guest.ts';
import type { Operation, Value } from '../../src/ovsdb/wire.ts';
import { managedBridges } from './host.ts';
import type { Simulation } from './simulation.ts';
import { textOf } from './switch.ts';

export interface SimEvent {
  readonly name: string;
  readonly happen: () => void;
}

const vmids = [100, 101, 102, 103].map(parseVmid);
/** Devices that belong to no guest of Proxmox VE. */
const looseDevices = ['dev0', 'dev1', 'lxc7'] as const;
const none: Value = ['set', []];

export function chooseEvent(sim: Simulation): SimEvent {
  const make = sim.random.weighted(events);
  return make(sim);
}

type Maker = (sim: Simulation) => SimEvent;

const events: readonly (readonly [weight: number, make: Maker])[] = [
  [14, startGuest],
  [7, stopGuest],
  [6, rebootGuest],
  [4, setNic],
  [2, forgetGuest],
  [1, unreadableGuest],
  [4, looseDevice],
  [5, handOver],
  [2, takeOff],
  [2, reconcile],
  [2, strayHook],
  [1, hangUp],
  [4, editPort],
  [3, wipeIds],
  [3, deletePort],
  [3, foreignPort],
  [2, editForeign],
  [2, enslave],
  [7, cutTransaction],
  [5, race],
  [2, closeConnections],
  [2, stallServer],
  [2, restartServer],
  [2, wipeDatabase],
  [2, restartNetworking],
  [3, stealLock],
  [2, stopVswitchd],
  [3, breakDisk],
  [4, killAgent],
  [2, restartAgent],
  [1, leap],
  [1, loseLinkEvents],
];

function startGuest({ random, host }: Simulation): SimEvent {
  const vmid = random.pick(vmids);
  return {
    name: 'start a guest',
    happen: () => {
      if (!host.configurations.has(vmid)) host.configurations.set(vmid, newGuest(vmid, random));
      host.task(vmid, 'start', () => host.start(vmid));
    },
  };
}

function newGuest(vmid: Vmid, random: Simulation['random']): Guest {
  const nics = Array.from({ length: random.integer(1, 2) }, (_, index): GuestNic => ({
    nic: nicNameOf(index),
    bridge: parseBridgeName(random.weighted([
      [6, 'ovsbr0'],
      [2, 'ovsbr1'],
      [1, 'vmbr9'],
    ])), // prettier-ignore
    tag: random.chance(0.4) ? parseVlanTag(random.integer(1, 3) * 10) : null,
    trunks: random.chance(0.2) ? [parseVlanTag(40), parseVlanTag(41)] : [],
    firewall: random.chance(0.25),
    linkDown: random.chance(0.05),
    mac: random.chance(0.5) ? `02:00:00:00:00:0${index}` : null,
  }));
  return { kind: random.pick(['lxc', 'qemu'] as const), vmid, name: `guest${vmid}`, tags: [], nics };
}

function stopGuest({ random, host }: Simulation): SimEvent {
  const vmid = random.pick(vmids);
  const isCrash = random.chance(0.4);
  return {
    name: isCrash ? 'a guest crashes' : 'stop a guest',
    happen: () => {
      host.task(vmid, isCrash ? 'crash' : 'stop', () => host.stop(vmid, isCrash), !isCrash);
    },
  };
}

function rebootGuest({ random, host }: Simulation): SimEvent {
  const vmid = random.pick(vmids);
  return {
    name: 'reboot from inside',
    happen: () => {
      host.task(vmid, 'reboot', () => host.reboot(vmid), false);
    },
  };
}

function setNic({ random, host }: Simulation): SimEvent {
  const vmid = random.pick(vmids);
  const bridge = parseBridgeName(random.pick(managedBridges));
  const tag = random.chance(0.5) ? parseVlanTag(random.integer(1, 4) * 10) : null;
  const change = random.chance(0.7) ? { tag } : { tag, bridge };
  return {
    name: 'set a nic',
    happen: () => {
      host.task(vmid, 'set', () => host.setNic(vmid, (nic) => ({ ...nic, ...change })));
    },
  };
}

/** Destroyed, or migrated away: its devices go, its rows perhaps not. */
function forgetGuest({ random, host }: Simulation): SimEvent {
  const vmid = random.pick(vmids);
  const isCrash = random.chance(0.5);
  return {
    name: 'a guest goes away',
    happen: () => {
      host.task(vmid, 'migrate', async () => {
        await host.stop(vmid, isCrash);
        host.configurations.delete(vmid);
      });
    },
  };
}

function unreadableGuest(sim: Simulation): SimEvent {
  const vmid = sim.random.pick(vmids);
  return {
    name: 'a configuration cannot be read',
    happen: () => {
      sim.host.unreadable.add(vmid);
      sim.fault(sim.random.between(100, 5000), () => sim.host.unreadable.delete(vmid));
    },
  };
}

function looseDevice({ random, host }: Simulation): SimEvent {
  const name = random.pick(looseDevices);
  return {
    name: 'a loose device comes or goes',
    happen: () => {
      if (host.devices.has(name)) host.removeDevice(name);
      else host.addDevice(name);
    },
  };
}

function handOver(sim: Simulation): SimEvent {
  const netdev = parseNetdevName(sim.random.pick([...looseDevices, 'veth100i0', 'tap101i0']));
  const bridge = sim.random.chance(0.5) ? null : parseBridgeName('ovsbr1');
  const container = parseContainerName(sim.random.pick(['web', 'netmaker-1']));
  const vmid = parseVmid(sim.random.pick([901, 902]));
  const isContainer = sim.random.chance(0.3);
  return {
    name: 'hand a device over',
    happen: () => {
      // To plug a guest's card at once while Proxmox VE does is what was asked for.
      if (/\d{3}i/.test(netdev) && sim.host.busy.size > 0) return;
      if (sim.random.chance(0.7) && !netdev.includes('10') && !sim.host.devices.has(netdev)) sim.host.addDevice(netdev);
      const promise = sim.promises.begin(netdev);
      if (isContainer)
        sim.call(`create_container_interface ${netdev} ${vmid}`, (engine) =>
          engine.createContainerInterface(netdev, container, vmid, sim.cause).then(promise),
        );
      // Throws at once what the arguments alone forbid.
      else sim.call(`add_port ${netdev}`, (engine) => engine.addPort(netdev, bridge, sim.cause).then(promise));
    },
  };
}

function takeOff(sim: Simulation): SimEvent {
  const name = sim.random.pick([...looseDevices, 'vi_dev0', 'vi_dev1', 'vi901', 'vi100', 'vi102']);
  return {
    name: 'take a port off',
    happen: () => {
      sim.promises.takenOff(name);
      sim.call(`del_port ${name}`, (engine) => engine.removePort(name, sim.cause));
    },
  };
}

function reconcile(sim: Simulation): SimEvent {
  return {
    name: 'ask for a reconcile',
    happen: () => {
      // A person asks between two things that Proxmox VE does: to plug at once is what is asked for.
      if (sim.host.busy.size === 0) sim.call('reconcile', (engine) => engine.reconcile(sim.cause));
      else sim.agent?.parts?.engine.wake('SIGHUP');
    },
  };
}

/** A hook from before, delivered again; never one that says that Proxmox VE has done its part while it has not. */
function strayHook(sim: Simulation): SimEvent {
  const vmid = sim.random.pick(vmids);
  const phase = sim.random.pick(['pre-start', 'pre-stop', 'post-stop'] as const);
  return {
    name: 'a stray hook',
    happen: () => {
      sim.call(`stray hook ${vmid} ${phase}`, (engine) => engine.notifyLifecycle(vmid, phase, sim.cause));
    },
  };
}

function hangUp(sim: Simulation): SimEvent {
  return {
    name: 'SIGHUP',
    happen: () => {
      sim.agent?.parts?.engine.wake('SIGHUP');
    },
  };
}

function somePort({ random, host }: Simulation): [string, string] | null {
  const rows = host.ovs.rows('Port').filter(([, row]) => !foreignNames.includes(textOf(row, 'name')));
  if (rows.length === 0) return null;
  const [uuid, row] = random.pick(rows);
  return [uuid, textOf(row, 'name')];
}

function change(sim: Simulation, operations: readonly Operation[]): void {
  sim.host.ovs.transact('foreign', [
    ...operations,
    { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
  ]);
}

function editPort(sim: Simulation): SimEvent {
  const port = somePort(sim);
  const row: Record<string, Value> = sim.random.pick([
    { tag: 99 },
    { tag: none },
    { tag: 10 },
    { trunks: ['set', [7, 8]] satisfies Value },
    { vlan_mode: 'trunk' },
    { tag: 5, trunks: none, vlan_mode: 'native-untagged' },
  ]);
  return {
    name: 'somebody edits a port',
    happen: () => {
      if (port !== null)
        change(sim, [{ op: 'update', table: 'Port', where: [['_uuid', '==', ['uuid', port[0]]]], row }]);
    },
  };
}

function wipeIds(sim: Simulation): SimEvent {
  const port = somePort(sim);
  const table = sim.random.pick(['Port', 'Port', 'Interface'] as const);
  return {
    name: 'somebody wipes external_ids',
    happen: () => {
      if (port === null) return;
      const row: Record<string, Value> = { external_ids: ['map', [['note', 'mine']]] };
      change(sim, [{ op: 'update', table, where: [['name', '==', port[1]]], row }]);
    },
  };
}

function deletePort(sim: Simulation): SimEvent {
  const port = somePort(sim);
  return {
    name: 'somebody deletes a port',
    happen: () => {
      if (port !== null) sim.host.ovs.delPort('foreign', port[1]);
    },
  };
}

/** Rows of others, some in the way of ours. */
const foreign: readonly { row: string; netdev: string }[] = [
  { row: 'uplink0', netdev: 'eth0' },
  { row: 'lan7', netdev: 'eth7' },
  { row: 'vi103', netdev: 'eth5' },
  { row: 'vi_dev1', netdev: 'eth6' },
  { row: 'lan8', netdev: 'veth101i0' },
];
const foreignNames = foreign.map(({ row }) => row);

function foreignPort(sim: Simulation): SimEvent {
  const chosen = sim.random.pick(foreign);
  const bridge = sim.random.pick([...managedBridges, 'vmbr9']);
  return {
    name: 'somebody plugs or unplugs',
    happen: () => {
      if (sim.host.ovs.rowNamed('Port', chosen.row) !== null) sim.host.ovs.delPort('foreign', chosen.row);
      else
        sim.host.ovs.addPort('foreign', bridge, {
          ...chosen,
          port: { tag: 7, external_ids: ['map', [['note', 'foreign']]] satisfies Value, other_config: ['map', [['k', 'v']]] satisfies Value }, // prettier-ignore
        });
    },
  };
}

function editForeign(sim: Simulation): SimEvent {
  const { row: name } = sim.random.pick(foreign);
  const tag = sim.random.integer(1, 100);
  return {
    name: 'somebody edits his own port',
    happen: () => {
      change(sim, [{ op: 'update', table: 'Port', where: [['name', '==', name]], row: { tag } }]);
    },
  };
}

/** Somebody puts a device under a bridge or a bond of the kernel. */
function enslave({ random, host }: Simulation): SimEvent {
  const free = [...host.devices.values()].filter(
    ({ name, master }) =>
      master === null && (/^(veth|tap)\d/.test(name) || looseDevices.some((other) => other === name)),
  );
  return {
    name: 'a device gets a master',
    happen: () => {
      if (free.length > 0) host.changeDevice(random.pick(free).name, { master: 'br-other' });
    },
  };
}

function cutTransaction({ random, host }: Simulation): SimEvent {
  const cut = random.pick(['before send', 'after send', 'mid-frame', 'held back'] as const);
  return {
    name: `the next transaction is cut ${cut}`,
    happen: () => {
      host.ovs.cuts.push(cut);
    },
  };
}

/** Somebody else is quicker than the agent's next transaction: what it was planned for is not so any more. */
function race(sim: Simulation): SimEvent {
  const { make } = sim.random.pick([deletePort, editPort, wipeIds, restartNetworking, foreignPort].map((make) => ({ make }))); // prettier-ignore
  return {
    name: 'somebody is quicker than the next transaction',
    happen: () => {
      sim.host.ovs.races.push(() => {
        const { name, happen } = make(sim);
        sim.log(`quicker: ${name}`);
        happen();
      });
    },
  };
}

function closeConnections({ host }: Simulation): SimEvent {
  return {
    name: 'connections are closed',
    happen: () => {
      host.ovs.closeConnections();
    },
  };
}

function stallServer(sim: Simulation): SimEvent {
  const forMs = sim.random.chance(0.5) ? sim.random.between(10, 2000) : sim.random.between(2000, 15_000);
  return {
    name: 'the server stalls',
    happen: () => {
      sim.host.ovs.stall();
      sim.fault(forMs, () => {
        sim.host.ovs.resume();
      });
    },
  };
}

function restartServer(sim: Simulation): SimEvent {
  return {
    name: 'the server is restarted',
    happen: () => {
      sim.host.ovs.goDown();
      sim.fault(sim.random.between(5, 6000), () => {
        sim.host.ovs.comeUp();
      });
    },
  };
}

/** `rm conf.db`; ifupdown2 makes the bridges again. */
function wipeDatabase(sim: Simulation): SimEvent {
  return {
    name: 'the database is wiped',
    happen: () => {
      sim.host.ovs.goDown();
      sim.fault(sim.random.between(5, 3000), () => {
        sim.host.ovs.wipe();
        sim.host.ovs.comeUp();
        makeBridges(sim);
      });
    },
  };
}

function restartNetworking(sim: Simulation): SimEvent {
  const gone = sim.random.chance(0.5) ? [...managedBridges] : [sim.random.pick(managedBridges)];
  return {
    name: 'networking is restarted',
    happen: () => {
      for (const bridge of gone) sim.host.ovs.removeBridge(bridge);
      makeBridges(sim);
    },
  };
}

function makeBridges(sim: Simulation): void {
  for (const bridge of [...managedBridges, 'vmbr9']) {
    sim.fault(sim.random.between(0, 3000), () => {
      sim.host.ovs.addBridge(bridge);
    });
  }
}

function stealLock(sim: Simulation): SimEvent {
  return {
    name: 'the lock is stolen',
    happen: () => {
      sim.fault(sim.random.between(5, 5000), sim.host.ovs.stealLock());
    },
  };
}

function stopVswitchd(sim: Simulation): SimEvent {
  return {
    name: 'ovs-vswitchd does not apply',
    happen: () => {
      sim.host.ovs.isApplying = false;
      sim.fault(sim.random.between(10, 10_000), () => {
        sim.host.ovs.isApplying = true;
        sim.host.ovs.applySoon();
      });
    },
  };
}

function breakDisk(sim: Simulation): SimEvent {
  const fault = sim.random.pick(['full', 'broken'] as const);
  return {
    name: `the disk is ${fault}`,
    happen: () => {
      sim.disk.fault = fault;
      sim.fault(sim.random.between(1, 3000), () => {
        sim.disk.fault = null;
        sim.checks.lastFaultMs = sim.scheduler.livedMs;
      });
    },
  };
}

function killAgent(sim: Simulation): SimEvent {
  return {
    name: 'the agent is killed',
    happen: () => {
      sim.killAgent();
      sim.fault(sim.random.between(1, 3000), () => {
        sim.startAgent();
      });
    },
  };
}

function restartAgent(sim: Simulation): SimEvent {
  return {
    name: 'the agent is restarted',
    happen: () => {
      void sim.stopAgent().then(() => {
        sim.fault(sim.random.between(1, 1000), () => {
          sim.startAgent();
        });
      });
    },
  };
}

function leap(sim: Simulation): SimEvent {
  const ms = sim.random.between(1000, 3_600_000);
  return {
    name: 'the clock leaps',
    happen: () => {
      sim.scheduler.leap(ms);
    },
  };
}

function loseLinkEvents(sim: Simulation): SimEvent {
  return {
    name: 'events of devices are lost',
    happen: () => {
      sim.linkEventsAreLost = true;
      sim.fault(sim.random.between(10, 5000), () => {
        sim.linkEventsAreLost = false;
      });
    },
  };
}
