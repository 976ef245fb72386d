/** Results in the formats of pvesh. */
import type { ResultSpec } from '../resources/schema.ts';
import { renderTable } from './table.ts';
import type { TableOptions } from './table.ts';

export const outputFormats = ['text', 'json', 'json-pretty', 'yaml'] as const;
export type OutputFormat = (typeof outputFormats)[number];

export interface OutputOptions extends TableOptions {
  readonly format: OutputFormat;
}

/** The text of a result, without a last newline; empty when there is nothing to print. */
export async function renderResult(result: unknown, returns: ResultSpec, options: OutputOptions): Promise<string> {
  switch (options.format) {
    case 'json':
      return JSON.stringify(result ?? null);
    case 'json-pretty':
      return JSON.stringify(result ?? null, null, 3);
    case 'yaml': {
      const { dump } = await import('js-yaml');
      // Only the newline that the printer adds again: white space before it may belong to a text.
      return dump(result ?? null).replace(/\n$/, '');
    }
    case 'text':
      return renderText(result, returns, options);
  }
}

function renderText(result: unknown, returns: ResultSpec, options: TableOptions): string {
  if (result === null || result === undefined) return '';
  if (Array.isArray(result) && returns.type === 'array') {
    const columns = columnsOf(returns.items.properties).filter((column) =>
      result.some((row: Record<string, unknown>) => row[column] !== undefined),
    );
    const rows = result.map((row: Record<string, unknown>) => columns.map((column) => cellText(row[column])));
    return renderTable(columns, sortRows(rows), options);
  }
  if (typeof result === 'object') {
    const rows = Object.entries(result).map(([key, value]) => [key, cellText(value)]);
    return renderTable(['key', 'value'], sortRows(rows), options);
  }
  return cellText(result);
}

/** Required properties first, then the optional ones, each sorted. */
function columnsOf(properties: Readonly<Record<string, { optional?: true }>>): string[] {
  const names = Object.keys(properties).sort();
  const isOptional = (name: string): boolean => properties[name]?.optional === true;
  return [...names.filter((name) => !isOptional(name)), ...names.filter(isOptional)];
}

/** By the first column: numbers as numbers, and the number in a name (`vi99`, `vi100`) as one too. */
function sortRows(rows: string[][]): string[][] {
  const compare = new Intl.Collator('en', { numeric: true }).compare;
  return rows.sort((a, b) => compare(a[0] ?? '', b[0] ?? ''));
}

export function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.join('\n');
  return JSON.stringify(value);
}
