/** `/etc/network/interfaces` on disk: the managed block brought up to date under Proxmox VE's own lock. */
import { hash } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ForeignMention, ListedPort, ManagedBlockPlan } from '../interfaces/managed-block.ts';
import { AgentError } from '../model/errors.ts';
import type { PortName } from '../model/names.ts';
import type { Cause, Journal, ListingFile, PlannedChange } from '../ports/contracts.ts';
import { inodeOf, readFileAndInode, replaceFile } from './durable-file.ts';
import { acquireFlock } from './flock.ts';
import type { Flock } from './flock.ts';

export interface InterfacesFileOptions {
  /** `/etc/network/interfaces`. */
  readonly path: string;
  /** Where `interfaces.ovs-port-agent.orig` is kept: the file as it was before the first write. Must exist. */
  readonly stateDir: string;
  /** `planManagedBlock` with its tag and names. Text is latin1: one character is one byte. */
  readonly plan: (text: string, ports: readonly ListedPort[]) => ManagedBlockPlan;
  /** How long to wait for Proxmox VE's lock; default 10 s, as Proxmox VE itself waits. */
  readonly lockDeadlineMs?: number;
  /** Tests step in between the checks and the rename here. */
  readonly replace?: typeof replaceFile;
}

interface InterfacesUpdate {
  /** `absent`: the host has no such file; nothing is listed and nothing was written. */
  readonly state: 'present' | 'absent';
  readonly written: boolean;
  readonly foreign: readonly ForeignMention[];
  readonly listed: readonly PortName[];
}

const lockDeadlineMsDefault = 10_000;
const interfacesBytesMax = 16 * 1024 * 1024;
/** How often the files are read again because somebody without the lock changed them meanwhile. */
const passesMax = 5;

/** A file's content, and which file it is: editors write in place, Proxmox VE renames. */
interface Version {
  readonly bytes: Buffer;
  readonly inode: bigint;
}

/** A file as it was read, and what is to become of it. */
interface Planned extends Version {
  readonly path: string;
  readonly plan: ManagedBlockPlan;
}

/** `pending` is `interfaces.new`, Proxmox VE's changes that nobody applied yet. */
interface View {
  readonly current: Planned;
  readonly pending: Planned | null;
}

export class InterfacesFile {
  readonly #options: InterfacesFileOptions;
  readonly #pendingPath: string;
  readonly #lockPath: string;
  readonly #replace: typeof replaceFile;

  constructor(options: InterfacesFileOptions) {
    this.#options = options;
    this.#pendingPath = `${options.path}.new`;
    this.#lockPath = join(dirname(options.path), '.pve-interfaces.lock');
    this.#replace = options.replace ?? replaceFile;
  }

  /**
   * Makes the managed block list exactly `ports`, in `interfaces` and, when Proxmox VE has changes pending, in
   * `interfaces.new`. Nothing is locked or written when both say so already. What was written is read back and planned
   * again until nothing is left to do.
   *
   * Proxmox VE's "Apply" and "Revert" take no lock. They are noticed by inode right before and after each rename; what
   * then still slips between costs at most a second click: pending changes are never lost and never made current here.
   *
   * Each file is put into `journal` before it is written.
   *
   * Throws `Busy` (locked, or changed by others all the time), `Conflict` (not a text file) or `Unavailable` (full disk, read-only,
   * cancelled); the files then keep their bytes, or the one of them that was already done its new ones.
   */
  async update(
    ports: readonly ListedPort[],
    journal: Pick<Journal, 'change'>,
    cause: Cause,
    signal?: AbortSignal,
  ): Promise<InterfacesUpdate> {
    const view = await this.#look(ports, signal);
    if (view === null || !isOutdated(view)) return outcome(view, false);

    const deadlineMs = this.#options.lockDeadlineMs ?? lockDeadlineMsDefault;
    const lock = await acquireFlock(this.#lockPath, { deadlineMs, signal });
    try {
      return await this.#updateLocked(ports, { journal, cause }, lock, signal);
    } finally {
      await lock.release();
    }
  }

  /** What `interfaces` and the pending file are now, by path; one that is not there is missing. Throws as `update` does. */
  async look(): Promise<ReadonlyMap<string, ListingFile>> {
    const found = await Promise.all(
      [this.#options.path, this.#pendingPath].map((path) => this.#readAndPlan(path, [], undefined)),
    );
    return new Map(
      found.flatMap((file) =>
        file === null ? [] : [[file.path, { sha256: hash('sha256', file.bytes), listed: file.plan.listedBefore }]],
      ),
    );
  }

  async #updateLocked(
    ports: readonly ListedPort[],
    { journal, cause }: { readonly journal: Pick<Journal, 'change'>; readonly cause: Cause },
    lock: Flock,
    signal: AbortSignal | undefined,
  ): Promise<InterfacesUpdate> {
    let written = false;
    for (let pass = 0; pass < passesMax; pass++) {
      const view = await this.#look(ports, signal);
      if (view === null || !isOutdated(view)) return outcome(view, written);
      await this.#keepOriginal(view.current.bytes, signal);
      try {
        await journal.change(plannedWrites(view, cause), async () => {
          const pending = await this.#writePending(view, lock, signal);
          written ||= pending?.inode !== view.pending?.inode;
          written = (await this.#writeCurrent(view, pending, lock, signal)) || written;
        });
      } catch (error) {
        if (!(error instanceof ChangedMeanwhile)) throw error;
      }
    }
    throw new AgentError(
      'Busy',
      `${this.#options.path} was changed by others ${passesMax} times while the managed block was written: try again later`,
    );
  }

  /** Reads and plans both files. Null when there is no `interfaces`; then a pending one is none of our business. */
  async #look(ports: readonly ListedPort[], signal: AbortSignal | undefined): Promise<View | null> {
    const current = await this.#readAndPlan(this.#options.path, ports, signal);
    if (current === null) return null;
    return { current, pending: await this.#readAndPlan(this.#pendingPath, ports, signal) };
  }

  async #readAndPlan(
    path: string,
    ports: readonly ListedPort[],
    signal: AbortSignal | undefined,
  ): Promise<Planned | null> {
    const file = await readFileAndInode(path, { signal, bytesMax: interfacesBytesMax });
    if (file === null) return null;
    checkEncoding(path, file.bytes);
    return { path, ...file, plan: this.#options.plan(file.bytes.toString('latin1'), ports) };
  }

  /** Resolves with what `interfaces.new` holds from now on; null when there is none. */
  async #writePending(
    { current, pending }: View,
    lock: Flock,
    signal: AbortSignal | undefined,
  ): Promise<Version | null> {
    if (pending?.plan.changed !== true) return pending;
    const bytes = Buffer.from(pending.plan.text, 'latin1');
    const { inode } = await this.#replace(pending.path, bytes, {
      signal,
      beforeRename: () => this.#checkUnchanged(lock, current, pending),
    });
    if ((await inodeOf(this.#options.path)) === pending.inode) {
      // "Apply" took the file right before our rename, which brought back what is no longer pending.
      if ((await inodeOf(pending.path)) === inode) await unlink(pending.path);
      throw new ChangedMeanwhile();
    }
    return { bytes, inode };
  }

  async #writeCurrent(
    { current }: View,
    pending: Version | null,
    lock: Flock,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (!current.plan.changed) return false;
    const { inode } = await this.#replace(current.path, Buffer.from(current.plan.text, 'latin1'), {
      signal,
      beforeRename: () => this.#checkUnchanged(lock, current, pending),
    });
    const pendingWent = pending !== null && (await inodeOf(this.#pendingPath)) === null;
    if (pendingWent && (await inodeOf(current.path)) === inode) {
      // "Apply" or "Revert" came right before our rename, and nothing tells which. Should it have been "Apply", the
      // rename undid it: pending again, the changes are neither lost nor made current against somebody's will.
      await this.#replace(this.#pendingPath, pending.bytes, { signal });
    }
    return true;
  }

  /** Throws `ChangedMeanwhile` when either file is no longer the one that was read, `Busy` when the lock is gone. */
  async #checkUnchanged(lock: Flock, current: Version, pending: Version | null): Promise<void> {
    await lock.confirm();
    const [currentNow, pendingNow] = await Promise.all([
      readFileAndInode(this.#options.path),
      readFileAndInode(this.#pendingPath),
    ]);
    if (!isSameVersion(current, currentNow) || !isSameVersion(pending, pendingNow)) throw new ChangedMeanwhile();
  }

  async #keepOriginal(bytes: Buffer, signal: AbortSignal | undefined): Promise<void> {
    const path = join(this.#options.stateDir, 'interfaces.ovs-port-agent.orig');
    if ((await inodeOf(path)) === null) await replaceFile(path, bytes, { signal, mode: 0o600 });
  }
}

/** Leads to another pass, never to a caller. */
class ChangedMeanwhile extends AgentError {
  constructor() {
    super('Conflict', 'somebody else changed the file meanwhile');
  }
}

/** Names that one block carries. */
const listedRecordedMax = 1000;

/** What the ledger is told of the files about to be written. */
function plannedWrites({ current, pending }: View, cause: Cause): PlannedChange[] {
  return [pending, current].flatMap((file) =>
    file?.plan.changed === true
      ? [
          {
            category: 'netcfg',
            action: 'write',
            cause,
            data: {
              file: file.path,
              before: { sha256: hash('sha256', file.bytes) },
              after: { sha256: hash('sha256', Buffer.from(file.plan.text, 'latin1')) },
              listed: file.plan.listed.slice(0, listedRecordedMax),
              listed_count: file.plan.listed.length,
            },
          },
        ]
      : [],
  );
}

function isSameVersion(a: Version | null, b: Version | null): boolean {
  if (a === null || b === null) return a === b;
  return a.inode === b.inode && a.bytes.equals(b.bytes);
}

function isOutdated({ current, pending }: View): boolean {
  return current.plan.changed || pending?.plan.changed === true;
}

function outcome(view: View | null, written: boolean): InterfacesUpdate {
  if (view === null) return { state: 'absent', written, foreign: [], listed: [] };
  return { state: 'present', written, foreign: view.current.plan.foreign, listed: view.current.plan.listed };
}

/** Text in any encoding that extends ASCII passes; UTF-16 and binary data would be torn by editing lines. */
function checkEncoding(path: string, bytes: Buffer): void {
  const utf16 = bytes[0] === 0xff ? bytes[1] === 0xfe : bytes[0] === 0xfe && bytes[1] === 0xff;
  if (!utf16 && !bytes.includes(0)) return;
  throw new AgentError(
    'Conflict',
    `${path} is left as it is: it ${utf16 ? 'is UTF-16' : 'contains NUL bytes'}, not the text that interfaces(5) describes; store it as UTF-8`,
  );
}
