/**
 * The stanzas of Open vSwitch bridges in interfaces(5), read, and edited in the two ways that `setup` does: a bridge condones
 * ports that it does not list, and a bridge that is missing gets a stanza. Every other byte stays as it is.
 *
 * `ifreload` deletes each port of a bridge with an `ovs_ports` line that is neither in that line nor matched by the bridge's
 * `ovs-ports-condone-regex`. That option replaces ifupdown2's default, so what we set repeats it.
 */
import { isAgentPortName } from './managed-block.ts';
import { lineEnd, parseInterfaces, statementWords } from './document.ts';
import type { InterfacesDocument, Stanza } from './document.ts';

/** Ports that ifupdown2 condones on a bridge that says nothing. */
const condoneDefault = '^(tap|veth|fwln)';
/** The default, and the ports that are not named as Proxmox VE names them. */
export const condoneOfPorts = '^(tap|veth|fwln|vi[0-9_])';
const condoneOption = 'ovs-ports-condone-regex';

export interface BridgeStanza {
  readonly name: string;
  /** 1-based, of its first line. */
  readonly line: number;
  /** In its `ovs_ports`; null without that line. */
  readonly ports: readonly string[] | null;
  /** null without that line. */
  readonly condone: string | null;
}

/** Stanzas with `ovs_type OVSBridge`, in the order of the file. */
export function readBridgeStanzas(text: string): BridgeStanza[] {
  const document = parseInterfaces(text);
  return document.stanzas.flatMap((stanza) => readBridge(document, stanza) ?? []);
}

/** The names that an ifreload would delete, of ports that are on the bridge now. */
export function uncondoned(stanza: BridgeStanza, ports: readonly string[]): string[] {
  if (stanza.ports === null) return [];
  const { ports: listed } = stanza;
  const pattern = toPattern(stanza.condone ?? condoneDefault);
  return ports.filter((name) => !listed.includes(name) && pattern?.test(name) !== true);
}

/** Whether every name that a port of the agent can have is condoned. */
export function condonesAgentPorts(condone: string): boolean {
  const pattern = toPattern(condone);
  return ['veth100i0', 'tap100i0', 'fwln100o0', 'vi100', 'vi100i1', 'vi_web'].every((name) => pattern?.test(name));
}

/**
 * The text with a condone line in the bridge's stanza that covers our ports; what an existing line condones stays condoned.
 * Unchanged when there is no such stanza, when it does so already, and when its last option goes on in a line that is missing.
 */
export function addCondone(text: string, bridge: string): string {
  const document = parseInterfaces(text);
  const stanza = document.stanzas.find((candidate) => readBridge(document, candidate)?.name === bridge);
  if (stanza === undefined) return text;
  const condone = readBridge(document, stanza)?.condone ?? null;
  if (condone !== null && condonesAgentPorts(condone)) return text;
  const value = condone === null ? condoneOfPorts : `${condone}|${condoneOfPorts}`;
  const existing = optionEntry(document, stanza, condoneOption);
  const lines = [...document.lines];
  if (existing !== null) {
    lines.splice(existing.start, existing.end - existing.start, optionLine(document, existing.end - 1, value));
    return lines.join('');
  }
  const last = stanza.entries.findLast(({ kind }) => kind === 'statement');
  const lastLine = last === undefined ? undefined : document.lines[last.end - 1];
  if (last === undefined || lastLine === undefined || /\\\r?\n?$/.test(lastLine)) return text;
  if (lineEnd(lastLine) === '') lines[last.end - 1] = `${lastLine}\n`;
  lines.splice(last.end, 0, optionLine(document, last.end - 1, value));
  return lines.join('');
}

/** What `addCondone` did taken back, when the line still is what it wrote: `before` is the value that was there. */
export function removeCondone(text: string, bridge: string, before: string | null): string {
  const document = parseInterfaces(text);
  const stanza = document.stanzas.find((candidate) => readBridge(document, candidate)?.name === bridge);
  const entry = stanza === undefined ? null : optionEntry(document, stanza, condoneOption);
  if (stanza === undefined || entry === null) return text;
  const written = before === null ? condoneOfPorts : `${before}|${condoneOfPorts}`;
  if (readBridge(document, stanza)?.condone !== written) return text;
  const lines = [...document.lines];
  if (before === null) lines.splice(entry.start, entry.end - entry.start);
  else lines.splice(entry.start, entry.end - entry.start, optionLine(document, entry.start, before));
  return lines.join('');
}

/** The text with a stanza for the bridge at its end; unchanged when anything of that name is there. */
export function addBridge(text: string, bridge: string): string {
  if (namesOf(text).has(bridge)) return text;
  const separator = text === '' || text.endsWith('\n\n') ? '' : text.endsWith('\n') ? '\n' : '\n\n';
  return text + separator + bridgeStanza(bridge);
}

/** What `addBridge` wrote taken out, when it is as it was written; an empty line before it too. */
export function removeBridge(text: string, bridge: string): string {
  const stanza = bridgeStanza(bridge);
  const at = text.indexOf(stanza);
  if (at < 0 || (at > 0 && text[at - 1] !== '\n')) return text;
  const start = text.startsWith('\n\n', at - 2) ? at - 1 : at;
  return text.slice(0, start) + text.slice(at + stanza.length);
}

/** Names of ours in the file where they harm: `vi100` in a bridge's `ovs_ports` breaks every later edit in the GUI. */
export function agentPortsIn(stanza: BridgeStanza): string[] {
  return (stanza.ports ?? []).filter(isAgentPortName);
}

/** As Proxmox VE writes a bridge, options sorted. */
function bridgeStanza(bridge: string): string {
  return `auto ${bridge}\niface ${bridge} inet manual\n\tovs_type OVSBridge\n\t${condoneOption} ${condoneOfPorts}\n`;
}

function namesOf(text: string): Set<string> {
  const document = parseInterfaces(text);
  const names = document.stanzas.flatMap(({ kind, entries: [header] }) =>
    (kind === 'iface' || kind === 'auto' || kind === 'allow') && header !== undefined
      ? statementWords(document, header).slice(1)
      : [],
  );
  return new Set(names);
}

function readBridge(document: InterfacesDocument, stanza: Stanza): BridgeStanza | null {
  if (stanza.kind !== 'iface') return null;
  const [header, ...options] = stanza.entries.filter(({ kind }) => kind === 'statement');
  if (header === undefined) return null;
  const values = new Map(
    options.map((entry) => {
      const [option = '', ...words] = statementWords(document, entry);
      return [option, words] as const;
    }),
  );
  if (values.get('ovs_type')?.[0] !== 'OVSBridge') return null;
  return {
    name: statementWords(document, header)[1] ?? '',
    line: stanza.start + 1,
    ports: values.get('ovs_ports') ?? null,
    condone: values.get(condoneOption)?.join(' ') ?? null,
  };
}

function optionEntry(
  document: InterfacesDocument,
  stanza: Stanza,
  option: string,
): { start: number; end: number } | null {
  return (
    stanza.entries.findLast((entry) => entry.kind === 'statement' && statementWords(document, entry)[0] === option) ??
    null
  );
}

/** Indented and ended as a line of the same stanza is. */
function optionLine(document: InterfacesDocument, like: number, value: string): string {
  const line = document.lines[like] ?? '';
  const indent = /^[ \t]+/.exec(line)?.[0] ?? '\t';
  return `${indent}${condoneOption} ${value}${lineEnd(line) || '\n'}`;
}

/** ifupdown2's patterns are Python's; those of the kind that stand here mean the same to JavaScript. */
function toPattern(text: string): RegExp | null {
  try {
    // Python matches from the start of the name.
    return new RegExp(`^(?:${text})`);
  } catch {
    return null;
  }
}
