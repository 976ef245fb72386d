/** How a port gets its name. */
import { createHash } from 'node:crypto';
import { netdevNameBytesMax, nicIndex } from './names.ts';
import type { ContainerName, NetdevName, NicName, PortName, Vmid } from './names.ts';

/** `vi<vmid>` for net0, `vi<vmid>i<n>` for netN. Fits in 15 bytes for every vmid and nic. */
export function guestPortName(vmid: Vmid, nic: NicName): PortName {
  const index = nicIndex(nic);
  return (index === 0 ? `vi${vmid}` : `vi${vmid}i${index}`) as PortName;
}

/** A port name taken apart; null when it is not of the form `guestPortName` makes. */
export function parseGuestPortName(name: string): { vmid: Vmid; index: number } | null {
  const match = /^vi([1-9][0-9]{2,8})(?:i([1-9]|[12][0-9]|3[01]))?$/.exec(name);
  return match === null ? null : { vmid: Number(match[1]) as Vmid, index: Number(match[2] ?? 0) };
}

/** Order of ports everywhere: by vmid, then nic, then the others by name. */
export function comparePortNames(a: string, b: string): number {
  const left = parseGuestPortName(a);
  const right = parseGuestPortName(b);
  if (left !== null && right !== null) return left.vmid - right.vmid || left.index - right.index;
  if (left !== null || right !== null) return left === null ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * `auto`: a guest's row keeps the netdev's name, as Proxmox VE looks it up; any other device's row is the port name.
 * `alias`: always the netdev's name. `port`: always the port name, for who wants `ovs-vsctl` to say `vi100` everywhere.
 * `rename`: the netdev itself is renamed to the port name; on hosts without Proxmox VE, which would lose its devices.
 */
export const namingModes = ['auto', 'alias', 'port', 'rename'] as const;
export type NamingMode = (typeof namingModes)[number];

/** Name of the Port row; its Interface always carries the netdev's real name. */
export function portRowName(
  mode: NamingMode,
  device: { netdev: NetdevName; port: PortName; isGuest: boolean },
): string {
  switch (mode) {
    case 'auto':
      return device.isGuest ? device.netdev : device.port;
    case 'alias':
      return device.netdev;
    case 'port':
    case 'rename':
      return device.port;
  }
}

const hashDigits = 5;

/**
 * Name for a device without a vmid from `naming_template`. Lower case, anything but `[a-z0-9_]` becomes `_`; above 15
 * bytes the first 9, `_` and 5 hex digits of the whole name's SHA-256, so that long names stay apart.
 */
export function templatePortName(
  template: string,
  fields: { container: ContainerName; index: number; vmid?: Vmid },
): PortName {
  const whole = template
    .replaceAll('{container}', fields.container)
    .replaceAll('{index}', String(fields.index))
    .replaceAll('{vmid}', fields.vmid === undefined ? '' : String(fields.vmid))
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, '_');
  if (Buffer.byteLength(whole) <= netdevNameBytesMax) return whole as PortName;
  const digest = createHash('sha256').update(whole).digest('hex').slice(0, hashDigits);
  return `${whole.slice(0, netdevNameBytesMax - hashDigits - 1)}_${digest}` as PortName;
}
