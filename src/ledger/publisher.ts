/**
 * Tiles and checkpoints: how the tree gets onto the disk, beside the appends and never in their way. What is published
 * comes from the file, at start and while running alike: the lines from the end of the last published tree on are read
 * again, so tiles that are missing, behind or wrong are made anew, and a file that no longer says what was acknowledged is
 * found out.
 *
 * Steps of publishing, and what a crash between two of them leaves:
 * 1. the tiles that became full are written and synced;
 * 2. the partial tiles of this tree are written and synced;
 * 3. the signed checkpoint replaces the one before: COMMIT POINT;
 * 4. older partial tiles are removed.
 * A crash before 3 leaves the old checkpoint with all of its tiles, and tiles that the next publishing writes again with
 * the same bytes. A crash between 3 and 4 leaves partial tiles that nobody needs; a later publishing removes them.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { FirstBlock } from './first-chain.ts';
import { LineSplitter } from './lines.ts';
import { signCheckpoint } from './tlog/checkpoint.ts';
import { treeHead } from './tlog/compact-range.ts';
import type { CompactRange } from './tlog/compact-range.ts';
import { leafHash } from './tlog/hash.ts';
import type { SignerKey } from './tlog/key.ts';
import { readTileEdge, TileEdge } from './tlog/tile-edge.ts';
import type { FilledTile } from './tlog/tile-edge.ts';
import type { LedgerStore } from './store.ts';
import type { StoredCheckpoint, StoredTree } from './stored-tree.ts';

export interface PublisherOptions {
  readonly tree: StoredTree;
  /** null: nothing can be signed, so nothing is published. */
  readonly key: SignerKey | null;
  /** Blocks after which, and milliseconds within which, a block is covered by a checkpoint. */
  readonly checkpointBlocks: number;
  readonly checkpointMs: number;
  readonly clock: Timers;
}

export interface Timers {
  /** Calls once, after `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** What there is to publish: the chain as it was acknowledged. */
export interface PublishedChain {
  readonly blocks: number;
  readonly bytes: number;
  readonly range: CompactRange;
}

interface Stored {
  readonly edge: TileEdge;
  /** Where its last block ends in the file. */
  readonly bytes: number;
}

export class TreePublisher {
  readonly #options: PublisherOptions;
  readonly #store: LedgerStore;
  readonly #chain: () => PublishedChain | null;
  readonly #first: FirstBlock;
  #checkpoint: StoredCheckpoint | null;
  /** Where the checkpoint's last block ends. */
  #checkpointBytes: number;
  /** The tree that the tiles hold; null when it must be found out. */
  #stored: Stored | null = null;
  #running: Promise<void> | null = null;
  #cancelTimer: (() => void) | null = null;
  #problem: AgentError | null = null;

  /** `chain` answers null while nothing may be published, because the ledger was tampered with. */
  constructor(
    store: LedgerStore,
    last: { readonly checkpoint: StoredCheckpoint | null; readonly bytes: number; readonly first: FirstBlock },
    chain: () => PublishedChain | null,
    options: PublisherOptions,
  ) {
    this.#store = store;
    this.#chain = chain;
    this.#options = options;
    this.#checkpoint = last.checkpoint;
    this.#checkpointBytes = last.bytes;
    this.#first = last.first;
  }

  get checkpoint(): StoredCheckpoint | null {
    return this.#checkpoint;
  }

  /** Why the last attempt failed; null when it did not. */
  get problem(): AgentError | null {
    return this.#problem;
  }

  /** To be called after every append: publishes when it is time, beside whatever the caller does next. */
  noteAppended(): void {
    const { key, checkpointBlocks, checkpointMs, clock } = this.#options;
    const unpublished = (this.#chain()?.blocks ?? 0) - (this.#checkpoint?.head.tree_size ?? 0);
    if (key === null || unpublished <= 0) return;
    if (unpublished >= checkpointBlocks && this.#running === null) this.#publishUnattended();
    else {
      this.#cancelTimer ??= clock.after(checkpointMs, () => {
        this.#publishUnattended();
      });
    }
  }

  /** Resolves when a checkpoint covers every block acknowledged by now. Rejects with `Unavailable` or `Tampered`. */
  async publish(): Promise<void> {
    const wanted = this.#chain()?.blocks ?? 0;
    // One that runs already may have begun before the newest block.
    while (this.#running !== null) await this.#running.catch(() => undefined);
    if ((this.#checkpoint?.head.tree_size ?? 0) >= wanted) return;
    await this.#start();
  }

  /** Makes every tile anew from the lines that are there. Rejects as `publish` does. */
  async rebuild(): Promise<void> {
    while (this.#running !== null) await this.#running.catch(() => undefined);
    this.#stored = await this.#beginning();
    await this.#start();
  }

  /** The last checkpoint of a run. Never rejects: `problem` says why there is none. */
  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    await this.publish().catch(() => undefined);
  }

  #publishUnattended(): void {
    // What fails is tried again after the next append; `problem` says so meanwhile.
    this.#start().catch(() => undefined);
  }

  #start(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#publish();
      this.#problem = null;
    } catch (thrown) {
      this.#stored = null;
      this.#problem = toAgentError(thrown);
      throw this.#problem;
    }
  }

  async #publish(): Promise<void> {
    const { tree, key } = this.#options;
    const chain = this.#chain();
    if (chain === null) throw new AgentError('Tampered', 'ledger: nothing is published of a ledger that was altered');
    if (key === null) throw new AgentError('Unavailable', 'ledger: no checkpoint without a key');
    // The chain grows while its lines are read.
    const head = treeHead(chain.range);
    const end = chain.bytes;
    const { edge, bytes } = this.#stored ?? (await this.#findStored());
    this.#stored = null;
    await this.#growTo(edge, bytes, end);
    if (!treeHead(edge.range()).sha256_root_hash.equals(head.sha256_root_hash)) {
      throw new AgentError('Tampered', 'ledger: the file does not say what was acknowledged: run "ledger verify"');
    }
    const partial = edge.partialTiles();
    for (const filled of partial) await tree.writeTile(filled);
    const checkpoint = { head, note: Buffer.from(signCheckpoint(head, key)) };
    await tree.writeCheckpoint(checkpoint);
    this.#checkpoint = checkpoint;
    this.#checkpointBytes = end;
    this.#stored = { edge, bytes: end };
    for (const { tile } of partial) await tree.dropOlderPartials(tile);
  }

  /** The tree before the first line that is there: empty, or what the tiles say of the segments that were moved away. */
  async #beginning(): Promise<Stored> {
    const { height, bytes } = this.#first;
    return { edge: height === 0 ? new TileEdge() : await readTileEdge(this.#options.tree, height), bytes };
  }

  /** The tree of the last checkpoint when its tiles lead to its root, else the one that everything is made from. */
  async #findStored(): Promise<Stored> {
    if (this.#checkpoint === null) return this.#beginning();
    const { tree_size, sha256_root_hash } = this.#checkpoint.head;
    try {
      const edge = await readTileEdge(this.#options.tree, tree_size);
      const isRight = treeHead(edge.range()).sha256_root_hash.equals(sha256_root_hash);
      if (isRight) return { edge, bytes: this.#checkpointBytes };
    } catch {
      // Missing or cut: they are made anew, whatever the reason.
    }
    return this.#beginning();
  }

  async #growTo(edge: TileEdge, from: number, to: number): Promise<void> {
    const { tree } = this.#options;
    let filled: FilledTile[] = [];
    const splitter = new LineSplitter((line) => {
      // A line that is too long cannot be in the tree; the root will differ.
      filled.push(...edge.append(leafHash(line ?? Buffer.alloc(0))));
      return true;
    });
    for await (const chunk of this.#store.read(from, to)) {
      splitter.push(chunk);
      for (const tile of filled) {
        await tree.writeTile(tile);
        // A full tile says all that the partial ones said.
        await tree.dropOlderPartials(tile.tile);
      }
      filled = [];
    }
  }
}
