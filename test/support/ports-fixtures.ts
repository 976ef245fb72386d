/** Guests, wanted ports and rows for the tests of the port engine. */
import { firewallBridgeName, guestNetdevName } from '../../src/model/guest.ts';
import type { Guest, GuestKind, GuestNic } from '../../src/model/guest.ts';
import {
  nicNameOf,
  parseBridgeName,
  parseNetdevName,
  parsePortName,
  parseVlanTag,
  parseVmid,
} from '../../src/model/names.ts';
import type { BridgeName } from '../../src/model/names.ts';
import { guestPortName, portRowName } from '../../src/model/naming.ts';
import type { NamingMode } from '../../src/model/naming.ts';
import { vlanModeOf } from '../../src/model/port.ts';
import type { ObservedPort, WantedPort } from '../../src/model/port.ts';
import type { Cause, Link } from '../../src/ports/contracts.ts';
import { foreignPortColumns } from '../../src/ports/foreign-columns.ts';
import { fieldsFingerprint, interfaceMarks, markKeys, portMarks } from '../../src/ports/marks.ts';

export const ovsbr0 = parseBridgeName('ovsbr0');
export const ovsbr1 = parseBridgeName('ovsbr1');
export const managed: ReadonlySet<BridgeName> = new Set([ovsbr0, ovsbr1]);
export const cluster = 'cluster1';
export const cause: Cause = { cause: 'test', user: 'root', uid: 0 };

export interface NicOptions {
  readonly bridge?: string | null;
  readonly tag?: number;
  readonly trunks?: readonly number[];
  readonly firewall?: boolean;
  readonly linkDown?: boolean;
}

/** A guest with one nic for each entry. */
export function guestOf(vmid: number, nics: readonly NicOptions[] = [{}], kind: GuestKind = 'lxc'): Guest {
  return {
    kind,
    vmid: parseVmid(vmid),
    name: `guest${vmid}`,
    tags: [],
    nics: nics.map((options, index) => nicOf(index, options)),
  };
}

function nicOf(
  index: number,
  { bridge = 'ovsbr0', tag, trunks = [], firewall = false, linkDown = false }: NicOptions,
): GuestNic {
  return {
    nic: nicNameOf(index),
    bridge: bridge === null ? null : parseBridgeName(bridge),
    tag: tag === undefined ? null : parseVlanTag(tag),
    trunks: trunks.map(parseVlanTag),
    firewall,
    linkDown,
    mac: null,
  };
}

/** The port of a container's nic. */
export function wantedOf(
  vmid: number,
  index = 0,
  {
    bridge = 'ovsbr0',
    tag,
    trunks = [],
    firewall = false,
    mtu = null,
    mode = 'auto',
  }: NicOptions & { readonly mtu?: number | null; readonly mode?: NamingMode } = {},
): WantedPort {
  const netdev = guestNetdevName({ kind: 'lxc', vmid: parseVmid(vmid) }, index, firewall);
  const nic = nicNameOf(index);
  const port = guestPortName(parseVmid(vmid), nic);
  return {
    port,
    netdev,
    owner: { kind: 'lxc', vmid: parseVmid(vmid), nic, name: `guest${vmid}` },
    bridge: parseBridgeName(bridge ?? 'ovsbr0'),
    tag: tag === undefined ? null : parseVlanTag(tag),
    trunks: trunks.map(parseVlanTag),
    mirrorTo: null,
    mtu,
    rowName: portRowName(mode, { netdev, port, isGuest: true }),
    mac: null,
    firewallBridge: firewall ? firewallBridgeName(parseVmid(vmid), index) : null,
  };
}

/** The port of a device that was handed over by name. */
export function boundOf(
  netdev: string,
  port: string,
  bridge = 'ovsbr0',
  vmid: number | null = null,
  mode: NamingMode = 'auto',
): WantedPort {
  const names = { port: parsePortName(port), netdev: parseNetdevName(netdev) };
  return {
    ...names,
    owner: { kind: 'binding', vmid: vmid === null ? null : parseVmid(vmid), container: null },
    bridge: parseBridgeName(bridge),
    tag: null,
    trunks: [],
    mirrorTo: null,
    mtu: null,
    rowName: portRowName(mode, { ...names, isGuest: false }),
    mac: null,
    firewallBridge: null,
  };
}

let rows = 0;

/** A row that somebody plugged, without marks. */
export function rowOf(rowName: string, more: Partial<ObservedPort> = {}): ObservedPort {
  const count = String(++rows).padStart(12, '0');
  return {
    portUuid: `00000000-0000-4000-8000-${count}`,
    interfaceUuid: `00000000-0000-4000-8001-${count}`,
    rowName,
    netdev: rowName,
    bridge: ovsbr0,
    tag: null,
    trunks: [],
    vlanMode: null,
    portIds: new Map(),
    interfaceIds: new Map(),
    foreignColumns: [],
    unwrittenColumns: Object.keys(foreignPortColumns),
    ofport: 1,
    error: null,
    ...more,
  };
}

/** The row that stands when Proxmox VE has plugged a wanted port and the agent has adopted it. */
export function markedRowOf(wanted: WantedPort, more: Partial<ObservedPort> = {}): ObservedPort {
  return rowOf(wanted.rowName, {
    netdev: wanted.netdev,
    bridge: wanted.bridge,
    tag: wanted.tag,
    trunks: wanted.trunks,
    vlanMode: vlanModeOf(wanted),
    portIds: portMarks(wanted),
    interfaceIds: interfaceMarks(wanted, cluster),
    ...more,
  });
}

/** The row that stands when the agent has attached a wanted port itself. */
export function attachedRowOf(wanted: WantedPort, more: Partial<ObservedPort> = {}): ObservedPort {
  return markedRowOf(wanted, {
    portIds: new Map([...portMarks(wanted), [markKeys.fields, fieldsFingerprint(wanted)]]),
    ...more,
  });
}

export function linkOf(name: string, master: string | null = null, ...altnames: string[]): Link {
  return { name, master, altnames, originalName: null, mtu: 1500, peerElsewhere: false };
}

export function linksOf(...links: (string | Link)[]): Map<string, Link> {
  return new Map(links.map((link) => (typeof link === 'string' ? [link, linkOf(link)] : [link.name, link])));
}
