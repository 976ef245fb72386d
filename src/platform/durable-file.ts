/** Whole files, read and replaced so that a crash at any instruction leaves the old bytes or the new ones. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { open, readdir, readlink, realpath, rename, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AgentError } from '../model/errors.ts';
import { throwIfCancelled } from './cancellation.ts';

interface ReplaceOptions {
  /** Honoured until the rename; after it the new bytes stay. */
  readonly signal?: AbortSignal | undefined;
  /** Of a file that does not exist yet; one that exists keeps its own mode and owner. Default 0644. */
  readonly mode?: number;
  /** Owner of a file that does not exist yet; default the process's own. */
  readonly uid?: number;
  readonly gid?: number;
  /** Called when the new bytes are durable under the temporary name. Throwing here abandons the write. */
  readonly beforeRename?: () => Promise<void>;
}

const modeDefault = 0o644;
/** Default bound of a file read whole. */
const fileBytesMax = 64 * 1024 * 1024;
/** A temporary file older than this belongs to nobody, whatever its process number says now. */
const staleAfterMs = 60 * 60 * 1000;

/** Temporary files this process is writing now. */
const liveTemporaries = new Set<string>();

/**
 * Replaces a file's bytes durably. A symbolic link stays; the file it leads to is replaced, in its own folder. Resolves
 * with the inode of the new file.
 *
 * 1. Write a temporary file in the same folder, with the mode and owner the file has, and sync it.
 * 2. Rename it over the file: this is the commit.
 * 3. Sync the folder.
 *
 * A crash before 2 leaves the old bytes and a temporary file that the next call removes; between 2 and 3 a power loss may
 * bring the old bytes back. Any failure before 2 removes the temporary file. Throws `Unavailable`; `beforeRename`'s own
 * error passes through.
 */
export async function replaceFile(
  path: string,
  bytes: Uint8Array,
  options: ReplaceOptions = {},
): Promise<{ inode: bigint }> {
  const target = await resolveTarget(path);
  await removeStaleTemporaries(target);
  const temporary = join(
    dirname(target),
    `.${basename(target)}.${process.pid}-${randomBytes(6).toString('hex')}${temporarySuffix}`,
  );
  let inode: bigint;
  liveTemporaries.add(temporary);
  try {
    inode = await writeTemporary(temporary, bytes, await attributesOf(target, options), options.signal);
    await options.beforeRename?.().catch((error: unknown) => {
      throw new Refused(error);
    });
    throwIfCancelled(options.signal, `replacing ${path}`);
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    if (error instanceof Refused) throw error.cause;
    throwIfCancelled(options.signal, `replacing ${path}`);
    throw failure(path, 'is unchanged', error);
  } finally {
    liveTemporaries.delete(temporary);
  }
  await syncFolder(dirname(target)).catch((error: unknown) => {
    throw failure(path, 'has its new content, but a power loss may take it back', error);
  });
  return { inode };
}

/** Carries `beforeRename`'s own error past the ones that are put into words here. */
class Refused extends Error {
  constructor(cause: unknown) {
    super('refused', { cause });
  }
}

/** The file's bytes; null when it does not exist. Throws `Unavailable`; also for what is no regular file or too long. */
export async function readFileOrNull(
  path: string,
  options: { signal?: AbortSignal | undefined; bytesMax?: number } = {},
): Promise<Buffer | null> {
  return (await readFileAndInode(path, options))?.bytes ?? null;
}

/** As `readFileOrNull`, with the inode the bytes were read from and its permissions. */
export async function readFileAndInode(
  path: string,
  { signal, bytesMax = fileBytesMax }: { signal?: AbortSignal | undefined; bytesMax?: number } = {},
): Promise<{ bytes: Buffer; inode: bigint; mode: number } | null> {
  throwIfCancelled(signal, `reading ${path}`);
  try {
    // O_NONBLOCK: opening a FIFO that somebody put there must not wait for its writer.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw new AgentError('Unavailable', `cannot read ${path}: it is not a regular file`);
      if (stats.size > bytesMax) {
        throw new AgentError('Unavailable', `cannot read ${path}: ${stats.size} bytes, at most ${bytesMax} are read`);
      }
      return { bytes: await handle.readFile(), inode: stats.ino, mode: Number(stats.mode & 0o7777n) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    if (error instanceof AgentError) throw error;
    throw new AgentError('Unavailable', `cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The inode at `path`, symbolic links followed; null when there is none. Throws `Unavailable`. */
export async function inodeOf(path: string): Promise<bigint | null> {
  try {
    return (await statOrNull(path))?.ino ?? null;
  } catch (error) {
    throw new AgentError('Unavailable', `cannot look at ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

const temporarySuffix = '.ovs-port-agent.tmp';

/** The real file behind `path`; its place when it does not exist yet, also when a dangling link points there. */
async function resolveTarget(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw failure(path, 'is unchanged', error);
  }
  try {
    const link = await readlink(path).catch(() => null);
    const place = link === null ? resolve(path) : resolve(dirname(path), link);
    return join(await realpath(dirname(place)), basename(place));
  } catch (error) {
    throw failure(path, 'does not exist yet', error);
  }
}

interface Attributes {
  readonly mode: number;
  readonly uid: number | null;
  readonly gid: number | null;
}

async function attributesOf(target: string, options: ReplaceOptions): Promise<Attributes> {
  const stats = await statOrNull(target);
  if (stats === null) {
    return { mode: options.mode ?? modeDefault, uid: options.uid ?? null, gid: options.gid ?? null };
  }
  return { mode: Number(stats.mode & 0o7777n), uid: Number(stats.uid), gid: Number(stats.gid) };
}

async function writeTemporary(
  temporary: string,
  bytes: Uint8Array,
  attributes: Attributes,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  // 0600 until the owner is right: nobody reads the bytes who may not read the file.
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(bytes, { signal });
    await setAttributes(handle, attributes);
    await handle.sync();
    return (await handle.stat({ bigint: true })).ino;
  } finally {
    await handle.close();
  }
}

async function setAttributes(handle: FileHandle, attributes: Attributes): Promise<void> {
  const stats = await handle.stat();
  const uid = attributes.uid ?? stats.uid;
  const gid = attributes.gid ?? stats.gid;
  if (uid !== stats.uid || gid !== stats.gid) await handle.chown(uid, gid);
  // After chown, which clears set-id bits.
  await handle.chmod(attributes.mode);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what killed runs left beside `target`. A file that resists is left for the next call. */
async function removeStaleTemporaries(target: string): Promise<void> {
  const folder = dirname(target);
  const prefix = `.${basename(target)}.`;
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(prefix) || !name.endsWith(temporarySuffix)) continue;
    const pid = /^([1-9][0-9]*)-[0-9a-f]+$/.exec(name.slice(prefix.length, -temporarySuffix.length))?.[1];
    if (pid === undefined) continue;
    const temporary = join(folder, name);
    const stale = await isStale(temporary, Number(pid)).catch(() => false);
    if (stale) await unlink(temporary).catch(() => undefined);
  }
}

async function isStale(temporary: string, pid: number): Promise<boolean> {
  if (liveTemporaries.has(temporary)) return false;
  if (pid === process.pid || !isRunning(pid)) return true;
  const stats = await statOrNull(temporary);
  return stats !== null && Date.now() - Number(stats.mtimeMs) > staleAfterMs;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}

async function statOrNull(path: string): Promise<BigIntStats | null> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function failure(path: string, state: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  return new AgentError('Unavailable', `cannot replace ${path}: ${reasonOf(error)}; the file ${state}`, {
    cause: error,
  });
}

function errnoOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
