/**
 * A second implementation of `LedgerStore`, in memory. It complains about every misuse of the contract, counts syncs,
 * and fails on demand: each fault comes as "the write was lost" and as "it landed and its report was lost".
 */
import type { AppendResult, LedgerStore, SideFile } from '../../src/ledger/store.ts';
import { AgentError } from '../../src/model/errors.ts';

type AppendFault = 'lost' | 'landed' | 'torn' | 'full';

export class MemoryLedgerStore implements LedgerStore {
  /** What a power loss leaves. */
  disk: Buffer;
  readonly sides: Map<string, Buffer>;
  /** Taken one by one by the appends to come; null lets one pass. */
  readonly faults: (AppendFault | null)[] = [];
  /** Makes `moveTail` fail while set. */
  tailIsStuck = false;
  gone = false;
  syncs = 0;
  reopens = 0;
  /** Chunks are this long, so that lines cross their borders. */
  chunkBytes = 1_000;
  #size: number;
  #unsure = false;
  #closed = false;
  #busy: string | null = null;

  /** Where each segment but the first begins: `disk` is all of them, one after the other. */
  rotatedAt: number[] = [];

  readonly #turn: () => Promise<void>;

  /** `turn` is how long the disk takes. */
  constructor(
    disk: Uint8Array = Buffer.alloc(0),
    sides: Iterable<readonly [string, Buffer]> = [],
    turn: () => Promise<void> = laterThanMicrotasks,
  ) {
    this.#turn = turn;
    this.disk = Buffer.from(disk);
    this.sides = new Map(sides);
    this.#size = this.disk.length;
  }

  /** The store as a new process finds it. */
  restarted(): MemoryLedgerStore {
    const restarted = new MemoryLedgerStore(this.disk, this.sides);
    restarted.rotatedAt = [...this.rotatedAt];
    return restarted;
  }

  get start(): number {
    return 0;
  }

  get activeStart(): number {
    return this.rotatedAt.at(-1) ?? 0;
  }

  get lastSegment(): string | null {
    const { length } = this.rotatedAt;
    return length === 0 ? null : `ledger-${String(length).padStart(6, '0')}.jsonl`;
  }

  get size(): number {
    return this.#size;
  }

  read(from: number, to: number): AsyncIterable<Uint8Array> {
    return this.#chunks(() => (this.gone ? null : this.disk), from, to, 'Tampered');
  }

  async readAt(from: number, to: number): Promise<Buffer> {
    await this.#turn();
    if (this.gone) throw new AgentError('Tampered', 'it is not there');
    return Buffer.from(this.disk.subarray(from, to));
  }

  async append(bytes: Uint8Array): Promise<AppendResult> {
    return this.#alone('append', () => {
      if (this.#unsure) throw new AgentError('Unavailable', 'append after a failure, without reopen');
      if (bytes.length === 0) throw new Error('misuse: append of nothing');
      if (this.#size !== this.disk.length) throw new Error('misuse: append to a file that somebody else changed');
      const fault = this.faults.shift() ?? null;
      if (fault === 'full') return { kind: 'full', reason: 'no space left (injected)' };
      if (fault !== 'lost') this.#write(fault === 'torn' ? bytes.subarray(0, bytes.length / 2) : bytes);
      if (fault !== null) {
        this.#unsure = true;
        throw new Error(`input/output error (injected: ${fault})`);
      }
      this.syncs++;
      this.#size = this.disk.length;
      return { kind: 'durable' };
    });
  }

  async reopen(): Promise<void> {
    await this.#alone('reopen', () => {
      this.reopens++;
      if (this.gone) throw new AgentError('Tampered', 'the ledger is not there');
      this.#size = this.disk.length;
      this.#unsure = false;
    });
  }

  async moveTail(offset: number): Promise<void> {
    await this.#alone('moveTail', () => {
      if (this.#unsure) throw new Error('misuse: moveTail after a failure, without reopen');
      if (offset < this.activeStart || offset >= this.#size) throw new Error(`misuse: there is no tail at ${offset}`);
      if (this.tailIsStuck) {
        this.#unsure = true;
        throw new AgentError('Unavailable', 'no space left (injected)');
      }
      this.#addSide('ledger.torn', this.disk.subarray(offset));
      this.disk = this.disk.subarray(0, offset);
      this.#size = offset;
    });
  }

  async rotate(): Promise<{ kind: 'rotated' } | { kind: 'kept'; reason: string }> {
    return this.#alone('rotate', () => {
      if (this.#unsure) throw new AgentError('Unavailable', 'rotate after a failure, without reopen');
      if (this.#size === this.activeStart) throw new Error('misuse: an empty segment');
      if (this.faults[0] === 'full') return { kind: 'kept', reason: 'no space left (injected)' };
      this.rotatedAt.push(this.#size);
      return { kind: 'rotated' };
    });
  }

  async setAside(fingerprint: string): Promise<void> {
    await this.#alone('setAside', () => {
      if (!/^[0-9a-f]{8}$/.test(fingerprint)) throw new Error(`misuse: fingerprint ${fingerprint}`);
      const name = `ledger.imported-${fingerprint}.jsonl`;
      if (this.sides.has(name)) throw new AgentError('Conflict', `${name} exists already`);
      this.sides.set(name, this.disk);
      this.disk = Buffer.alloc(0);
      this.#size = 0;
    });
  }

  async sideFiles(): Promise<readonly SideFile[]> {
    return this.#alone('sideFiles', () =>
      [...this.sides].map(([name, bytes]) => ({
        kind: name === 'ledger.torn' ? 'torn' : 'imported',
        name,
        size: bytes.length,
      })),
    );
  }

  readSide(name: string, from: number, to: number): AsyncIterable<Uint8Array> {
    return this.#chunks(() => this.sides.get(name) ?? null, from, to, 'NotFound');
  }

  async close(): Promise<void> {
    await this.#alone('close', () => {
      this.#closed = true;
    });
  }

  #write(bytes: Uint8Array): void {
    this.disk = Buffer.concat([this.disk, bytes]);
  }

  #addSide(name: string, bytes: Buffer): void {
    this.sides.set(name, Buffer.concat([this.sides.get(name) ?? Buffer.alloc(0), bytes]));
  }

  async *#chunks(
    bytes: () => Buffer | null,
    from: number,
    to: number,
    codeWhenMissing: 'Tampered' | 'NotFound',
  ): AsyncGenerator<Uint8Array, void, undefined> {
    for (let offset = from; ; offset += this.chunkBytes) {
      await this.#turn();
      const file = bytes();
      if (file === null) throw new AgentError(codeWhenMissing, 'it is not there');
      const chunk = Buffer.from(file.subarray(offset, Math.min(offset + this.chunkBytes, to)));
      if (chunk.length === 0) return;
      yield chunk;
      // A chunk is valid until the next is asked for: whoever keeps it longer reads rubbish.
      chunk.fill(0xff);
    }
  }

  async #alone<T>(call: string, act: () => T): Promise<T> {
    if (this.#closed) throw new Error(`misuse: ${call} after close`);
    if (this.#busy !== null) throw new Error(`misuse: ${call} while ${this.#busy} runs`);
    this.#busy = call;
    try {
      await this.#turn();
      return act();
    } finally {
      this.#busy = null;
    }
  }
}

/** Real disks answer later than any microtask. */
function laterThanMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
