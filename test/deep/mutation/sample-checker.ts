/**
 * A checker of Stryker that lets through the mutants of a sample. `MUTATION_SHARE` of them are in it, by a hash of `MUTATION_SEED`
 * and of what the mutant is: the same sources and the same seed make the same sample. The others count as not compiled,
 * which Stryker leaves out of the score.
 */
import { createHash } from 'node:crypto';
import { relative } from 'node:path';

/** What Stryker says of a mutant that this needs. */
interface Mutant {
  readonly id: string;
  readonly fileName: string;
  readonly mutatorName: string;
  readonly replacement: string;
  readonly location: { readonly start: { readonly line: number; readonly column: number } };
}

interface Verdict {
  readonly status: 'passed' | 'compileError';
  readonly reason?: string;
}

class SampleChecker {
  readonly #share = Number(process.env['MUTATION_SHARE'] ?? 1);
  readonly #seed = process.env['MUTATION_SEED'] ?? '1';

  init(): Promise<void> {
    return Promise.resolve();
  }

  check(mutants: readonly Mutant[]): Promise<Record<string, Verdict>> {
    return Promise.resolve(Object.fromEntries(mutants.map((mutant) => [mutant.id, this.#verdict(mutant)])));
  }

  group(mutants: readonly Mutant[]): Promise<string[][]> {
    return Promise.resolve([mutants.map(({ id }) => id)]);
  }

  #verdict({ fileName, mutatorName, replacement, location: { start } }: Mutant): Verdict {
    const file = relative(process.cwd(), fileName);
    const what = [this.#seed, file, start.line, start.column, mutatorName, replacement].join('\n');
    const place = createHash('sha256').update(what).digest().readUInt32BE() / 2 ** 32;
    return place < this.#share ? { status: 'passed' } : { status: 'compileError', reason: 'not in the sample' };
  }
}

/** Where Stryker looks for what a module brings. */
export const strykerPlugins = [{ kind: 'Checker', name: 'sample', injectableClass: SampleChecker }];
