/** Tables as pvesh prints them: boxes in a UTF-8 locale, ASCII otherwise, or no borders at all. */

export interface TableOptions {
  readonly border: boolean;
  readonly header: boolean;
  readonly unicode: boolean;
}

interface Rule {
  readonly left: string;
  readonly fill: string;
  readonly cross: string;
  readonly right: string;
}

const box = {
  top: { left: '┌', fill: '─', cross: '┬', right: '┐' },
  head: { left: '╞', fill: '═', cross: '╪', right: '╡' },
  row: { left: '├', fill: '─', cross: '┼', right: '┤' },
  bottom: { left: '└', fill: '─', cross: '┴', right: '┘' },
  bar: '│',
};
const ascii: typeof box = {
  top: { left: '+', fill: '-', cross: '+', right: '+' },
  head: { left: '+', fill: '=', cross: '+', right: '+' },
  row: { left: '+', fill: '-', cross: '+', right: '+' },
  bottom: { left: '+', fill: '-', cross: '+', right: '+' },
  bar: '|',
};

/** Rows as lines. Cells with several lines are printed as such. No rows, no lines. */
export function renderTable(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions,
): string {
  if (rows.length === 0) return '';
  const cells = [...(options.header ? [columns] : []), ...rows].map((row) => row.map((cell) => cell.split('\n')));
  const widths = columns.map((_, column) =>
    Math.max(...cells.map((row) => Math.max(...(row[column] ?? ['']).map(displayWidth)))),
  );
  const style = options.unicode ? box : ascii;
  const rule = ({ left, fill, cross, right }: Rule): string =>
    left + widths.map((width) => fill.repeat(width + 2)).join(cross) + right;
  const printRow = (row: readonly (readonly string[])[]): string[] => {
    const height = Math.max(...row.map((cell) => cell.length));
    return Array.from({ length: height }, (_, line) => {
      const padded = row.map((cell, column) => pad(cell[line] ?? '', widths[column] ?? 0));
      return options.border ? `${style.bar} ${padded.join(` ${style.bar} `)} ${style.bar}` : padded.join(' ').trimEnd();
    });
  };
  if (!options.border) return cells.flatMap(printRow).join('\n');
  const [first = [], ...rest] = cells;
  return [
    rule(style.top),
    ...printRow(first),
    ...rest.flatMap((row, index) => [rule(index === 0 && options.header ? style.head : style.row), ...printRow(row)]),
    rule(style.bottom),
  ].join('\n');
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

/** Code points; what this program prints has no wide characters of its own. */
function displayWidth(text: string): number {
  return Array.from(text).length;
}
