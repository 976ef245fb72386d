/** What the control of guests asks of the outside. `agent.ts` hands it in. */
import type { BlockDraft } from '../ledger/block.ts';
import type { AgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import type { NicName, Vmid } from '../model/names.ts';
import type { Cause } from '../ports/contracts.ts';
import type { NewContainer } from '../proxmox/cluster-guests.ts';
import type { NicSettings } from '../proxmox/nic-settings.ts';
import type { Systemd } from '../systemd1/systemd.ts';
import type { TaskRunner } from '../systemd1/task.ts';

export const guestActions = ['start', 'stop', 'shutdown', 'reboot'] as const;
/** `stop` ends a guest at once; `shutdown` asks it to end, and leaves it running when it does not. */
export type GuestAction = (typeof guestActions)[number];

/** Files and folders of this host, read as they are now. */
export interface HostFiles {
  /** null when there is no such file. Rejects with `Unavailable` when it cannot be read, or is too large. */
  read(path: string): Promise<HostFile | null>;
  exists(path: string): Promise<boolean>;
}

export interface HostFolders {
  /** Names in a folder, sorted; none when there is no such folder. Rejects with `Unavailable`. */
  list(path: string): Promise<readonly string[]>;
}

export interface HostFile {
  /** Every byte one character. */
  readonly text: string;
  /** Last change of its content, in milliseconds since 1970. */
  readonly mtimeMs: number;
}

/** A file where a hookscript is looked for; symbolic links are followed. */
export interface SnippetFile {
  /** A regular file that may be executed: what Proxmox VE asks of a hookscript. */
  readonly isRunnable: boolean;
  /** It speaks of our hook, whatever its version. */
  readonly isOurs: boolean;
  /** Ours as the installed package has it: the same bytes, runnable, and no link. */
  readonly isCurrent: boolean;
}

/** Copies of the package's snippet on storages. */
export interface SnippetFiles {
  /** null when there is no file. Rejects with `Unavailable`. */
  look(path: string): Promise<SnippetFile | null>;
  /** A regular file, complete or as before; makes its folder. Rejects with `Unavailable`. */
  put(path: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** What a change of the host is written down as, before it is made. */
export type ChangeDraft = Pick<BlockDraft, 'category' | 'action' | 'data'>;

/** Runs `action` once the ledger has the block; also without one when nobody can write it. */
export type Recorded = <T>(draft: ChangeDraft, action: () => Promise<T>) => Promise<T>;

/** Programs of this host, run to their end. */
export interface Programs {
  /** `command` begins with an absolute path. Rejects with `Unavailable` when it cannot be run, `Timeout` at the deadline. */
  run(command: readonly [string, ...string[]], wait: ProgramWait): Promise<ProgramResult>;
}

export interface ProgramWait {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ProgramResult {
  /** null when a signal ended it. */
  readonly exitStatus: number | null;
  /** What it printed; where the two streams cannot be told apart, with what it complained about. */
  readonly output: string;
  readonly complaint: string;
}

/** Proxmox VE's API, of this node's cluster. */
export interface GuestApi {
  /**
   * Asks for the action and follows its task to the end; `onLine` gets the task's log. Rejects with Proxmox VE's own message
   * when the task failed, with `Timeout` when it goes on after `deadlineMs`.
   */
  control(
    guest: ClusterPlace,
    action: GuestAction,
    options: {
      /** Of a shutdown or reboot: how long the guest may take. */
      readonly timeoutMs: number;
      readonly deadlineMs: number;
      readonly signal: AbortSignal;
      readonly onLine: (line: string) => void;
    },
  ): Promise<void>;
}

/** Network cards of the cluster's guests, through Proxmox VE's API. */
export interface NicApi {
  read(guest: ClusterPlace, wait: ProgramWait): Promise<NicSettings>;
  /**
   * Sets one, or removes it (null). Rejects with Proxmox VE's own message; with `Conflict` when the configuration is not the
   * one with this digest any more.
   */
  write(guest: ClusterPlace, change: NicWrite, wait: ProgramWait): Promise<void>;
}

/** New containers, through Proxmox VE's API. */
export interface ContainerApi {
  /** Asks for it and follows the task to its end; otherwise as `GuestApi.control`. */
  create(
    container: NewContainer,
    options: {
      readonly deadlineMs: number;
      readonly signal: AbortSignal;
      /** The task has begun. */
      readonly onTask: (upid: string) => void;
      readonly onLine: (line: string) => void;
    },
  ): Promise<void>;
}

export interface NicWrite {
  readonly nic: NicName;
  readonly value: string | null;
  readonly digest: string;
}

export interface ClusterPlace {
  readonly kind: GuestKind;
  readonly vmid: Vmid;
  readonly node: string;
}

/** The part of the port engine that is told when a guest has started or ended. */
export interface GuestPorts {
  /** Puts the guest's ports right now; answers in words, also when something is in the way. */
  applyGuest(vmid: Vmid, phase: 'post-start' | 'post-stop', cause: Cause): Promise<string>;
  /** A change was made that the ledger could not take. */
  noteLedgerGap(error: AgentError): void;
}

export type Units = Pick<Systemd, 'unit' | 'listUnits' | 'startUnit' | 'untilUnit' | 'killUnit'>;
export type Tasks = Pick<TaskRunner, 'run'>;
