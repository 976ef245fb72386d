/** Every benchmark, in the order in which they are taken. */
import { appliedBenchmark } from './applied.ts';
import type { Benchmark } from './benchmark.ts';
import { cliBenchmark } from './cli.ts';
import { commitBenchmark } from './commit.ts';
import { dayBenchmark } from './day.ts';
import { driftBenchmark } from './drift.ts';
import { hookBenchmark } from './hook.ts';
import { interfacesBenchmark } from './interfaces.ts';
import { ledgerBenchmark } from './ledger.ts';
import { memoryBenchmark } from './memory.ts';
import { scaleBenchmark } from './scale.ts';
import { stormBusBenchmark } from './storm-bus.ts';
import { stormBenchmark } from './storm.ts';

export const benchmarks: readonly Benchmark[] = [
  hookBenchmark,
  commitBenchmark,
  appliedBenchmark,
  stormBenchmark,
  stormBusBenchmark,
  driftBenchmark,
  scaleBenchmark,
  cliBenchmark,
  memoryBenchmark,
  dayBenchmark,
  ledgerBenchmark,
  interfacesBenchmark,
];
