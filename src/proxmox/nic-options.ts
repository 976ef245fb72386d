/** Every option of a `netN`, of containers and machines, as far as it is known; what is not known is named. */
import { AgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import { parseBridgeName, parseVlanTag, quote } from '../model/names.ts';
import type { BridgeName, VlanTag } from '../model/names.ts';
import { parseProperties } from './property-string.ts';

export interface NicOptions {
  /** null: Proxmox VE does not plug the nic. */
  readonly bridge: BridgeName | null;
  readonly tag: VlanTag | null;
  /** Ascending, each once. */
  readonly trunks: readonly VlanTag[];
  readonly firewall: boolean;
  readonly linkDown: boolean;
  /** Lower-case, colons. */
  readonly mac: string | null;
  /** Of a machine's card, `virtio` mostly. */
  readonly model: string | null;
  /** Of a container's card, as seen inside: `eth0`. */
  readonly name: string | null;
  /** In bytes; 1 means that of the bridge. */
  readonly mtu: number | null;
  /** In megabytes per second. */
  readonly rate: number | null;
  /** Packet queues of a machine's card. */
  readonly queues: number | null;
  /** `dhcp`, `manual`, `auto` or an address with its prefix length, as written; a container's alone. */
  readonly ip: string | null;
  readonly gw: string | null;
  readonly ip6: string | null;
  readonly gw6: string | null;
  /** The host configures the container's address, not the container (Proxmox VE 9). */
  readonly hostManaged: boolean;
  /** Keys that this program does not know, in their order. They are kept, and change nothing here. */
  readonly unknown: readonly string[];
}

const sharedKeys = ['bridge', 'firewall', 'link_down', 'mtu', 'rate', 'tag', 'trunks'];
const knownKeys: Readonly<Record<GuestKind, ReadonlySet<string>>> = {
  lxc: new Set([...sharedKeys, 'gw', 'gw6', 'host-managed', 'hwaddr', 'ip', 'ip6', 'name', 'type']),
  qemu: new Set([...sharedKeys, 'macaddr', 'model', 'queues']),
};

/** Throws `InvalidArgument` for a value with which Proxmox VE could not plug the nic either. */
export function parseNicOptions(kind: GuestKind, text: string): NicOptions {
  const options = new Map<string, string>();
  let model: string | null = null;
  let mac: string | null = null;
  const unknown: string[] = [];
  for (const { key, value } of parseProperties(text)) {
    // A machine's card may be a bare model (`virtio`) when Proxmox VE has not chosen a MAC yet.
    if (key === null && kind === 'qemu' && model === null) model = value;
    else if (key === null) unknown.push(value);
    else if (options.has(key)) throw invalid(key, value, 'it is given twice');
    else {
      options.set(key, value);
      if (knownKeys[kind].has(key)) continue;
      if (kind === 'qemu' && isMac(value)) {
        if (mac !== null) throw invalid(key, value, 'the card has a model already');
        [model, mac] = [key, value];
      } else unknown.push(key);
    }
  }
  const own = options.get(kind === 'lxc' ? 'hwaddr' : 'macaddr');
  const bridge = options.get('bridge');
  const tag = options.get('tag');
  const onlyOf = (wanted: GuestKind, key: string): string | null =>
    kind === wanted ? (options.get(key) ?? null) : null;
  return {
    bridge: bridge === undefined ? null : parseBridgeName(bridge),
    tag: tag === undefined ? null : parseVlanTag(tag),
    trunks: parseTrunks(options.get('trunks')),
    firewall: parseFlag('firewall', options.get('firewall')),
    linkDown: parseFlag('link_down', options.get('link_down')),
    mac: (mac ?? (own !== undefined && isMac(own) ? own : null))?.toLowerCase() ?? null,
    model: model ?? onlyOf('qemu', 'model'),
    name: onlyOf('lxc', 'name'),
    mtu: readNumber(options.get('mtu')),
    rate: readNumber(options.get('rate')),
    queues: readNumber(onlyOf('qemu', 'queues') ?? undefined),
    ip: onlyOf('lxc', 'ip'),
    gw: onlyOf('lxc', 'gw'),
    ip6: onlyOf('lxc', 'ip6'),
    gw6: onlyOf('lxc', 'gw6'),
    hostManaged: kind === 'lxc' && parseFlag('host-managed', options.get('host-managed')),
    unknown,
  };
}

/** As Proxmox VE reads booleans, in files and in lists of options; null for anything else. */
export function readBoolean(value: string): boolean | null {
  if (/^(?:1|on|yes|true)$/i.test(value)) return true;
  return /^(?:0|off|no|false)$/i.test(value) ? false : null;
}

function parseFlag(key: string, value: string | undefined): boolean {
  if (value === undefined) return false;
  const flag = readBoolean(value);
  if (flag === null) throw invalid(key, value, 'expected 0 or 1');
  return flag;
}

/** `10;20;30-32`, as Proxmox VE writes it; ascending, each once. Throws `InvalidArgument`. */
export function parseTrunks(value: string | undefined): VlanTag[] {
  if (value === undefined) return [];
  const tags = new Set<VlanTag>();
  for (const part of value.split(';')) {
    const [first = '', last = first, rest] = part.split('-');
    const from = parseVlanTag(first);
    const to = parseVlanTag(last);
    if (rest !== undefined || to < from) throw invalid('trunks', value, 'expected VLAN tags and ranges of them');
    for (let tag: number = from; tag <= to; tag++) tags.add(tag as VlanTag);
  }
  return [...tags].sort((a, b) => a - b);
}

/** The port does not depend on it: what is no number is left to Proxmox VE. */
function readNumber(value: string | undefined): number | null {
  return value !== undefined && /^\d{1,9}(?:\.\d{1,9})?$/.test(value) ? Number(value) : null;
}

function isMac(text: string): boolean {
  return /^(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/.test(text);
}

function invalid(key: string, value: string, why: string): AgentError {
  return new AgentError('InvalidArgument', `${key}=${quote(value)} is not valid: ${why}`);
}
