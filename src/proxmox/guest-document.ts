/**
 * A guest's configuration file as a lossless document: physical lines, grouped into sections.
 *
 * The text is the file decoded as latin1, so that every byte is one character and comes back as itself. Nothing is
 * rejected: `renderGuestDocument(parseGuestDocument(kind, text)) === text` for every text. Lines are told apart as the
 * parsers of Proxmox VE do it; where those two or a later version differ, the wider reading counts. Everything here takes
 * time linear in the text.
 */
import { AgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import { quote } from '../model/names.ts';

/**
 * `current` is in force and comes first. `pending` waits for the next start (`[pve:pending]` of a container, `[PENDING]`
 * of a machine), a `snapshot` has a name, `special` is every `[word:word]` that is none of these (`[special:cloudinit]`).
 */
export type SectionKind = 'current' | 'pending' | 'snapshot' | 'special';

export interface Section {
  readonly kind: SectionKind;
  /** What stands between the brackets; empty for `current`. */
  readonly name: string;
  /** Index of the first line after the header. */
  readonly start: number;
  /** Index after the last line. */
  readonly end: number;
}

export interface GuestDocument {
  readonly kind: GuestKind;
  /** Physical lines with their line ends; only the last may have none. */
  readonly lines: readonly string[];
  /** `current` is always there, and first. Sections follow each other, headers between them. */
  readonly sections: readonly [Section, ...Section[]];
}

export type Line =
  | { readonly kind: 'setting'; readonly key: string; readonly value: string }
  /** A line for LXC itself, `lxc.key: value` or `lxc.key = value`; the same key may stand several times. */
  | { readonly kind: 'lxc'; readonly key: string; readonly value: string }
  /** One line of the notes, still percent-encoded. */
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'blank' }
  | { readonly kind: 'unreadable' };

export function parseGuestDocument(kind: GuestKind, text: string): GuestDocument {
  return documentOf(kind, splitLines(text));
}

export function renderGuestDocument(document: GuestDocument): string {
  return document.lines.join('');
}

export function readLine(line: string): Line {
  const ink = skipBlanks(line, 0);
  if (ink === line.length) return { kind: 'blank' };
  if (line.startsWith('#')) return { kind: 'comment', text: trimAfter(line, 1) };
  const lxc = /^(lxc\.[a-z0-9_.-]+)(?::|[ \t]*=)/.exec(line);
  if (lxc !== null) return { kind: 'lxc', key: lxc[1] ?? '', value: trimAfter(line, lxc[0].length) };
  const setting = /^([A-Za-z][A-Za-z0-9_.-]*):/.exec(line);
  if (setting === null) return { kind: 'unreadable' };
  return { kind: 'setting', key: setting[1] ?? '', value: trimAfter(line, setting[0].length) };
}

/** What a section sets: of a key that stands twice the last counts, as in Proxmox VE. A key without a value is not set. */
export function settingsOf(document: GuestDocument, section: Section): Map<string, string> {
  const settings = new Map<string, string>();
  for (let index = section.start; index < section.end; index++) {
    const line = readLine(document.lines[index] ?? '');
    if (line.kind === 'setting' && line.value !== '') settings.set(line.key, line.value);
  }
  return settings;
}

/** The notes on a section: its comment lines, decoded, each with its line end. */
export function notesOf(document: GuestDocument, section: Section): string {
  const notes: string[] = [];
  for (let index = section.start; index < section.end; index++) {
    const line = readLine(document.lines[index] ?? '');
    if (line.kind === 'comment') notes.push(`${decodeText(line.text)}\n`);
    else if (line.kind === 'setting' && line.key === 'description') notes.push(decodeText(line.value));
  }
  return notes.join('');
}

/**
 * The document with one key of the current section set, and every other line as it was. The last line with that key is
 * replaced, because that one counts; a new key goes where Proxmox VE's sorted order would put it. Throws
 * `InvalidArgument` for what could not be read back.
 */
export function setSetting(document: GuestDocument, key: string, value: string): GuestDocument {
  if (!/^[a-z][a-z_]*[0-9]*$/.test(key) || key === 'description') {
    throw new AgentError('InvalidArgument', `key ${quote(key)} is not one that a guest's configuration can be given`);
  }
  if (value === '' || trimAfter(value, 0) !== value || /[\0\r\n\u0100-\uffff]/.test(value)) {
    throw new AgentError(
      'InvalidArgument',
      `value ${quote(value)} of ${key} is not valid: expected bytes without line ends, with no blanks around them`,
    );
  }
  const [current] = document.sections;
  const last = linesWithKey(document, key).at(-1);
  const lines = [...document.lines];
  if (last !== undefined) {
    lines[last] = `${key}: ${value}${lineEnd(document.lines[last] ?? '')}`;
    return documentOf(document.kind, lines);
  }
  const end = lineEnd(document.lines[0] ?? '') || '\n';
  const place = placeOf(document, current, key);
  const before = lines[place - 1];
  if (before !== undefined && lineEnd(before) === '') {
    // The file has no last line end, and keeps having none.
    lines.splice(place - 1, 1, before + end, `${key}: ${value}`);
  } else lines.splice(place, 0, `${key}: ${value}${end}`);
  return documentOf(document.kind, lines);
}

/** The document without one key of the current section, wherever it stands there; the same when it has none. */
export function deleteSetting(document: GuestDocument, key: string): GuestDocument {
  const gone = new Set(linesWithKey(document, key));
  if (gone.size === 0) return document;
  return documentOf(
    document.kind,
    document.lines.filter((_, index) => !gone.has(index)),
  );
}

/** Bytes that are UTF-8 as what they say; anything else as it is. For texts that people read. */
export function textOf(latin1: string): string {
  if (!/[\x80-\xff]/.test(latin1) || /[\u0100-\uffff]/.test(latin1)) return latin1;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return latin1;
  }
}

function documentOf(kind: GuestKind, lines: readonly string[]): GuestDocument {
  const headers: { index: number; name: string }[] = [];
  for (const [index, line] of lines.entries()) {
    const name = sectionName(line);
    if (name !== null) headers.push({ index, name });
  }
  const endAfter = (header: number): number => headers[header + 1]?.index ?? lines.length;
  const current: Section = { kind: 'current', name: '', start: 0, end: endAfter(-1) };
  const others = headers.map(({ index, name }, header): Section => ({
    kind: sectionKind(kind, name),
    name,
    start: index + 1,
    end: endAfter(header),
  }));
  return { kind, lines, sections: [current, ...others] };
}

/** Of `[name]` at the start of a line. A single letter is no section to Proxmox VE. */
function sectionName(line: string): string | null {
  if (!line.startsWith('[')) return null;
  const match = /^\[([A-Za-z][A-Za-z0-9_-]+|[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_-]+)\]/.exec(line);
  if (match === null || skipBlanks(line, match[0].length) < line.length) return null;
  return match[1] ?? null;
}

function sectionKind(kind: GuestKind, name: string): SectionKind {
  if (name.toLowerCase() === (kind === 'lxc' ? 'pve:pending' : 'pending')) return 'pending';
  return name.includes(':') ? 'special' : 'snapshot';
}

function linesWithKey(document: GuestDocument, key: string): number[] {
  const [{ start, end }] = document.sections;
  const found: number[] = [];
  for (let index = start; index < end; index++) {
    const line = readLine(document.lines[index] ?? '');
    if (line.kind === 'setting' && line.key === key) found.push(index);
  }
  return found;
}

/** Before the first key that sorts after this one; else after the last key, or after the notes when there is none. */
function placeOf(document: GuestDocument, { start, end }: Section, key: string): number {
  let afterSettings: number | null = null;
  let afterNotes = start;
  for (let index = start; index < end; index++) {
    const line = readLine(document.lines[index] ?? '');
    if (line.kind === 'setting') {
      if (line.key > key) return index;
      afterSettings = index + 1;
    } else if (line.kind === 'comment') afterNotes = index + 1;
  }
  return afterSettings ?? afterNotes;
}

function splitLines(text: string): string[] {
  const lines: string[] = [];
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline + 1;
    lines.push(text.slice(start, end));
    start = end;
  }
  return lines;
}

function lineEnd(line: string): '' | '\n' | '\r\n' {
  if (!line.endsWith('\n')) return '';
  return line.endsWith('\r\n') ? '\r\n' : '\n';
}

/** The rest of a line without the blanks around it. By hand: a lazy pattern would be quadratic in a line of blanks. */
function trimAfter(line: string, from: number): string {
  const start = skipBlanks(line, from);
  let end = line.length;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}

function skipBlanks(line: string, from: number): number {
  let index = from;
  while (index < line.length && isBlank(line.charCodeAt(index))) index++;
  return index;
}

/** Perl's `\s` on bytes. JavaScript's also takes 0xA0, which may be the second half of a UTF-8 character. */
function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

/** Proxmox VE writes notes percent-encoded; what is no valid encoding is taken as it stands. */
function decodeText(encoded: string): string {
  const bytes = encoded.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return textOf(bytes);
}
