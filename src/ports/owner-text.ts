/** Whose a row is, in words. */
import { guestLabel, parseGuestNetdev } from '../model/guest.ts';
import type { Guest } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import type { ObservedPort } from '../model/port.ts';

type GuestOf = (vmid: Vmid) => Guest | null;

/** `CT 100 net0 web01`; null for a device that is no guest's. */
export function ownerOfRow(row: ObservedPort, guestOf: GuestOf): string | null {
  const parsed = parseGuestNetdev(row.netdev);
  if (parsed === null) return null;
  const guest = guestOf(parsed.vmid);
  const kind = guest?.kind ?? (parsed.kind === 'tap' ? 'qemu' : 'lxc');
  return `${guestLabel({ kind, vmid: parsed.vmid })} net${parsed.index} ${guest?.name ?? ''}`.trimEnd();
}

/** The same with the device, as the managed block says it: `CT 100 net0 (veth100i0) web01`, or `(eth7)`. */
export function ownerText(row: ObservedPort, guestOf: GuestOf): string {
  const owner = ownerOfRow(row, guestOf);
  if (owner === null) return `(${row.netdev})`;
  const [label = '', vmid = '', nic = '', ...name] = owner.split(' ');
  return [label, vmid, nic, `(${row.netdev})`, ...name].join(' ');
}
