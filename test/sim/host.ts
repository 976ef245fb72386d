/** A simulated Proxmox VE node around the switch: network devices, guests, their locks, and what Proxmox VE does to them. */
import { firewallBridgeName, guestNetdevName, parseGuestNetdev } from '../../src/model/guest.ts';
import type { Guest, GuestNic } from '../../src/model/guest.ts';
import type { Phase } from '../../src/model/lifecycle.ts';
import { nicIndex } from '../../src/model/names.ts';
import type { Vmid } from '../../src/model/names.ts';
import type { Operation, Value } from '../../src/ovsdb/wire.ts';
import type { Link } from '../../src/ports/contracts.ts';
import type { Contents } from '../support/memory-database.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { SimSwitch } from './switch.ts';
import type { SwitchHost } from './switch.ts';

export const managedBridges = ['ovsbr0', 'ovsbr1'] as const;
const bridgeMtu = 1500;
/** For so long the agent leaves a plug alone. */
const patienceMs = 1000;

interface Moment {
  readonly livedMs: number;
  readonly nowMs: number;
}

/** What the host tells about itself. */
export interface HostEvents {
  devicesChanged(names: readonly string[]): void;
  hook(vmid: Vmid, phase: Phase): Promise<void>;
  agentTransaction(operations: readonly Operation[], before: Contents, after: Contents): void;
  log(line: string): void;
  /** Whether somebody has asked since then that a guest's ports be plugged at once. */
  isAskedSince(livedMs: number, vmid: Vmid): boolean;
  /** Something happened that must never happen. */
  violation(text: string): void;
}

export class SimHost implements SwitchHost {
  readonly ovs: SimSwitch;
  readonly devices = new Map<string, Link>();
  readonly configurations = new Map<Vmid, Guest>();
  /** Guests whose configuration lock Proxmox VE holds. */
  readonly locked = new Set<Vmid>();
  readonly running = new Set<Vmid>();
  /** Guests whose configuration cannot be read now. */
  readonly unreadable = new Set<Vmid>();
  /** Tasks of Proxmox VE that are under way, by guest: it does one thing to a guest at a time. */
  readonly busy = new Map<Vmid, Promise<void>>();
  /** Ports that were missing when a task began: the agent may just be about to put them back. */
  readonly #missing = new Set<string>();
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #events: HostEvents;

  constructor(random: Random, scheduler: Scheduler, events: HostEvents) {
    this.#random = random;
    this.#scheduler = scheduler;
    this.#events = events;
    this.ovs = new SimSwitch(random, scheduler, this);
    for (const bridge of [...managedBridges, 'vmbr9']) {
      this.devices.set(bridge, link(bridge));
      this.ovs.addBridge(bridge);
    }
  }

  deviceExists(name: string): boolean {
    return this.devices.has(name);
  }

  masterOf(name: string): string | null {
    return this.devices.get(name)?.master ?? null;
  }

  setPlugged(name: string, isPlugged: boolean): void {
    const device = this.devices.get(name);
    if (device === undefined || (!isPlugged && device.master !== 'ovs-system')) return;
    this.changeDevice(name, { master: isPlugged ? 'ovs-system' : null });
  }

  makeInternal(name: string): void {
    this.addDevice(name);
  }

  removeInternal(name: string): void {
    this.removeDevice(name);
  }

  onAgentTransaction(operations: readonly Operation[], before: Contents, after: Contents): void {
    this.#events.agentTransaction(operations, before, after);
  }

  addDevice(name: string, more: Partial<Link> = {}): void {
    this.devices.set(name, { ...link(name), ...more });
    this.#events.devicesChanged([name]);
    this.ovs.applySoon();
  }

  removeDevice(name: string): void {
    if (!this.devices.delete(name)) return;
    this.#events.devicesChanged([name]);
    this.ovs.applySoon();
  }

  changeDevice(name: string, more: Partial<Link>): void {
    const device = this.devices.get(name);
    if (device === undefined) return;
    this.devices.set(name, { ...device, ...more });
    this.#events.devicesChanged([name]);
    this.ovs.applySoon();
  }

  /** Proxmox VE works on one guest: one task after the other. */
  task(vmid: Vmid, what: string, work: () => Promise<void>, takesLock = true): void {
    const before = this.busy.get(vmid) ?? Promise.resolve();
    const done = before.then(async () => {
      this.#events.log(`proxmox: ${what} ${vmid}`);
      if (takesLock) this.locked.add(vmid);
      await work();
      this.locked.delete(vmid);
      this.#events.log(`proxmox: ${what} ${vmid} is done`);
      if (this.busy.get(vmid) === done) this.busy.delete(vmid);
    });
    this.busy.set(vmid, done);
  }

  async start(vmid: Vmid): Promise<void> {
    if (this.running.has(vmid)) return;
    await this.#events.hook(vmid, 'pre-start');
    const guest = this.configurations.get(vmid);
    if (guest === undefined) return;
    this.running.add(vmid);
    for (const nic of guest.nics) await this.#bringUp(guest, nic);
    await this.#pause(20);
    await this.#events.hook(vmid, 'post-start');
  }

  /** With `isCrash` nobody takes the ports off, and no hook is called before. */
  async stop(vmid: Vmid, isCrash: boolean): Promise<void> {
    if (!this.running.has(vmid)) return;
    if (!isCrash) await this.#events.hook(vmid, 'pre-stop');
    this.running.delete(vmid);
    const guest = this.configurations.get(vmid);
    for (const nic of guest?.nics ?? []) if (guest !== undefined) await this.#takeDown(guest, nic, isCrash);
    await this.#events.hook(vmid, 'post-stop');
  }

  /** From inside the guest: no lock, no hook. */
  async reboot(vmid: Vmid): Promise<void> {
    const guest = this.configurations.get(vmid);
    if (guest === undefined || !this.running.has(vmid)) return;
    this.#noteMissing(guest);
    for (const nic of guest.nics) await this.#takeDown(guest, nic, this.#random.chance(0.5));
    await this.#pause(300);
    for (const nic of guest.nics) await this.#bringUp(guest, nic);
  }

  /** `pct set -netN` on a running guest: unplugged and plugged again, with what is new. */
  async setNic(vmid: Vmid, change: (nic: GuestNic) => GuestNic): Promise<void> {
    const guest = this.configurations.get(vmid);
    if (guest === undefined) return;
    this.#noteMissing(guest);
    const old = this.#random.pick(guest.nics);
    const next = change(old);
    const nics = guest.nics.map((nic) => (nic === old ? next : nic));
    const isRunning = this.running.has(vmid);
    if (isRunning) await this.#takeDown(guest, old, false);
    const changed = { ...guest, nics };
    this.configurations.set(vmid, changed);
    if (isRunning) await this.#bringUp(changed, next);
  }

  async #bringUp(guest: Guest, nic: GuestNic): Promise<void> {
    if (nic.bridge === null) return;
    const own = guestNetdevName(guest, nicIndex(nic.nic), false);
    if (nic.linkDown) {
      this.addDevice(own);
      return;
    }
    const from = { livedMs: this.#scheduler.livedMs, nowMs: this.#scheduler.nowMs };
    if (!nic.firewall) {
      this.addDevice(own);
      await this.#pause(10);
      await this.#plug(own, nic, from, false);
      return;
    }
    const firewallBridge = firewallBridgeName(guest.vmid, nicIndex(nic.nic));
    this.addDevice(firewallBridge);
    this.addDevice(own, { master: firewallBridge });
    const inner = guestNetdevName(guest, nicIndex(nic.nic), true);
    await this.#plug(inner, nic, from, true);
    // Made by ovs-vswitchd; whoever waits for ovs-vsctl has it.
    for (let tries = 0; tries < 100 && !this.devices.has(inner); tries++) await this.#pause(10);
    this.changeDevice(inner, { master: firewallBridge });
  }

  async #takeDown(guest: Guest, nic: GuestNic, leavesRow: boolean): Promise<void> {
    const own = guestNetdevName(guest, nicIndex(nic.nic), false);
    const plugged = guestNetdevName(guest, nicIndex(nic.nic), nic.firewall);
    const isDeviceFirst = this.#random.chance(0.5);
    if (isDeviceFirst) this.removeDevice(own);
    await this.#pause(20);
    if (!leavesRow) {
      await this.#switchAnswers();
      this.ovs.delPort('proxmox', plugged);
    }
    await this.#pause(20);
    if (!isDeviceFirst) this.removeDevice(own);
    if (nic.firewall && !leavesRow) this.removeDevice(firewallBridgeName(guest.vmid, nicIndex(nic.nic)));
  }

  #noteMissing(guest: Guest): void {
    for (const { nic, firewall } of guest.nics) {
      const netdev = guestNetdevName(guest, nicIndex(nic), firewall);
      if (this.ovs.rowNamed('Interface', netdev) === null) this.#missing.add(netdev);
      else this.#missing.delete(netdev);
    }
  }

  /** As Proxmox VE does it: `del-port; br-exists; add-port`, three processes, without `--may-exist`. */
  async #plug(netdev: string, nic: GuestNic, from: Moment, isInternal: boolean): Promise<void> {
    await this.#switchAnswers();
    this.ovs.delPort('proxmox', netdev);
    // On a node under load a process takes its time, but Proxmox VE holds the lock meanwhile.
    const isLocked = this.locked.has(parseGuestNetdev(netdev)?.vmid ?? (0 as Vmid));
    await this.#pause(isLocked && this.#random.chance(0.1) ? 3000 : 120);
    await this.#switchAnswers();
    const bridge = nic.bridge ?? '';
    if (this.ovs.rowNamed('Bridge', bridge) === null) return;
    await this.#pause(120);
    await this.#switchAnswers();
    const inTheWay = this.ovs.rowNamed('Port', netdev);
    const failed = this.ovs.addPort('proxmox', bridge, {
      row: netdev,
      port: {
        ...(nic.tag === null ? {} : { tag: nic.tag }),
        ...(nic.trunks.length === 0 ? {} : { trunks: ['set', [...nic.trunks]] satisfies Value }),
        ...(nic.tag === null || nic.trunks.length === 0 ? {} : { vlan_mode: 'native-untagged' }),
      },
      device: { mtu_request: bridgeMtu, ...(isInternal ? { type: 'internal' } : {}) },
    });
    if (failed === null) this.#events.log(`proxmox: plugged ${netdev} into ${bridge}`);
    else if (this.ovs.rowNamed('Bridge', bridge) === null) return;
    else if (this.#mayHaveLost(netdev, from)) {
      this.#events.log(`proxmox: could not plug ${netdev}, and nobody could have known`);
    } else if (inTheWay !== null && this.ovs.madeBy.get(inTheWay[0]) === 'agent') {
      this.#events.violation(`Proxmox VE could not plug ${netdev}: a row of the agent was in its way`);
    } else this.#events.log(`proxmox: could not plug ${netdev}: ${failed}`);
  }

  /**
   * What patience and the guest's lock cannot save: a port that somebody asked for now, or that was missing before; without
   * the lock, a plug that takes longer than patience, and a bridge that was just made; with it, a long plug on such a
   * bridge.
   */
  #mayHaveLost(netdev: string, from: Moment): boolean {
    const vmid = parseGuestNetdev(netdev)?.vmid;
    if (vmid !== undefined && this.#events.isAskedSince(from.livedMs, vmid)) return true;
    const isLocked = vmid !== undefined && this.locked.has(vmid);
    const isSwept = this.#scheduler.livedMs - this.ovs.bridgeMadeMs < 20_000;
    // A leap counts: the agent's patience has seen that time go by.
    const isSlow = this.#scheduler.nowMs - from.nowMs > patienceMs;
    return this.#missing.has(netdev) || (isLocked ? isSwept && isSlow : isSwept || isSlow);
  }

  /** A process of Open vSwitch's tools waits until the database answers. */
  async #switchAnswers(): Promise<void> {
    while (!this.ovs.answers) await this.#pause(50);
  }

  async #pause(maxMs: number): Promise<void> {
    await this.#scheduler.sleep(this.#random.between(0, maxMs));
  }
}

function link(name: string): Link {
  return { name, master: null, altnames: [], originalName: null, mtu: bridgeMtu, peerElsewhere: false };
}
