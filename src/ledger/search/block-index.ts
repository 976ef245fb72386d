/**
 * Where the blocks are: files of the older ones (`run.ts`), memory for the newest. It is never what decides. It follows
 * from the ledger's lines, is made anew from them when a part is missing or damaged, and what it finds is read and
 * compared before it is an answer.
 *
 * The last file also keeps the state of the chain after its last block. A start that finds it need not read what is
 * before that; `load.ts` says when this may be believed.
 */
import type { BlockHead, Body } from '../block.ts';
import { zeroHash } from '../block.ts';
import { ChainState } from '../state.ts';
import { indexEntry, partBlocksMax } from './entry.ts';
import type { IndexPart } from './entry.ts';
import { IndexDamaged, PageCache } from './pages.ts';
import type { IndexFiles } from './pages.ts';
import { encodeRun, IndexRun, parseRunName, runName } from './run.ts';
import { IndexTail } from './tail.ts';

interface IndexOptions {
  /** Blocks of one file: how many are in memory at most, and how many a start reads again. At most `partBlocksMax`. */
  readonly runBlocks: number;
}

/** Full parts that wait for their file, at most: then the disk has refused so often that the newest are given up. */
const unwrittenMax = 4;

export class BlockIndex {
  readonly #files: IndexFiles;
  readonly #runBlocks: number;
  readonly #cache: PageCache;
  #runs: IndexRun[] = [];
  /** Full, with the bytes of their files. */
  #unwritten: Unwritten[] = [];
  #tail: IndexTail;
  #tailPrevHash: string;
  #lastHash: string;
  #writing: Promise<void> | null = null;

  /** The files that follow one another from the first on; the others are of no use and are removed. */
  static async open(files: IndexFiles, { runBlocks }: IndexOptions): Promise<BlockIndex> {
    const index = new BlockIndex(files, Math.min(runBlocks, partBlocksMax));
    await index.#findRuns();
    return index;
  }

  private constructor(files: IndexFiles, runBlocks: number) {
    this.#files = files;
    this.#runBlocks = runBlocks;
    this.#cache = new PageCache(files);
    this.#tail = new IndexTail(0);
    this.#tailPrevHash = this.#lastHash = zeroHash;
  }

  /** The lowest height that is indexed. */
  get from(): number {
    return this.#runs[0]?.from ?? this.#unwritten[0]?.tail.from ?? this.#tail.from;
  }

  /** The height that comes next: below the ledger's when the index has fallen behind. */
  get blocks(): number {
    return this.#tail.end;
  }

  /** What can be asked, in ascending order of heights. What is appended later may be in the last one. */
  parts(): IndexPart[] {
    return [...this.#runs, ...this.#unwritten.map(({ tail }) => tail), this.#tail];
  }

  /** The chain after the last file that ends at or before `blocks`; later ones are dropped. null when there is none. */
  async chainAtMost(blocks: number): Promise<ChainState | null> {
    await this.cutTo(blocks);
    const last = this.#runs.at(-1);
    return last === undefined ? null : ChainState.fromJson(last.header.chain);
  }

  /** Drops everything in memory and every file that ends beyond `blocks`; what is missing then has to be noted again. */
  async cutTo(blocks: number): Promise<void> {
    // What is being written would come back.
    await this.#writing;
    for (const { name } of this.#runs.filter(({ end }) => end > blocks)) await this.#remove(name);
    this.#runs = this.#runs.filter(({ end }) => end <= blocks);
    this.#forget();
  }

  /** Drops everything. The next block noted is at the end of `chain`. */
  async beginAt(chain: Pick<ChainState, 'blocks' | 'lastHash'>): Promise<void> {
    await this.cutTo(0);
    this.#tail = new IndexTail(chain.blocks);
    this.#tailPrevHash = this.#lastHash = chain.lastHash;
  }

  /** Drops a file that was found damaged and all that come after it. */
  async dropDamaged(damage: IndexDamaged): Promise<void> {
    const run = this.#runs.find(({ name }) => name === damage.file);
    if (run !== undefined) await this.cutTo(run.from);
  }

  /**
   * Takes in the block that follows; any other is passed over, because an index that has fallen behind is brought up from
   * the ledger. `chain` is the chain with this block as its last.
   */
  note(head: BlockHead, body: Body, offset: number, length: number, chain: ChainState): void {
    if (head.height !== this.blocks) return;
    this.#tail.push(indexEntry(head, body, offset, length));
    this.#lastHash = head.hash;
    if (this.#tail.size < this.#runBlocks) return;
    const bytes = encodeRun(this.#tail, this.#tailPrevHash, this.#lastHash, chain.toJson());
    this.#unwritten.push({ tail: this.#tail, bytes });
    this.#tail = new IndexTail(this.#tail.end);
    this.#tailPrevHash = this.#lastHash;
  }

  /** Writes what is full. Never rejects: what could not be written is tried again by the next call, or given up. */
  flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  /** As `flush`, and waits for it only when more than one part would be in memory for it. */
  async keepUp(): Promise<void> {
    const writing = this.flush();
    if (this.#unwritten.length > 1) await writing;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#files.close();
  }

  async #write(): Promise<void> {
    for (;;) {
      const [next] = this.#unwritten;
      if (next === undefined) return;
      const name = runName(next.tail.from, next.tail.end);
      try {
        await this.#files.replace(name, next.bytes);
        this.#cache.forget(name);
        this.#runs.push(await IndexRun.open(this.#cache, name));
        this.#unwritten.shift();
      } catch {
        // The index can be made anew at any time; memory is what must not be spent on it.
        if (this.#unwritten.length > unwrittenMax) this.#forget();
        return;
      }
    }
  }

  /** Goes back to the end of the files. */
  #forget(): void {
    this.#unwritten = [];
    const last = this.#runs.at(-1);
    this.#tail = new IndexTail(last?.end ?? 0);
    this.#tailPrevHash = this.#lastHash = last?.header.last_hash ?? zeroHash;
  }

  async #findRuns(): Promise<void> {
    const names = await this.#files.list().catch(() => []);
    const found = names.flatMap((name) => {
      const heights = parseRunName(name);
      return heights === null ? [] : [{ name, ...heights }];
    });
    found.sort((a, b) => a.from - b.from || b.end - a.end);
    for (const { name, from } of found) {
      const last = this.#runs.at(-1);
      if (last !== undefined && last.end !== from) continue;
      const run = await this.#openOrNull(name);
      if (run !== null && (last === undefined || run.header.prev_hash === last.header.last_hash)) this.#runs.push(run);
    }
    const used = new Set(this.#runs.map(({ name }) => name));
    for (const name of names) {
      if (!used.has(name)) await this.#remove(name);
    }
    this.#forget();
  }

  /** A file that stays is of no use to the next start either. */
  async #remove(name: string): Promise<void> {
    this.#cache.forget(name);
    await this.#files.remove(name).catch(() => undefined);
  }

  async #openOrNull(name: string): Promise<IndexRun | null> {
    try {
      return await IndexRun.open(this.#cache, name);
    } catch (thrown) {
      if (thrown instanceof IndexDamaged) return null;
      throw thrown;
    }
  }
}

interface Unwritten {
  readonly tail: IndexTail;
  readonly bytes: Buffer;
}
