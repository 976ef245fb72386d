/** One block as the index knows it. */
import type { BlockHead, Body } from '../block.ts';
import { keysOf } from './keys.ts';

/** Where a block's line stands in the ledger. */
export interface Place {
  readonly height: number;
  readonly offset: number;
  /** Bytes of the line without its newline. */
  readonly length: number;
}

export interface IndexEntry extends Place {
  readonly hash: string;
  /** Seconds since the year 0, rounded down: a time is found to the second and compared in full afterwards. */
  readonly second: number;
  readonly keys: readonly string[];
}

export function indexEntry(head: BlockHead, body: Body, offset: number, length: number): IndexEntry {
  const { height, hash, timestamp } = head;
  return { height, offset, length, hash, second: secondOf(Date.parse(timestamp)), keys: keysOf(head, body) };
}

/** 0 for a moment that has none, such as the 31st of February: it is in no period. */
export function secondOf(timeMs: number): number {
  return Number.isNaN(timeMs) ? 0 : Math.max(0, Math.floor(timeMs / 1000) + secondsToYear1970);
}

const secondsToYear1970 = 62_167_219_200;

/** Of a hash: the blocks that share them are told apart by reading them. */
export const hashBytes = 6;

/** The first bytes of a hash in hex, as a number; NaN for what does not begin with one. */
export function hashBeginning(hash: string): number {
  return Number(`0x${hash.slice(0, 2 * hashBytes)}`);
}

/** Blocks of one part of an index at most, so that a place within it fits into 16 bits. */
export const partBlocksMax = 65_536;

/** What every part of an index, in memory or on the disk, can be asked for. Heights are counted from `from` on. */
export interface IndexPart {
  /** Heights of the ledger from `from` up to, and without, `end`. */
  readonly from: number;
  readonly end: number;
  /** Blocks under a key, about. */
  count(key: string): Promise<number>;
  /** Those blocks, ascending; others may be among them, none is missing. */
  withKey(key: string): Promise<Uint16Array>;
  /** Blocks whose hash may be this one, ascending. */
  withHash(hash: string): Promise<Uint16Array>;
  /** Blocks that may be of this period, ascending; null: all of them. */
  within(period: Period): Promise<Uint16Array | null>;
  locate(index: number): Promise<Place>;
}

/** Seconds, both included. */
export interface Period {
  readonly since: number;
  readonly until: number;
}
