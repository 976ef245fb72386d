/**
 * The ledger in use: the writer, and those who ask.
 *
 * Order of a change that is written ahead:
 * 1. its block is durable: COMMIT POINT of the record;
 * 2. the change is made;
 * 3. only when it failed: a second block, `failed`, names the height of the first.
 * A crash before 1 leaves nothing. A crash between 1 and 3 leaves a block whose change may or may not be there:
 * `inDoubt` reports it at the next start, and whoever can look at the world has it `abandon`ed when the change is not
 * there. There is no block for success, so what is in doubt follows from the blocks alone: the last one written
 * ahead, and those that were still open when it was written (`metadata.ahead` holds the lowest of them).
 */
import { AgentError } from '../model/errors.ts';
import { prepareDraft, zeroHash } from './block.ts';
import type { Block, BlockDraft, PreparedDraft } from './block.ts';
import type { BadLine, ChainReport } from './chain.ts';
import { aheadRunningMax, indexRunBlocks } from './limits.ts';
import { readLine } from './lines.ts';
import { firstChain } from './first-chain.ts';
import type { FirstBlock } from './first-chain.ts';
import { bringUp, gone, isGone, loadFirst, missingFrom } from './load.ts';
import { abandonedDraft, failedDraft } from './outcome.ts';
import { narrow, queryBlocks } from './query.ts';
import type { BlockQuery } from './query.ts';
import { proveBlock } from './prove-block.ts';
import { TreePublisher } from './publisher.ts';
import type { PublisherOptions } from './publisher.ts';
import { BlockIndex } from './search/block-index.ts';
import type { IndexPart } from './search/entry.ts';
import { findBlocks, findLine } from './search/find.ts';
import { IndexDamaged } from './search/pages.ts';
import type { IndexFiles } from './search/pages.ts';
import { ledgerPlugin } from './state.ts';
import type { LedgerStore } from './store.ts';
import type { StoredCheckpoint, StoredTree } from './stored-tree.ts';
import { treeHead } from './tlog/compact-range.ts';
import type { TreeHead } from './tlog/compact-range.ts';
import { proveConsistency } from './tlog/prove.ts';
import { verifyConsistency } from './tlog/verify-proofs.ts';
import { verifyLedger } from './verify.ts';
import { LedgerWriter } from './writer.ts';

export interface LedgerOptions extends PublisherOptions {
  /** Bytes of a segment above which the next one begins. */
  readonly segmentBytes: number;
  /** Where the index is kept, and how many blocks one of its files has; `indexRunBlocks` when not given. */
  readonly index: { readonly files: IndexFiles; readonly runBlocks?: number };
  /** Milliseconds since 1970. A clock that goes back is written down as it is: the chain orders, not the clock. */
  readonly nowMs: () => number;
  /** Name of this node, for the blocks the ledger writes about itself. */
  readonly host: string;
  /** What the last run left in doubt stays so, whatever is written ahead: for who cannot look whether it is there. */
  readonly keepsDoubts?: boolean;
}

/** The answer of `get_blockchain_stats`. */
interface LedgerStats {
  readonly total_blocks: number;
  /** Timestamps of the first and the last block; null in an empty ledger. */
  readonly earliest: string | null;
  readonly latest: string | null;
  /** Blocks by category, only those that occur. */
  readonly categories: Readonly<Record<string, number>>;
  readonly size_bytes: number;
  /** Blocks in segments that were moved away: `categories` and `earliest` may not know of them. */
  readonly archived_blocks: number;
  /** Blocks that the last checkpoint covers; 0 without one. */
  readonly checkpoint: number;
  readonly tampered: boolean;
}

interface Parts {
  readonly store: LedgerStore;
  readonly index: BlockIndex;
  readonly writer: LedgerWriter;
  readonly publisher: TreePublisher;
  readonly listeners: Set<(block: Block) => void>;
  readonly first: FirstBlock;
  readonly tree: StoredTree;
}

export class Ledger {
  readonly #store: LedgerStore;
  readonly #index: BlockIndex;
  readonly #writer: LedgerWriter;
  readonly #publisher: TreePublisher;
  readonly #tree: StoredTree;
  readonly #first: FirstBlock;
  readonly #listeners: Set<(block: Block) => void>;
  #doubts: Block[];
  #cosigned: StoredCheckpoint | null = null;
  /** Blocks written ahead whose action has not come to its end. */
  #running = 0;
  #bringingUp: Promise<void> | null = null;
  readonly #closing = new AbortController();

  /**
   * Reads and verifies the file (all of it, or what the index does not remember), moves a torn tail or the older tool's ledger aside and records that. A ledger
   * that was tampered with opens too: read-only, and it says so. Rejects with the store's error when the file cannot
   * be read. The caller holds the lock on the file.
   */
  static async open(store: LedgerStore, options: LedgerOptions): Promise<Ledger> {
    const { nowMs, host } = options;
    const listeners = new Set<(block: Block) => void>();
    const { files, runBlocks = indexRunBlocks } = options.index;
    const index = await BlockIndex.open(files, { runBlocks });
    const loaded = await loadFirst(store, options.tree, index);
    const writer = await LedgerWriter.open(store, loaded, {
      index,
      tree: options.tree,
      segmentBytes: options.segmentBytes,
      nowMs,
      ownMetadata: { plugin: ledgerPlugin, host },
      keepsDoubts: options.keepsDoubts === true,
      // A listener that throws is an error of the program; it must not stop the writer half-way through a batch.
      onAppended: (block) => {
        for (const listener of listeners) {
          queueMicrotask(() => {
            listener(block);
          });
        }
      },
    });
    const publisher = new TreePublisher(
      store,
      { checkpoint: loaded.checkpoint, bytes: loaded.checkpointBytes, first: loaded.first },
      () => (writer.tampered === null ? writer.chain : null),
      options,
    );
    const ledger = new Ledger({ store, index, writer, publisher, listeners, first: loaded.first, tree: options.tree });
    // What the last run left without a checkpoint gets one in time, whether or not more blocks come.
    publisher.noteAppended();
    return ledger;
  }

  private constructor({ store, index, writer, publisher, listeners, first, tree }: Parts) {
    this.#first = first;
    this.#store = store;
    this.#index = index;
    this.#writer = writer;
    this.#publisher = publisher;
    this.#tree = tree;
    this.#listeners = listeners;
    listeners.add(() => {
      publisher.noteAppended();
    });
    this.#doubts = writer.chain.inDoubt();
  }

  /** Blocks in the chain, which is the height of the next one. */
  get blocks(): number {
    return this.#writer.chain.blocks;
  }

  /** Hash of the last block; 64 zeros in an empty ledger. */
  get lastHash(): string {
    return this.#writer.chain.lastHash;
  }

  /** Size and root of the tree over every block that is durable: what a change written ahead is bound to. */
  treeHead(): TreeHead {
    return treeHead(this.#writer.chain.range);
  }

  /** The last checkpoint; null before the first. */
  get checkpoint(): StoredCheckpoint | null {
    return this.#publisher.checkpoint;
  }

  /** Why no checkpoint could be written lately; null when there is nothing to say. */
  get checkpointProblem(): AgentError | null {
    return this.#publisher.problem;
  }

  /** Why no new segment could be begun; null when there is nothing to say. */
  get segmentProblem(): AgentError | null {
    return this.#writer.rotationProblem;
  }

  /** Read-only because acknowledged blocks were altered or are missing: an operator must act, the agent goes on. */
  get tampered(): boolean {
    return this.#writer.tampered !== null;
  }

  /** The first bad line of a ledger that was tampered with. */
  get tamperedAt(): BadLine | null {
    return this.#writer.tampered;
  }

  /**
   * Resolves with the block once it is durable. Rejects with `InvalidArgument` (the draft), `Tampered` (read-only),
   * `Busy` (too many waiting) or `Unavailable` (not recorded: disk full, an I/O error, or closed). What to do without
   * a record is for the caller to decide; the next append tries anew.
   */
  async append(draft: BlockDraft): Promise<Block> {
    return this.#writer.append(prepareDraft(draft), false);
  }

  /**
   * Makes a change whose block is durable before it is made. When the block cannot be recorded, that error is thrown
   * and `action` is not run. When `action` fails, `failed` is recorded and the action's own error is thrown; a
   * `failed` that finds no room is written with the next append that does.
   */
  async writeAhead<T>(draft: BlockDraft, action: (block: Block) => Promise<T>): Promise<T> {
    return this.writeAheadAll([draft], ([block]) => action(block as Block));
  }

  /** As `writeAhead`, for one change that several blocks describe, such as one transaction for many ports. */
  async writeAheadAll<T>(drafts: readonly BlockDraft[], action: (blocks: readonly Block[]) => Promise<T>): Promise<T> {
    const prepared = drafts.map(prepareDraft);
    if (this.#running + prepared.length > aheadRunningMax) {
      throw new AgentError('Busy', `ledger: ${this.#running} changes are under way, at most ${aheadRunningMax} may be`);
    }
    this.#running += prepared.length;
    try {
      const blocks = await this.#appendAhead(prepared);
      return await this.#run(blocks, action);
    } finally {
      this.#running -= prepared.length;
    }
  }

  /**
   * Blocks written ahead before this start whose change may not be there: the last ones, whatever became of them. So
   * whoever looks must bear in mind that a change which was there may since have been undone, by a reboot for one.
   */
  inDoubt(): readonly Block[] {
    return this.#doubts;
  }

  /** Records that the change of a block in doubt is not there. Rejects as `append` does. */
  async abandon(block: Block, reason: string): Promise<Block> {
    const abandoned = await this.#writer.append(abandonedDraft(block, reason), false);
    this.#doubts = this.#doubts.filter(({ height }) => height !== block.height);
    return abandoned;
  }

  stats(): LedgerStats {
    const { blocks, earliest, latest, categories, bytes } = this.#writer.chain;
    return {
      total_blocks: blocks,
      earliest,
      latest,
      categories: Object.fromEntries([...categories].sort(([a], [b]) => (a < b ? -1 : 1))),
      size_bytes: bytes,
      archived_blocks: this.#first.height,
      checkpoint: this.checkpoint?.head.tree_size ?? 0,
      tampered: this.tampered,
    };
  }

  /** Reads what was acknowledged when it was asked; blocks that arrive meanwhile do not disturb it. */
  async query(query: BlockQuery): Promise<Block[]> {
    const { bytes, blocks } = this.#writer.chain;
    const { height: first, bytes: begin } = this.#first;
    const { to = Infinity, ...rest } = query;
    const from = Math.max(query.from ?? 0, first);
    const found = await this.#ask(blocks, (parts, readAt) =>
      findBlocks(parts, readAt, { ...rest, from, to: Math.min(to, blocks - 1) }),
    );
    return found ?? queryBlocks(this.#store.read(begin, bytes), narrow(query, blocks), first);
  }

  /** null beyond the end. Rejects with `NotFound` for a block of a segment that was moved away. */
  async blockAt(height: number): Promise<Block | null> {
    this.#checkThere(height);
    return (await this.query({ from: height, to: height, limit: 1 }))[0] ?? null;
  }

  async blockWithHash(hash: string): Promise<Block | null> {
    return (await this.query({ hash, limit: 1 }))[0] ?? null;
  }

  /**
   * Verifies the file as it was acknowledged when it was asked: chain, blocks, and tree against the last checkpoint. A
   * ledger found wanting is tampered from then on; one that was tampered with before, and where nothing is wrong now, is reported
   * as it was found.
   */
  async verify(): Promise<ChainReport> {
    const { bytes, blocks, lastHash } = this.#writer.chain;
    // Of the same moment: a later checkpoint covers blocks that are not read here.
    const report = await this.#readChain(bytes, this.checkpoint?.head ?? null);
    const bad = missingFrom(report, { blocks, lastHash }) ?? this.#writer.tampered;
    if (bad === null) return report;
    this.#writer.markTampered(bad);
    // The next start has to find it too, so it must not pass over what the index remembers.
    await this.#index.cutTo(0);
    return { ...report, valid: false, firstBad: bad };
  }

  /**
   * Whether the ledger continues a tree that it has signed, which somebody else has kept. When it does not, or is shorter, it
   * is tampered from then on. `who`: whose that is. Rejects with `Unavailable` when that cannot be told.
   */
  async holdAgainst(head: TreeHead, who: string): Promise<boolean> {
    if (await this.#hasStored(head)) return true;
    if (head.tree_size < this.#first.height) {
      const what = `the ${head.tree_size} blocks that ${who} has seen are in segments that were moved away`;
      throw new AgentError('Unavailable', `${what}, and do not follow from the tiles: put them back`);
    }
    const { bytes, blocks } = this.#writer.chain;
    // What does not follow from the tiles, which may be damaged, is told by the lines.
    const from = await firstChain(this.#store, this.#tree);
    const { firstBad } = await verifyLedger(this.#store.read(from.bytes, bytes), head, { from });
    if (firstBad === undefined) return true;
    const reason = `the ledger has ${blocks} blocks and does not continue the ${head.tree_size} that ${who} has seen`;
    this.#writer.markTampered({ ...firstBad, reason: `${reason}: ${firstBad.reason}` });
    // The next start has to find it too.
    await this.#index.cutTo(0);
    return false;
  }

  /** Hashes from the tree of `first` blocks to that of `second`, out of the stored tiles; unverified. */
  async proveConsistency(first: number, second: number): Promise<readonly Uint8Array[]> {
    return (await proveConsistency(this.#tree, first, second)).consistency;
  }

  /** A checkpoint of this ledger that witnesses have cosigned: proofs of the blocks that it covers are made with it. */
  setCosigned(checkpoint: StoredCheckpoint): void {
    this.#cosigned = checkpoint;
  }

  /** Calls `listener` with every durable block, in order, soon after its append resolved. Returns what ends that. */
  onAppended(listener: (block: Block) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * A proof of one block as a C2SP tlog-proof, verified before it is handed out; a block that no checkpoint covers yet
   * gets one first. Rejects with `NotFound`, with `Tampered` when the block cannot be proven from the file, and with
   * `Unavailable` when no checkpoint can be made.
   */
  async prove(height: number): Promise<Buffer> {
    const { blocks, bytes } = this.#writer.chain;
    if (height >= blocks) throw new AgentError('NotFound', `the ledger has no block ${height}, it has ${blocks}`);
    this.#checkThere(height);
    if (height >= (this.checkpoint?.head.tree_size ?? 0)) await this.#publisher.publish();
    const indexed = await this.#ask(blocks, (parts, readAt) => findLine(parts, readAt, height));
    const line = indexed ?? (await this.#readLine(height, bytes));
    const cosigned = this.#cosigned;
    if (cosigned === null || height >= cosigned.head.tree_size || !(await this.#hasStored(cosigned.head))) {
      return proveBlock(height, line, this.#tree, this.#publisher);
    }
    return proveBlock(height, line, this.#tree, { checkpoint: cosigned, rebuild: () => this.#publisher.rebuild() });
  }

  /** Writes what is waiting and the last checkpoint, then closes the store; appends reject from now on. */
  async close(): Promise<void> {
    await this.#writer.close();
    await this.#publisher.close();
    // What the index lacks then, the next start reads.
    this.#closing.abort();
    await this.#bringingUp;
    await this.#index.close();
    await this.#store.close();
  }

  #checkThere(height: number): void {
    if (height >= this.#first.height) return;
    const what = `ledger block ${height} is in a segment that was moved away; what is there begins with`;
    throw new AgentError('NotFound', `${what} ${this.#first.height}: put it back and start the service again`);
  }

  #readLine(height: number, end: number): Promise<Buffer> {
    return readLine(this.#store.read(this.#first.bytes, end), height - this.#first.height);
  }

  /** What the index says of the first `blocks`; null when it cannot tell, and then it is brought up meanwhile. */
  async #ask<T>(
    blocks: number,
    question: (parts: readonly IndexPart[], readAt: (from: number, to: number) => Promise<Buffer>) => Promise<T>,
  ): Promise<T | null> {
    if (this.#index.blocks >= blocks) {
      try {
        return await question(this.#index.parts(), (from, to) => this.#store.readAt(from, to));
      } catch (thrown) {
        if (!(thrown instanceof IndexDamaged)) throw thrown;
        await this.#index.dropDamaged(thrown);
      }
    }
    if (!this.tampered) this.#bringUp();
    return null;
  }

  /** Beside everything else. What cannot be read now is tried again by the next who asks. */
  #bringUp(): void {
    this.#bringingUp ??= bringUp(this.#store, this.#tree, this.#index, () => this.#writer.chain, this.#closing.signal)
      .catch(() => undefined)
      .finally(() => {
        this.#bringingUp = null;
      });
  }

  /** Whether the stored tiles lead from this tree to that of the last checkpoint. */
  async #hasStored({ tree_size, sha256_root_hash }: TreeHead): Promise<boolean> {
    const last = this.checkpoint?.head;
    if (last === undefined || tree_size === 0 || tree_size > last.tree_size) return false;
    try {
      const proof = await proveConsistency(this.#tree, tree_size, last.tree_size);
      verifyConsistency(proof, sha256_root_hash, last.sha256_root_hash);
      return true;
    } catch (thrown) {
      if (thrown instanceof AgentError) return false;
      throw thrown;
    }
  }

  async #readChain(bytes: number, checkpoint: TreeHead | null): Promise<ChainReport> {
    try {
      const from = await firstChain(this.#store, this.#tree);
      const report = await verifyLedger(this.#store.read(from.bytes, bytes), checkpoint, { from });
      return this.#first.height === 0 ? report : { ...report, unseen: [{ from: 0, to: this.#first.height }] };
    } catch (thrown) {
      if (!isGone(thrown)) throw thrown;
      const bad = gone(thrown);
      return { valid: false, blocks: 0, bytes: 0, lastHash: zeroHash, firstBad: bad, wholeFromBad: 0 };
    }
  }

  /** All or none: when some could not be recorded, those that were are said to have failed. */
  async #appendAhead(drafts: readonly PreparedDraft[]): Promise<Block[]> {
    const results = await Promise.allSettled(drafts.map((draft) => this.#writer.append(draft, true)));
    const blocks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const refused = results.find((result) => result.status === 'rejected');
    if (refused === undefined) return blocks;
    await this.#recordFailed(blocks, refused.reason);
    throw refused.reason;
  }

  async #run<T>(blocks: readonly Block[], action: (blocks: readonly Block[]) => Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await action(blocks);
    } catch (error) {
      await this.#recordFailed(blocks, error);
      throw error;
    }
    for (const { height } of blocks) this.#writer.settle(height);
    return result;
  }

  /** A block without its `failed` stays open, so that a later start finds it in doubt. */
  async #recordFailed(blocks: readonly Block[], error: unknown): Promise<void> {
    const record = async (block: Block): Promise<void> => {
      const draft = failedDraft(block, error);
      const settle = (): void => {
        this.#writer.settle(block.height);
      };
      await this.#writer.append(draft, false).then(settle, () => this.#writer.owe(draft, settle));
    };
    await Promise.all(blocks.map(record));
  }
}
