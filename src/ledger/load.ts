/**
 * Reading a ledger before it is used: at start, and again after a write that failed. Both verify every line with the
 * code that verification uses, and both move what does not belong to the side file `torn`; nothing is ever repaired.
 *
 * The last checkpoint says up to where the ledger was once whole:
 * - bad at or before it, shorter than it, or another root at its size: tampered. The file stays as it is.
 * - bad beyond it: from the first bad line on, everything is a torn tail, whole blocks within it included.
 * A ledger without a checkpoint is judged by its end: whole blocks behind a bad line are taken for an alteration, because
 * nothing says that they are not.
 */
import { createHash } from 'node:crypto';
import { AgentError } from '../model/errors.ts';
import type { Body, JsonValue } from './block.ts';
import { hashFieldBytes, isJsonObject, parseBlock, parseBody, zeroHash } from './block.ts';
import { ChainVerifier, isWhole } from './chain.ts';
import type { BadLine, ChainReport, CheckedLine } from './chain.ts';
import { firstChain } from './first-chain.ts';
import type { FirstBlock } from './first-chain.ts';
import { lineBytesMax } from './limits.ts';
import { plainMembers } from './plain-body.ts';
import type { BlockIndex } from './search/block-index.ts';
import { findLine } from './search/find.ts';
import { keyMembers } from './search/keys.ts';
import { IndexDamaged } from './search/pages.ts';
import { ChainState } from './state.ts';
import type { LedgerStore } from './store.ts';
import type { StoredCheckpoint, StoredTree } from './stored-tree.ts';
import { treeHead } from './tlog/compact-range.ts';
import type { TreeHead } from './tlog/compact-range.ts';
import { differsFrom } from './verify.ts';
import type { TreeMark } from './verify.ts';

export interface Loaded {
  /** The chain up to the first bad line. */
  readonly chain: ChainState;
  readonly tampered: BadLine | null;
  /** Why a tail that must move away could not be moved yet: nothing can be written before that is done. */
  readonly unmoved: unknown;
}

interface LoadedFirst extends Loaded {
  /** The last checkpoint; null when there is none, or none that can be read. */
  readonly checkpoint: StoredCheckpoint | null;
  /** Where its last block ends; 0 without one. */
  readonly checkpointBytes: number;
  /** The first block that is there. */
  readonly first: FirstBlock;
}

/** The first reading, when nothing is known of the file but its last checkpoint and what the index remembers. */
export async function loadFirst(store: LedgerStore, tree: StoredTree, index: BlockIndex): Promise<LoadedFirst> {
  const { loaded, report } = await judge(store, tree, index);
  if (loaded.tampered !== null || report.firstBad === undefined) return loaded;
  if (loaded.checkpoint === null && report.blocks === 0 && store.activeStart === 0 && (await isOlderLedger(store))) {
    await store.setAside((await fingerprint(store)).slice(0, 8));
    return loaded;
  }
  try {
    await store.moveTail(report.bytes);
    return loaded;
  } catch (unmoved) {
    // Most likely the disk that filled up and tore the tail is still full. Reading goes on without it.
    return { ...loaded, unmoved };
  }
}

/** Why a ledger opens read-only when all of it is read; null when it does not. Changes nothing. */
export async function findAlteration(store: LedgerStore, tree: StoredTree): Promise<BadLine | null> {
  return (await judge(store, tree, null)).loaded.tampered;
}

async function judge(
  store: LedgerStore,
  tree: StoredTree,
  index: BlockIndex | null,
): Promise<{ loaded: LoadedFirst; report: ChainReport }> {
  const stored = await readCheckpoint(tree);
  const checkpoint = stored !== null && 'reason' in stored ? null : stored;
  const begin = await firstChain(store, tree).catch(headless);
  const first = 'reason' in begin ? { height: 0, bytes: store.start } : { height: begin.blocks, bytes: begin.bytes };
  if ('reason' in begin) {
    const report = { valid: false, blocks: 0, bytes: 0, lastHash: zeroHash, firstBad: begin, wholeFromBad: 0 };
    const chain = new ChainState();
    return { loaded: { chain, tampered: begin, unmoved: null, checkpoint, checkpointBytes: 0, first }, report };
  }
  const { chain, report, mark } = await scanFirst(store, begin, checkpoint?.head ?? null, index);
  let tampered: BadLine | null;
  if (stored === null) tampered = wholeBehindBad(report);
  else if ('reason' in stored) tampered = stored;
  else tampered = differsFrom(stored.head, report, mark);
  // A segment is left only when all of it is acknowledged, so what is wrong there is no torn tail.
  if (report.firstBad !== undefined && report.bytes < store.activeStart) tampered ??= report.firstBad;
  const loaded = { chain, tampered, unmoved: null, checkpoint, checkpointBytes: mark?.bytes ?? 0, first };
  return { loaded, report };
}

/**
 * From where the index remembers the chain when that leads to the checkpoint, else from the beginning, and then the index
 * is made anew. So the index decides how much is read, never what is found wrong.
 */
async function scanFirst(
  store: LedgerStore,
  begin: ChainState,
  checkpoint: TreeHead | null,
  index: BlockIndex | null,
): Promise<Scan> {
  const markAt = checkpoint?.tree_size ?? 0;
  if (index !== null && checkpoint !== null) {
    // At least one line that the checkpoint covers follows, and names the hash of the last block that is remembered.
    const remembered = await index.chainAtMost(markAt - 1);
    if (
      remembered !== null &&
      index.from <= begin.blocks &&
      remembered.blocks > begin.blocks &&
      (await endsAt(store, index, remembered))
    ) {
      const short = await scan(store, { from: remembered, to: store.size, markAt, index });
      if (differsFrom(checkpoint, short.report, short.mark) === null) return short;
    }
  }
  await index?.beginAt(begin);
  return scan(store, { from: begin, to: store.size, markAt, index });
}

/** Whether the file has the last block of a remembered chain where it was. */
async function endsAt(
  store: LedgerStore,
  index: BlockIndex,
  { blocks, bytes, lastHash }: ChainState,
): Promise<boolean> {
  if (store.size < bytes) return false;
  try {
    const line = await findLine(index.parts(), (from, to) => store.readAt(from, to), blocks - 1);
    const isLast = (await store.readAt(bytes - line.length - 1, bytes)).equals(Buffer.concat([line, newline]));
    return isLast && isWhole(line) && parseBlock(line).hash === lastHash;
  } catch (thrown) {
    if (thrown instanceof IndexDamaged) return false;
    throw thrown;
  }
}

/**
 * Brings an index that has fallen behind up to what `chain` says is acknowledged, which may grow meanwhile, or
 * until `signal`. What is found bad on the way is for `verify` to report.
 */
export async function bringUp(
  store: LedgerStore,
  tree: StoredTree,
  index: BlockIndex,
  chain: () => ChainState,
  signal: AbortSignal,
): Promise<void> {
  const begin = await firstChain(store, tree);
  let from = await index.chainAtMost(chain().blocks);
  if (from === null || index.from > begin.blocks || from.blocks < begin.blocks) {
    from = begin;
    await index.beginAt(from);
  }
  // Behind what was read: its files cannot be written, and it has given up.
  while (from.blocks < chain().blocks && index.blocks >= from.blocks && !signal.aborted) {
    const { report } = await scan(store, { from, to: chain().bytes, markAt: 0, index, signal });
    if (!report.valid) return;
  }
}

/** A checkpoint is replaced as a whole or not at all: a damaged one was made so by somebody else. */
async function readCheckpoint(tree: StoredTree): Promise<StoredCheckpoint | BadLine | null> {
  try {
    return await tree.readCheckpoint();
  } catch (thrown) {
    if (!(thrown instanceof AgentError) || thrown.code !== 'InvalidArgument') throw thrown;
    return { height: 0, offset: 0, reason: `the stored checkpoint is damaged: ${thrown.message}`, torn: false };
  }
}

/**
 * A later reading: `known` was acknowledged and must be there unchanged. What stands after it was not acknowledged,
 * so its writers were told that it failed: it moves away even when it is whole.
 */
export async function loadAgain(store: LedgerStore, tree: StoredTree, known: ChainState): Promise<Loaded> {
  const { chain, report } = await scan(store, {
    from: await firstChain(store, tree),
    to: known.bytes,
    markAt: 0,
    index: null,
  });
  const tampered = missingFrom(report, known);
  const loaded: Loaded = { chain: tampered === null ? known : chain, tampered, unmoved: null };
  if (tampered === null && store.size > known.bytes) await store.moveTail(known.bytes);
  return loaded;
}

/** What is wrong with a reading of the acknowledged bytes; null when all of it is there. */
export function missingFrom(
  report: ChainReport,
  known: { readonly blocks: number; readonly lastHash: string },
): BadLine | null {
  if (report.firstBad !== undefined) return report.firstBad;
  if (report.blocks === known.blocks && report.lastHash === known.lastHash) return null;
  const reason =
    report.blocks === known.blocks
      ? `the chain ends in another block than the one acknowledged, ${known.lastHash}`
      : `the file holds ${report.blocks} of ${known.blocks} acknowledged blocks`;
  return { height: Math.min(report.blocks, known.blocks), offset: report.bytes, reason, torn: false };
}

/** What follows older segments that are not there cannot be told to be whole. */
function headless(thrown: unknown): BadLine {
  if (isGone(thrown)) return gone(thrown);
  throw thrown;
}

/** Whether a store found no file where the ledger was, or not all that it needs. */
export function isGone(thrown: unknown): thrown is AgentError {
  return thrown instanceof AgentError && thrown.code === 'Tampered';
}

export function gone(error: AgentError): BadLine {
  return { height: 0, offset: 0, reason: error.message, torn: false };
}

interface Scan {
  readonly chain: ChainState;
  readonly report: ChainReport;
  /** The tree at the size that was asked for; null when the ledger is shorter. */
  readonly mark: TreeMark | null;
}

interface ScanOptions {
  /** Goes on from there, and is changed. */
  readonly from: ChainState;
  readonly to: number;
  readonly markAt: number;
  /** Takes in what is read. */
  readonly index: BlockIndex | null;
  /** Ends the reading early. */
  readonly signal?: AbortSignal;
}

async function scan(store: LedgerStore, { from: chain, to, markAt, index, signal }: ScanOptions): Promise<Scan> {
  let mark: TreeMark | null = null;
  const lookForMark = (): void => {
    if (chain.blocks === markAt) mark = { head: treeHead(chain.range), bytes: chain.bytes };
  };
  lookForMark();
  const verifier = new ChainVerifier({
    from: chain,
    onBlock: (line, lineBytes, text) => {
      const offset = chain.bytes;
      chain.note(line, lineBytes);
      index?.note(line, searchable(line, lineBytes, text), offset, lineBytes.length, chain);
      lookForMark();
    },
  });
  for await (const chunk of store.read(chain.bytes, to)) {
    verifier.push(chunk);
    await index?.keepUp();
    if (signal?.aborted === true) break;
  }
  return { chain, report: verifier.end(), mark };
}

/** What the index files of a line. One of the right hash that is no block is found by its height alone. */
function searchable({ bodyAt }: CheckedLine, line: Buffer, text: string): Body {
  const plain = plainMembers(text, bodyAt, text.length - hashFieldBytes, keyMembers);
  if (plain !== null) return plain;
  try {
    return parseBody(line, bodyAt);
  } catch (thrown) {
    if (thrown instanceof AgentError) return { metadata: {}, data: {} };
    throw thrown;
  }
}

const newline = Buffer.from('\n');

/** Without a checkpoint: whole blocks behind the first bad line. */
function wholeBehindBad({ firstBad, wholeFromBad }: ChainReport): BadLine | null {
  if (firstBad === undefined || wholeFromBad === 0) return null;
  return { ...firstBad, reason: `${firstBad.reason}; ${wholeFromBad} whole blocks stand there, so it is no torn tail` };
}

/** A ledger of the older tool has the same fields in another order and its own hash. */
async function isOlderLedger(store: LedgerStore): Promise<boolean> {
  const parts: Buffer[] = [];
  for await (const chunk of store.read(0, Math.min(store.size, lineBytesMax))) parts.push(Buffer.from(chunk));
  const first = Buffer.concat(parts).toString().split('\n', 1)[0] ?? '';
  if (first.startsWith('{"height":')) return false;
  let value: JsonValue;
  try {
    value = JSON.parse(first) as JsonValue;
  } catch {
    return false;
  }
  return (
    isJsonObject(value) &&
    typeof value['height'] === 'number' &&
    ['prev_hash', 'hash', 'category', 'action'].every((name) => typeof value[name] === 'string') &&
    ['timestamp', 'data', 'metadata'].every((name) => Object.hasOwn(value, name))
  );
}

async function fingerprint(store: LedgerStore): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of store.read(0, store.size)) hash.update(chunk);
  return hash.digest('hex');
}
