/** A port as it is wanted and as it is. Pure data, shared by the planner, the switch adapter and the faces. */
import type { GuestKind } from './guest.ts';
import type { BridgeName, ContainerName, NetdevName, NicName, PortName, VlanTag, Vmid } from './names.ts';

/** Whose a port is. */
export type PortOwner =
  | { readonly kind: GuestKind; readonly vmid: Vmid; readonly nic: NicName; readonly name: string }
  /** A device that was handed over by an API call, kept in the bindings. */
  | { readonly kind: 'binding'; readonly vmid: Vmid | null; readonly container: ContainerName | null };

export interface WantedPort {
  readonly port: PortName;
  readonly netdev: NetdevName;
  readonly owner: PortOwner;
  readonly bridge: BridgeName;
  readonly tag: VlanTag | null;
  readonly trunks: readonly VlanTag[];
  /** The port that gets a copy of its packets, by a policy. */
  readonly mirrorTo: PortName | null;
  /** `mtu_request` in bytes, the bridge's own as Proxmox VE asks for; null when not known. */
  readonly mtu: number | null;
  /** Name of the Port row: the netdev's for what Proxmox plugs, the port name for every other device. */
  readonly rowName: string;
  /** Lower-case, colons; null when not known. */
  readonly mac: string | null;
  /** Set for a `fwln`: an OVS internal port, made by its row, that belongs into this Linux bridge. */
  readonly firewallBridge: NetdevName | null;
}

/** The Port row that holds a device, with its only Interface. A bond or a row with more Interfaces is never a guest's. */
export interface ObservedPort {
  readonly portUuid: string;
  readonly interfaceUuid: string;
  readonly rowName: string;
  readonly netdev: string;
  readonly bridge: BridgeName;
  readonly tag: number | null;
  readonly trunks: readonly number[];
  readonly vlanMode: string | null;
  readonly portIds: ReadonlyMap<string, string>;
  readonly interfaceIds: ReadonlyMap<string, string>;
  /** Columns of the Port row that somebody has written and neither Proxmox VE nor the agent ever does; sorted. */
  readonly foreignColumns: readonly string[];
  /** Columns of that kind that this switch's schema has and nobody has written in this row. */
  readonly unwrittenColumns: readonly string[];
  /** null until Open vSwitch has applied the row; -1 when it could not. */
  readonly ofport: number | null;
  /** Open vSwitch's own message about the Interface. */
  readonly error: string | null;
}

/** `vlan_mode` that goes with a tag and trunks, as Proxmox VE sets it. */
export function vlanModeOf(port: { tag: VlanTag | null; trunks: readonly VlanTag[] }): 'native-untagged' | null {
  return port.tag !== null && port.trunks.length > 0 ? 'native-untagged' : null;
}
