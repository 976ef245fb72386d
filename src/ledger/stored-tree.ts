/** The tree as files beside the ledger: `checkpoint`, and tiles by the paths of C2SP tlog-tiles. */
import { AgentError } from '../model/errors.ts';
import { parseCheckpoint } from './tlog/checkpoint.ts';
import type { TreeHead } from './tlog/compact-range.ts';
import { parseNote } from './tlog/note.ts';
import type { FilledTile } from './tlog/tile-edge.ts';
import type { TileReader } from './tlog/tile-reader.ts';
import { tilePath, tileWidth } from './tlog/tile.ts';
import type { Tile } from './tlog/tile.ts';

/** What the tree needs of a disk: files below the ledger's folder, by relative path. One caller writes at a time. */
export interface TreeFiles {
  /** null when there is no such file. */
  read(path: string): Promise<Buffer | null>;
  /** The old bytes or the new ones are there, and the new ones once this resolves. Folders are made. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  /** Names in a folder; none when it is not there. */
  list(folder: string): Promise<readonly string[]>;
  /** A file or a folder with its files; missing is fine. */
  remove(path: string): Promise<void>;
}

export interface StoredCheckpoint {
  readonly head: TreeHead;
  /** The signed note, byte for byte. */
  readonly note: Buffer;
}

export class StoredTree implements TileReader {
  readonly #files: TreeFiles;

  constructor(files: TreeFiles) {
    this.#files = files;
  }

  /** A partial tile may have been replaced by a wider one meanwhile. Rejects with `Unavailable` when there is none. */
  async readTile(tile: Tile): Promise<Buffer> {
    const exact = await this.#files.read(tilePath(tile));
    if (exact !== null) return exact;
    const full = tile.width === tileWidth ? null : await this.#files.read(tilePath({ ...tile, width: tileWidth }));
    if (full !== null) return full;
    const wider = (await this.#partialWidths(tile)).filter((width) => width > tile.width);
    const found = wider.length === 0 ? null : await this.#files.read(tilePath({ ...tile, width: Math.min(...wider) }));
    if (found !== null) return found;
    throw new AgentError('Unavailable', `ledger: ${tilePath(tile)} is not there`);
  }

  async writeTile({ tile, bytes }: FilledTile): Promise<void> {
    await this.#files.replace(tilePath(tile), bytes);
  }

  /** Removes the other partial tiles at the place of this one. */
  async dropOlderPartials(tile: Tile): Promise<void> {
    if (tile.width === tileWidth) {
      await this.#files.remove(partialFolder(tile));
      return;
    }
    for (const width of await this.#partialWidths(tile)) {
      if (width !== tile.width) await this.#files.remove(tilePath({ ...tile, width }));
    }
  }

  /**
   * null when there is none; rejects with `InvalidArgument` when the file is no checkpoint. Its signature is not looked
   * at: whoever can write this file can also write the ledger, and it counts only where the two agree.
   */
  async readCheckpoint(): Promise<StoredCheckpoint | null> {
    const note = await this.#files.read(checkpointPath);
    return note === null ? null : { head: parseCheckpoint(parseNote(note).text), note };
  }

  async writeCheckpoint({ note }: StoredCheckpoint): Promise<void> {
    await this.#files.replace(checkpointPath, note);
  }

  async #partialWidths(tile: Tile): Promise<number[]> {
    const names = await this.#files.list(partialFolder(tile));
    return names.filter((name) => /^[1-9][0-9]{0,2}$/.test(name)).map(Number);
  }
}

const checkpointPath = 'checkpoint';

function partialFolder(tile: Tile): string {
  return `${tilePath({ ...tile, width: tileWidth })}.p`;
}
