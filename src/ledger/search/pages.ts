/**
 * Pages of an index file. Each ends with a digest of what it says and of where it stands, so that a page that is cut,
 * flipped, swapped or of another file is never believed. The digest keeps accidents out, not an attacker: whoever can
 * write an index can write the ledger beside it.
 */
import { hash as hashOnce } from 'node:crypto';

/** Bytes of a page on the disk: one page of the kernel's cache. */
export const pageBytes = 4096;
const digestBytes = 16;
/** Bytes of it that say something. */
export const payloadBytes = pageBytes - digestBytes;

/** What an index needs of a disk: files of its own folder, by name. Every method rejects with the disk's own error. */
export interface IndexFiles {
  list(): Promise<readonly string[]>;
  /** Up to `length` bytes from `offset` on; fewer where the file ends. Rejects when there is no such file. */
  read(name: string, offset: number, length: number): Promise<Buffer>;
  /** Whoever reads meanwhile has the old bytes or the new ones. They need not survive a power loss. */
  replace(name: string, bytes: Uint8Array): Promise<void>;
  /** Missing is fine. */
  remove(name: string): Promise<void>;
  close(): Promise<void>;
}

/** An index file that does not say what was written: whoever meets it asks the ledger itself. */
export class IndexDamaged extends Error {
  readonly file: string;

  constructor(file: string, why: string, options?: ErrorOptions) {
    super(`index file ${file}: ${why}`, options);
    this.file = file;
  }
}

/** The bytes of a file from what its sections say; every section begins with a page. */
export function toPages(name: string, sections: readonly Buffer[]): Buffer {
  const pages = sections.reduce((sum, section) => sum + pagesFor(section.length), 0);
  const file = Buffer.alloc(pages * pageBytes);
  let page = 0;
  for (const section of sections) {
    for (let at = 0; at < section.length; at += payloadBytes, page++) {
      const place = page * pageBytes;
      section.copy(file, place, at, at + payloadBytes);
      file.write(digestOf(name, page, file.subarray(place, place + payloadBytes)), place + payloadBytes, 'latin1');
    }
  }
  return file;
}

export function pagesFor(bytes: number): number {
  return Math.ceil(bytes / payloadBytes);
}

/** Pages that were read lately, of all files of an index. */
export class PageCache {
  readonly #files: IndexFiles;
  readonly #pages = new Map<string, Promise<Buffer>>();

  constructor(files: IndexFiles) {
    this.#files = files;
  }

  /** What one page says. Rejects with `IndexDamaged`, also when it cannot be read. */
  page(name: string, page: number): Promise<Buffer> {
    const key = `${name}/${page}`;
    const known = this.#pages.get(key);
    // To the end of the map, which is the order in which pages are given up.
    this.#pages.delete(key);
    const payload = known ?? this.#read(name, page);
    this.#pages.set(key, payload);
    if (known === undefined) {
      payload.catch(() => this.#pages.delete(key));
      const [oldest] = this.#pages.keys();
      if (this.#pages.size > cachedPagesMax && oldest !== undefined) this.#pages.delete(oldest);
    }
    return payload;
  }

  /** To be called when a file is replaced or removed. */
  forget(name: string): void {
    for (const key of this.#pages.keys()) {
      if (key.startsWith(`${name}/`)) this.#pages.delete(key);
    }
  }

  async #read(name: string, page: number): Promise<Buffer> {
    let bytes: Buffer;
    try {
      bytes = await this.#files.read(name, page * pageBytes, pageBytes);
    } catch (thrown) {
      throw new IndexDamaged(name, `page ${page} cannot be read`, { cause: thrown });
    }
    const payload = bytes.subarray(0, payloadBytes);
    if (bytes.toString('latin1', payloadBytes) !== digestOf(name, page, payload)) {
      throw new IndexDamaged(name, `page ${page} is not what was written`);
    }
    return payload;
  }
}

/** 4 MiB. */
const cachedPagesMax = 1024;

function digestOf(name: string, page: number, payload: Uint8Array): string {
  const place = Buffer.from(`${name}/${page}\n`);
  return hashOnce('sha256', Buffer.concat([place, payload]), 'binary').slice(0, digestBytes);
}
