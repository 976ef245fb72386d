/**
 * Where the keys of a TOML text stand. For texts that the parser has accepted: it keeps no positions, and a mistake in a
 * value is only found after it. Of any other text some positions are missing or wrong, nothing worse.
 */

export interface Position {
  /** Both count from 1; columns in characters of JavaScript. */
  readonly line: number;
  readonly column: number;
}

/** By path, its parts joined by dots, elements of arrays by their number: `policy.0.match.kind`, `bridges.1`. */
export function tomlPositions(text: string): ReadonlyMap<string, Position> {
  return new Scanner(text).scan();
}

const bareKey = /[A-Za-z0-9_-]+/y;
const string = /"""[^]*?(?<!\\)(?:\\\\)*"""+|'''[^]*?'''+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'/y;
const scalar = /[^,\]}#\n]+/y;
const spaceOrComment = /(?:[ \t\r]|#[^\n]*)+/y;
const anySpace = /(?:\s|#[^\n]*)+/y;

class Scanner {
  readonly #text: string;
  readonly #found = new Map<string, Position>();
  /** Elements seen so far of each array of tables. */
  readonly #tables = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ReadonlyMap<string, Position> {
    let table: string[] = [];
    for (;;) {
      this.#skip(anySpace);
      const before = this.#at;
      if (before >= this.#text.length) return this.#found;
      if (this.#text[before] === '[') table = this.#header();
      else this.#assignment(table);
      // Not TOML after all.
      if (this.#at === before) return this.#found;
    }
  }

  /** `[a.b]` or `[[a.b]]`; answers the path of the table that it opens. */
  #header(): string[] {
    const start = this.#at;
    const isArray = this.#text.startsWith('[[', start);
    this.#at += isArray ? 2 : 1;
    const keys = this.#keys();
    let path: string[] = [];
    for (const [index, key] of keys.entries()) {
      path = [...path, key];
      this.#note(path, start);
      const name = path.join('.');
      const count = this.#tables.get(name) ?? 0;
      const isNew = isArray && index === keys.length - 1;
      if (isNew) this.#tables.set(name, count + 1);
      if (isNew || count > 0) path = [...path, String(isNew ? count : count - 1)];
      this.#note(path, start);
    }
    this.#skip(/[ \t]*\]{0,2}/y);
    return path;
  }

  /** `a.b = value`, in a table or between braces. */
  #assignment(table: readonly string[]): void {
    this.#skip(spaceOrComment);
    const start = this.#at;
    let path = [...table];
    for (const key of this.#keys()) {
      path = [...path, key];
      this.#note(path, start);
    }
    if (this.#text[this.#at] !== '=') return;
    this.#at++;
    this.#skip(spaceOrComment);
    this.#value(path);
  }

  #keys(): string[] {
    const keys: string[] = [];
    do {
      this.#skip(/[ \t.]+/y);
      const key = this.#take(bareKey) ?? unquoted(this.#take(string));
      if (key === null) break;
      keys.push(key);
      this.#skip(/[ \t]+/y);
    } while (this.#text[this.#at] === '.');
    return keys;
  }

  #value(path: readonly string[]): void {
    const first = this.#text[this.#at];
    if (first === '[') {
      this.#members(']', (index) => {
        const element = [...path, String(index)];
        this.#note(element, this.#at);
        this.#value(element);
      });
    } else if (first === '{') {
      this.#members('}', () => {
        this.#assignment(path);
      });
    } else if (this.#take(string) === null) {
      this.#take(scalar);
    }
  }

  /** What stands between brackets or braces, with commas. */
  #members(end: string, member: (index: number) => void): void {
    this.#at++;
    for (let index = 0; this.#at < this.#text.length; index++) {
      this.#skip(anySpace);
      if (this.#text[this.#at] === end) break;
      const before = this.#at;
      member(index);
      this.#skip(anySpace);
      if (this.#text[this.#at] === ',') this.#at++;
      if (this.#at === before) return;
    }
    this.#at++;
  }

  #note(path: readonly string[], at: number): void {
    const name = path.join('.');
    if (this.#found.has(name)) return;
    const lineStart = this.#text.lastIndexOf('\n', at - 1) + 1;
    const line = this.#text.slice(0, lineStart).split('\n').length;
    this.#found.set(name, { line, column: at - lineStart + 1 });
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return null;
    this.#at = pattern.lastIndex;
    return match[0];
  }

  #skip(pattern: RegExp): void {
    this.#take(pattern);
  }
}

/** Escapes are left as they are: no known key has one. */
function unquoted(text: string | null): string | null {
  return text === null ? null : text.slice(1, -1);
}
