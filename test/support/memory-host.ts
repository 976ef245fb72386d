/** A host's files in memory. */
import type { HostFile, HostFiles } from '../../src/node/contracts.ts';

export class MemoryHost implements HostFiles {
  readonly #files = new Map<string, HostFile>();

  write(path: string, text: string, mtimeMs = 0): void {
    this.#files.set(path, { text, mtimeMs });
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  read(path: string): Promise<HostFile | null> {
    return Promise.resolve(this.#files.get(path) ?? null);
  }

  exists(path: string): Promise<boolean> {
    return Promise.resolve([...this.#files.keys()].some((name) => name === path || name.startsWith(`${path}/`)));
  }
}
