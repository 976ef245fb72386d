/**
 * The replica of the switch, seen as ports. Look-ups by netdev, row and guest go through indexes that are filled by the
 * replica's events and checked when read: a set that shrank in place leaves an index entry behind, never a wrong answer.
 */
import { parseGuestNetdev } from '../model/guest.ts';
import type { BridgeName, Vmid } from '../model/names.ts';
import type { ObservedMirror } from '../model/mirror.ts';
import type { ObservedPort } from '../model/port.ts';
import type { ReplicaReader, RowChange } from '../ovsdb/replica.ts';
import { foreignColumnNames, foreignColumnsOf, foreignPortColumns } from './foreign-columns.ts';
import type { ForeignColumn } from './foreign-columns.ts';
import { markKeys, ownerMark } from './marks.ts';

/** Tables and columns that the engine reads, with the values they have when a schema lacks them. */
export const switchTables = {
  Open_vSwitch: { cur_cfg: 0, next_cfg: 0, ovs_version: null as string | null },
  Bridge: {
    name: '',
    ports: new Set<string>() as ReadonlySet<string>,
    mirrors: new Set<string>() as ReadonlySet<string>,
    datapath_type: '',
  },
  Port: {
    name: '',
    interfaces: new Set<string>() as ReadonlySet<string>,
    tag: null as number | null,
    trunks: new Set<number>() as ReadonlySet<number>,
    vlan_mode: null as string | null,
    external_ids: new Map<string, string>() as ReadonlyMap<string, string>,
    ...foreignPortColumns,
  },
  Interface: {
    name: '',
    ofport: null as number | null,
    error: null as string | null,
    external_ids: new Map<string, string>() as ReadonlyMap<string, string>,
  },
  Mirror: {
    name: '',
    select_all: false as boolean,
    select_src_port: new Set<string>() as ReadonlySet<string>,
    select_dst_port: new Set<string>() as ReadonlySet<string>,
    select_vlan: new Set<number>() as ReadonlySet<number>,
    output_port: null as string | null,
    output_vlan: null as number | null,
    external_ids: new Map<string, string>() as ReadonlyMap<string, string>,
  },
};
export type SwitchTables = typeof switchTables;
export type SwitchChange = RowChange<SwitchTables>;

export interface Touched {
  readonly vmids: Set<Vmid>;
  /** Port rows. */
  readonly ports: Set<string>;
  /** Names of Port and Interface rows. */
  readonly names: Set<string>;
}

export class SwitchView {
  readonly #reader: () => ReplicaReader<SwitchTables>;
  readonly #interfaceByName = new Map<string, string>();
  readonly #portByName = new Map<string, string>();
  readonly #portOfInterface = new Map<string, string>();
  readonly #portsOfVmid = new Map<Vmid, Set<string>>();
  /** By Port row, as long as neither it nor its Interface changes. */
  readonly #observed = new Map<string, ObservedPort>();
  #generation = 0;
  #foreignColumnsKnown: {
    readonly reader: ReplicaReader<SwitchTables>;
    readonly names: readonly ForeignColumn[];
  } | null = null;

  /** `reader` is asked anew each time: a reconnect replaces the replica. */
  constructor(reader: () => ReplicaReader<SwitchTables>) {
    this.#reader = reader;
  }

  /** Another number whenever rows of bridges, ports or interfaces have changed. */
  get generation(): number {
    return this.#generation;
  }

  /** Feed every change here before reading. Returns what it may have touched. */
  apply(changes: readonly SwitchChange[]): Touched {
    const touched: Touched = { vmids: new Set(), ports: new Set(), names: new Set() };
    if (changes.some(({ table }) => table !== 'Open_vSwitch')) this.#generation++;
    for (const change of changes) {
      if (isTable(change, 'Port')) {
        this.#applyPort(change, touched);
      } else if (isTable(change, 'Interface')) {
        const { name } = change.row;
        touched.names.add(name);
        this.#observed.delete(this.#portOfInterface.get(change.uuid) ?? '');
        if (change.kind === 'delete') {
          if (this.#interfaceByName.get(name) === change.uuid) this.#interfaceByName.delete(name);
          this.#portOfInterface.delete(change.uuid);
        } else {
          this.#interfaceByName.set(name, change.uuid);
          const port = this.#portOfInterface.get(change.uuid);
          if (port !== undefined) touched.ports.add(port);
        }
        const guest = parseGuestNetdev(name);
        if (guest !== null) touched.vmids.add(guest.vmid);
      }
    }
    return touched;
  }

  #applyPort(change: RowChange<SwitchTables, 'Port'>, touched: Touched): void {
    const vmid = vmidOfRow(change.row);
    touched.ports.add(change.uuid);
    this.#observed.delete(change.uuid);
    touched.names.add(change.row.name);
    if (vmid !== null) touched.vmids.add(vmid);
    if (change.kind === 'delete') {
      if (this.#portByName.get(change.row.name) === change.uuid) this.#portByName.delete(change.row.name);
      if (vmid !== null) this.#portsOfVmid.get(vmid)?.delete(change.uuid);
      return;
    }
    this.#portByName.set(change.row.name, change.uuid);
    for (const uuid of change.row.interfaces) this.#portOfInterface.set(uuid, change.uuid);
    if (vmid === null) return;
    const known = this.#portsOfVmid.get(vmid);
    if (known === undefined) this.#portsOfVmid.set(vmid, new Set([change.uuid]));
    else known.add(change.uuid);
  }

  /** `cur_cfg`: the last configuration that `ovs-vswitchd` has finished applying (ovs-vswitchd.conf.db(5)). */
  get curCfg(): number {
    return this.#openVswitch?.cur_cfg ?? 0;
  }

  /** `next_cfg`: what `cur_cfg` has to reach for every change so far to be applied. */
  get nextCfg(): number {
    return this.#openVswitch?.next_cfg ?? 0;
  }

  get ovsVersion(): string | null {
    return this.#openVswitch?.ovs_version ?? null;
  }

  get #openVswitch(): SwitchTables['Open_vSwitch'] | undefined {
    return [...this.#reader().table('Open_vSwitch').values()][0];
  }

  bridges(): { uuid: string; name: BridgeName; ports: number; datapathType: string }[] {
    return [...this.#reader().table('Bridge')]
      .map(([uuid, row]) => ({
        uuid,
        name: row.name as BridgeName,
        ports: row.ports.size,
        datapathType: row.datapath_type === '' ? 'system' : row.datapath_type,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  bridgeUuid(name: string): string | null {
    for (const [uuid, row] of this.#reader().table('Bridge')) if (row.name === name) return uuid;
    return null;
  }

  /** The port whose Interface is named after this netdev. */
  byNetdev(netdev: string): ObservedPort | null {
    const uuid = this.#interfaceByName.get(netdev);
    const port = uuid === undefined ? undefined : this.#portOfInterface.get(uuid);
    const observed = port === undefined ? null : this.byUuid(port);
    return observed?.netdev === netdev ? observed : null;
  }

  /** The name of the Port row that holds this netdev together with others: a bond. */
  bondOf(netdev: string): string | null {
    const uuid = this.#interfaceByName.get(netdev);
    const port = uuid === undefined ? undefined : this.#portOfInterface.get(uuid);
    const row = port === undefined ? undefined : this.#reader().table('Port').get(port);
    return uuid !== undefined && row !== undefined && row.interfaces.size > 1 && row.interfaces.has(uuid)
      ? row.name
      : null;
  }

  byRowName(name: string): ObservedPort | null {
    const uuid = this.#portByName.get(name);
    return uuid === undefined ? null : this.byUuid(uuid);
  }

  /** Whether any Port row has this name, also one that holds a bond. */
  hasRowName(name: string): boolean {
    const uuid = this.#portByName.get(name);
    return uuid !== undefined && this.#reader().table('Port').get(uuid)?.name === name;
  }

  ofVmid(vmid: Vmid): ObservedPort[] {
    return [...(this.#portsOfVmid.get(vmid) ?? [])].flatMap((uuid) => {
      const observed = this.byUuid(uuid);
      const row = this.#reader().table('Port').get(uuid);
      return observed !== null && row !== undefined && vmidOfRow(row) === vmid ? [observed] : [];
    });
  }

  /** Every port with exactly one Interface that sits on one of these bridges. */
  onBridges(bridges: ReadonlySet<string>): ObservedPort[] {
    const ports: ObservedPort[] = [];
    for (const row of this.#reader().table('Bridge').values()) {
      if (!bridges.has(row.name)) continue;
      for (const uuid of row.ports) {
        const observed = this.#observe(uuid, row.name as BridgeName);
        if (observed !== null) ports.push(observed);
      }
    }
    return ports;
  }

  byUuid(uuid: string): ObservedPort | null {
    // Bridges are few: asking each is cheaper than an index that every change of a bridge would have to walk.
    for (const bridge of this.#reader().table('Bridge').values()) {
      if (bridge.ports.has(uuid)) return this.#observe(uuid, bridge.name as BridgeName);
    }
    return null;
  }

  /** Every Mirror of these bridges, whoever made it. */
  mirrorsOn(bridges: ReadonlySet<string>): ObservedMirror[] {
    return [...this.#reader().table('Bridge').values()].flatMap(({ name, mirrors }) =>
      bridges.has(name) ? [...mirrors].flatMap((uuid) => this.#observeMirror(uuid, name as BridgeName) ?? []) : [],
    );
  }

  mirrorByUuid(uuid: string): ObservedMirror | null {
    for (const bridge of this.#reader().table('Bridge').values()) {
      if (bridge.mirrors.has(uuid)) return this.#observeMirror(uuid, bridge.name as BridgeName);
    }
    return null;
  }

  #observeMirror(uuid: string, bridge: BridgeName): ObservedMirror | null {
    const row = this.#reader().table('Mirror').get(uuid);
    if (row === undefined) return null;
    return {
      uuid,
      name: row.name,
      bridge,
      selectAll: row.select_all,
      selectSrcPort: [...row.select_src_port].sort(),
      selectDstPort: [...row.select_dst_port].sort(),
      selectVlan: [...row.select_vlan].sort((a, b) => a - b),
      outputPort: row.output_port,
      outputVlan: row.output_vlan,
      ids: row.external_ids,
    };
  }

  /** Those that the schema has. The same array as long as the replica is the same: each row refers to it. */
  get #foreignColumns(): readonly ForeignColumn[] {
    const reader = this.#reader();
    if (this.#foreignColumnsKnown?.reader !== reader) {
      const names = foreignColumnNames.filter((name) => reader.hasColumn('Port', name));
      this.#foreignColumnsKnown = { reader, names };
    }
    return this.#foreignColumnsKnown.names;
  }

  #observe(portUuid: string, bridge: BridgeName): ObservedPort | null {
    const known = this.#observed.get(portUuid);
    if (known?.bridge === bridge) return known;
    const observed = this.#read(portUuid, bridge);
    if (observed !== null) this.#observed.set(portUuid, observed);
    return observed;
  }

  #read(portUuid: string, bridge: BridgeName): ObservedPort | null {
    const port = this.#reader().table('Port').get(portUuid);
    const [interfaceUuid, another] = port?.interfaces ?? [];
    const row = interfaceUuid === undefined ? undefined : this.#reader().table('Interface').get(interfaceUuid);
    if (port === undefined || interfaceUuid === undefined || row === undefined || another !== undefined) return null;
    return {
      portUuid,
      interfaceUuid,
      rowName: port.name,
      netdev: row.name,
      bridge,
      tag: port.tag,
      trunks: [...port.trunks].sort((a, b) => a - b),
      vlanMode: port.vlan_mode,
      portIds: port.external_ids,
      interfaceIds: row.external_ids,
      ...foreignColumnsOf(port, this.#foreignColumns),
      ofport: row.ofport,
      error: row.error,
    };
  }
}

/** The guest a Port row belongs to: by Proxmox's name pattern, or by our own mark. */
function vmidOfRow(row: SwitchTables['Port']): Vmid | null {
  const guest = parseGuestNetdev(row.name);
  if (guest !== null) return guest.vmid;
  const marked = row.external_ids.get(markKeys.owner) === ownerMark ? row.external_ids.get(markKeys.vmId) : undefined;
  return marked !== undefined && /^[1-9][0-9]{2,8}$/.test(marked) ? (Number(marked) as Vmid) : null;
}

export function isTable<Name extends keyof SwitchTables>(
  change: SwitchChange,
  name: Name,
): change is RowChange<SwitchTables, Name> & SwitchChange {
  return change.table === name;
}
