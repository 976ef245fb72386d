/** The managed block: every port the agent knows, listed at the end of an interfaces(5) text. */
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';
import type { PortName } from '../model/names.ts';
import { comparePortNames } from '../model/naming.ts';
import { firstInk, isBlankLine, isEmptyLine, lineEnd, parseInterfaces, statementWords } from './document.ts';
import type { InterfacesDocument, Stanza } from './document.ts';
import { ownCommentPrefix, portStanza } from './port-stanza.ts';
import type { ListedPort } from './port-stanza.ts';

export type { ListedPort };

/**
 * Where a text that is not ours names one of our ports: its own `iface` stanza (that port is then not listed), an
 * `auto` or `allow-*` line (`ifreload` would take the port's settings away), or a bridge's `ovs_ports` (every later
 * network edit in the GUI fails).
 */
export interface ForeignMention {
  readonly name: string;
  /** 1-based, in the text that was given. */
  readonly line: number;
  readonly kind: 'iface' | 'auto' | 'ovs_ports';
}

export interface ManagedBlockPlan {
  readonly text: string;
  readonly changed: boolean;
  readonly foreign: readonly ForeignMention[];
  /** The ports the block lists, in its order. */
  readonly listed: readonly PortName[];
  /** The names that it listed in the text that was given. */
  readonly listedBefore: readonly string[];
}

/**
 * The text with exactly `ports` in the managed block. `text` is the file as latin1.
 *
 * Ours are: an `iface` stanza whose comment begins with `#<blockTag>:` and whose name passes `ownsName` or is listed now,
 * wherever it stands (Proxmox VE moves them); the lines that are exactly a marker; and the empty line that the form puts
 * beside each of these. Everything else keeps its bytes and its order, other comments inside our stanzas too. A stanza
 * of that name without the comment, or one to which somebody added options after an empty line, is foreign.
 *
 * The block stands after the last line that is not blank, so that blank lines at the end of the file stay at its end.
 * When the file's last line has no newline it gets one, and `# END` has none instead: taking the block out takes that
 * newline back. With no ports nothing of the block is left, so the file is byte for byte what it was before the
 * first block, unless somebody appended to it, in which case one empty line stays where the block was.
 *
 * Throws `InvalidArgument` for a tag that cannot stand in a marker and `Conflict` when two ports have one name.
 */
export function planManagedBlock(
  text: string,
  ports: readonly ListedPort[],
  blockTag: string,
  ownsName: (name: string) => boolean = isAgentPortName,
): ManagedBlockPlan {
  checkBlockTag(blockTag);
  const wanted = indexPorts(ports);
  const document = parseInterfaces(text);
  const own = findOwnStanzas(document, blockTag, (name) => wanted.has(name) || ownsName(name));
  const foreign = findForeignMentions(document, own, (name) => wanted.has(name) || ownsName(name));

  for (const mention of foreign) if (mention.kind === 'iface') wanted.delete(mention.name);
  const listed = [...wanted.values()].sort((a, b) => comparePortNames(a.port, b.port));
  const rendered = insertBlock(withoutBlock(document, own, blockTag), listed, blockTag);
  return {
    text: rendered,
    changed: rendered !== text,
    foreign,
    listed: listed.map(({ port }) => port),
    listedBefore: [...own].map((stanza) => ifaceName(document, stanza)),
  };
}

export interface ManagedBlockState {
  /** Stanzas of ours, wherever they stand. */
  readonly own: number;
  readonly begins: number;
  readonly ends: number;
  /** All of ours stand between the first beginning and the first end. */
  readonly isInOrder: boolean;
  readonly foreign: readonly ForeignMention[];
}

/** What a text has of the block, for people: nothing is planned by it. */
export function inspectManagedBlock(
  text: string,
  blockTag: string,
  ownsName: (name: string) => boolean = isAgentPortName,
): ManagedBlockState {
  const document = parseInterfaces(text);
  const own = findOwnStanzas(document, blockTag, ownsName);
  const linesOf = (marker: string): number[] =>
    document.lines.flatMap((line, index) => (isExactly(line, marker) ? [index] : []));
  const begins = linesOf(markerLine('BEGIN', blockTag));
  const ends = linesOf(markerLine('END', blockTag));
  const [from = -1, to = document.lines.length] = [begins[0], ends[0]];
  return {
    own: own.size,
    begins: begins.length,
    ends: ends.length,
    isInOrder: [...own].every(({ start, end }) => start > from && end <= to),
    foreign: findForeignMentions(document, own, ownsName),
  };
}

/** Names that the agent gives unless `naming_template` says otherwise: `vi100`, `vi100i1`, `vi_web`. */
export function isAgentPortName(name: string): boolean {
  return /^vi[0-9_]/.test(name);
}

/**
 * The names that a `naming_template` can give, known by the text before its first field; a text of one character or none
 * tells nothing. Never a name that Proxmox VE takes for a network card: a comment of ours that an edit by hand left below
 * such a stanza must not cost the node its network.
 */
export function portNamesOf(namingTemplate: string): (name: string) => boolean {
  const beginning =
    namingTemplate
      .split('{')[0]
      ?.toLowerCase()
      .replaceAll(/[^a-z0-9_]/g, '_')
      .slice(0, 9) ?? '';
  return (name) =>
    isAgentPortName(name) ||
    (beginning.length > 1 && name.startsWith(beginning) && !/^(?:eth\d|en|ib|nic\d|if\d)/.test(name));
}

function checkBlockTag(blockTag: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(blockTag)) {
    throw new AgentError(
      'InvalidArgument',
      `managed_block_tag ${quote(blockTag)} is not valid: expected 1 to 64 letters, digits and any of . _ -, the first a letter or digit`,
    );
  }
}

function indexPorts(ports: readonly ListedPort[]): Map<string, ListedPort> {
  const index = new Map<string, ListedPort>();
  for (const port of ports) {
    const other = index.get(port.port);
    if (other !== undefined) {
      throw new AgentError(
        'Conflict',
        `port name ${port.port} belongs to both ${quote(other.owner)} and ${quote(port.owner)}: nothing is listed until one has another name`,
      );
    }
    index.set(port.port, port);
  }
  return index;
}

function findOwnStanzas(
  document: InterfacesDocument,
  blockTag: string,
  isPortName: (name: string) => boolean,
): ReadonlySet<Stanza> {
  const own = new Set<Stanza>();
  const prefix = ownCommentPrefix(blockTag);
  for (const stanza of document.stanzas) {
    if (stanza.kind === 'iface' && isOwnForm(document, stanza, prefix) && isPortName(ifaceName(document, stanza))) {
      own.add(stanza);
    }
  }
  return own;
}

/** With a comment of ours and without an empty line. */
function isOwnForm(document: InterfacesDocument, stanza: Stanza, prefix: string): boolean {
  let isMarked = false;
  for (const { kind, start } of stanza.entries) {
    if (kind === 'blank') return false;
    if (kind === 'comment') isMarked ||= isOwnComment(document.lines[start] ?? '', prefix);
  }
  return isMarked;
}

function findForeignMentions(
  document: InterfacesDocument,
  own: ReadonlySet<Stanza>,
  isPortName: (name: string) => boolean,
): ForeignMention[] {
  const mentions: ForeignMention[] = [];
  for (const stanza of document.stanzas) {
    if (stanza.kind === 'auto' || stanza.kind === 'allow') {
      for (const entry of stanza.entries) {
        const [, ...names] = statementWords(document, entry);
        for (const name of names.filter(isPortName)) mentions.push({ name, line: entry.start + 1, kind: 'auto' });
      }
    } else if (stanza.kind === 'iface' && !own.has(stanza)) {
      const name = ifaceName(document, stanza);
      if (isPortName(name)) mentions.push({ name, line: stanza.start + 1, kind: 'iface' });
      for (const entry of stanza.entries.slice(1)) {
        // Most options are another, and taking a statement apart costs more than a look.
        if (entry.kind !== 'statement' || !(document.lines[entry.start] ?? '').includes('ovs_ports')) continue;
        const [option, ...names] = statementWords(document, entry);
        if (option !== 'ovs_ports') continue;
        for (const port of names.filter(isPortName)) {
          mentions.push({ name: port, line: entry.start + 1, kind: 'ovs_ports' });
        }
      }
    }
  }
  return mentions;
}

function ifaceName(document: InterfacesDocument, stanza: Stanza): string {
  const header = stanza.entries[0];
  return header === undefined ? '' : (statementWords(document, header)[1] ?? '');
}

/** The document's text without anything of ours. */
function withoutBlock(document: InterfacesDocument, own: ReadonlySet<Stanza>, blockTag: string): string {
  const { lines } = document;
  const prefix = ownCommentPrefix(blockTag);
  const [begin, end] = [markerLine('BEGIN', blockTag), markerLine('END', blockTag)];
  const ours = new Uint8Array(lines.length);
  const separates = new Uint8Array(lines.length);
  const beside: number[] = [];
  let beginEnd = '\n';
  for (const stanza of document.stanzas) {
    const isOwn = own.has(stanza);
    for (const entry of stanza.entries) {
      const line = lines[entry.start] ?? '';
      if (entry.kind === 'blank') {
        separates[entry.start] = 1;
      } else if (entry.kind === 'statement') {
        if (isOwn) ours.fill(1, entry.start, entry.end);
      } else if (isExactly(line, begin)) {
        beside.push(entry.start - 1, entry.end);
        beginEnd = lineEnd(line);
        ours[entry.start] = 1;
      } else if (isExactly(line, end) || (isOwn && isOwnComment(line, prefix))) {
        ours[entry.start] = 1;
      }
    }
    if (isOwn) beside.push(stanza.end);
  }
  takeEmptyLines(lines, beside, separates, ours);
  keepSeparators(separates, ours);

  let kept = '';
  for (const [start, end] of runsOf(0, ours)) kept += lines.slice(start, end).join('');
  // `# END` without a newline: the newline before the block was added with it, of the same kind as the block's.
  if (lines.at(-1) === end && kept.endsWith(beginEnd)) kept = kept.slice(0, -beginEnd.length);
  return kept;
}

/**
 * Takes the empty lines `beside` our lines. One that a backslash made part of the foreign line before it stays as long as
 * anything follows, which that backslash would otherwise reach.
 */
function takeEmptyLines(
  lines: readonly string[],
  beside: readonly number[],
  separates: Uint8Array,
  ours: Uint8Array,
): void {
  const lastForeign = lines.findLastIndex((line, index) => ours[index] === 0 && !isBlankLine(line));
  for (const index of beside) {
    const isEmpty = isEmptyLine(lines[index] ?? '');
    if (isEmpty && (separates[index] === 1 || index > lastForeign)) ours[index] = 1;
  }
}

/**
 * Where taking a run of our lines out would join two foreign lines, its first separating line stays: otherwise a comment
 * or an option would change hands.
 */
function keepSeparators(separates: Uint8Array, ours: Uint8Array): void {
  for (const [start, end] of runsOf(1, ours)) {
    if (start === 0 || end === ours.length || separates[start - 1] === 1 || separates[end] === 1) continue;
    const separator = separates.subarray(start, end).indexOf(1);
    if (separator >= 0) ours[start + separator] = 0;
  }
}

/** Where runs of `value` begin and end. */
function* runsOf(value: 0 | 1, flags: Uint8Array): Generator<[start: number, end: number]> {
  for (let start = flags.indexOf(value); start >= 0;) {
    const next = flags.indexOf(1 - value, start);
    const end = next < 0 ? flags.length : next;
    yield [start, end];
    start = flags.indexOf(value, end);
  }
}

/** The block after the last line of `foreign` that is not blank; `foreign` itself when there are no ports. */
function insertBlock(foreign: string, ports: readonly ListedPort[], blockTag: string): string {
  if (ports.length === 0) return foreign;
  const newline = foreign.indexOf('\n');
  const eol = newline > 0 && foreign[newline - 1] === '\r' ? '\r\n' : '\n';
  let block = eol + markerLine('BEGIN', blockTag) + eol + eol;
  for (const port of ports) block += portStanza(port, blockTag, eol) + eol;
  block += markerLine('END', blockTag);

  const head = foreign.slice(0, endOfLastInkedLine(foreign));
  const tail = foreign.slice(head.length);
  const unfinished = head !== '' && !head.endsWith('\n');
  return head + (unfinished ? eol : '') + block + (unfinished ? '' : eol) + tail;
}

/** Offset after the last line that is not blank, its line end included. */
function endOfLastInkedLine(text: string): number {
  let index = text.length;
  while (index > 0 && ' \t\v\f\r\n'.includes(text[index - 1] ?? '')) index--;
  if (index === 0) return 0;
  const newline = text.indexOf('\n', index);
  return newline < 0 ? text.length : newline + 1;
}

function isOwnComment(line: string, prefix: string): boolean {
  return line.startsWith(prefix, firstInk(line));
}

function markerLine(marker: 'BEGIN' | 'END', blockTag: string): string {
  return `# ${marker} ${blockTag}`;
}

function isExactly(line: string, content: string): boolean {
  return line.startsWith(content) && line.length - lineEnd(line).length === content.length;
}
