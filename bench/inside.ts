/**
 * Takes the benchmarks named by its arguments. run.ts bundles this as the product is bundled, starts it in a network
 * namespace of its own and receives each `BenchmarkResult` as a message.
 */
import { execa } from 'execa';
import { benchmarks } from './all.ts';
import { messageOf } from './message.ts';

const isTerminal = process.stderr.isTTY;
/** Where lines stay, few are written. */
const logIntervalMs = 5000;
// Each private switch watches for the end of this process; some benchmarks have five.
process.setMaxListeners(50);

try {
  const names = process.argv.slice(2);
  await measure(
    names.filter((name) => name !== '--quick'),
    names.includes('--quick'),
  );
} catch (error) {
  process.stderr.write(`bench: ${messageOf(error)}\n`);
  process.exitCode = 1;
} finally {
  process.disconnect();
}

async function measure(names: readonly string[], isQuick: boolean): Promise<void> {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      abort.abort(new Error(`ended by ${signal}`));
    });
  }
  await execa('ip', ['link', 'set', 'lo', 'up']);
  for (const { name, run } of benchmarks.filter((benchmark) => names.includes(benchmark.name))) {
    const results = [await run({ signal: abort.signal, progress: showProgress(name), isQuick })].flat();
    for (const result of results) process.send?.(result);
    if (isTerminal) process.stderr.write('\r\u001b[K');
  }
}

function showProgress(name: string): (what: string) => void {
  process.stderr.write(`${name}: starting${isTerminal ? '' : '\n'}`);
  let lastMs = performance.now();
  return (what) => {
    if (isTerminal) {
      process.stderr.write(`\r\u001b[K${name}: ${what}`);
    } else if (performance.now() - lastMs >= logIntervalMs) {
      lastMs = performance.now();
      process.stderr.write(`${name}: ${what}\n`);
    }
  };
}
