/** Finding blocks by reading the file once: lines that cannot match are passed over before their JSON is parsed. */
import { asBuffer, parseBlock } from './block.ts';
import type { Block } from './block.ts';
import { queryBlocksDefault, queryBlocksMax } from './limits.ts';
import { LineSplitter } from './lines.ts';
import { AgentError } from '../model/errors.ts';

/** All that is named must hold. */
export interface BlockQuery {
  /** Heights, both included. */
  readonly from?: number;
  readonly to?: number;
  readonly hash?: string;
  /** A category, or `network` for the five of `networkCategories`. */
  readonly category?: string;
  readonly action?: string;
  /** `data.vmid`. */
  readonly vmid?: number;
  /** Name of a port or of its netdev: `data.port` or `data.netdev`. */
  readonly port?: string;
  /** `metadata.user`. */
  readonly user?: string;
  /** Milliseconds since 1970: from `sinceMs` on, before `untilMs`. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** 1 to 10,000, 100 when not given. */
  readonly limit?: number;
  /** `newest` (first) when not given. */
  readonly order?: 'newest' | 'oldest';
}

export const networkCategories: readonly string[] = ['bridge', 'interface', 'connection', 'port', 'connectivity'];

/** A query made ready: its limits checked (`InvalidArgument`), its texts turned into the bytes a line must hold. */
class BlockFinder {
  readonly #query: BlockQuery;
  readonly #limit: number;
  readonly #needles: readonly Buffer[];
  /** Newest: a ring, the next one written at `#found % #limit`. Oldest: simply the first ones. */
  readonly #kept: Block[] = [];
  #found = 0;
  #height: number;
  readonly #splitter = new LineSplitter((line) => this.#line(line));

  constructor(query: BlockQuery, firstHeight: number) {
    this.#query = query;
    this.#height = firstHeight;
    this.#limit = checkedLimit(query);
    this.#needles = needlesOf(query);
  }

  /** False once nothing more can be found. */
  push(chunk: Uint8Array): boolean {
    return this.#splitter.push(chunk);
  }

  /** What was found, in the query's order. */
  result(): Block[] {
    if (this.#query.order === 'oldest') return this.#kept;
    const next = this.#found > this.#limit ? this.#found % this.#limit : 0;
    return [...this.#kept.slice(next), ...this.#kept.slice(0, next)].reverse();
  }

  #line(line: Buffer | null): boolean {
    const height = this.#height++;
    const { from = 0, to = Infinity, hash, order } = this.#query;
    if (height > to) return false;
    if (line !== null && height >= from && this.#needles.every((needle) => line.includes(needle))) {
      const block = read(line, height);
      if (matches(block, this.#query)) {
        this.#kept[this.#found++ % this.#limit] = block;
        if (hash !== undefined || (order === 'oldest' && this.#found === this.#limit)) return false;
      }
    }
    return height < to;
  }
}

/** Streams a ledger, from a block on, through `BlockFinder`; memory holds `limit` blocks. */
export async function queryBlocks(
  chunks: AsyncIterable<Uint8Array>,
  query: BlockQuery,
  firstHeight = 0,
): Promise<Block[]> {
  const finder = new BlockFinder(query, firstHeight);
  for await (const chunk of chunks) {
    if (!finder.push(asBuffer(chunk))) break;
  }
  return finder.result();
}

/**
 * The same query over a ledger of known length, with fewer blocks to look at: when it asks for the newest and filters
 * by height alone, the last `limit` heights are all it can return.
 */
export function narrow(query: BlockQuery, blocks: number): BlockQuery {
  const { from = 0, to = Infinity, limit, order, ...filters } = query;
  if (order === 'oldest' || Object.keys(filters).length > 0) return query;
  const newest = Math.min(to, blocks - 1);
  return { ...query, from: Math.max(from, newest - (limit ?? queryBlocksDefault) + 1), to: newest };
}

export function matches(block: Block, query: BlockQuery): boolean {
  const timeMs = Date.parse(block.timestamp);
  return (
    block.height >= (query.from ?? 0) &&
    block.height <= (query.to ?? Infinity) &&
    is(query.hash, block.hash) &&
    (query.category === 'network' ? networkCategories.includes(block.category) : is(query.category, block.category)) &&
    is(query.action, block.action) &&
    is(query.vmid, block.data['vmid']) &&
    (query.port === undefined || block.data['port'] === query.port || block.data['netdev'] === query.port) &&
    is(query.user, block.metadata['user']) &&
    timeMs >= (query.sinceMs ?? -Infinity) &&
    timeMs < (query.untilMs ?? Infinity)
  );
}

function is(wanted: unknown, found: unknown): boolean {
  return wanted === undefined || wanted === found;
}

/** Bytes that a matching line surely holds, because the encoder writes them so. */
function needlesOf(query: BlockQuery): Buffer[] {
  const { category, action, hash, vmid, port, user } = query;
  return [
    category === undefined || category === 'network' ? null : `"category":${JSON.stringify(category)}`,
    action === undefined ? null : `"action":${JSON.stringify(action)}`,
    hash === undefined ? null : `"hash":${JSON.stringify(hash)}`,
    vmid === undefined ? null : `"vmid":${vmid}`,
    port === undefined ? null : `:${JSON.stringify(port)}`,
    user === undefined ? null : `"user":${JSON.stringify(user)}`,
  ].flatMap((needle) => (needle === null ? [] : [Buffer.from(needle)]));
}

/** Throws `InvalidArgument`. */
export function checkedLimit({ limit = queryBlocksDefault }: BlockQuery): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= queryBlocksMax) return limit;
  throw new AgentError(
    'InvalidArgument',
    `ledger query: limit ${limit} is not valid: expected a whole number from 1 to ${queryBlocksMax}`,
  );
}

function read(line: Buffer, height: number): Block {
  try {
    return parseBlock(line);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new AgentError('Tampered', `ledger block ${height} cannot be read: ${why}; run "ledger verify"`, {
      cause: thrown,
    });
  }
}
