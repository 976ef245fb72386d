/** `doctor`. */
import pico from 'picocolors';
import type { Diagnosis, Environment } from './environment.ts';
import { renderResult } from './output.ts';
import type { OutputOptions } from './output.ts';

/** Exit codes of `doctor`: nothing, something that may harm, something that harms. */
const exitClean = 0;
const exitWarnings = 1;
const exitErrors = 2;

/** Every finding with its remedy; with `isVerbose` every check. */
export async function showDiagnosis(
  env: Environment,
  { config, isVerbose }: { config: string | null; isVerbose: boolean },
  options: OutputOptions,
): Promise<number> {
  const diagnosis = await env.diagnose({ config });
  if (options.format === 'text') for (const line of describe(diagnosis, isVerbose, env.colors)) env.print(line);
  else env.print(await renderResult(diagnosis, { type: 'null' }, options));
  return diagnosis.errors > 0 ? exitErrors : diagnosis.warnings > 0 ? exitWarnings : exitClean;
}

function describe({ checks, errors, warnings, notes }: Diagnosis, isVerbose: boolean, hasColors: boolean): string[] {
  const colors = pico.createColors(hasColors);
  const paint = { error: colors.red, warning: colors.yellow, note: colors.cyan };
  const lines = checks.flatMap(({ id, looks_at, result, findings }) => {
    if (findings.length === 0) return isVerbose ? [`${result}: ${id}: ${looks_at}`] : [];
    return findings.flatMap(({ severity, message, remedy }) => [
      `${paint[severity](severity)}: ${id}: ${message}`,
      `  remedy: ${remedy}`,
    ]);
  });
  const looked = checks.filter(({ result }) => result !== 'skipped').length;
  const counts = [count(errors, 'error'), count(warnings, 'warning'), count(notes, 'note')].join(', ');
  return [...lines, `${count(looked, 'check')}: ${counts}`];
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
