/**
 * Reads what ports need from a guest's configuration file (`/etc/pve/lxc/<vmid>.conf`, `/etc/pve/qemu-server/<vmid>.conf`).
 * Only the lines before the first section count: `[pve:pending]` is not in force yet, and every other section is a snapshot.
 */
import { AgentError } from '../model/errors.ts';
import type { Guest, GuestKind, GuestNic } from '../model/guest.ts';
import { nicIndex, parseBridgeName, parseNicName, parseVlanTag, quote } from '../model/names.ts';
import type { VlanTag, Vmid } from '../model/names.ts';

export interface GuestConfig {
  readonly guest: Guest;
  /** One sentence for each line that was passed over, at most `problemsMax` and one; the rest of the file still counts. */
  readonly problems: readonly string[];
}

/** A file that is nothing but garbage is one problem to its reader, not as many as it has lines. */
const problemsMax = 20;

/** Total: any text gives a guest, what could not be understood is named in `problems`. */
export function parseGuestConfig(kind: GuestKind, vmid: Vmid, text: string): GuestConfig {
  const nics: GuestNic[] = [];
  const problems: string[] = [];
  let name = '';
  let tags: string[] = [];
  const nameKey = kind === 'lxc' ? 'hostname' : 'name';
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\[[A-Za-z][A-Za-z0-9_:-]*\]\s*$/.test(line)) break;
    // Proxmox VE also takes `lxc.key = value`, the spelling of LXC itself.
    const match = /^([A-Za-z][A-Za-z0-9_.-]*):\s*(.*?)\s*$/.exec(line);
    if (match === null) {
      if (line.trim() !== '' && !line.startsWith('#') && !/^lxc\.[a-z0-9_.-]+\s*=/.test(line))
        problems.push(`line ${index + 1} is not "key: value": ${quote(line)}`);
      continue;
    }
    const [, key = '', value = ''] = match;
    if (key === nameKey) name = value;
    else if (key === 'tags') tags = value.split(/[;,\s]+/).filter((tag) => tag !== '');
    else if (/^net\d+$/.test(key)) {
      try {
        nics.push(parseNic(kind, key, value));
      } catch (error) {
        problems.push(`line ${index + 1}: ${key}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  nics.sort((a, b) => nicIndex(a.nic) - nicIndex(b.nic));
  const more = problems.length - problemsMax;
  const shown = more > 0 ? [...problems.slice(0, problemsMax), `and ${more} more such lines`] : problems;
  return { guest: { kind, vmid, name, tags, nics }, problems: shown };
}

function parseNic(kind: GuestKind, key: string, value: string): GuestNic {
  const options = new Map<string, string>();
  for (const part of value.split(',')) {
    const at = part.indexOf('=');
    // A machine's card may be a bare model (`virtio`) when Proxmox has not chosen a MAC yet.
    options.set(at < 0 ? part : part.slice(0, at), at < 0 ? '' : part.slice(at + 1));
  }
  const bridge = options.get('bridge');
  const tag = options.get('tag');
  return {
    nic: parseNicName(key),
    bridge: bridge === undefined ? null : parseBridgeName(bridge),
    tag: tag === undefined ? null : parseVlanTag(tag),
    trunks: parseTrunks(options.get('trunks')),
    firewall: parseFlag('firewall', options.get('firewall')),
    linkDown: parseFlag('link_down', options.get('link_down')),
    mac: findMac(kind, options),
  };
}

/** `trunks=10;20;30-32`, as Proxmox writes it. */
function parseTrunks(value: string | undefined): VlanTag[] {
  if (value === undefined) return [];
  const tags = new Set<VlanTag>();
  for (const part of value.split(';')) {
    const [first = '', last = first, rest] = part.split('-');
    const from = parseVlanTag(first);
    const to = parseVlanTag(last);
    if (rest !== undefined || to < from) throw new AgentError('InvalidArgument', `trunks=${quote(value)} is not valid`);
    for (let tag: number = from; tag <= to; tag++) tags.add(tag as VlanTag);
  }
  return [...tags].sort((a, b) => a - b);
}

function parseFlag(key: string, value: string | undefined): boolean {
  if (value === undefined || value === '0') return false;
  if (value === '1') return true;
  throw new AgentError('InvalidArgument', `${key}=${quote(value)} is not valid: expected 0 or 1`);
}

/** A container says `hwaddr=MAC`; a machine says `<model>=MAC`. */
function findMac(kind: GuestKind, options: Map<string, string>): string | null {
  const isMac = (text: string | undefined): boolean =>
    text !== undefined && /^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/.test(text);
  const mac = kind === 'lxc' ? options.get('hwaddr') : [...options.values()].find(isMac);
  return isMac(mac) && mac !== undefined ? mac.toLowerCase() : null;
}
