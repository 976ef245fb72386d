/**
 * Tiles: how a tree is stored (C2SP tlog-tiles, "Merkle Tree"). A tile of level L holds up to 256 hashes, each of 256^L
 * leaves; hashes between the levels are computed when they are needed.
 */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { treeSizeMax } from '../limits.ts';

export interface Tile {
  readonly level: number;
  readonly index: number;
  /** Hashes in it: 256, or fewer in the last tile of a level. */
  readonly width: number;
}

/** Height of the subtree that a full tile spans. */
export const tileHeight = 8;
export const tileWidth = 256;

/** Path of a tile below the log's folder or URL prefix: `tile/0/x001/x234/067.p/112`. */
export function tilePath({ level, index, width }: Tile): string {
  const groups: string[] = [];
  for (let rest = index; groups.length === 0 || rest > 0; rest = Math.floor(rest / 1000)) {
    const digits = String(rest % 1000).padStart(3, '0');
    groups.unshift(groups.length === 0 ? digits : `x${digits}`);
  }
  return `tile/${level}/${groups.join('/')}${width === tileWidth ? '' : `.p/${width}`}`;
}

/** Throws `InvalidArgument` for anything but a path that `tilePath` makes. */
export function parseTilePath(path: string): Tile {
  const match = /^tile\/([0-9]|[1-5][0-9]|6[0-3])\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(
    path,
  );
  if (match !== null) {
    const index = Number((match[2] ?? '').replaceAll(/[x/]/g, ''));
    const tile = { level: Number(match[1]), index, width: Number(match[3] ?? tileWidth) };
    if (firstLeaf(tile) <= treeSizeMax && tilePath(tile) === path) return tile;
  }
  throw new AgentError('InvalidArgument', `tile path ${quote(path)} is not valid`);
}

/** Hashes that level `level` of a tree has. */
export function hashesAtLevel(level: number, treeSize: number): number {
  return Math.floor(treeSize / tileWidth ** level);
}

/** The tile of a level that holds its `at`-th hash, as wide as it is in a tree of `treeSize` leaves. */
export function tileOf(level: number, at: number, treeSize: number): Tile {
  const index = Math.floor(at / tileWidth);
  return { level, index, width: Math.min(tileWidth, hashesAtLevel(level, treeSize) - index * tileWidth) };
}

function firstLeaf({ level, index }: Tile): number {
  return index * tileWidth ** (level + 1);
}
