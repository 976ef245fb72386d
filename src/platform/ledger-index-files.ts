/** Files of the ledger's index in a folder of their own (contract: `IndexFiles`). */
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { IndexFiles } from '../ledger/search/pages.ts';
import { readBytes } from './quick-reads.ts';

/** As the ledger itself: root reads and writes; its group, for auditors, reads. */
const fileMode = 0o640;
const folderMode = 0o750;
/** Files that stay open: one more is opened for 32,768 blocks. */
const openFilesMax = 64;

export function ledgerIndexFiles(folder: string): IndexFiles {
  return new LedgerIndexFiles(folder);
}

class LedgerIndexFiles implements IndexFiles {
  readonly #folder: string;
  /** Those read lately last. */
  readonly #open = new Map<string, Promise<FileHandle>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async list(): Promise<readonly string[]> {
    return readdir(this.#folder);
  }

  async read(name: string, offset: number, length: number): Promise<Buffer> {
    return readBytes(await this.#handle(name), offset, length);
  }

  async replace(name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: folderMode });
    // Not synced: what a power loss leaves of it is found damaged and made anew.
    const temporary = join(this.#folder, `${name}.tmp`);
    await writeFile(temporary, bytes, { mode: fileMode });
    await rename(temporary, join(this.#folder, name));
    await this.#forget(name);
  }

  async remove(name: string): Promise<void> {
    await this.#forget(name);
    await rm(join(this.#folder, name), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    for (const name of [...this.#open.keys()]) await this.#forget(name);
  }

  async #handle(name: string): Promise<FileHandle> {
    const known = this.#open.get(name);
    this.#open.delete(name);
    const handle = known ?? open(join(this.#folder, name));
    this.#open.set(name, handle);
    const [oldest] = this.#open.keys();
    if (this.#open.size > openFilesMax && oldest !== undefined) await this.#forget(oldest);
    return handle.catch((thrown: unknown) => {
      this.#open.delete(name);
      throw thrown;
    });
  }

  async #forget(name: string): Promise<void> {
    const handle = this.#open.get(name);
    this.#open.delete(name);
    // Closing waits for the reads that are under way; one that could not be opened needs none.
    await handle?.then((opened) => opened.close()).catch(() => undefined);
  }
}
