/**
 * interfaces(5) as a lossless document: physical lines, grouped into stanzas.
 *
 * The text is the file decoded as latin1, so that every byte is one character and comes back as itself. Nothing is
 * rejected: what no keyword explains is `junk`, and `renderInterfaces(parseInterfaces(text)) === text` for every text.
 * White space is the ASCII kind only; JavaScript's `\s` also takes 0xA0, which here is the second half of a UTF-8 `à`.
 */

/** `space` holds the empty lines and comments between stanzas; `allow` every `allow-<class>` line. */
export type StanzaKind =
  | 'iface'
  | 'auto'
  | 'allow'
  | 'mapping'
  | 'source'
  | 'source-directory'
  | 'no-auto-down'
  | 'no-scripts'
  | 'rename'
  | 'junk'
  | 'space';

/**
 * One logical line: a statement with its continuation lines (a backslash as the last character), a comment, or an
 * empty line. Comments are never continued.
 */
export interface Entry {
  readonly kind: 'statement' | 'comment' | 'blank';
  /** Index of the first physical line. */
  readonly start: number;
  /** Index after the last physical line. */
  readonly end: number;
}

/**
 * Stanzas follow each other without a gap and cover every line. An `iface` or `mapping` stanza ends with its last option
 * before the next keyword, empty lines between options included (ifupdown skips them); comments that follow its last
 * option without an empty line between belong to it too, as Proxmox VE reads them.
 */
export interface Stanza {
  readonly kind: StanzaKind;
  readonly entries: readonly Entry[];
  readonly start: number;
  readonly end: number;
}

export interface InterfacesDocument {
  /** Physical lines with their line ends; only the last may have none. */
  readonly lines: readonly string[];
  readonly stanzas: readonly Stanza[];
}

export function parseInterfaces(text: string): InterfacesDocument {
  const lines = splitLines(text);
  return { lines, stanzas: groupStanzas(readEntries(lines)) };
}

export function renderInterfaces(document: InterfacesDocument): string {
  return document.lines.join('');
}

/** A physical line's own line end: `\n`, `\r\n`, or nothing. */
export function lineEnd(line: string): '' | '\n' | '\r\n' {
  if (!line.endsWith('\n')) return '';
  return line.endsWith('\r\n') ? '\r\n' : '\n';
}

/** Whether a physical line is its line end and nothing else. */
export function isEmptyLine(line: string): boolean {
  return line === '\n' || line === '\r\n';
}

/** Whether a physical line holds nothing but white space. */
export function isBlankLine(line: string): boolean {
  return firstInk(line) === line.length;
}

/** Index of the first character that is not white space; the line's length when there is none. */
export function firstInk(line: string): number {
  let index = 0;
  while (index < line.length && isWhiteSpace(line.charCodeAt(index))) index++;
  return index;
}

/** The words of a statement, its continuation lines joined. */
export function statementWords(document: InterfacesDocument, entry: Entry): string[] {
  let text = '';
  for (let index = entry.start; index < entry.end; index++) {
    const line = document.lines[index] ?? '';
    text += line.slice(0, line.length - lineEnd(line).length - (index < entry.end - 1 ? 1 : 0));
  }
  return text.split(/[ \t\v\f\r]+/).filter((word) => word !== '');
}

function splitLines(text: string): string[] {
  const lines: string[] = [];
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline + 1;
    lines.push(text.slice(start, end));
    start = end;
  }
  return lines;
}

/** Entries, and what each begins: `space` when it is no statement, `junk` when its first word is no keyword. */
interface Read {
  readonly entries: readonly Entry[];
  readonly begins: readonly StanzaKind[];
}

function readEntries(lines: readonly string[]): Read {
  const entries: Entry[] = [];
  const begins: StanzaKind[] = [];
  for (let start = 0; start < lines.length;) {
    const line = lines[start] ?? '';
    const ink = firstInk(line);
    let end = start + 1;
    if (ink < line.length && line[ink] !== '#') {
      while (end < lines.length && isContinued(lines[end - 1] ?? '')) end++;
      entries.push({ kind: 'statement', start, end });
      begins.push(keywordAt(line, ink));
    } else {
      entries.push({ kind: ink < line.length ? 'comment' : 'blank', start, end });
      begins.push('space');
    }
    start = end;
  }
  return { entries, begins };
}

function groupStanzas(read: Read): Stanza[] {
  const { entries, begins } = read;
  const stanzas: Stanza[] = [];
  for (let from = 0; from < entries.length;) {
    const kind = begins[from] ?? 'junk';
    let to = from + 1;
    if (kind === 'space') {
      while (to < entries.length && begins[to] === 'space') to++;
    } else if (kind === 'iface' || kind === 'mapping') {
      to = endOfOptions(read, to);
    }
    const members = entries.slice(from, to);
    stanzas.push({ kind, entries: members, start: members[0]?.start ?? 0, end: members.at(-1)?.end ?? 0 });
    from = to;
  }
  return stanzas;
}

/** Index after the last entry of an iface or mapping stanza whose options begin at `from`. */
function endOfOptions({ entries, begins }: Read, from: number): number {
  let end = from;
  let adjacent = true;
  for (let index = from; index < entries.length; index++) {
    const begin = begins[index];
    if (begin === 'junk') {
      end = index + 1;
      adjacent = true;
    } else if (begin !== 'space') {
      break;
    } else if (entries[index]?.kind === 'blank') {
      adjacent = false;
    } else if (adjacent) {
      end = index + 1;
    }
  }
  return end;
}

/** Of every keyword in `keywordAt`. */
const keywordInitials = 'aimnrs';

function keywordAt(line: string, start: number): StanzaKind {
  // Nearly every line is an option, and most options begin like none of the keywords: no word is cut out for them.
  if (!keywordInitials.includes(line[start] ?? '')) return 'junk';
  let end = start;
  while (end < line.length && !isWhiteSpace(line.charCodeAt(end))) end++;
  const word = line.slice(start, end);
  switch (word) {
    case 'iface':
    case 'auto':
    case 'mapping':
    case 'source':
    case 'source-directory':
    case 'no-auto-down':
    case 'no-scripts':
    case 'rename':
      return word;
    case 'source-dir':
      return 'source-directory';
    default:
      return word.startsWith('allow-') ? 'allow' : 'junk';
  }
}

/** A backslash is the last character before the line end. */
function isContinued(line: string): boolean {
  let last = line.length - 1;
  if (line[last] === '\n') last -= line[last - 1] === '\r' ? 2 : 1;
  return line[last] === '\\';
}

/** Tab, newline, vertical tab, form feed, carriage return, space. */
function isWhiteSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}
