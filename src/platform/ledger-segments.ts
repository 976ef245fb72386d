/**
 * The files of a ledger: older segments, `ledger-000001.jsonl` and on, and the one that is written, always `ledger.jsonl`.
 * The first block of a segment says which file came before it and where in the ledger it begins, so nothing else has to
 * be kept, and older files may be moved away.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** One file, and the bytes of the ledger that it has: from `from` up to, and without, `to`. */
export interface Segment {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

export interface Segments {
  /** Those that are there without a gap up to the active one, in order. */
  readonly older: readonly Segment[];
  /** The byte of the ledger at which the active one begins. */
  readonly activeFrom: number;
  /** The number of the segment that came last before the active one; 0 when there was none. */
  readonly lastNumber: number;
}

/** Rejects with the disk's own error. The active file is there. */
export async function findSegments(activePath: string): Promise<Segments> {
  const there = await segmentNumbers(activePath);
  const beginning = await readBeginning(activePath);
  // One whose first block is not there yet, or not whole, follows the newest there is.
  const lastNumber = beginning === null ? (there.at(-1) ?? 0) : beginning.lastNumber;
  const numbers: number[] = [];
  for (let number = lastNumber; there.includes(number); number--) numbers.unshift(number);
  const [lowest] = numbers;
  const first = lowest === undefined ? beginning : await readBeginning(segmentPath(activePath, lowest));
  let from = first?.from ?? 0;
  const older: Segment[] = [];
  for (const number of numbers) {
    const path = segmentPath(activePath, number);
    const to = from + (await stat(path)).size;
    older.push({ path, from, to });
    from = to;
  }
  return { older, activeFrom: from, lastNumber };
}

/** The numbers of the older segments that are there, ascending. */
export async function segmentNumbers(activePath: string): Promise<number[]> {
  const prefix = `${stemOf(activePath)}-`;
  const numbers = (await readdir(dirname(activePath))).flatMap((name) => {
    const match = name.startsWith(prefix) ? /^([0-9]{6,9})\.jsonl$/.exec(name.slice(prefix.length)) : null;
    return match === null || Number(match[1]) === 0 ? [] : [Number(match[1])];
  });
  return numbers.sort((a, b) => a - b);
}

export function segmentPath(activePath: string, number: number): string {
  return join(dirname(activePath), `${stemOf(activePath)}-${String(number).padStart(6, '0')}.jsonl`);
}

/** What the first block of a segment says; null for a line that cannot be one. */
async function readBeginning(path: string): Promise<{ lastNumber: number; from: number } | null> {
  const line = await readFirstLine(path);
  if (line.startsWith('{"height":0,')) return { lastNumber: 0, from: 0 };
  let block: { action?: unknown; metadata?: { plugin?: unknown }; data?: { file?: unknown; offset?: unknown } };
  try {
    block = JSON.parse(line) as typeof block;
  } catch {
    return null;
  }
  const { file, offset } = block.data ?? {};
  const number = typeof file === 'string' ? /-([0-9]{6,9})\.jsonl$/.exec(file)?.[1] : undefined;
  if (block.action !== 'segment' || block.metadata?.plugin !== 'ledger' || number === undefined) return null;
  return Number.isSafeInteger(offset) ? { lastNumber: Number(number), from: Number(offset) } : null;
}

/** Bytes of a block's line at most, as the ledger has it. */
const lineBytesMax = 65_535;

async function readFirstLine(path: string): Promise<string> {
  const handle = await open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(lineBytesMax + 1), 0, lineBytesMax + 1, 0);
    const [line = ''] = buffer.toString('utf8', 0, bytesRead).split('\n', 1);
    return line;
  } finally {
    await handle.close();
  }
}

function stemOf(path: string): string {
  return basename(path, '.jsonl');
}
