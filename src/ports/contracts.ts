/** What the port engine asks of the outside. `agent.ts` hands in the OVSDB client, the links, the files, the ledger. */
import type { Guest, GuestKind } from '../model/guest.ts';
import type { ContainerName, NetdevName, PortName, Vmid } from '../model/names.ts';
import type { ListedPort } from '../interfaces/managed-block.ts';
import type { Block, BlockDraft, Category, JsonObject } from '../ledger/block.ts';
import type { Operation, OperationResult } from '../ovsdb/wire.ts';
import type { AgentError } from '../model/errors.ts';

/** The switch's database. `transact` as `OvsdbClient.transact` documents it. */
export interface Switch {
  readonly problem: AgentError | null;
  /** Whether the server has given the agent's lock to the present connection. */
  readonly lockHeld: boolean;
  transact(
    operations: readonly Operation[],
    options: { deadlineMs?: number; signal?: AbortSignal | undefined },
  ): Promise<OperationResult[]>;
}

/** A network device of this host's network namespace. */
export interface Link {
  readonly name: string;
  /** The device that holds it: a Linux bridge, a bond, or `ovs-system` when the kernel datapath has it. */
  readonly master: string | null;
  readonly altnames: readonly string[];
  /** Its name before the agent renamed it; null when the agent did not. */
  readonly originalName: string | null;
  /** In bytes. */
  readonly mtu: number;
  /** A pair whose other end lives in another network namespace, as a container's does. */
  readonly peerElsewhere: boolean;
}

export interface Links {
  /** Reads the named devices now; those that do not exist are missing from the answer. */
  observe(names: readonly string[]): Promise<ReadonlyMap<string, Link>>;
  /** Reads every device now. */
  observeAll(): Promise<ReadonlyMap<string, Link>>;
  /** Gives devices an altname each and reads them back; those where it did not work are missing from the answer. */
  addAltnames(names: ReadonlyMap<NetdevName, PortName>): Promise<ReadonlyMap<string, Link>>;
  /** Those of the named devices that have an address other than a link-local one. */
  withAddress(names: readonly string[]): Promise<ReadonlySet<string>>;
  removeAltname(netdev: string, altname: string): Promise<void>;
  /**
   * Renames devices; the names they had become altnames. Answers those that have their new names, by these. A kill in
   * between leaves nothing that asking again, or `giveBackNames`, does not put right.
   */
  rename(names: ReadonlyMap<string, PortName>): Promise<ReadonlyMap<string, Link>>;
  /** The way back, for devices with an `originalName`; answers those that have it again, by it. */
  giveBackNames(devices: readonly Link[]): Promise<ReadonlyMap<string, Link>>;
  /** Sets devices up and puts each into its Linux bridge; those where it did not work are missing from the answer. */
  joinBridges(bridges: ReadonlyMap<NetdevName, NetdevName>): Promise<ReadonlyMap<string, Link>>;
}

export interface Guests {
  /** The guest's configuration on this node; null when it has none here. Unchanged files are not parsed again. */
  read(vmid: Vmid): Promise<Guest | null>;
  /** The same of many at once; why one could not be read stands in its place. */
  readMany(vmids: readonly Vmid[]): Promise<ReadonlyMap<Vmid, Guest | null | AgentError>>;
  list(): Promise<Vmid[]>;
}

/** The pools of Proxmox VE, which no guest's own file names. */
export interface Pools {
  /** Why they cannot be told; null when they can. */
  readonly problem: string | null;
  /** null when the guest is in none, or when that cannot be told. */
  poolOf(vmid: Vmid): string | null;
}

/** The container behind a device. Rejects when it cannot be told. */
export interface ContainerNames {
  nameOf(netdev: NetdevName): Promise<ContainerName>;
}

/** Whether Proxmox VE is working on a guest right now. */
export interface GuestLocks {
  isLocked(guest: { kind: GuestKind; vmid: Vmid }): Promise<boolean>;
}

/** The ledger, as `Ledger` documents it. */
export interface Recorder {
  append(draft: BlockDraft): Promise<Block>;
  writeAheadAll<T>(drafts: readonly BlockDraft[], action: (blocks: readonly Block[]) => Promise<T>): Promise<T>;
  inDoubt(): readonly Block[];
  abandon(block: Block, reason: string): Promise<Block>;
  /** Size and root hash (RFC 6962) of the tree over all blocks that are durable. */
  treeHead(): { readonly tree_size: number; readonly sha256_root_hash: Buffer };
}

/** A change about to be made, as its block will tell. */
export interface PlannedChange {
  readonly category: Category;
  readonly action: string;
  readonly cause: Cause;
  readonly data: JsonObject;
}

/** Where everything that changes this host is written down before it is done. */
export interface Journal {
  /**
   * Makes changes whose blocks are durable; `action` gets them in order, and none when the ledger could not take them. What
   * `action` throws is recorded as `failed` and thrown.
   */
  change<T>(changes: readonly PlannedChange[], action: (blocks: readonly Block[]) => Promise<T>): Promise<T>;
  /** Records that one change of several was looked for and is not there. Never rejects. */
  undone(block: Block, reason: string): Promise<void>;
}

/** A file that has, or may have, the managed block. */
export interface ListingFile {
  /** Of all of it, in hex. */
  readonly sha256: string;
  /** The ports in its managed block, in any order. */
  readonly listed: readonly string[];
}

/** The managed block. */
export interface Listing {
  /** The files as they are now, by path; one that does not exist is missing. */
  look(): Promise<ReadonlyMap<string, ListingFile>>;
  /** `absent`: this host has no such file, and none is made. Each write is put into `journal` first. */
  update(
    ports: readonly ListedPort[],
    journal: Pick<Journal, 'change'>,
    cause: Cause,
  ): Promise<{
    state: 'present' | 'absent';
    foreign: readonly { name: string; line: number }[];
  }>;
}

export interface BindingsStore {
  load(): Promise<unknown>;
  /** Durable and atomic. */
  save(value: unknown): Promise<void>;
}

export interface Clock {
  /** Milliseconds that never go back. */
  nowMs(): number;
  after(delayMs: number, callback: () => void): () => void;
}

/** Why a change is made, and by whom, for the ledger: a type, so that it is JSON. */
export type Cause = {
  /** `hook post-start`, `api add_port`, `reconcile`, ... */
  readonly cause: string;
  readonly user: string;
  readonly uid: number;
  /** Who asked over the bus, as far as can be told: `busctl[1234]`. */
  readonly process?: string;
};
