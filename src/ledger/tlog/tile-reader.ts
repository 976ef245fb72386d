/** Hashes of a tree out of its stored tiles. */
import { AgentError } from '../../model/errors.ts';
import { asBuffer } from '../block.ts';
import { foldHashes, hashBytes } from './hash.ts';
import type { Hash } from './hash.ts';
import { tileHeight, tileOf, tilePath, tileWidth } from './tile.ts';
import type { Tile } from './tile.ts';

/** Where tiles are. Rejects when it cannot give one. */
export interface TileReader {
  /** The bytes of a tile, or of a wider one of the same place: a partial tile may be gone once the full one is there. */
  readTile(tile: Tile): Promise<Uint8Array>;
}

/** A perfect subtree: the `index`-th over 2^`height` leaves. */
export interface Node {
  readonly height: number;
  readonly index: number;
}

/** Reads each tile once, all at the same time, and hands out the hashes of `nodes` in a tree of `treeSize` leaves. */
export async function readNodes(
  reader: TileReader,
  nodes: readonly Node[],
  treeSize: number,
): Promise<(node: Node) => Hash> {
  const tiles = new Map(nodes.map((node) => tileOfNode(node, treeSize)).map((tile) => [tilePath(tile), tile]));
  const read = async ([path, tile]: [string, Tile]): Promise<[string, Buffer]> => [
    path,
    await readTileHashes(reader, tile),
  ];
  const bytesOf = new Map(await Promise.all([...tiles].map(read)));
  return (node) => {
    const bytes = bytesOf.get(tilePath(tileOfNode(node, treeSize)));
    if (bytes === undefined) throw new TypeError(`node ${node.index} of height ${node.height} was not asked for`);
    const width = 2 ** (node.height % tileHeight);
    const start = ((node.index * width) % tileWidth) * hashBytes;
    return foldHashes(bytes.subarray(start, start + width * hashBytes));
  };
}

/** The `width` hashes of a tile. Throws `InvalidArgument` when the reader's bytes are not as long. */
export async function readTileHashes(reader: TileReader, tile: Tile): Promise<Buffer> {
  const bytes = asBuffer(await reader.readTile(tile));
  if (bytes.length < tile.width * hashBytes || bytes.length > tileWidth * hashBytes || bytes.length % hashBytes > 0) {
    throw new AgentError(
      'InvalidArgument',
      `${tilePath(tile)} has ${bytes.length} bytes: ${tile.width} hashes expected`,
    );
  }
  return bytes.subarray(0, tile.width * hashBytes);
}

function tileOfNode({ height, index }: Node, treeSize: number): Tile {
  return tileOf(Math.floor(height / tileHeight), index * 2 ** (height % tileHeight), treeSize);
}
