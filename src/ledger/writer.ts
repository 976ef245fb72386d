/**
 * The one writer: a queue, batches, and what happens when a write fails.
 *
 * Order of an append (`LedgerStore.append` says how 2 is done):
 * 1. everything that arrives while a write is in flight forms the next batch, in the order it was asked for; there is
 *    no timer, so a single block waits for nothing;
 * 2. the batch's lines are written and synced: COMMIT POINT;
 * 3. the state in memory follows, the callers are answered, the listeners hear of it.
 * A crash before 2 leaves nothing, a torn tail that the next start moves away, or whole lines nobody was told of. A
 * crash between 2 and 3 leaves whole lines nobody was told of: they stay in the chain, and are in doubt if they were
 * written ahead.
 *
 * Before 2 a segment that is full is left and a new one begun (`LedgerStore.rotate`). The first block in it says so, with
 * the first batch; a crash between the two leaves an empty segment, and the next append begins with that block.
 *
 * A write that failed for want of room left nothing, and the next one is tried at once. After any other failure the
 * file is opened anew, verified, and cut back to what was acknowledged before anything else is written.
 */
import { AgentError } from '../model/errors.ts';
import { encodePrepared, parseBlock, prepareDraft, timestampOf } from './block.ts';
import type { Block, BlockHead, JsonObject, PreparedDraft } from './block.ts';
import type { BadLine } from './chain.ts';
import { batchBytesMax, owedBlocksMax, pendingBlocksMax } from './limits.ts';
import { gone, isGone, loadAgain } from './load.ts';
import type { Loaded } from './load.ts';
import type { BlockIndex } from './search/block-index.ts';
import { unrecordedSideFiles } from './side-files.ts';
import { ChainState, segmentAction } from './state.ts';
import type { AppendResult, LedgerStore } from './store.ts';
import type { StoredTree } from './stored-tree.ts';

interface WriterOptions {
  readonly nowMs: () => number;
  /** Metadata of the blocks the ledger writes about itself. */
  readonly ownMetadata: JsonObject;
  /** Hears of every durable block, in order. Must not throw. */
  readonly onAppended: (block: Block) => void;
  readonly tree: StoredTree;
  /** Bytes of a segment above which the next one begins. */
  readonly segmentBytes: number;
  /** Takes in every durable block. */
  readonly index: BlockIndex;
  /** What is in doubt when it opens is as open as what it writes ahead itself. */
  readonly keepsDoubts: boolean;
}

interface Pending {
  readonly draft: PreparedDraft;
  readonly timestamp: string;
  readonly ahead: boolean;
  readonly resolve: (block: Block) => void;
  readonly reject: (error: AgentError) => void;
}

interface Encoded {
  readonly pending: Pending;
  readonly line: Buffer;
  readonly head: BlockHead;
}

export class LedgerWriter {
  readonly #store: LedgerStore;
  readonly #options: WriterOptions;
  #chain = new ChainState();
  #tampered: BadLine | null = null;
  /** Set while the file may hold more than was acknowledged, because a write or the removal of a torn tail failed. */
  #suspect = false;
  #closed = false;
  #rotationProblem: AgentError | null = null;
  #queue: Pending[] = [];
  #writing: Promise<void> | null = null;
  /** Blocks nobody waits for; written before those in the queue, with the next write. */
  #owedSideFiles: Pending[] = [];
  #owed: Pending[] = [];
  /** Heights written ahead that were not settled yet; a Set keeps them in ascending order. */
  readonly #open = new Set<number>();

  /** Begins with what was loaded and writes what is owed; without room for that it stays owed, and nobody is kept waiting. */
  static async open(store: LedgerStore, loaded: Loaded, options: WriterOptions): Promise<LedgerWriter> {
    const writer = new LedgerWriter(store, options);
    await writer.#take(loaded);
    if (options.keepsDoubts) for (const { height } of loaded.chain.inDoubt()) writer.#open.add(height);
    if (writer.#owedSideFiles.length > 0) await writer.#start();
    return writer;
  }

  private constructor(store: LedgerStore, options: WriterOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** What is durable and acknowledged. */
  get chain(): ChainState {
    return this.#chain;
  }

  get tampered(): BadLine | null {
    return this.#tampered;
  }

  /** Why no new segment could be begun; null when there is nothing to say. */
  get rotationProblem(): AgentError | null {
    return this.#rotationProblem;
  }

  /** Makes the ledger read-only for good. */
  markTampered(bad: BadLine): void {
    this.#tampered ??= bad;
  }

  /**
   * Resolves once the block is durable. `ahead` marks it as written ahead: it stays open until `settle`. Rejects with
   * `Tampered`, `Busy` or `Unavailable`.
   */
  append(draft: PreparedDraft, ahead: boolean): Promise<Block> {
    return new Promise((resolve, reject) => {
      const refusal = this.#tampered === null ? this.#refusal() : tamperedError(this.#tampered);
      if (refusal !== null) {
        reject(refusal);
        return;
      }
      this.#queue.push({ draft, timestamp: timestampOf(this.#options.nowMs()), ahead, resolve, reject });
      void this.#start();
    });
  }

  /** Has a block written with the next append; false when too many wait already. */
  owe(draft: PreparedDraft, onWritten: () => void): boolean {
    if (this.#owed.length >= owedBlocksMax) return false;
    this.#owed.push(this.#unattended(draft, onWritten));
    return true;
  }

  /** The outcome of a block written ahead is known: the change is there, or a block says that it is not. */
  settle(height: number): void {
    this.#open.delete(height);
  }

  /** Writes what is waiting; nothing is written afterwards. The store stays open for those who read. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    if (this.#owed.length + this.#owedSideFiles.length > 0) await this.#start();
  }

  /** At most one run of `#write` at a time; what comes while it runs, it takes along. */
  #start(): Promise<void> {
    this.#writing ??= this.#write();
    return this.#writing;
  }

  async #write(): Promise<void> {
    // One turn of patience costs nothing and lets all appends of one caller share the first write.
    await Promise.resolve();
    try {
      do {
        const refusal = await this.#makeReady();
        if (refusal === null) await this.#writeBatch();
        else for (const pending of this.#queue.splice(0)) pending.reject(refusal);
      } while (this.#queue.length > 0);
    } finally {
      // In the same turn as the last look at the queue: an append that comes next starts a new run.
      this.#writing = null;
    }
  }

  async #makeReady(): Promise<AgentError | null> {
    if (this.#suspect) {
      try {
        await this.#store.reopen();
        await this.#take(await loadAgain(this.#store, this.#options.tree, this.#chain));
      } catch (thrown) {
        if (!isGone(thrown)) return unavailable(thrown);
        this.markTampered(gone(thrown));
      }
    }
    return this.#tampered === null ? null : tamperedError(this.#tampered);
  }

  async #writeBatch(): Promise<void> {
    const rotation = await this.#rotateWhenFull();
    if (rotation !== null) {
      for (const pending of this.#queue.splice(0)) pending.reject(rotation);
      return;
    }
    const batch = this.#encodeBatch([...this.#segmentBlock(), ...this.#owedSideFiles, ...this.#owed, ...this.#queue]);
    const attempted = new Set(batch.map(({ pending }) => pending));
    const leave = (pending: Pending): boolean => !attempted.has(pending);
    this.#queue = this.#queue.filter(leave);
    const failure = await this.#tryAppend(Buffer.concat(batch.flatMap(({ line }) => [line, newline])));
    if (failure !== null) {
      for (const pending of attempted) pending.reject(failure);
      return;
    }
    this.#owedSideFiles = this.#owedSideFiles.filter(leave);
    this.#owed = this.#owed.filter(leave);
    const { index, onAppended } = this.#options;
    for (const { pending, line, head } of batch) {
      const offset = this.#chain.bytes;
      this.#chain.note(head, line);
      if (pending.ahead) this.#open.add(head.height);
      const block = parseBlock(line);
      index.note(head, block, offset, line.length, this.#chain);
      pending.resolve(block);
      onAppended(block);
    }
    void index.flush();
  }

  /** Why nothing can be written now; null otherwise, also when the segment stays because there is no room for another. */
  async #rotateWhenFull(): Promise<AgentError | null> {
    const { size, activeStart } = this.#store;
    if (size - activeStart < this.#options.segmentBytes) return null;
    try {
      const result = await this.#store.rotate();
      this.#rotationProblem = result.kind === 'kept' ? new AgentError('Unavailable', result.reason) : null;
      return null;
    } catch (thrown) {
      this.#suspect = true;
      return unavailable(thrown);
    }
  }

  /** What a later segment begins with: which file was before it, and where in the ledger it begins. */
  #segmentBlock(): Pending[] {
    const { size, activeStart, lastSegment } = this.#store;
    if (lastSegment === null || size > activeStart) return [];
    const data = { file: lastSegment, offset: activeStart };
    const draft = prepareDraft({
      category: 'storage',
      action: segmentAction,
      metadata: this.#options.ownMetadata,
      data,
    });
    return [this.#unattended(draft, ignore)];
  }

  async #tryAppend(bytes: Uint8Array): Promise<AgentError | null> {
    let result: AppendResult;
    try {
      result = await this.#store.append(bytes);
    } catch (thrown) {
      this.#suspect = true;
      return unavailable(thrown);
    }
    return result.kind === 'durable' ? null : unavailable(new Error(result.reason));
  }

  /** The first of `waiting` as lines, in order, up to what one write may hold. */
  #encodeBatch(waiting: readonly Pending[]): Encoded[] {
    const batch: Encoded[] = [];
    let { blocks: height, lastHash: prevHash } = this.#chain;
    let [lowestOpen] = this.#open;
    let bytes = 0;
    for (const pending of waiting) {
      const { draft, timestamp } = pending;
      if (pending.ahead) lowestOpen ??= height;
      const ahead = pending.ahead ? (lowestOpen ?? height) : null;
      const { line, hash } = encodePrepared(draft, {
        height,
        prevHash,
        timestamp,
        ...(ahead === null ? {} : { ahead }),
      });
      bytes += line.length + newline.length;
      if (bytes > batchBytesMax) break;
      const { category, action } = draft;
      batch.push({ pending, line, head: { height, hash, timestamp, category, action, ahead } });
      height++;
      prevHash = hash;
    }
    return batch;
  }

  async #take(loaded: Loaded): Promise<void> {
    const drafts = await unrecordedSideFiles(this.#store, loaded.chain, this.#options.ownMetadata);
    if (loaded.tampered !== null) this.markTampered(loaded.tampered);
    this.#chain = loaded.chain;
    this.#suspect = loaded.unmoved !== null;
    this.#owedSideFiles = drafts.map((draft) => this.#unattended(prepareDraft(draft), ignore));
  }

  #unattended(draft: PreparedDraft, resolve: () => void): Pending {
    return { draft, timestamp: timestampOf(this.#options.nowMs()), ahead: false, resolve, reject: ignore };
  }

  #refusal(): AgentError | null {
    if (this.#closed) return new AgentError('Unavailable', 'ledger: nothing is recorded any more: it was closed');
    if (this.#queue.length < pendingBlocksMax) return null;
    return new AgentError('Busy', `ledger: ${pendingBlocksMax} blocks are waiting to be written; try again`);
  }
}

const newline = Buffer.from('\n');

function ignore(): void {
  // A block that is owed: nobody waits for it, and it stays owed until it is written.
}

function tamperedError(bad: BadLine): AgentError {
  return new AgentError(
    'Tampered',
    `ledger: read-only since block ${bad.height} at byte ${bad.offset} is not as it was written: ${bad.reason}. ` +
      'Guests are served without records. Keep the files as evidence and find out who changed them',
  );
}

function unavailable(thrown: unknown): AgentError {
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('Unavailable', `ledger: the block was not recorded: ${why}`, { cause: thrown });
}
