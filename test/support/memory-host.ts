/** A host's files in memory. */
import type { HostFile, HostFiles, HostFolders } from '../../src/node/contracts.ts';

export class MemoryHost implements HostFiles, HostFolders {
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

  list(path: string): Promise<string[]> {
    const below = [...this.#files.keys()].filter((name) => name.startsWith(`${path}/`));
    return Promise.resolve([...new Set(below.map((name) => name.slice(path.length + 1).split('/')[0] ?? ''))].sort());
  }
}
