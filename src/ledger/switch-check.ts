/**
 * The ledger against the switch's own log. Each transaction of the agent names, in its `comment`, the size and the root of
 * the tree with its blocks in it; the switch's database keeps comments until it is compacted. So two records of one history
 * can be held against each other, of which only one is the agent's:
 *
 * - a tree that the switch has seen and the ledger does not have: cut off, or rewritten;
 * - a transaction of the agent whose blocks are not there: taken out, or somebody else wrote the comment;
 * - a block of a change for which the log has no transaction, although nothing says that it failed: made up.
 */
import { AgentError } from '../model/errors.ts';
import type { Block } from './block.ts';
import { parseBlock } from './block.ts';
import { ChainVerifier } from './chain.ts';
import type { BadLine } from './chain.ts';
import { ChainState } from './state.ts';
import { treeHead } from './tlog/compact-range.ts';

/** What a switch's log holds of the agent, and how far back it goes. */
export interface SwitchLog {
  /** Time of the first record, in milliseconds since 1970: nothing before it can be seen. null: the log is empty. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
  /** The first record is the content of the database as it was then: earlier transactions and their comments are gone. */
  readonly isCompacted: boolean;
  /** Transactions of all writers. */
  readonly transactions: number;
  /** Those whose comment is the agent's, in their order. */
  readonly own: readonly OwnTransaction[];
}

/** A transaction that says it is the agent's. */
export interface OwnTransaction {
  readonly name: string;
  readonly dateMs: number;
  /** The tree that it names; null when the ledger could not take its blocks. */
  readonly tree: { readonly size: number; readonly rootHash: string } | null;
}

export interface SwitchReport {
  readonly log: Omit<SwitchLog, 'own'>;
  /** Transactions that were held against the ledger. */
  readonly checked: number;
  /** Of the agent, from before this ledger's first block: another ledger knew them. */
  readonly older: number;
  /** Made while the ledger took no blocks. */
  readonly unrecorded: number;
  /** What contradicts, one sentence each. */
  readonly contradictions: readonly string[];
}

/** The agent's part of a comment; null for that of another writer. */
export function parseOwnComment(comment: string): Omit<OwnTransaction, 'dateMs'> | null {
  const match = /^ovs-port-agent txn (\S{1,64})(?: ledger ([0-9]{1,16}) ([A-Za-z0-9+/]{43}=))?$/m.exec(comment);
  if (match === null) return null;
  const [, name = '', size, rootHash] = match;
  return { name, tree: size === undefined || rootHash === undefined ? null : { size: Number(size), rootHash } };
}

/**
 * Holds a ledger against a switch's log that was read before it. `readLater` reads the log once more when blocks name
 * transactions that it did not have yet: the switch may have got them meanwhile. Rejects with `Unavailable` when the
 * ledger's own chain does not hold: then `verify` says where.
 */
export async function checkAgainstSwitch(
  chunks: AsyncIterable<Uint8Array>,
  log: SwitchLog,
  readLater: () => Promise<SwitchLog>,
): Promise<SwitchReport> {
  const ledger = new RecordedTransactions(log);
  for await (const chunk of chunks) ledger.push(chunk);
  const chain = ledger.end();
  const fromMs = chain.earliest === null ? Infinity : Date.parse(chain.earliest);
  const recent = log.own.filter(({ dateMs }) => dateMs >= fromMs);
  const contradictions = recent.flatMap((transaction) => ledger.contradictionOf(transaction) ?? []);
  const claims = ledger.claimsWithout(log);
  if (claims.length > 0) {
    const later = new Set((await readLater()).own.map(({ name }) => name));
    for (const { name, block } of claims) {
      if (later.has(name)) continue;
      const what = `block ${block.height} (${block.action} of ${JSON.stringify(block.data['port'])}, ${block.timestamp})`;
      contradictions.push(`${what} is of transaction ${name}, which the switch's log does not have`);
    }
  }
  const { own, ...seen } = log;
  return {
    log: seen,
    checked: recent.length,
    older: own.length - recent.length,
    unrecorded: recent.filter(({ tree }) => tree === null).length,
    contradictions,
  };
}

/** Reads a ledger once: the roots at the sizes that the switch has seen, and the blocks of each transaction. */
class RecordedTransactions {
  readonly #chain = new ChainState();
  readonly #sizes: ReadonlySet<number>;
  readonly #roots = new Map<number, string>();
  /** Name of a transaction to its blocks that nothing says to have failed. */
  readonly #blocks = new Map<string, Block[]>();
  readonly #names = new Set<string>();
  readonly #undone = new Set<number>();
  readonly #verifier: ChainVerifier;

  constructor(log: SwitchLog) {
    this.#sizes = new Set(log.own.flatMap(({ tree }) => (tree === null ? [] : [tree.size])));
    const own = new Set(log.own.map(({ name }) => name));
    this.#verifier = new ChainVerifier({
      onUnseen: ({ to }) => {
        throw new AgentError(
          'Unavailable',
          `the ledger's first ${to} blocks are in segments that were moved away, and without them no root can be compared: put them back beside it`,
        );
      },
      onBlock: (line, bytes) => {
        this.#chain.note(line, bytes);
        const { blocks } = this.#chain;
        if (this.#sizes.has(blocks)) {
          this.#roots.set(blocks, treeHead(this.#chain.range).sha256_root_hash.toString('base64'));
        }
        if (!bytes.includes(txnKey) && line.action !== 'failed' && line.action !== 'abandoned') return;
        this.#note(parseBlock(bytes), own, log.fromMs ?? Infinity);
      },
    });
  }

  push(chunk: Uint8Array): void {
    this.#verifier.push(chunk);
  }

  end(): ChainState {
    const { firstBad } = this.#verifier.end();
    if (firstBad !== undefined && !firstBad.torn) throw invalidLedger(firstBad);
    return this.#chain;
  }

  contradictionOf({ name, dateMs, tree }: OwnTransaction): string | null {
    const what = `transaction ${name} of ${new Date(dateMs).toISOString()}`;
    if (tree === null) return null;
    const { blocks } = this.#chain;
    if (tree.size > blocks) return `${what} names a ledger of ${tree.size} blocks, and this one has ${blocks}`;
    if (this.#roots.get(tree.size) !== tree.rootHash) {
      return `${what} names another root of the first ${tree.size} blocks: some were rewritten`;
    }
    return this.#names.has(name) ? null : `${what} is not in the ledger`;
  }

  /** Blocks of transactions that the log should have and does not; what may still be under way is no such. */
  claimsWithout({ fromMs }: SwitchLog): { name: string; block: Block }[] {
    const open = new Set(this.#chain.inDoubt().map(({ height }) => height));
    const isClaim = ({ height, timestamp }: Block): boolean =>
      !this.#undone.has(height) && !open.has(height) && fromMs !== null && Date.parse(timestamp) >= fromMs;
    return [...this.#blocks].flatMap(([name, blocks]) => blocks.filter(isClaim).map((block) => ({ name, block })));
  }

  #note(block: Block, own: ReadonlySet<string>, fromMs: number): void {
    const { metadata, data, action, timestamp } = block;
    // What callers add themselves says nothing here.
    if (metadata['plugin'] === 'external') return;
    if ((action === 'failed' || action === 'abandoned') && typeof data['height'] === 'number') {
      this.#undone.add(data['height']);
    }
    const { txn } = data;
    if (typeof txn !== 'string') return;
    if (own.has(txn)) this.#names.add(txn);
    // Only what the log can tell is kept, so that memory grows with its span and not with the ledger.
    else if (Date.parse(timestamp) >= fromMs) this.#blocks.set(txn, [...(this.#blocks.get(txn) ?? []), block]);
  }
}

const txnKey = Buffer.from('"txn":"');

function invalidLedger({ height, offset, reason }: BadLine): AgentError {
  return new AgentError(
    'Unavailable',
    `the ledger itself is not valid from block ${height} at byte ${offset} on: ${reason}; run "ledger verify" on it first`,
  );
}
