/**
 * The right edge of a stored tree: of every level the tile that is not full yet. It says which tiles an append completes
 * and what the partial ones hold, so whoever stores the tree needs nothing else of it; 8 KiB a level.
 */
import type { CompactRange } from './compact-range.ts';
import { foldHashes, hashBytes } from './hash.ts';
import type { Hash } from './hash.ts';
import { readTileHashes } from './tile-reader.ts';
import type { TileReader } from './tile-reader.ts';
import { hashesAtLevel, tileOf, tileWidth } from './tile.ts';
import type { Tile } from './tile.ts';

export interface FilledTile {
  readonly tile: Tile;
  /** `width` hashes, one after the other. */
  readonly bytes: Buffer;
}

export class TileEdge {
  #treeSize: number;
  /** Of each level, from 0 on, the hashes of its last tile while it is not full. */
  readonly #levels: Hash[][];

  constructor(treeSize = 0, levels: Hash[][] = []) {
    this.#treeSize = treeSize;
    this.#levels = levels;
  }

  get treeSize(): number {
    return this.#treeSize;
  }

  /** Takes in one more leaf. Returns the tiles it completed, the lowest level first: mostly none. */
  append(leaf: Hash): readonly FilledTile[] {
    const index = this.#treeSize++;
    if (this.#push(0, leaf) < tileWidth) return nothing;
    const filled: FilledTile[] = [];
    for (let level = 0; this.#levels[level]?.length === tileWidth; level++) {
      const bytes = Buffer.concat(this.#levels[level] ?? []);
      filled.push({ tile: { level, index: Math.floor(index / tileWidth ** (level + 1)), width: tileWidth }, bytes });
      this.#levels[level] = [];
      this.#push(level + 1, foldHashes(bytes));
    }
    return filled;
  }

  /** The tiles that are not full, the lowest level first; an empty one is none. */
  partialTiles(): FilledTile[] {
    return this.#levels.flatMap((hashes, level) =>
      hashes.length === 0
        ? []
        : [
            {
              tile: tileOf(level, hashesAtLevel(level, this.#treeSize) - 1, this.#treeSize),
              bytes: Buffer.concat(hashes),
            },
          ],
    );
  }

  /** The same tree as a range, for its root: up to 255 node hashes a level. */
  range(): CompactRange {
    const hashes = this.#levels.toReversed().flatMap((level) => perfectSubtrees(Buffer.concat(level)));
    return { tree_size: this.#treeSize, hashes };
  }

  #push(level: number, hash: Hash): number {
    const hashes = this.#levels[level];
    if (hashes !== undefined) return hashes.push(hash);
    this.#levels[level] = [hash];
    return 1;
  }
}

/**
 * The edge of a tree of `treeSize` leaves from its stored tiles, one a level. Rejects as the reader does, and with
 * `InvalidArgument` for a tile that is too short. Whether they are the right tiles shows in the root alone: compare
 * `treeHead(edge.range())` with a checkpoint.
 */
export async function readTileEdge(reader: TileReader, treeSize: number): Promise<TileEdge> {
  const levels: Hash[][] = [];
  for (let level = 0; hashesAtLevel(level, treeSize) > 0; level++) {
    const count = hashesAtLevel(level, treeSize);
    const isPartial = count % tileWidth > 0;
    levels.push(isPartial ? split(await readTileHashes(reader, tileOf(level, count - 1, treeSize))) : []);
  }
  return new TileEdge(treeSize, levels);
}

const nothing: readonly FilledTile[] = [];

/** The largest power of two first, as many as fit. */
function perfectSubtrees(hashes: Buffer): Hash[] {
  const roots: Hash[] = [];
  let rest = hashes;
  for (let width = tileWidth * hashBytes; width >= hashBytes; width /= 2) {
    if (rest.length < width) continue;
    roots.push(foldHashes(rest.subarray(0, width)));
    rest = rest.subarray(width);
  }
  return roots;
}

function split(bytes: Buffer): Hash[] {
  return Array.from({ length: bytes.length / hashBytes }, (_, index) =>
    bytes.subarray(index * hashBytes, (index + 1) * hashBytes),
  );
}
