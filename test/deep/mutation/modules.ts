/** What is mutated, which tests have to find it, and how many of a hundred. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface MutatedModule {
  readonly name: string;
  /** Patterns of sources. */
  readonly sources: readonly string[];
  /** Test files, in the order in which they run: what fails first saves the rest. */
  readonly tests: readonly string[];
  /** Percent of the mutants. */
  readonly target: number;
  /** Of its mutants, how many a run of the deep tier tries, so that all modules take their part of an hour; from 0 to 1. */
  readonly share: number;
  /**
   * Whether what a source computes when it is loaded is mutated as well. Each such mutant costs a start of all tests, and no
   * test can be left out.
   */
  readonly constants: boolean;
}

const unit = 'test/unit';
const testFiles = readdirSync(join(import.meta.dirname, '../../..', unit)).filter((name) => name.endsWith('.test.ts'));

/** Files that begin with one of these; those named last run last, as they take longest. */
function tests(prefixes: readonly string[], last: readonly string[] = [], without: readonly string[] = []): string[] {
  const files = testFiles.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)));
  const place = (name: string): number => last.indexOf(name.replace('.test.ts', ''));
  return files
    .filter((name) => !without.includes(name.replace('.test.ts', '')))
    .sort((a, b) => place(a) - place(b))
    .map((name) => `${unit}/${name}`);
}

export const mutatedModules: readonly MutatedModule[] = [
  {
    name: 'ledger',
    sources: ['src/ledger/**/*.ts'],
    tests: tests(
      ['ledger-'],
      [
        'ledger-chain',
        'ledger-note',
        'ledger-tiles',
        'ledger-append',
        'ledger-open',
        'ledger-publish',
        'ledger-merkle-tree',
        'ledger-index',
        'ledger-witnesses',
        'ledger-segments',
      ],
      // These run programs of their own, which no mutant reaches, or for minutes.
      ['ledger-faults', 'ledger-killed', 'ledger-scripts'],
    ),
    target: 85,
    share: 0.15,
    constants: false,
  },
  { name: 'model', sources: ['src/model/*.ts'], tests: tests(['model-', 'node-guest-nics', 'ports-desired', 'ports-plan', 'proxmox-guest-config']), target: 80, share: 0.5, constants: true }, // prettier-ignore
  { name: 'ovsdb', sources: ['src/ovsdb/*.ts'], tests: tests(['ovsdb-']), target: 80, share: 0.4, constants: true },
  {
    name: 'interfaces',
    sources: ['src/interfaces/*.ts'],
    tests: tests(['interfaces-']),
    target: 80,
    share: 0.5,
    constants: true,
  },
  {
    name: 'ports/plan',
    sources: ['plan', 'settings', 'marks', 'transaction', 'mirror-plan', 'mirror-marks', 'mirror-transaction', 'foreign-columns', 'guarded-operations', 'change', 'uuid-v5'].map((name) => `src/ports/${name}.ts`), // prettier-ignore
    tests: tests(['ports-plan', 'ports-marks', 'ports-mirror-', 'ports-settings', 'ports-transaction', 'ports-uuid']),
    target: 80,
    share: 0.5,
    constants: true,
  },
];
