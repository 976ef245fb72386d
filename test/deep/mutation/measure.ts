/** Runs Stryker on a module: https://stryker-mutator.io/docs/stryker-js/configuration. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Stryker } from '@stryker-mutator/core';
import type { MutatedModule } from './modules.ts';

export interface MutationScore {
  /** Percent of the mutants tried that a test found, by failing or by never ending. */
  readonly score: number;
  readonly tried: number;
  readonly found: number;
  /** Those of them that never ended: many of them speak of a machine that was too busy. */
  readonly endless: number;
  /** One line for each mutant that no test found: where, what. */
  readonly survivors: readonly string[];
}

export interface MutationOptions {
  /** From 0 to 1. */
  readonly share: number;
  readonly seed: string;
  readonly processes?: number;
}

/** What takes so many times as long as without the mutant, and this long besides, is taken to never end. */
const graceFactor = 3;
const graceMs = 30_000;

export async function measureMutations(module: MutatedModule, options: MutationOptions): Promise<MutationScore> {
  const folder = await mkdtemp(join(tmpdir(), 'ovs-port-agent-mutation-'));
  process.env['MUTATION_SHARE'] = String(options.share);
  process.env['MUTATION_SEED'] = options.seed;
  const typescript = ['--import', 'tsx'];
  try {
    const stryker = new Stryker({
      mutate: [...module.sources],
      testRunner: 'mocha',
      mochaOptions: { spec: [...module.tests], require: [join(import.meta.dirname, 'end-tests.ts')] },
      testRunnerNodeArgs: typescript,
      checkers: ['sample'],
      checkerNodeArgs: typescript,
      plugins: [import.meta.resolve('@stryker-mutator/mocha-runner'), join(import.meta.dirname, 'sample-checker.ts')],
      coverageAnalysis: 'perTest',
      ignoreStatic: !module.constants,
      concurrency: options.processes ?? availableParallelism(),
      timeoutMS: graceMs,
      timeoutFactor: graceFactor,
      tempDirName: join(folder, 'sandbox'),
      ignorePatterns: ['dist', 'coverage', 'bench'],
      reporters: ['progress-append-only', 'html'],
      htmlReporter: { fileName: `coverage/mutation/${module.name.replace('/', '-')}.html` },
      allowEmpty: false,
      thresholds: { high: 100, low: module.target, break: null },
    });
    return scoreOf(await stryker.runMutationTest());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Results = Awaited<ReturnType<Stryker['runMutationTest']>>;

function scoreOf(results: Results): MutationScore {
  const of = (...statuses: Results[number]['status'][]): Results => results.filter(({ status }) => statuses.includes(status)); // prettier-ignore
  const endless = of('Timeout').length;
  const found = of('Killed').length + endless;
  const missed = of('Survived', 'NoCoverage');
  const survivors = missed.map(({ fileName, location, mutatorName, replacement, status }) => {
    const place = `${relative(process.cwd(), fileName)}:${location.start.line}:${location.start.column}`;
    return `${place} ${status} ${mutatorName}: ${replacement.replace(/\s+/g, ' ').slice(0, 120)}`;
  });
  const tried = found + missed.length;
  return { score: (100 * found) / tried, tried, found, endless, survivors };
}
