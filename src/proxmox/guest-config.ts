/**
 * What a guest's configuration file says (`/etc/pve/lxc/<vmid>.conf`, `/etc/pve/qemu-server/<vmid>.conf`): its nics for
 * ports, and the facts that decide whether it may be started, changed or hooked. Only the section in force counts.
 */
import { toAgentError } from '../model/errors.ts';
import type { Guest, GuestKind, GuestNic } from '../model/guest.ts';
import { nicIndex, parseNicName, quote } from '../model/names.ts';
import type { NicName, Vmid } from '../model/names.ts';
import { notesOf, parseGuestDocument, readLine, settingsOf, textOf } from './guest-document.ts';
import type { GuestDocument } from './guest-document.ts';
import { parseNicOptions, readBoolean } from './nic-options.ts';
import type { NicOptions } from './nic-options.ts';

export interface GuestConfig {
  readonly guest: Guest;
  /** Why Proxmox VE keeps others off the guest, `backup` or `migrate` for example; null when it does not. */
  readonly lock: string | null;
  readonly template: boolean;
  /** Proxmox VE starts the container in another way, so that it says more. */
  readonly debug: boolean;
  /** `local:snippets/ovs-port-agent`, or null. */
  readonly hookscript: string | null;
  /** Whether changes wait for the next start. */
  readonly pending: boolean;
  /** One sentence for each line that was passed over, at most `problemsMax` and one; the rest of the file still counts. */
  readonly problems: readonly string[];
}

/** A configuration in full, for people. */
export interface GuestDetails {
  readonly config: GuestConfig;
  /** What is in force, as it stands in the file. */
  readonly settings: ReadonlyMap<string, string>;
  readonly notes: string;
  /** Snapshot that the guest stands on, or null. */
  readonly parent: string | null;
  readonly snapshots: readonly string[];
  readonly nics: readonly (NicOptions & { readonly nic: NicName })[];
}

/** A file that is nothing but garbage is one problem to its reader, not as many as it has lines. */
const problemsMax = 20;

/** Total: any text gives a guest, what could not be understood is named in `problems`. `text` is latin1. */
export function parseGuestConfig(kind: GuestKind, vmid: Vmid, text: string): GuestConfig {
  return readDocument(parseGuestDocument(kind, text), vmid).config;
}

/** The same in full. */
export function parseGuestDetails(kind: GuestKind, vmid: Vmid, text: string): GuestDetails {
  const document = parseGuestDocument(kind, text);
  const { config, nics } = readDocument(document, vmid);
  const [current] = document.sections;
  const settings = settingsOf(document, current);
  return {
    config,
    settings,
    notes: notesOf(document, current),
    parent: settings.get('parent') ?? null,
    snapshots: document.sections.flatMap((section) => (section.kind === 'snapshot' ? [section.name] : [])),
    nics,
  };
}

type ReadNic = NicOptions & { readonly nic: NicName };

function readDocument(document: GuestDocument, vmid: Vmid): { config: GuestConfig; nics: ReadNic[] } {
  const { kind, lines, sections } = document;
  const problems: string[] = [];
  let problemCount = 0;
  const complain = (index: number, what: () => string): void => {
    if (++problemCount <= problemsMax) problems.push(`line ${index + 1}${what()}`);
  };
  const settings = new Map<string, { value: string; index: number }>();
  const [current] = sections;
  for (let index = current.start; index < current.end; index++) {
    const raw = lines[index] ?? '';
    const line = readLine(raw);
    if (line.kind === 'unreadable' || (line.kind === 'setting' && line.value === '')) {
      complain(index, () => ` is not "key: value": ${quote(raw.replace(/\r?\n$/, ''))}`);
    } else if (line.kind === 'setting') settings.set(line.key, { value: line.value, index });
  }
  const nics: ReadNic[] = [];
  for (const [key, { value, index }] of settings) {
    if (!/^net\d+$/.test(key)) continue;
    try {
      nics.push({ nic: parseNicName(key), ...parseNicOptions(kind, value) });
    } catch (error) {
      complain(index, () => `: ${key}: ${toAgentError(error).message}`);
    }
  }
  nics.sort((a, b) => nicIndex(a.nic) - nicIndex(b.nic));
  if (problemCount > problemsMax) problems.push(`and ${problemCount - problemsMax} more such lines`);
  const valueOf = (key: string): string | null => settings.get(key)?.value ?? null;
  const isSet = (key: string): boolean => readBoolean(valueOf(key) ?? '') ?? false;
  const config: GuestConfig = {
    guest: {
      kind,
      vmid,
      name: textOf(valueOf(kind === 'lxc' ? 'hostname' : 'name') ?? ''),
      tags: (valueOf('tags') ?? '').split(/[;,\s]+/).filter((tag) => tag !== ''),
      nics: nics.map(portFacts),
    },
    lock: valueOf('lock'),
    template: isSet('template'),
    debug: isSet('debug'),
    hookscript: valueOf('hookscript'),
    pending: sections.some(
      (section) => section.kind === 'pending' && saysAnything(document, section.start, section.end),
    ),
    problems,
  };
  return { config, nics };
}

/** What a port depends on. */
function portFacts({ nic, bridge, tag, trunks, firewall, linkDown, mac }: ReadNic): GuestNic {
  return { nic, bridge, tag, trunks, firewall, linkDown, mac };
}

/** Notes change nothing that a start would have to bring about. */
function saysAnything({ lines }: GuestDocument, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    const { kind } = readLine(lines[index] ?? '');
    if (kind !== 'blank' && kind !== 'comment') return true;
  }
  return false;
}
