/** What survives the agent: the ledger's bytes, the bindings, the interfaces file. Writing them takes time and may fail. */
import type { AppendResult, LedgerStore, SideFile } from '../../src/ledger/store.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import type { Random } from './random.ts';

/** `full`: no room. `broken`: an I/O error, after which nobody knows what was written. */
export type DiskFault = 'full' | 'broken';

export class SimDisk {
  ledger = Buffer.alloc(0);
  sides: [string, Buffer][] = [];
  bindings: unknown = null;
  interfaces = 'auto lo\niface lo inet loopback\n';
  /** While set, nothing can be written. */
  fault: DiskFault | null = null;
}

/** Runs an action a little later and tells of it later still, unless its process was killed meanwhile. */
export type Io = <T>(action: () => T | Promise<T>) => Promise<T>;

/** One process's hold on the ledger of a disk. */
export class SimLedgerStore implements LedgerStore {
  readonly #disk: SimDisk;
  readonly #random: Random;
  readonly #io: Io;
  readonly #store: MemoryLedgerStore;
  #pending: Uint8Array | null = null;

  constructor(disk: SimDisk, random: Random, io: Io) {
    this.#disk = disk;
    this.#random = random;
    this.#io = io;
    this.#store = new MemoryLedgerStore(disk.ledger, disk.sides, () => Promise.resolve());
  }

  get size(): number {
    return this.#store.size;
  }

  get start(): number {
    return this.#store.start;
  }

  get activeStart(): number {
    return this.#store.activeStart;
  }

  get lastSegment(): string | null {
    return this.#store.lastSegment;
  }

  read(from: number, to: number): AsyncIterable<Uint8Array> {
    return this.#store.read(from, to);
  }

  readAt(from: number, to: number): Promise<Buffer> {
    return this.#store.readAt(from, to);
  }

  async append(bytes: Uint8Array): Promise<AppendResult> {
    this.#pending = bytes;
    return this.#io(() => {
      this.#pending = null;
      const { fault } = this.#disk;
      if (fault === 'full') this.#store.faults.push('full');
      if (fault === 'broken') this.#store.faults.push(this.#random.pick(['lost', 'landed', 'torn'] as const));
      return this.#change(() => this.#store.append(bytes));
    });
  }

  reopen(): Promise<void> {
    return this.#io(() => this.#change(() => this.#store.reopen()));
  }

  moveTail(offset: number): Promise<void> {
    return this.#io(() => {
      this.#store.tailIsStuck = this.#disk.fault !== null;
      return this.#change(() => this.#store.moveTail(offset));
    });
  }

  rotate(): ReturnType<LedgerStore['rotate']> {
    return this.#io(() => this.#change(() => this.#store.rotate()));
  }

  setAside(fingerprint: string): Promise<void> {
    return this.#io(() => this.#change(() => this.#store.setAside(fingerprint)));
  }

  sideFiles(): Promise<readonly SideFile[]> {
    return this.#store.sideFiles();
  }

  readSide(name: string, from: number, to: number): AsyncIterable<Uint8Array> {
    return this.#store.readSide(name, from, to);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** The process is no more: what it was writing is on the disk whole, in part, or not at all. */
  tear(): void {
    const bytes = this.#pending;
    if (bytes === null || this.#disk.fault !== null) return;
    const part = this.#random.weighted([
      [1, 0],
      [1, bytes.length],
      [1, this.#random.integer(0, bytes.length)],
    ]);
    this.#disk.ledger = Buffer.concat([this.#disk.ledger, bytes.subarray(0, part)]);
  }

  async #change<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } finally {
      this.#disk.ledger = this.#store.disk as Buffer<ArrayBuffer>;
      this.#disk.sides = [...this.#store.sides];
    }
  }
}
