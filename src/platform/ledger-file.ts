/** The ledger's file and the side files beside it (contract: `LedgerStore`). */
import { constants, fdatasyncSync, fstatSync, statSync, writeSync } from 'node:fs';
import { link, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AppendResult, LedgerStore, SideFile } from '../ledger/store.ts';
import { AgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import { DiskPace } from './disk-pace.ts';
import { findSegments, segmentNumbers, segmentPath } from './ledger-segments.ts';
import type { Segment, Segments } from './ledger-segments.ts';
import { readBytes } from './quick-reads.ts';

const chunkBytes = 262_144;
/** root reads and writes; its group, for auditors, reads. */
const fileMode = 0o640;
/** How often and how long a reader beside a running service waits for the rest of an unfinished line. */
const growthWaitsMax = 10;
const growthWaitMs = 50;
/** Older segments that stay open for those who read blocks of them. */
const olderOpenMax = 16;

/** Opens or creates the file; its folder must exist. The caller holds the lock on it until after `close`. */
export async function openLedgerFile(path: string, pace: Pace = new DiskPace()): Promise<LedgerStore> {
  try {
    const opened = await openForAppend(path, constants.O_CREAT);
    try {
      await undoRotation(path);
      // The name must be as durable as what will be acknowledged under it.
      await syncFolder(path);
      return new LedgerFile(path, opened, await findSegments(path), pace);
    } catch (thrown) {
      await opened.handle.close();
      throw thrown;
    }
  } catch (thrown) {
    throw unavailable('open', path, thrown);
  }
}

/**
 * A ledger from its first byte to its end, the older segments beside it first, without a lock, so that it can be verified
 * beside a running service: when it ends within a line, waits up to half a second for the rest. A segment by its own name
 * is read alone. Rejects with `NotFound` or `Unavailable`.
 */
export async function* readLedgerFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  let segment = 0;
  let offset = 0;
  let last: number | undefined;
  for (let waits = 0; waits <= growthWaitsMax;) {
    const older = await nextSegment(path, segment);
    const handle = await openToRead(older === null ? path : segmentPath(path, older), 'NotFound');
    try {
      // When it became a segment before it was opened, `handle` is of the one that follows it.
      if (older === null && (await nextSegment(path, segment)) !== null) continue;
      for await (const chunk of readHandle(handle, path, offset, Infinity)) {
        offset += chunk.length;
        last = chunk.at(-1);
        yield chunk;
      }
    } finally {
      await handle.close();
    }
    if (older !== null) {
      segment = older;
      offset = 0;
    } else if ((await nextSegment(path, segment)) === null) {
      if (last === newline || last === undefined) return;
      waits++;
      await delay(growthWaitMs);
    }
  }
}

/** The older segment that follows number `after`; null when none does. */
async function nextSegment(path: string, after: number): Promise<number | null> {
  try {
    const numbers = await segmentNumbers(path);
    for (const number of numbers) {
      if (number > after && !(await isSameFile(segmentPath(path, number), path))) return number;
    }
    return null;
  } catch (thrown) {
    throw notThere('NotFound', path, thrown) ?? unavailable('find the segments of', path, thrown);
  }
}

/** A crash may have left the active segment with two names (`LedgerFile.rotate`). */
async function isSameFile(path: string, other: string): Promise<boolean> {
  const [one, two] = await Promise.all([stat(path), stat(other).catch(() => null)]);
  return two !== null && one.ino === two.ino && one.dev === two.dev;
}

/** After a crash within a rotation the file is the active one still. */
async function undoRotation(path: string): Promise<void> {
  const number = (await segmentNumbers(path)).at(-1);
  if (number !== undefined && (await isSameFile(segmentPath(path, number), path))) {
    await unlink(segmentPath(path, number));
  }
  await rm(nextPath(path), { force: true });
}

function nextPath(path: string): string {
  return `${path}.next`;
}

type Pace = Pick<DiskPace, 'mayWait' | 'note'>;

class LedgerFile implements LedgerStore {
  readonly #path: string;
  readonly #pace: Pace;
  #handle: FileHandle;
  #older: readonly Segment[];
  #lastNumber: number;
  #activeStart: number;
  #size: number;
  /** Never rejects. */
  #rotating: Promise<unknown> | null = null;
  /** Of older segments that were read lately. */
  readonly #handles = new Map<string, Promise<FileHandle>>();
  /** Set while a write runs, and left set when it fails: nobody knows then what is on the disk. */
  #unsure = false;

  constructor(path: string, opened: Opened, { older, activeFrom, lastNumber }: Segments, pace: Pace) {
    this.#path = path;
    this.#pace = pace;
    this.#handle = opened.handle;
    this.#older = older;
    this.#lastNumber = lastNumber;
    this.#activeStart = activeFrom;
    this.#size = activeFrom + opened.size;
  }

  get size(): number {
    return this.#size;
  }

  get start(): number {
    return this.#older[0]?.from ?? this.#activeStart;
  }

  get activeStart(): number {
    return this.#activeStart;
  }

  get lastSegment(): string | null {
    return this.#lastNumber === 0 ? null : basename(segmentPath(this.#path, this.#lastNumber));
  }

  async *read(from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
    this.#checkThere(from);
    for (let at = from; at < to;) {
      const number = this.#lastNumber;
      const older = this.#older.find((segment) => at < segment.to);
      const { path, from: begin } = older ?? { path: this.#path, from: this.#activeStart };
      const handle = await openToRead(path, older === undefined ? 'Tampered' : 'NotFound');
      try {
        // While the active file becomes a segment, its name is that of the next one before this object knows.
        await this.#rotating;
        if (older === undefined && this.#lastNumber !== number) continue;
        const end = Math.min(to, older?.to ?? to);
        for await (const chunk of readHandle(handle, path, at - begin, end - begin)) {
          at += chunk.length;
          yield chunk;
        }
        at = end;
      } finally {
        await handle.close();
      }
    }
  }

  async readAt(from: number, to: number): Promise<Buffer> {
    this.#checkThere(from);
    const handle = this.#handle;
    const activeStart = this.#activeStart;
    if (from >= activeStart) return this.#readPart(handle, from - activeStart, to - activeStart);
    const active = { from: activeStart, to: Infinity, handle: () => Promise.resolve(handle) };
    const older = this.#older.map((segment) => ({ ...segment, handle: () => this.#handleOf(segment.path) }));
    const parts: Buffer[] = [];
    for (const segment of [...older, active]) {
      if (segment.to <= from || segment.from >= to) continue;
      const end = Math.min(to, segment.to) - segment.from;
      parts.push(await this.#readPart(segment.handle(), Math.max(from, segment.from) - segment.from, end));
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  /** At once; shorter where the file ends. */
  async #readPart(handle: FileHandle | Promise<FileHandle>, from: number, to: number): Promise<Buffer> {
    try {
      return await readBytes(await handle, from, Math.max(0, to - from));
    } catch (thrown) {
      throw notThere('NotFound', this.#path, thrown) ?? unavailable('read', this.#path, thrown);
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
      this.#checkUntouched();
      const full = await this.#writeDurably(bytes);
      if (full !== null) {
        await this.#handle.truncate(this.#size - this.#activeStart);
        return { kind: 'full', reason: `${this.#path}: ${full.message}` };
      }
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
      await undoRotation(this.#path);
      await this.#findSegments(opened.size);
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
      await this.#handle.truncate(offset - this.#activeStart);
      await this.#handle.datasync();
      this.#size = offset;
    });
  }

  /**
   * 1. an empty file is made and synced under the name of the next;
   * 2. the active one gets its number as a second name, and the folder is synced;
   * 3. the empty one is renamed to the active name: COMMIT POINT;
   * 4. the folder is synced.
   * The active name is there at every moment. A crash before 3 leaves an empty file and perhaps a second name of the active
   * one: the next start removes both. A crash after 3 leaves two segments. What fails before 3 is undone.
   */
  async rotate(): Promise<Rotation> {
    const rotation = this.#rotate();
    this.#rotating = rotation.catch(() => undefined);
    return rotation.finally(() => {
      this.#rotating = null;
    });
  }

  #rotate(): Promise<Rotation> {
    return this.#change('begin a new segment of', async () => {
      this.#checkUntouched();
      const next = nextPath(this.#path);
      const numbered = segmentPath(this.#path, this.#lastNumber + 1);
      let opened: Opened | undefined;
      try {
        opened = await openForAppend(next, constants.O_CREAT | constants.O_EXCL);
        await opened.handle.sync();
        await link(this.#path, numbered);
        await syncFolder(this.#path);
        await rename(next, this.#path);
      } catch (thrown) {
        await opened?.handle.close();
        await undoRotation(this.#path);
        return { kind: 'kept', reason: unavailable('begin a new segment of', this.#path, thrown).message };
      }
      // It stays open, for those who are reading it.
      this.#handles.set(numbered, Promise.resolve(this.#handle));
      this.#handle = opened.handle;
      this.#lastNumber++;
      this.#older = [...this.#older, { path: numbered, from: this.#activeStart, to: this.#size }];
      this.#activeStart = this.#size;
      await syncFolder(this.#path);
      return { kind: 'rotated' };
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
          if (file.endsWith('.jsonl') || file.startsWith('checkpoint')) await add('evidence', join(name, file));
        }
      }
    }
    return found;
  }

  readSide(name: string, from: number, to: number): AsyncIterable<Uint8Array> {
    return readRange(join(dirname(this.#path), name), from, to, 'NotFound');
  }

  async close(): Promise<void> {
    await this.#closeOlder();
    await this.#handle.close();
  }

  async #findSegments(activeBytes: number): Promise<void> {
    await this.#closeOlder();
    const { older, activeFrom, lastNumber } = await findSegments(this.#path);
    this.#older = older;
    this.#lastNumber = lastNumber;
    this.#activeStart = activeFrom;
    this.#size = activeFrom + activeBytes;
  }

  #checkThere(from: number): void {
    if (from >= this.start) return;
    const what = `the ledger's bytes before ${this.start} are in segments that were moved away`;
    throw new AgentError('NotFound', `${what}: put them back beside ${this.#path} and start the service again`);
  }

  async #handleOf(path: string): Promise<FileHandle> {
    const known = this.#handles.get(path);
    if (known === undefined && this.#handles.size >= olderOpenMax) await this.#closeOlder();
    const handle = known ?? open(path);
    this.#handles.set(path, handle);
    return handle.catch((thrown: unknown) => {
      this.#handles.delete(path);
      throw thrown;
    });
  }

  async #closeOlder(): Promise<void> {
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    // Closing waits for the reads that are under way; one that could not be opened needs none.
    for (const handle of handles) await handle.then((opened) => opened.close()).catch(() => undefined);
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

  /**
   * Somebody who edits, replaces or rotates the file must not go unnoticed until the next start. Two looks into the
   * kernel's cache: a wait for another thread would cost a single writer more than they do.
   */
  #checkUntouched(): void {
    const [opened, named] = [fstatSync(this.#handle.fd), statSync(this.#path)];
    if (opened.dev !== named.dev || opened.ino !== named.ino) throw new Error('another file took its place');
    const left = this.#size - this.#activeStart;
    if (named.size !== left) {
      throw new Error(`it has ${named.size} bytes where ${left} were left: somebody else writes to it`);
    }
  }

  /** Steps 2 and 3 of `append`, by this thread or by others as the disk is. The error when there is no room for 2. */
  async #writeDurably(bytes: Uint8Array): Promise<Error | null> {
    const { fd } = this.#handle;
    const beganMs = performance.now();
    let tookMs = Infinity;
    let isWritten = false;
    try {
      if (this.#pace.mayWait(bytes.length)) {
        writeFullyAtOnce(fd, bytes);
        isWritten = true;
        fdatasyncSync(fd);
      } else {
        await writeFully(this.#handle, bytes);
        isWritten = true;
        await this.#handle.datasync();
      }
      tookMs = performance.now() - beganMs;
      return null;
    } catch (thrown) {
      if (!isWritten && thrown instanceof Error && noRoom.has(errnoOf(thrown))) return thrown;
      throw thrown;
    } finally {
      this.#pace.note(tookMs);
    }
  }

  #beside(suffix: string): string {
    return join(dirname(this.#path), stemOf(this.#path) + suffix);
  }
}

type Rotation = Awaited<ReturnType<LedgerStore['rotate']>>;

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
  try {
    const found = await handle.stat();
    if (found.isFile()) return { handle, size: found.size };
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
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

/** As `writeFully`, by this thread. */
function writeFullyAtOnce(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const written = writeSync(fd, bytes, done, bytes.length - done);
    if (written === 0) throw new Error('write returned 0');
    done += written;
  }
}

async function* readRange(
  path: string,
  from: number,
  to: number,
  codeWhenMissing: ErrorCode,
): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await openToRead(path, codeWhenMissing);
  try {
    yield* readHandle(handle, path, from, to);
  } finally {
    await handle.close();
  }
}

async function openToRead(path: string, codeWhenMissing: ErrorCode): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (thrown) {
    throw notThere(codeWhenMissing, path, thrown) ?? unavailable('open', path, thrown);
  }
}

async function* readHandle(
  handle: FileHandle,
  path: string,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array, void, undefined> {
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
