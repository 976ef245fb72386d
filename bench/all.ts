/** Every benchmark, in the order in which they are taken. */
import { appliedBenchmark } from './applied.ts';
import type { Benchmark } from './benchmark.ts';
import { cliBenchmark } from './cli.ts';
import { commitBenchmark } from './commit.ts';
import { hookBenchmark } from './hook.ts';
import { memoryBenchmark } from './memory.ts';
import { stormBusBenchmark } from './storm-bus.ts';
import { stormBenchmark } from './storm.ts';

export const benchmarks: readonly Benchmark[] = [
  hookBenchmark,
  commitBenchmark,
  appliedBenchmark,
  stormBenchmark,
  stormBusBenchmark,
  cliBenchmark,
  memoryBenchmark,
];
