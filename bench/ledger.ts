/** The ledger: durable appends, verification, starts, queries, and how they grow with it. */
import type { Benchmark } from './benchmark.ts';
import { withCleanup } from './cleanup.ts';
import { measureAppends } from './ledger-appends.ts';
import { measureSizes } from './ledger-sizes.ts';

export const ledgerBenchmark: Benchmark = {
  name: 'ledger',
  about: 'durable appends against SQLite, verification against sha256sum, starts and queries of a million blocks',
  run: (context) =>
    withCleanup(async (later) => [...(await measureAppends(later, context)), ...(await measureSizes(later, context))]),
};
