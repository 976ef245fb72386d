/**
 * One file of an index: some tens of thousands of blocks, written once. Its sections are tables of entries of one width,
 * none across two pages: the header, where each line stands and its second, the span of seconds of every page of those,
 * the blocks by hash, the keys, and the blocks of each key. The tables by hash and by key are in the order of digests,
 * which are spread evenly, so that an entry is found with one or two pages read.
 */
import type { JsonObject, JsonValue } from '../block.ts';
import { isJsonObject } from '../block.ts';
import { hashBytes } from './entry.ts';
import type { IndexPart, Period, Place } from './entry.ts';
import { keyBytes, keyDigest } from './keys.ts';
import { IndexDamaged, pagesFor, payloadBytes, toPages } from './pages.ts';
import type { PageCache } from './pages.ts';
import type { IndexTail } from './tail.ts';

/** What the header says of the blocks in the file. */
export interface RunHeader {
  readonly layout: typeof layout;
  /** Heights from `from` up to, and without, `end`. */
  readonly from: number;
  readonly end: number;
  /** The hashes of the block before the first and of the last: files that follow one another share one. */
  readonly prev_hash: string;
  readonly last_hash: string;
  /** Least and greatest second. */
  readonly since: number;
  readonly until: number;
  /** Entries of the table of keys. */
  readonly keys: number;
  /** Entries of the table of the blocks of each key. */
  readonly postings: number;
  /** The state of the chain after the last block (`ChainState.toJson`). */
  readonly chain: JsonObject;
}

export function runName(from: number, end: number): string {
  return `${from}-${end}.run`;
}

/** The heights that a file of this name has; null for another's name. */
export function parseRunName(name: string): { from: number; end: number } | null {
  const match = /^(0|[1-9][0-9]{0,15})-([1-9][0-9]{0,15})\.run$/.exec(name);
  return match === null ? null : { from: Number(match[1]), end: Number(match[2]) };
}

/** The bytes of the file of these blocks, of which there is at least one. */
export function encodeRun(tail: IndexTail, prevHash: string, lastHash: string, chain: JsonObject): Buffer {
  const { offsets, lengths, seconds, hashes, byKey } = tail.contents();
  const places = table(offsets.length, placeWidth, (bytes, at, index) => {
    const [offset = 0, second = 0] = [offsets[index], seconds[index]];
    bytes.writeUInt16BE(Math.floor(offset / 2 ** 32), at);
    bytes.writeUInt32BE(offset % 2 ** 32, at + 2);
    bytes.writeUInt16BE(lengths[index] ?? 0, at + 6);
    bytes.writeUInt8(Math.floor(second / 2 ** 32), at + 8);
    bytes.writeUInt32BE(second % 2 ** 32, at + 9);
  });
  const perPage = entriesPerPage(placeWidth);
  const spans = Array.from({ length: Math.ceil(seconds.length / perPage) }, (_, page) =>
    spanOf(seconds.slice(page * perPage, (page + 1) * perPage)),
  );
  const zones = table(spans.length, zoneWidth, (bytes, at, page) => {
    bytes.writeUIntBE(spans[page]?.since ?? 0, at, 5);
    bytes.writeUIntBE(spans[page]?.until ?? 0, at + 5, 5);
  });
  // Beginning of the hash and block are one number, and such numbers sort fast.
  const order = BigUint64Array.from(hashes, (hash, index) => BigInt(hash) * 65_536n + BigInt(index)).sort();
  const byHash = table(order.length, hashWidth, (bytes, at, place) => bytes.writeBigUInt64BE(order[place] ?? 0n, at));
  const filed = [...byKey].map(([key, indexes]) => ({ digest: keyDigest(key), indexes }));
  filed.sort((a, b) => a.digest.compare(b.digest));
  const all = new Uint16Array(filed.reduce((sum, { indexes }) => sum + indexes.length, 0));
  let posted = 0;
  const keys = table(filed.length, keyWidth, (bytes, at, place) => {
    const { digest = Buffer.alloc(keyBytes), indexes = [] } = filed[place] ?? {};
    digest.copy(bytes, at);
    bytes.writeUInt32BE(posted, at + keyBytes);
    bytes.writeUInt32BE(indexes.length, at + keyBytes + 4);
    all.set(indexes, posted);
    posted += indexes.length;
  });
  const postings = table(all.length, postingWidth, (bytes, at, place) => bytes.writeUInt16BE(all[place] ?? 0, at));
  const header: RunHeader = {
    layout,
    from: tail.from,
    end: tail.end,
    prev_hash: prevHash,
    last_hash: lastHash,
    ...spanOf(seconds),
    keys: filed.length,
    postings: all.length,
    chain,
  };
  const headerText = Buffer.from(JSON.stringify(header));
  const headerLength = Buffer.alloc(4);
  headerLength.writeUInt32BE(headerText.length);
  const sections = [Buffer.concat([headerLength, headerText]), places, zones, byHash, keys, postings];
  return toPages(runName(tail.from, tail.end), sections);
}

/** Reads such a file. Every method rejects with `IndexDamaged` for what cannot be what was written. */
export class IndexRun implements IndexPart {
  readonly name: string;
  readonly header: RunHeader;
  readonly #cache: PageCache;
  readonly #places: Table;
  readonly #zones: Table;
  readonly #byHash: Table;
  readonly #keys: Table;
  readonly #postings: Table;

  static async open(cache: PageCache, name: string): Promise<IndexRun> {
    const first = await cache.page(name, 0);
    const length = first.readUInt32BE();
    const parts: Buffer[] = [];
    const pages = pagesFor(4 + length);
    for (let page = 0; page < pages; page++) parts.push(await cache.page(name, page));
    const header = readHeader(Buffer.concat(parts).toString('utf8', 4, 4 + length));
    if (header === null || runName(header.from, header.end) !== name) throw new IndexDamaged(name, 'no header');
    return new IndexRun(cache, name, header, pages);
  }

  private constructor(cache: PageCache, name: string, header: RunHeader, firstPage: number) {
    this.#cache = cache;
    this.name = name;
    this.header = header;
    const count = header.end - header.from;
    let page = firstPage;
    const next = (width: number, entries: number): Table => {
      const made = { width, entries, firstPage: page };
      page += pagesOf(made);
      return made;
    };
    this.#places = next(placeWidth, count);
    this.#zones = next(zoneWidth, pagesOf(this.#places));
    this.#byHash = next(hashWidth, count);
    this.#keys = next(keyWidth, header.keys);
    this.#postings = next(postingWidth, header.postings);
  }

  get from(): number {
    return this.header.from;
  }

  get end(): number {
    return this.header.end;
  }

  async count(key: string): Promise<number> {
    return (await this.#posted(key)).count;
  }

  async withKey(key: string): Promise<Uint16Array> {
    const { start, count } = await this.#posted(key);
    const indexes = new Uint16Array(count);
    let filled = 0;
    for (const { page, at, end } of await this.#stretches(this.#postings, start, start + count)) {
      for (let byte = at; byte < end; byte += postingWidth) indexes[filled++] = page.readUInt16BE(byte);
    }
    return indexes;
  }

  async withHash(hash: string): Promise<Uint16Array> {
    const found: number[] = [];
    const wanted = Buffer.from(hash.slice(0, 2 * hashBytes), 'hex');
    if (wanted.length === hashBytes) {
      await this.#eachOfDigest(this.#byHash, wanted, (page, at) => found.push(page.readUInt16BE(at + hashBytes)));
    }
    return Uint16Array.from(found.sort((a, b) => a - b));
  }

  async within({ since, until }: Period): Promise<Uint16Array | null> {
    if (this.header.since >= since && this.header.until <= until) return null;
    if (this.header.since > until || this.header.until < since) return new Uint16Array();
    const perPage = entriesPerPage(placeWidth);
    const indexes: number[] = [];
    let first = 0;
    for (const { page, at, end } of await this.#stretches(this.#zones, 0, this.#zones.entries)) {
      for (let byte = at; byte < end; byte += zoneWidth, first += perPage) {
        const least = page.readUIntBE(byte, 5);
        const greatest = page.readUIntBE(byte + 5, 5);
        if (greatest < since || least > until) continue;
        const last = Math.min(first + perPage, this.#places.entries) - 1;
        if (least < since || greatest > until) await this.#pickWithin(first, last, { since, until }, indexes);
        else for (let index = first; index <= last; index++) indexes.push(index);
      }
    }
    return Uint16Array.from(indexes);
  }

  async locate(index: number): Promise<Place> {
    const perPage = entriesPerPage(placeWidth);
    const page = await this.#page(this.#places, Math.floor(index / perPage));
    const at = (index % perPage) * placeWidth;
    return { height: this.from + index, offset: page.readUIntBE(at, 6), length: page.readUInt16BE(at + 6) };
  }

  async #pickWithin(first: number, last: number, { since, until }: Period, into: number[]): Promise<void> {
    let index = first;
    for (const { page, at, end } of await this.#stretches(this.#places, first, last + 1)) {
      for (let byte = at; byte < end; byte += placeWidth, index++) {
        const second = page.readUIntBE(byte + 8, 5);
        if (second >= since && second <= until) into.push(index);
      }
    }
  }

  async #posted(key: string): Promise<{ start: number; count: number }> {
    const found = { start: 0, count: 0 };
    await this.#eachOfDigest(this.#keys, keyDigest(key), (page, at) => {
      // Two keys of one digest stand one after the other, and so do their blocks; both are looked at.
      if (found.count === 0) found.start = page.readUInt32BE(at + keyBytes);
      found.count += page.readUInt32BE(at + keyBytes + 4);
    });
    return found;
  }

  /** The entries that begin with `digest`, from the page on where an even spread puts them. */
  async #eachOfDigest(from: Table, digest: Buffer, take: (page: Buffer, at: number) => void): Promise<void> {
    if (from.entries === 0) return;
    const perPage = entriesPerPage(from.width);
    const last = pagesOf(from) - 1;
    const begin = (page: Buffer): number => digest.compare(page, 0, digest.length);
    let number = Math.min(last, Math.floor((digest.readUInt32BE() / 2 ** 32) * (from.entries / perPage)));
    while (number > 0 && begin(await this.#page(from, number)) <= 0) number--;
    for (; number <= last; number++) {
      const page = await this.#page(from, number);
      if (begin(page) < 0) return;
      const entries = Math.min(perPage, from.entries - number * perPage);
      for (let index = firstNotBelow(page, from.width, entries, digest); index < entries; index++) {
        const at = index * from.width;
        if (digest.compare(page, at, at + digest.length) !== 0) return;
        take(page, at);
      }
    }
  }

  /** The pages that hold the entries from `start` up to, and without, `end`, and the bytes of each that do. */
  async #stretches(from: Table, start: number, end: number): Promise<Stretch[]> {
    if (end > from.entries) throw new IndexDamaged(this.name, 'an entry leads beyond the end');
    const perPage = entriesPerPage(from.width);
    const stretches: Promise<Stretch>[] = [];
    for (let index = start; index < end;) {
      const number = Math.floor(index / perPage);
      const next = Math.min(end, (number + 1) * perPage);
      const at = (index % perPage) * from.width;
      const length = (next - index) * from.width;
      stretches.push(this.#page(from, number).then((page) => ({ page, at, end: at + length })));
      index = next;
    }
    return Promise.all(stretches);
  }

  #page(from: Table, number: number): Promise<Buffer> {
    return this.#cache.page(this.name, from.firstPage + number);
  }
}

/** Raised with every change of these tables, of keys, or of `ChainState.toJson`: files of another layout are made anew. */
const layout = 1;

/** Offset (6), length (2), second (5). */
const placeWidth = 13;
/** Least and greatest second (5 each). */
const zoneWidth = 10;
/** Beginning of the hash (6), block (2). */
const hashWidth = hashBytes + 2;
/** Digest of the key (8), first of its blocks in the next table (4), how many (4). */
const keyWidth = keyBytes + 8;
const postingWidth = 2;

interface Stretch {
  readonly page: Buffer;
  readonly at: number;
  readonly end: number;
}

interface Table {
  readonly width: number;
  readonly entries: number;
  readonly firstPage: number;
}

function entriesPerPage(width: number): number {
  return Math.floor(payloadBytes / width);
}

function pagesOf({ width, entries }: Pick<Table, 'width' | 'entries'>): number {
  return Math.ceil(entries / entriesPerPage(width));
}

type Write = (bytes: Buffer, at: number, index: number) => void;

/** Entries one after the other, with what is left of a page empty. */
function table(entries: number, width: number, write: Write): Buffer {
  const perPage = entriesPerPage(width);
  const bytes = Buffer.alloc(pagesOf({ width, entries }) * payloadBytes);
  for (let index = 0; index < entries; index++) {
    write(bytes, Math.floor(index / perPage) * payloadBytes + (index % perPage) * width, index);
  }
  return bytes;
}

/** The first entry of a page that is not below `digest`. */
function firstNotBelow(page: Buffer, width: number, entries: number, digest: Buffer): number {
  let low = 0;
  for (let high = entries; low < high;) {
    const middle = (low + high) >>> 1;
    if (digest.compare(page, middle * width, middle * width + digest.length) > 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function spanOf(seconds: readonly number[]): Pick<RunHeader, 'since' | 'until'> {
  let [since = 0, until = 0] = [seconds[0], seconds[0]];
  for (const second of seconds) {
    since = Math.min(since, second);
    until = Math.max(until, second);
  }
  return { since, until };
}

/** The digest of its page said that this is what was written; what version wrote it shows here. */
function readHeader(text: string): RunHeader | null {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return null;
  }
  if (!isJsonObject(value)) return null;
  const numbers = [value['from'], value['end'], value['since'], value['until'], value['keys'], value['postings']];
  const hashes = [value['prev_hash'], value['last_hash']];
  const isHeader =
    numbers.every((number) => Number.isSafeInteger(number)) &&
    hashes.every((hash) => typeof hash === 'string') &&
    isJsonObject(value['chain']) &&
    value['layout'] === layout;
  return isHeader ? (value as unknown as RunHeader) : null;
}
