/** Tiles and checkpoint in memory, with the faults of a disk on demand. */
import type { TreeFiles } from '../../src/ledger/stored-tree.ts';
import { AgentError } from '../../src/model/errors.ts';

export class MemoryTreeFiles implements TreeFiles {
  readonly files: Map<string, Buffer>;
  /** Paths in the order they were written. */
  readonly written: string[] = [];
  /** Writes and removals that still succeed; then every one fails, after it was done when `landed`. */
  left = Infinity;
  landed = false;

  constructor(files: Iterable<readonly [string, Buffer]> = []) {
    this.files = new Map(files);
  }

  async read(path: string): Promise<Buffer | null> {
    await Promise.resolve();
    return this.files.get(path) ?? null;
  }

  replace(path: string, bytes: Uint8Array): Promise<void> {
    return this.#change(() => {
      this.files.set(path, Buffer.from(bytes));
      this.written.push(path);
    });
  }

  async list(folder: string): Promise<readonly string[]> {
    await Promise.resolve();
    const names = [...this.files.keys()].filter((path) => path.startsWith(`${folder}/`));
    return names.map((path) => path.slice(folder.length + 1)).filter((name) => !name.includes('/'));
  }

  remove(path: string): Promise<void> {
    return this.#change(() => {
      for (const name of this.files.keys()) {
        if (name === path || name.startsWith(`${path}/`)) this.files.delete(name);
      }
    });
  }

  async #change(act: () => void): Promise<void> {
    await Promise.resolve();
    const fails = this.left-- <= 0;
    if (!fails || this.landed) act();
    if (fails) throw new AgentError('Unavailable', 'input/output error (injected)');
  }
}
