/** The newest blocks of an index, in memory until there are enough of them for a file. */
import type { IndexEntry, IndexPart, Period, Place } from './entry.ts';
import { hashBeginning, partBlocksMax } from './entry.ts';

export class IndexTail implements IndexPart {
  readonly from: number;
  #count = 0;
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  readonly #seconds: number[] = [];
  readonly #hashes: number[] = [];
  readonly #byKey = new Map<string, number[]>();

  constructor(from: number) {
    this.from = from;
  }

  get end(): number {
    return this.from + this.#count;
  }

  get size(): number {
    return this.#count;
  }

  /** The block that follows; at most `partBlocksMax` of them. */
  push({ offset, length, second, hash, keys }: IndexEntry): void {
    if (this.#count === partBlocksMax) throw new TypeError(`an index part has at most ${partBlocksMax} blocks`);
    const index = this.#count++;
    this.#offsets.push(offset);
    this.#lengths.push(length);
    this.#seconds.push(second);
    this.#hashes.push(hashBeginning(hash));
    for (const key of keys) {
      const indexes = this.#byKey.get(key);
      if (indexes === undefined) this.#byKey.set(key, [index]);
      else indexes.push(index);
    }
  }

  count(key: string): Promise<number> {
    return Promise.resolve(this.#byKey.get(key)?.length ?? 0);
  }

  withKey(key: string): Promise<Uint16Array> {
    return Promise.resolve(Uint16Array.from(this.#byKey.get(key) ?? []));
  }

  withHash(hash: string): Promise<Uint16Array> {
    const wanted = hashBeginning(hash);
    const indexes: number[] = [];
    for (let at = this.#hashes.indexOf(wanted); at !== -1; at = this.#hashes.indexOf(wanted, at + 1)) indexes.push(at);
    return Promise.resolve(Uint16Array.from(indexes));
  }

  within({ since, until }: Period): Promise<Uint16Array | null> {
    const indexes: number[] = [];
    for (let index = 0; index < this.#count; index++) {
      const second = this.#seconds[index] ?? 0;
      if (second >= since && second <= until) indexes.push(index);
    }
    return Promise.resolve(Uint16Array.from(indexes));
  }

  locate(index: number): Promise<Place> {
    return Promise.resolve({
      height: this.from + index,
      offset: this.#offsets[index] ?? 0,
      length: this.#lengths[index] ?? 0,
    });
  }

  /** What a file of these blocks says. */
  contents(): TailContents {
    return {
      offsets: this.#offsets,
      lengths: this.#lengths,
      seconds: this.#seconds,
      hashes: this.#hashes,
      byKey: this.#byKey,
    };
  }
}

/** One number or hash per block, and the blocks of each key. */
interface TailContents {
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
  readonly seconds: readonly number[];
  /** As `hashBeginning` has them. */
  readonly hashes: readonly number[];
  readonly byKey: ReadonlyMap<string, readonly number[]>;
}
