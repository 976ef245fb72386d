/**
 * Which guests run, from facts that others gather. Pure.
 *
 * A container runs when LXC listens on its command socket; its unit being active only says that `lxc-start` was executed.
 * A machine runs when its scope is active or QEMU listens on its monitor.
 */
import { parseGuestUnit } from '../model/guest.ts';
import type { GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';

/** `changing`: the container's unit is active and its command socket is not there, so it is starting or ending. */
export type RunState = 'running' | 'changing' | 'stopped';

/** What systemd says of one unit. */
export interface UnitFact {
  /** `pve-container@100.service`, `pve-container-debug@100.service` or `100.scope`. */
  readonly name: string;
  readonly activeState: string;
}

export interface RunFacts {
  /** Text of `/proc/net/unix` of the host's network namespace. */
  readonly unixSockets: string;
  /** Where LXC keeps its containers, `/var/lib/lxc`: the names of the command sockets begin with it. */
  readonly lxcDir: string;
  /** Units whose name may be a guest's; others are passed over. Empty when systemd was not asked. */
  readonly units: readonly UnitFact[];
}

/** Answers the state of any guest; reads the facts once. */
export function runStates(facts: RunFacts): (guest: { kind: GuestKind; vmid: Vmid }) => RunState {
  const listening = listeningGuests(facts);
  const active = new Set(
    facts.units.flatMap(({ name, activeState }) => {
      const guest = parseGuestUnit(name);
      return guest === null || activeState === 'inactive' || activeState === 'failed' ? [] : [keyOf(guest)];
    }),
  );
  return (guest) => {
    const key = keyOf(guest);
    if (listening.has(key)) return 'running';
    if (!active.has(key)) return 'stopped';
    return guest.kind === 'qemu' ? 'running' : 'changing';
  };
}

/** proc(5): `Num RefCount Protocol Flags Type St Inode Path`; bit 16 of the flags says that somebody accepts there. */
function listeningGuests({ unixSockets, lxcDir }: RunFacts): Set<string> {
  const guests = new Set<string>();
  for (const line of unixSockets.split('\n')) {
    const [, flags = '', path = ''] = /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]+) [0-9A-F]+ [0-9A-F]+ +\d+ (.+)$/.exec(line) ?? []; // prettier-ignore
    if ((parseInt(flags, 16) & 0x10000) === 0) continue;
    const container = path.startsWith(`@${lxcDir}/`)
      ? /^([1-9][0-9]{2,8})\/command$/.exec(path.slice(lxcDir.length + 2))?.[1]
      : undefined;
    const machine = /^\/(?:var\/)?run\/qemu-server\/([1-9][0-9]{2,8})\.qmp$/.exec(path)?.[1];
    if (container !== undefined) guests.add(`lxc ${container}`);
    else if (machine !== undefined) guests.add(`qemu ${machine}`);
  }
  return guests;
}

function keyOf({ kind, vmid }: { kind: GuestKind; vmid: Vmid }): string {
  return `${kind} ${vmid}`;
}
