/** What is known of a chain without reading it again. Loading and appending feed it line by line in the same way. */
import { parseBlock, zeroHash } from './block.ts';
import type { Block, BlockHead, JsonObject } from './block.ts';
import { AgentError } from '../model/errors.ts';
import { appendLeaf, emptyRange } from './tlog/compact-range.ts';
import type { CompactRange } from './tlog/compact-range.ts';
import { leafHash } from './tlog/hash.ts';

/** `action` of the blocks that name the height of a block whose change is not there. */
const outcomes = ['failed', 'abandoned'] as const;

/** `metadata.plugin` of the blocks the ledger writes about itself. */
export const ledgerPlugin = 'ledger';

/** `action` of the first block of every segment but the first (`storage`), which the ledger writes itself. */
export const segmentAction = 'segment';

/** Whether a block says that a segment begins with it. */
export function beginsSegment({ category, action, metadata }: Block): boolean {
  return category === 'storage' && action === segmentAction && metadata['plugin'] === ledgerPlugin;
}

export class ChainState {
  blocks = 0;
  bytes = 0;
  lastHash = zeroHash;
  /** The tree over the lines, for its root. */
  range: CompactRange = emptyRange;
  earliest: string | null = null;
  latest: string | null = null;
  readonly categories = new Map<string, number>();
  /** Bytes of the side file `torn` that blocks account for. */
  tornBytes = 0;
  /** Names of the other side files that blocks commit to. */
  readonly named = new Set<string>();
  /** Lines by height of the blocks written ahead that may be without an outcome. */
  readonly #doubts = new Map<number, Buffer>();

  note(line: BlockHead, bytes: Buffer): void {
    this.blocks++;
    this.bytes += bytes.length + 1;
    this.lastHash = line.hash;
    this.range = appendLeaf(this.range, leafHash(bytes));
    this.earliest ??= line.timestamp;
    this.latest = line.timestamp;
    this.categories.set(line.category, (this.categories.get(line.category) ?? 0) + 1);
    if (line.ahead !== null) this.#noteAhead(line.height, line.ahead, bytes);
    if (outcomes.some((action) => action === line.action)) this.#noteOutcome(bytes);
    if (line.category === 'storage') this.#noteSideFile(line.action, bytes);
  }

  /** The chain before a block, of which nothing is known but what the block and the tree say. */
  static before({ height, prev_hash }: Block, bytes: number, range: CompactRange): ChainState {
    const chain = new ChainState();
    chain.blocks = height;
    chain.bytes = bytes;
    chain.lastHash = prev_hash;
    chain.range = range;
    return chain;
  }

  /** All of it as JSON, for the index, which spares a later start the reading of these blocks. */
  toJson(): JsonObject {
    return {
      blocks: this.blocks,
      bytes: this.bytes,
      last_hash: this.lastHash,
      range: this.range.hashes.map((hash) => hash.toString('base64')),
      earliest: this.earliest,
      latest: this.latest,
      categories: Object.fromEntries(this.categories),
      torn_bytes: this.tornBytes,
      named: [...this.named],
      doubts: [...this.#doubts].map(([height, line]) => [height, line.toString('base64')]),
    };
  }

  /** What `toJson` gave. The caller knows that it was not damaged since. */
  static fromJson(value: JsonObject): ChainState {
    const json = value as unknown as ChainJson;
    const chain = new ChainState();
    chain.blocks = json.blocks;
    chain.bytes = json.bytes;
    chain.lastHash = json.last_hash;
    chain.range = { tree_size: json.blocks, hashes: json.range.map((hash) => Buffer.from(hash, 'base64')) };
    chain.earliest = json.earliest;
    chain.latest = json.latest;
    for (const [category, count] of Object.entries(json.categories)) chain.categories.set(category, count);
    chain.tornBytes = json.torn_bytes;
    for (const name of json.named) chain.named.add(name);
    for (const [height, line] of json.doubts) chain.#doubts.set(height, Buffer.from(line, 'base64'));
    return chain;
  }

  /** The blocks of the last transaction, and of those that were open beside it, for which no outcome is recorded. */
  inDoubt(): Block[] {
    return [...this.#doubts.values()].map((bytes) => parseBlock(bytes));
  }

  /** Whatever was written ahead before the lowest height that was still open has come to its end. */
  #noteAhead(height: number, lowestOpen: number, bytes: Buffer): void {
    for (const older of this.#doubts.keys()) {
      if (older < lowestOpen) this.#doubts.delete(older);
    }
    this.#doubts.set(height, Buffer.from(bytes));
  }

  #noteOutcome(bytes: Buffer): void {
    const block = readable(bytes);
    const height = block?.data['height'];
    // What callers add themselves (`plugin: external`) settles nothing.
    if (typeof height === 'number' && block?.metadata['plugin'] !== 'external') this.#doubts.delete(height);
  }

  #noteSideFile(action: string, bytes: Buffer): void {
    if (action !== 'torn' && action !== 'imported' && action !== 'evidence') return;
    const block = readable(bytes);
    if (block?.metadata['plugin'] !== ledgerPlugin) return;
    const { file, offset, length } = block.data;
    if (action !== 'torn' && typeof file === 'string') this.named.add(file);
    if (action === 'torn' && typeof offset === 'number' && typeof length === 'number') {
      this.tornBytes = Math.max(this.tornBytes, offset + length);
    }
  }
}

interface ChainJson {
  readonly blocks: number;
  readonly bytes: number;
  readonly last_hash: string;
  readonly range: readonly string[];
  readonly earliest: string | null;
  readonly latest: string | null;
  readonly categories: Readonly<Record<string, number>>;
  readonly torn_bytes: number;
  readonly named: readonly string[];
  readonly doubts: readonly (readonly [number, string])[];
}

/** null for a line that is no block: it says nothing here, and whoever reads it hears of it. */
export function readable(bytes: Buffer): Block | null {
  try {
    return parseBlock(bytes);
  } catch (thrown) {
    if (thrown instanceof AgentError) return null;
    throw thrown;
  }
}
