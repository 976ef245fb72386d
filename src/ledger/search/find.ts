/** Blocks by way of an index: from each of its parts those that may match, in order, read from the ledger and compared. */
import { parseBlock } from '../block.ts';
import type { Block } from '../block.ts';
import { checkedLimit, matches } from '../query.ts';
import type { BlockQuery } from '../query.ts';
import { AgentError } from '../../model/errors.ts';
import { partBlocksMax, secondOf } from './entry.ts';
import type { IndexPart, Place } from './entry.ts';
import { keyGroupsOf } from './keys.ts';
import { IndexDamaged } from './pages.ts';

/** The ledger's bytes from `from` up to `to`. */
type ReadAt = (from: number, to: number) => Promise<Buffer>;

/**
 * What `queryBlocks` finds among the heights of `parts`, of which there is no gap between one and the next. Rejects with
 * `IndexDamaged` when a part, or the ledger where it points, is not what was written; then only the ledger can tell.
 */
export async function findBlocks(
  parts: readonly IndexPart[],
  readAt: ReadAt,
  query: BlockQuery & { readonly from: number; readonly to: number },
): Promise<Block[]> {
  const wanted = query.hash === undefined ? checkedLimit(query) : Math.min(1, checkedLimit(query));
  const isOldestFirst = query.order === 'oldest';
  const asked = parts.filter(({ from, end }) => from <= query.to && end > query.from);
  if (!isOldestFirst) asked.reverse();
  const found: Block[] = [];
  let missed = 0;
  for (let first = 0, ahead = 1; first < asked.length; first += ahead, ahead = Math.min(2 * ahead, partsAheadMax)) {
    const lists = asked
      .slice(first, first + ahead)
      .map(async (part) => ({ part, indexes: await candidates(part, query) }));
    for (const { part, indexes } of await Promise.all(lists)) {
      const picked = isOldestFirst ? indexes : indexes.toReversed();
      for (let at = 0; at < picked.length;) {
        // No more than is wanted, unless much of it turns out not to match.
        const size = Math.min(batchBlocks, Math.max(wanted - found.length, missed));
        const places = await Promise.all([...picked.subarray(at, at + size)].map((index) => part.locate(index)));
        at += size;
        for (const block of await readBlocks(places, readAt)) {
          if (matches(block, query)) found.push(block);
          else missed++;
          if (found.length === wanted) return found;
        }
      }
    }
  }
  return found;
}

/** The line of a block, where an index says that it is. Rejects as `findBlocks` does. */
export async function findLine(parts: readonly IndexPart[], readAt: ReadAt, height: number): Promise<Buffer> {
  const part = parts.find(({ from, end }) => from <= height && height < end);
  if (part === undefined) throw new IndexDamaged('', `no part has block ${height}`);
  const { offset, length } = await part.locate(height - part.from);
  return lineOf(await readAt(offset, offset + length), height).line;
}

/** Blocks that are located and read at a time, at most. */
const batchBlocks = 64;
/** Parts that are asked at a time, at most: one first, then twice as many each time, because few searches go far. */
const partsAheadMax = 8;
/** Bytes between two lines that are read rather than jumped over. */
const gapBytesMax = 16_384;
/** Above this many blocks that hold one key, those that hold the next are read too; below it, the blocks themselves. */
const intersectAbove = 16;

/** Indexes into a part of all blocks that can match, ascending; a few that do not may be among them. */
async function candidates(part: IndexPart, query: BlockQuery & { from: number; to: number }): Promise<Uint16Array> {
  const first = Math.max(0, query.from - part.from);
  const last = Math.min(part.end - 1, query.to) - part.from;
  let found: Uint16Array | null = query.hash === undefined ? null : await part.withHash(query.hash);
  for (const group of await byRarity(part, query)) {
    if (found !== null && found.length <= intersectAbove) break;
    const withAny = union(await Promise.all(group.map((key) => part.withKey(key))));
    found = found === null ? withAny : intersection(found, withAny);
  }
  const { sinceMs, untilMs } = query;
  if ((sinceMs !== undefined || untilMs !== undefined) && (found === null || found.length > intersectAbove)) {
    const since = sinceMs === undefined ? 0 : secondOf(sinceMs);
    const within = await part.within({ since, until: untilMs === undefined ? Infinity : secondOf(untilMs) });
    if (within !== null) found = found === null ? within : intersection(found, within);
  }
  if (found !== null) return found.subarray(firstAbove(found, first - 1), firstAbove(found, last));
  const all = new Uint16Array(Math.max(0, last - first + 1));
  for (let at = 0; at < all.length; at++) all[at] = first + at;
  return all;
}

/** Groups of keys, those that the fewest blocks hold first: a key that nobody has ends the search before it begins. */
async function byRarity(part: IndexPart, query: BlockQuery): Promise<string[][]> {
  const counted = keyGroupsOf(query).map(async (group) => {
    const counts = await Promise.all(group.map((key) => part.count(key)));
    return { group, count: counts.reduce((sum, count) => sum + count, 0) };
  });
  const groups = await Promise.all(counted);
  return groups.sort((a, b) => a.count - b.count).map(({ group }) => group);
}

async function readBlocks(places: readonly Place[], readAt: ReadAt): Promise<Block[]> {
  const reads = neighbours(places).map(async (group) => {
    const from = Math.min(...group.map(({ offset }) => offset));
    const bytes = await readAt(from, Math.max(...group.map(({ offset, length }) => offset + length)));
    return group.map(({ height, offset, length }) => {
      return lineOf(bytes.subarray(offset - from, offset - from + length), height).block;
    });
  });
  return (await Promise.all(reads)).flat();
}

/** Places in their order, those that stand near each other together. */
function neighbours(places: readonly Place[]): Place[][] {
  const groups: Place[][] = [];
  let last: Place | undefined;
  for (const place of places) {
    const [before, after] = last !== undefined && last.offset > place.offset ? [place, last] : [last, place];
    const isNear = before !== undefined && after.offset - before.offset - before.length <= gapBytesMax;
    const group = groups.at(-1);
    if (isNear && group !== undefined) group.push(place);
    else groups.push([place]);
    last = place;
  }
  return groups;
}

function lineOf(line: Buffer, height: number): { line: Buffer; block: Block } {
  try {
    const block = parseBlock(line);
    if (block.height === height) return { line, block };
  } catch (thrown) {
    if (!(thrown instanceof AgentError)) throw thrown;
  }
  throw new IndexDamaged('', `block ${height} is not where it should be`);
}

function union(lists: readonly Uint16Array[]): Uint16Array {
  const [only] = lists;
  if (only !== undefined && lists.length === 1) return only;
  const isIn = new Uint8Array(partBlocksMax);
  for (const list of lists) for (const index of list) isIn[index] = 1;
  const all = new Uint16Array(isIn.length);
  let count = 0;
  for (let index = 0; index < isIn.length; index++) if (isIn[index] === 1) all[count++] = index;
  return all.subarray(0, count);
}

/** Where in an ascending list the numbers above `limit` begin. */
function firstAbove(list: Uint16Array, limit: number): number {
  let low = 0;
  for (let high = list.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((list[middle] ?? 0) > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

function intersection(left: Uint16Array, right: Uint16Array): Uint16Array {
  const both = new Uint16Array(Math.min(left.length, right.length));
  let count = 0;
  for (let a = 0, b = 0; a < left.length && b < right.length;) {
    const [one = 0, other = 0] = [left[a], right[b]];
    if (one === other) both[count++] = one;
    if (one <= other) a++;
    if (other <= one) b++;
  }
  return both.subarray(0, count);
}
