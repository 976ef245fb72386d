/**
 * A program: opens the ledger in the folder named by its argument as the service does, asks it by every key, and prints what
 * that took as one line of JSON. A process of its own for every sample: nothing is warm, and its memory is the ledger's alone.
 */
import type { BlockQuery } from '../src/ledger/query.ts';
import { SignerKey } from '../src/ledger/tlog/key.ts';
import { firstVmid, guestsInLedger, ledgerBeginMs, openBenchLedger, usersInLedger } from './bench-ledger.ts';
import { quantile } from './measure.ts';
import { memoryOf } from './process-figures.ts';

export interface LedgerFigures {
  readonly openMs: number;
  /** Milliseconds that 99 of 100 queries take at most, key by key. */
  readonly p99Ms: Readonly<Record<string, number>>;
  readonly rssMb: number;
}

const queriesEach = 200;
/** First ones, whose times are thrown away: the program is compiled meanwhile. */
const queriesToWarmUp = 30;

const [folder = '', asked = ''] = process.argv.slice(2);
const key = SignerKey.generate('bench/bench/ovs-port-agent');
const startedMs = performance.now();
const ledger = await openBenchLedger(folder, key);
const openMs = performance.now() - startedMs;
const p99Ms: Record<string, number> = {};
if (asked === 'queries') {
  for (const [name, query] of Object.entries(queries(ledger.blocks))) {
    const times: number[] = [];
    for (let at = 0; at < queriesToWarmUp + queriesEach; at++) {
      const next = await query();
      const beganMs = performance.now();
      await ledger.query(next);
      times.push(performance.now() - beganMs);
    }
    p99Ms[name] = quantile(times.slice(queriesToWarmUp), 0.99);
  }
}
const figures: LedgerFigures = { openMs, p99Ms, rssMb: memoryOf(process.pid).rssBytes / 1e6 };
process.stdout.write(`${JSON.stringify(figures)}\n`);
await ledger.close();

/** One for each key, with another value each time; default limit and order. */
function queries(blocks: number): Record<string, () => Promise<BlockQuery> | BlockQuery> {
  const any = (below: number): number => Math.floor(Math.random() * below);
  const anyVmid = (): number => firstVmid + any(guestsInLedger);
  const anyMs = (): number => ledgerBeginMs + any(blocks) * 1_000;
  return {
    height: () => ({ from: any(blocks), limit: 1, order: 'oldest' }),
    range: () => {
      const from = any(blocks);
      return { from, to: from + 99 };
    },
    hash: async () => {
      const height = any(blocks);
      const [block] = await ledger.query({ from: height, to: height });
      return { hash: block?.hash ?? '' };
    },
    category: () => ({ category: ['port', 'guest', 'bridge'][any(3)] ?? '' }),
    network: () => ({ category: 'network' }),
    action: () => ({ action: ['attach', 'detach', 'post-start', 'none'][any(4)] ?? '' }),
    vmid: () => ({ vmid: anyVmid() }),
    port: () => ({ port: `vi${anyVmid()}` }),
    user: () => ({ user: `user${any(usersInLedger)}` }),
    time: () => {
      const sinceMs = anyMs();
      return { sinceMs, untilMs: sinceMs + 3_600_000 };
    },
    'nobody had it': () => ({ vmid: firstVmid + guestsInLedger + any(1_000_000) }),
  };
}
