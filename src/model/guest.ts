/** What a guest's configuration says, as far as ports are concerned. */
import type { BridgeName, NetdevName, NicName, VlanTag, Vmid } from './names.ts';

/** `lxc` is a container (CT), `qemu` a virtual machine (VM). */
export type GuestKind = 'lxc' | 'qemu';

/** One `netN` of a guest's configuration. A nic is neither a netdev nor a Port. */
export interface GuestNic {
  readonly nic: NicName;
  /** null when the configuration names no bridge: Proxmox then does not plug the nic. */
  readonly bridge: BridgeName | null;
  readonly tag: VlanTag | null;
  readonly trunks: readonly VlanTag[];
  /** Behind the Proxmox firewall: the OVS port is `fwln<vmid>o<n>`, not the guest's own netdev. */
  readonly firewall: boolean;
  readonly linkDown: boolean;
  /** Lower-case, colons; null when the configuration has none. */
  readonly mac: string | null;
}

export interface Guest {
  readonly kind: GuestKind;
  readonly vmid: Vmid;
  /** `hostname` of a container, `name` of a machine; empty when the configuration has none. */
  readonly name: string;
  /** As Proxmox VE has them, in the order of the file. */
  readonly tags: readonly string[];
  readonly nics: readonly GuestNic[];
}

/** `CT` or `VM`, the words Proxmox VE uses before a vmid. */
export function guestLabel(guest: { kind: GuestKind; vmid: Vmid }): string {
  return `${guest.kind === 'lxc' ? 'CT' : 'VM'} ${guest.vmid}`;
}

/** The netdev of a guest's nic that Open vSwitch sees, by Proxmox's patterns. */
export function guestNetdevName(
  guest: { kind: GuestKind; vmid: Vmid },
  nicNumber: number,
  firewall: boolean,
): NetdevName {
  if (firewall) return `fwln${guest.vmid}o${nicNumber}` as NetdevName;
  return `${guest.kind === 'lxc' ? 'veth' : 'tap'}${guest.vmid}i${nicNumber}` as NetdevName;
}

/** The Linux bridge in which the Proxmox firewall holds a guest's own netdev and its `fwln`. */
export function firewallBridgeName(vmid: Vmid, nicNumber: number): NetdevName {
  return `fwbr${vmid}i${nicNumber}` as NetdevName;
}

export type GuestDeviceKind = 'veth' | 'tap' | 'fwln';

/** A netdev name taken apart by Proxmox's patterns; null when it is not a guest's. */
export function parseGuestNetdev(name: string): { kind: GuestDeviceKind; vmid: Vmid; index: number } | null {
  const match = /^(?:(veth|tap)([1-9][0-9]{2,8})i|(fwln)([1-9][0-9]{2,8})o)([0-9]|[12][0-9]|3[01])$/.exec(name);
  if (match === null) return null;
  return {
    kind: (match[1] ?? match[3]) as GuestDeviceKind,
    vmid: Number(match[2] ?? match[4]) as Vmid,
    index: Number(match[5]),
  };
}

/**
 * The units in which a guest runs: a container in its service, or in the one for `pct start --debug`; a machine in a scope
 * that nobody can start by its name. Without wildcards; the first is the usual one.
 */
export function guestUnitNames({ kind, vmid }: { kind: GuestKind; vmid: Vmid }): readonly [string, ...string[]] {
  return kind === 'lxc' ? [`pve-container@${vmid}.service`, `pve-container-debug@${vmid}.service`] : [`${vmid}.scope`];
}

/** The guest that a unit runs; null for every other unit. `lxc@100.service` is how LXC runs one without Proxmox VE. */
export function parseGuestUnit(name: string): { kind: GuestKind; vmid: Vmid } | null {
  const [, container, machine] =
    /^(?:(?:pve-container(?:-debug)?|lxc)@([1-9][0-9]{2,8})\.service|([1-9][0-9]{2,8})\.scope)$/.exec(name) ?? [];
  if (container !== undefined) return { kind: 'lxc', vmid: Number(container) as Vmid };
  return machine === undefined ? null : { kind: 'qemu', vmid: Number(machine) as Vmid };
}
