/** Trees by the letter of RFC 6962 section 2.1, and what stores and reads their tiles in memory. */
import { hash } from 'node:crypto';
import { leafHash } from '../../src/ledger/tlog/hash.ts';
import type { Hash } from '../../src/ledger/tlog/hash.ts';
import { TileEdge } from '../../src/ledger/tlog/tile-edge.ts';
import type { TileReader } from '../../src/ledger/tlog/tile-reader.ts';
import { tilePath, tileWidth } from '../../src/ledger/tlog/tile.ts';
import type { Tile } from '../../src/ledger/tlog/tile.ts';

const sha256 = (...parts: Uint8Array[]): Hash => hash('sha256', Buffer.concat(parts), 'buffer');

/** `MTH(D[n])`, defined by recursion; shares no code with the product. */
export function mth(entries: readonly Uint8Array[]): Hash {
  const [only] = entries;
  if (only === undefined) return sha256();
  if (entries.length === 1) return sha256(Buffer.from([0]), only);
  const k = largestPowerBelow(entries.length);
  return sha256(Buffer.from([1]), mth(entries.slice(0, k)), mth(entries.slice(k)));
}

/** `PATH(m, D[n])`, by recursion. */
export function pathOf(m: number, entries: readonly Uint8Array[]): Hash[] {
  if (entries.length === 1) return [];
  const k = largestPowerBelow(entries.length);
  return m < k
    ? [...pathOf(m, entries.slice(0, k)), mth(entries.slice(k))]
    : [...pathOf(m - k, entries.slice(k)), mth(entries.slice(0, k))];
}

/** `PROOF(m, D[n])`, by recursion. */
export function proofOf(m: number, entries: readonly Uint8Array[], known = true): Hash[] {
  if (m === entries.length) return known ? [] : [mth(entries)];
  const k = largestPowerBelow(entries.length);
  return m <= k
    ? [...proofOf(m, entries.slice(0, k), known), mth(entries.slice(k))]
    : [...proofOf(m - k, entries.slice(k), false), mth(entries.slice(0, k))];
}

function largestPowerBelow(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The eight leaves of the Certificate Transparency reference tree. */
export const referenceLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'));

/** Short entries, all different. */
export function entriesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`entry ${index}`));
}

/** Tiles by their paths, as a folder would hold them; reading one that was not stored fails. */
export class MemoryTiles implements TileReader {
  readonly files = new Map<string, Buffer>();
  readonly edge = new TileEdge();

  static of(entries: readonly Uint8Array[]): MemoryTiles {
    const tiles = new MemoryTiles();
    for (const entry of entries) tiles.append(entry);
    tiles.storePartial();
    return tiles;
  }

  append(entry: Uint8Array): void {
    for (const { tile, bytes } of this.edge.append(leafHash(entry))) this.files.set(tilePath(tile), bytes);
  }

  storePartial(): void {
    for (const { tile, bytes } of this.edge.partialTiles()) this.files.set(tilePath(tile), bytes);
  }

  readTile(tile: Tile): Promise<Uint8Array> {
    for (let width = tile.width; width <= tileWidth; width++) {
      const bytes = this.files.get(tilePath({ ...tile, width }));
      if (bytes !== undefined) return Promise.resolve(bytes);
    }
    return Promise.reject(new Error(`${tilePath(tile)} is not stored`));
  }
}

/** Copies of `hashes`, each with one bit of one hash flipped, for every bit. */
export function* withFlippedBits(hashes: readonly Uint8Array[]): Generator<Buffer[], void, undefined> {
  for (const [at, hash] of hashes.entries()) {
    for (let bit = 0; bit < hash.length * 8; bit++) {
      const copy = hashes.map((other) => Buffer.from(other));
      copy[at]![bit >> 3]! ^= 1 << (bit & 7);
      yield copy;
    }
  }
}
