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
import type { JsonValue } from './block.ts';
import { isJsonObject } from './block.ts';
import { ChainVerifier } from './chain.ts';
import type { BadLine, ChainReport } from './chain.ts';
import { lineBytesMax } from './limits.ts';
import { ChainState } from './state.ts';
import type { LedgerStore } from './store.ts';
import type { StoredCheckpoint, StoredTree } from './stored-tree.ts';
import { treeHead } from './tlog/compact-range.ts';
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
}

/** The first reading, when nothing is known of the file but its last checkpoint. */
export async function loadFirst(store: LedgerStore, tree: StoredTree): Promise<LoadedFirst> {
  const { loaded, report } = await judge(store, tree);
  if (loaded.tampered !== null || report.firstBad === undefined) return loaded;
  if (loaded.checkpoint === null && report.blocks === 0 && (await isOlderLedger(store))) {
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

/** Why a ledger opens read-only; null when it does not. Changes nothing. */
export async function findAlteration(store: LedgerStore, tree: StoredTree): Promise<BadLine | null> {
  return (await judge(store, tree)).loaded.tampered;
}

async function judge(store: LedgerStore, tree: StoredTree): Promise<{ loaded: LoadedFirst; report: ChainReport }> {
  const stored = await readCheckpoint(tree);
  const checkpoint = stored !== null && 'reason' in stored ? null : stored;
  const { chain, report, mark } = await scan(store, store.size, checkpoint?.head.tree_size ?? 0);
  let tampered: BadLine | null;
  if (stored === null) tampered = wholeBehindBad(report);
  else if ('reason' in stored) tampered = stored;
  else tampered = differsFrom(stored.head, report, mark);
  const loaded = { chain, tampered, unmoved: null, checkpoint, checkpointBytes: mark?.bytes ?? 0 };
  return { loaded, report };
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
export async function loadAgain(store: LedgerStore, known: ChainState): Promise<Loaded> {
  const { chain, report } = await scan(store, known.bytes, 0);
  const loaded: Loaded = { chain, tampered: missingFrom(report, known), unmoved: null };
  if (loaded.tampered === null && store.size > known.bytes) await store.moveTail(known.bytes);
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

/** Whether a store found no file where the ledger was. */
export function isGone(thrown: unknown): thrown is AgentError {
  return thrown instanceof AgentError && thrown.code === 'Tampered';
}

export function gone(error: AgentError): BadLine {
  return { height: 0, offset: 0, reason: error.message, torn: false };
}

async function scan(
  store: LedgerStore,
  bytes: number,
  markAt: number,
): Promise<{ chain: ChainState; report: ChainReport; mark: TreeMark | null }> {
  const chain = new ChainState();
  const marks: TreeMark[] = [];
  const verifier = new ChainVerifier((line, lineBytes) => {
    chain.note(line, lineBytes);
    if (chain.blocks === markAt) marks.push({ head: treeHead(chain.range), bytes: chain.bytes });
  });
  for await (const chunk of store.read(0, bytes)) verifier.push(chunk);
  return { chain, report: verifier.end(), mark: marks[0] ?? null };
}

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
