/**
 * What the ledger needs of a disk. The ledger decides, the store makes durable; the file-backed one is in `platform`,
 * a second one in test/support, and test/support/ledger-store-suite.ts says what both must do.
 */

/**
 * Bytes survive a power loss once the promise of the call that wrote them resolves. Single writer: the caller holds
 * a lock on the file for the store's whole life, and calls do not overlap, except that `read`, `readAt` and `readSide` may run
 * beside anything.
 */
export interface LedgerStore {
  /**
   * Where the ledger ends, in bytes from its block 0 on, as of the last call that resolved. Positions are counted so
   * throughout, over all segments one after the other.
   */
  readonly size: number;
  /** Where begins what is there: above 0 when older segments were moved away. */
  readonly start: number;
  /** Where the segment begins that is appended to. */
  readonly activeStart: number;
  /** The name of the segment before that one; null when there was none. */
  readonly lastSegment: string | null;
  /**
   * The bytes from `from` up to `to`, in order; ends earlier where the file ends. A chunk is valid until the next is
   * asked for. Rejects with `Tampered` when there is no file any more, with `NotFound` for a segment that was moved away.
   */
  read(from: number, to: number): AsyncIterable<Uint8Array>;
  /** The same bytes at once, for few of them. */
  readAt(from: number, to: number): Promise<Buffer>;
  /**
   * Adds bytes at the end. After a rejection nobody knows what is on the disk: every further `append` rejects until
   * `reopen`.
   */
  append(bytes: Uint8Array): Promise<AppendResult>;
  /** Opens the file anew and takes its length from the disk. Rejects with `Tampered` when there is no file any more. */
  reopen(): Promise<void>;
  /**
   * Moves everything from `offset` on, which is not before `activeStart`, to the end of the side file `torn`. The copy is durable before the ledger is
   * cut, so a crash leaves the bytes in both places or in the side file, never in none.
   */
  moveTail(offset: number): Promise<void>;
  /**
   * Begins a new segment; the one that was appended to gets a number, and is not changed any more. Resolves with the
   * reason when nothing came of it, and then everything is as before.
   */
  rotate(): Promise<{ readonly kind: 'rotated' } | { readonly kind: 'kept'; readonly reason: string }>;
  /**
   * Renames the whole ledger to the side file `imported-<fingerprint>` and begins an empty one. Rejects with
   * `Conflict` when that side file exists. `fingerprint` is 8 hex digits.
   */
  setAside(fingerprint: string): Promise<void>;
  /** What `moveTail`, `setAside` and an acknowledged alteration left beside the ledger. */
  sideFiles(): Promise<readonly SideFile[]>;
  readSide(name: string, from: number, to: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface SideFile {
  readonly kind: 'torn' | 'imported' | 'evidence';
  /** Path from the ledger's folder. */
  readonly name: string;
  readonly size: number;
}

/** `full`: no room; nothing of the bytes is left in the file, and the store is as usable as before. */
export type AppendResult = { readonly kind: 'durable' } | { readonly kind: 'full'; readonly reason: string };
