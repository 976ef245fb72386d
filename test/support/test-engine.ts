/** The port engine on a switch, a ledger, links, guests and files in memory, with a clock that is told to go. */
import type { Guest } from '../../src/model/guest.ts';
import { AgentError } from '../../src/model/errors.ts';
import { parseContainerName, parseVmid } from '../../src/model/names.ts';
import type { NetdevName, PortName, Vmid } from '../../src/model/names.ts';
import type { NamingMode } from '../../src/model/naming.ts';
import type { Policy } from '../../src/model/policy.ts';
import type { ListedPort } from '../../src/interfaces/managed-block.ts';
import type { Link, Links, Pools } from '../../src/ports/contracts.ts';
import { PortEngine } from '../../src/ports/engine.ts';
import type { PortEngineOptions } from '../../src/ports/engine.ts';
import { FakeClock, settled } from './fake-clock.ts';
import { readOneByOne } from './guests-one-by-one.ts';
import { openLedger } from './ledger-fixtures.ts';
import { MemoryLedgerStore } from './memory-ledger-store.ts';
import { nodeKeys } from './signed-logs.ts';
import { MemorySwitch } from './memory-switch.ts';
import { cluster, linkOf, ovsbr0, ovsbr1 } from './ports-fixtures.ts';

class MemoryLinks implements Links {
  readonly devices = new Map<string, Link>();
  /** Devices with an address of their own. */
  readonly addressed = new Set<string>();
  looksAtAll = 0;

  add(name: string, master: string | null = null, mtu = 1500): void {
    this.devices.set(name, { ...linkOf(name, master), mtu });
  }

  async observe(names: readonly string[]): Promise<ReadonlyMap<string, Link>> {
    await settled();
    return new Map(names.flatMap((name) => this.#find(name) ?? []).map((link) => [link.name, link]));
  }

  #find(name: string): Link | undefined {
    return this.devices.get(name) ?? [...this.devices.values()].find(({ altnames }) => altnames.includes(name));
  }

  async observeAll(): Promise<ReadonlyMap<string, Link>> {
    this.looksAtAll++;
    await settled();
    return new Map(this.devices);
  }

  async addAltnames(names: ReadonlyMap<NetdevName, PortName>): Promise<ReadonlyMap<string, Link>> {
    await settled();
    for (const [netdev, altname] of names) {
      const taken = [...this.devices.values()].some(
        ({ name, altnames }) => name === altname || altnames.includes(altname),
      );
      const link = this.devices.get(netdev);
      if (link !== undefined && !taken) this.devices.set(netdev, { ...link, altnames: [...link.altnames, altname] });
    }
    const now = await this.observe([...names.keys()]);
    return new Map([...now].filter(([netdev, link]) => link.altnames.includes(names.get(netdev as NetdevName)!)));
  }

  async withAddress(names: readonly string[]): Promise<ReadonlySet<string>> {
    await settled();
    return new Set(names.filter((name) => this.addressed.has(name)));
  }

  async removeAltname(netdev: string, altname: string): Promise<void> {
    await settled();
    const link = this.devices.get(netdev);
    if (link !== undefined)
      this.devices.set(netdev, { ...link, altnames: link.altnames.filter((name) => name !== altname) });
  }

  async rename(names: ReadonlyMap<string, PortName>): Promise<ReadonlyMap<string, Link>> {
    await settled();
    for (const [netdev, port] of names) {
      const renamed = this.devices.get(port);
      // A kill has come after the new name.
      const link = renamed?.originalName === netdev ? renamed : this.devices.get(netdev);
      if (link === undefined || (renamed !== undefined && renamed !== link)) continue;
      this.devices.delete(netdev);
      this.devices.set(port, { ...link, name: port, altnames: [netdev], originalName: netdev });
    }
    const now = await this.observe([...names.values()]);
    return new Map([...now].filter(([, { originalName }]) => names.get(originalName ?? '') !== undefined));
  }

  async giveBackNames(devices: readonly Link[]): Promise<ReadonlyMap<string, Link>> {
    await settled();
    for (const { name, originalName } of devices) {
      const link = this.devices.get(name);
      if (link === undefined || originalName === null) continue;
      this.devices.delete(name);
      this.devices.set(originalName, { ...link, name: originalName, altnames: [], originalName: null });
    }
    return this.observe(devices.map(({ originalName }) => originalName ?? ''));
  }

  async joinBridges(bridges: ReadonlyMap<NetdevName, NetdevName>): Promise<ReadonlyMap<string, Link>> {
    await settled();
    for (const [netdev, master] of bridges) {
      const link = this.devices.get(netdev);
      if (link !== undefined) this.devices.set(netdev, { ...link, master });
    }
    return this.observe([...bridges.keys()]);
  }
}

export interface TestEngineOptions {
  readonly drift?: 'repair' | 'report';
  readonly namingMode?: NamingMode;
  readonly includePrefixes?: readonly string[];
  readonly policies?: readonly Policy[];
  readonly pools?: Pools;
  readonly switchWakes?: boolean;
}

export async function startEngine(options: TestEngineOptions = {}) {
  const ovs = new MemorySwitch('ovsbr0', 'ovsbr1');
  const clock = new FakeClock();
  const world = await engineOn({ switch: ovs, replica: () => ovs.reader, clock }, options);
  world.engine.onSwitchChanges(ovs.contents());
  ovs.onChanges = (changes) => {
    world.engine.onSwitchChanges(changes);
  };
  return { ...world, ovs, clock };
}

/** The engine on a switch and a clock of the caller's; everything else is in memory. */
export async function engineOn(
  parts: Pick<PortEngineOptions, 'switch' | 'replica' | 'clock'>,
  options: TestEngineOptions = {},
) {
  const links = new MemoryLinks();
  const configurations = new Map<Vmid, Guest>();
  const ledger = await openLedger(new MemoryLedgerStore(), { key: nodeKeys[0] });
  const events: string[] = [];
  const troubles: AgentError[] = [];
  /** Guests that Proxmox VE is working on. */
  const locked = new Set<Vmid>();
  /** Guests whose configuration cannot be read. */
  const unreadable = new Set<Vmid>();
  const saved: { bindings: unknown; listed: readonly ListedPort[] } = { bindings: null, listed: [] };
  let txns = 0;
  const engine = new PortEngine({
    ...parts,
    links,
    guests: readOneByOne({
      read: (vmid) =>
        unreadable.has(vmid)
          ? Promise.reject(new AgentError('Unavailable', `cannot read ${vmid}.conf: EIO`))
          : Promise.resolve(configurations.get(vmid) ?? null),
      list: () => Promise.resolve([...configurations.keys()].sort((a, b) => a - b)),
    }),
    guestLocks: { isLocked: ({ vmid }) => Promise.resolve(locked.has(vmid)) },
    recorder: ledger,
    listing: {
      look: () => Promise.resolve(new Map()),
      update: (ports) => {
        saved.listed = ports;
        return Promise.resolve({ state: 'present' as const, foreign: [] });
      },
    },
    bindingsStore: {
      load: () => Promise.resolve(saved.bindings),
      save: (value) => {
        saved.bindings = value;
        return Promise.resolve();
      },
    },
    host: 'pve1',
    cluster: () => cluster,
    newTxn: () => `txn${++txns}`,
    bridges: [ovsbr0, ovsbr1],
    bridgeName: ovsbr0,
    containerBridge: ovsbr1,
    policies: options.policies ?? [],
    pools: options.pools ?? { problem: null, poolOf: () => null },
    namingTemplate: 'vi_{container}',
    namingMode: options.namingMode ?? 'auto',
    includePrefixes: options.includePrefixes ?? [],
    containerNames: { nameOf: (netdev) => Promise.resolve(parseContainerName(netdev)) },
    drift: options.drift ?? 'repair',
    debounceMs: 500,
    timerMs: 60_000,
    switchWakes: options.switchWakes ?? true,
    events: {
      portAdded: (port, bridge) => events.push(`added ${port} ${bridge}`),
      portRemoved: (port) => events.push(`removed ${port}`),
      portChanged: (port, columns) => events.push(`changed ${port} ${columns.join(' ')}`),
      drift: (port, text) => events.push(`drift ${port} ${text}`),
      trouble: (error) => troubles.push(error),
    },
  });
  const configure = (guest: Guest): void => {
    configurations.set(guest.vmid, guest);
  };
  const forget = (vmid: number): void => {
    configurations.delete(parseVmid(vmid));
  };
  return { links, configure, forget, locked, unreadable, ledger, events, troubles, saved, engine };
}
