/** The ledger's file and the side files beside it (contract: `LedgerStore`). */
import { constants } from 'node:fs';
import { open, readdir, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AppendResult, LedgerStore, SideFile } from '../ledger/store.ts';
import { AgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';

const chunkBytes = 262_144;
/** root reads and writes; its group, for auditors, reads. */
const fileMode = 0o640;
/** How often and how long a reader beside a running service waits for the rest of an unfinished line. */
const growthWaitsMax = 10;
const growthWaitMs = 50;

/** Opens or creates the file; its folder must exist. The caller holds the lock on it until after `close`. */
export async function openLedgerFile(path: string): Promise<LedgerStore> {
  try {
    const opened = await openForAppend(path, constants.O_CREAT);
    // The name must be as durable as what will be acknowledged under it.
    await syncFolder(path);
    return new LedgerFile(path, opened);
  } catch (thrown) {
    throw unavailable('open', path, thrown);
  }
}

/**
 * A ledger file from its first byte to its end, without a lock, so that it can be verified beside a running service:
 * when the file ends within a line, waits up to half a second for the rest. Rejects with `NotFound` or `Unavailable`.
 */
export async function* readLedgerFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  let offset = 0;
  for (let waits = 0; waits <= growthWaitsMax; waits++) {
    if (waits > 0) await delay(growthWaitMs);
    let last: number | undefined;
    for await (const chunk of readRange(path, offset, Infinity, 'NotFound')) {
      offset += chunk.length;
      last = chunk.at(-1);
      yield chunk;
    }
    if (last === newline || offset === 0) return;
  }
}

class LedgerFile implements LedgerStore {
  readonly #path: string;
  #handle: FileHandle;
  #size: number;
  /** Set while a write runs, and left set when it fails: nobody knows then what is on the disk. */
  #unsure = false;

  constructor(path: string, opened: Opened) {
    this.#path = path;
    this.#handle = opened.handle;
    this.#size = opened.size;
  }

  get size(): number {
    return this.#size;
  }

  read(from: number, to: number): AsyncIterable<Uint8Array> {
    return readRange(this.#path, from, to, 'Tampered');
  }

  async readAt(from: number, to: number): Promise<Buffer> {
    try {
      const bytes = Buffer.allocUnsafe(Math.max(0, to - from));
      let done = 0;
      for (let read = 1; read > 0 && done < bytes.length; done += read) {
        read = (await this.#handle.read(bytes, done, bytes.length - done, from + done)).bytesRead;
      }
      return bytes.subarray(0, done);
    } catch (thrown) {
      throw unavailable('read', this.#path, thrown);
    }
  }

  /**
   * 1. the file must be the one that was opened, and as long as it was left;
   * 2. the bytes are written at its end (`O_APPEND`);
   * 3. fdatasync: COMMIT POINT.
   * A crash before 3 leaves any part of the bytes; none of it was acknowledged. Without room in 2 the file is cut back
   * to where it was; when a crash undoes the cut, what is left is a torn tail.
   */
  append(bytes: Uint8Array): Promise<AppendResult> {
    return this.#change('append to', async () => {
      await this.#checkUntouched();
      const full = await this.#writeAtEnd(bytes);
      if (full !== null) {
        await this.#handle.truncate(this.#size);
        return { kind: 'full', reason: `${this.#path}: ${full.message}` };
      }
      await this.#handle.datasync();
      this.#size += bytes.length;
      return { kind: 'durable' };
    });
  }

  async reopen(): Promise<void> {
    try {
      await this.#handle.close();
    } catch {
      // The descriptor is given up either way; what it had to say was said when the write failed.
    }
    try {
      const opened = await openForAppend(this.#path, 0);
      this.#handle = opened.handle;
      this.#size = opened.size;
      this.#unsure = false;
    } catch (thrown) {
      throw notThere('Tampered', this.#path, thrown) ?? unavailable('open', this.#path, thrown);
    }
  }

  /**
   * 1. the tail is copied to the end of the side file, which is synced, and its folder too;
   * 2. the ledger is cut and synced: COMMIT POINT.
   * A crash before 2 leaves the tail where it was, and a copy or a part of one; the next start copies it again.
   */
  moveTail(offset: number): Promise<void> {
    return this.#change('move the tail of', async () => {
      const torn = await open(this.#beside(tornSuffix), 'a', fileMode);
      try {
        for await (const chunk of this.read(offset, this.#size)) await writeFully(torn, chunk);
        await torn.sync();
      } finally {
        await torn.close();
      }
      await syncFolder(this.#path);
      await this.#handle.truncate(offset);
      await this.#handle.datasync();
      this.#size = offset;
    });
  }

  /**
   * 1. the file is renamed: COMMIT POINT; 2. an empty one is created; 3. the folder is synced.
   * A crash between 1 and 2 leaves no ledger: the next `openLedgerFile` creates it.
   */
  setAside(fingerprint: string): Promise<void> {
    return this.#change('set aside', async () => {
      const target = this.#beside(`.imported-${fingerprint}.jsonl`);
      if (await exists(target)) throw new AgentError('Conflict', `${target} exists already: move one of the two away`);
      await rename(this.#path, target);
      await this.#handle.close();
      const opened = await openForAppend(this.#path, constants.O_CREAT | constants.O_EXCL);
      this.#handle = opened.handle;
      this.#size = opened.size;
      await syncFolder(this.#path);
    });
  }

  async sideFiles(): Promise<readonly SideFile[]> {
    const folder = dirname(this.#path);
    const stem = stemOf(this.#path);
    const found: SideFile[] = [];
    const add = async (kind: SideFile['kind'], name: string): Promise<void> => {
      found.push({ kind, name, size: (await stat(join(folder, name))).size });
    };
    for (const name of (await readdir(folder)).sort()) {
      if (!name.startsWith(stem)) continue;
      const suffix = name.slice(stem.length);
      if (suffix === tornSuffix) await add('torn', name);
      else if (importedSuffix.test(suffix)) await add('imported', name);
      else if (evidenceSuffix.test(suffix)) {
        const kept = await readdir(join(folder, name));
        // Tiles follow from the ledger. The key is a secret, and its hash would say nothing.
        for (const file of kept.sort()) {
          if (file === basename(this.#path) || file === 'checkpoint') await add('evidence', join(name, file));
        }
      }
    }
    return found;
  }

  readSide(name: string, from: number, to: number): AsyncIterable<Uint8Array> {
    return readRange(join(dirname(this.#path), name), from, to, 'NotFound');
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #change<T>(what: string, change: () => Promise<T>): Promise<T> {
    if (this.#unsure) {
      throw new AgentError(
        'Unavailable',
        `${this.#path}: an earlier write failed; it must be opened and verified first`,
      );
    }
    this.#unsure = true;
    let result: T;
    try {
      result = await change();
    } catch (thrown) {
      throw unavailable(what, this.#path, thrown);
    }
    this.#unsure = false;
    return result;
  }

  /** Somebody who edits, replaces or rotates the file must not go unnoticed until the next start. */
  async #checkUntouched(): Promise<void> {
    const [opened, named] = await Promise.all([this.#handle.stat(), stat(this.#path)]);
    if (opened.dev !== named.dev || opened.ino !== named.ino) throw new Error('another file took its place');
    if (named.size !== this.#size) {
      throw new Error(`it has ${named.size} bytes where ${this.#size} were left: somebody else writes to it`);
    }
  }

  /** The error when there is no room. */
  async #writeAtEnd(bytes: Uint8Array): Promise<Error | null> {
    try {
      await writeFully(this.#handle, bytes);
      return null;
    } catch (thrown) {
      if (thrown instanceof Error && noRoom.has(errnoOf(thrown))) return thrown;
      throw thrown;
    }
  }

  #beside(suffix: string): string {
    return join(dirname(this.#path), stemOf(this.#path) + suffix);
  }
}

interface Opened {
  readonly handle: FileHandle;
  readonly size: number;
}

const newline = 0x0a;
const tornSuffix = '.torn';
const evidenceSuffix = /^\.evidence-[0-9a-f]{8}$/;
const importedSuffix = /^\.imported-[0-9a-f]{8}\.jsonl$/;
const noRoom = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

function stemOf(path: string): string {
  return basename(path, '.jsonl');
}

async function openForAppend(path: string, flags: number): Promise<Opened> {
  const handle = await open(path, constants.O_RDWR | constants.O_APPEND | flags, fileMode);
  const { size, isRegular } = await handle.stat().then((found) => ({ size: found.size, isRegular: found.isFile() }));
  if (isRegular) return { handle, size };
  await handle.close();
  throw new AgentError('InvalidArgument', `ledger ${path} is not a regular file: set ledger_path to one`);
}

/** A write may be short: the rest is written after it. */
async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    if (bytesWritten === 0) throw new Error('write returned 0');
    done += bytesWritten;
  }
}

async function* readRange(
  path: string,
  from: number,
  to: number,
  codeWhenMissing: ErrorCode,
): AsyncGenerator<Uint8Array, void, undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (thrown) {
    throw notThere(codeWhenMissing, path, thrown) ?? unavailable('open', path, thrown);
  }
  try {
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(1, to - from)));
    for (let offset = from; offset < to;) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, to - offset), offset);
      if (bytesRead === 0) return;
      offset += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (thrown) {
    throw unavailable('read', path, thrown);
  } finally {
    await handle.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return false;
    throw thrown;
  }
}

function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

function notThere(code: ErrorCode, path: string, thrown: unknown): AgentError | null {
  if (errnoOf(thrown) !== 'ENOENT') return null;
  return new AgentError(code, `ledger ${path} is not there`, { cause: thrown });
}

function unavailable(what: string, path: string, thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('Unavailable', `ledger: cannot ${what} ${path}: ${why}`, { cause: thrown });
}
