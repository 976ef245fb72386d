/** Files of an index in memory, with the faults of a disk on demand. */
import type { IndexFiles } from '../../src/ledger/search/pages.ts';

export class MemoryIndexFiles implements IndexFiles {
  readonly files: Map<string, Buffer>;
  /** Makes every write and removal fail while set. */
  isReadOnly = false;
  /** Pages that were read. */
  reads = 0;

  constructor(files: Iterable<readonly [string, Buffer]> = []) {
    this.files = new Map(files);
  }

  async list(): Promise<readonly string[]> {
    await Promise.resolve();
    return [...this.files.keys()];
  }

  async read(name: string, offset: number, length: number): Promise<Buffer> {
    await Promise.resolve();
    this.reads++;
    const bytes = this.files.get(name);
    if (bytes === undefined) throw new Error(`${name} is not there`);
    return Buffer.from(bytes.subarray(offset, offset + length));
  }

  async replace(name: string, bytes: Uint8Array): Promise<void> {
    await this.#write();
    this.files.set(name, Buffer.from(bytes));
  }

  async remove(name: string): Promise<void> {
    await this.#write();
    this.files.delete(name);
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  async #write(): Promise<void> {
    await Promise.resolve();
    if (this.isReadOnly) throw new Error('no space left (injected)');
  }
}
