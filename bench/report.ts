/** Figures as a table for people, as JSON for machines, and as the part of docs/benchmarks.md between its markers. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { format } from 'prettier';
import type { BenchmarkResult, Goal, Grid, Information, Unit } from './benchmark.ts';

export interface Report {
  /** Day, UTC. */
  readonly date: string;
  readonly machine: Machine;
  readonly benchmarks: readonly BenchmarkResult[];
}

/** The class of machine, never its name. */
export interface Machine {
  readonly cores: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly kernel: string;
  readonly node: string;
  readonly openVswitch: string;
  /** Processes that wanted a CPU in the minute before the first benchmark. */
  readonly loadBefore: number;
}

export function describeMachine(): Machine {
  const osRelease = readFileSync('/etc/os-release', 'utf8');
  const vsctl = execFileSync('ovs-vsctl', ['--version'], { encoding: 'utf8' });
  return {
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? 'unknown',
    // What a distribution or a cloud appends says nothing about speed.
    kernel: release().split('-')[0] ?? '',
    node: process.versions.node,
    openVswitch: /\(Open vSwitch\) (\S+)/.exec(vsctl)?.[1] ?? 'unknown',
    loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10,
  };
}

/** For a terminal. */
export function renderText({ machine, benchmarks }: Report): string {
  const rows = benchmarks.map(resultCells);
  const information = benchmarks.flatMap((result) =>
    result.information.map((each) => [result.name, ...informationCells(each)]),
  );
  return [
    describe(machine),
    '',
    alignColumns([resultHeader, ...rows]),
    '',
    alignColumns([informationHeader, ...information]),
    '',
    ...benchmarks.flatMap(({ grids }) =>
      grids.flatMap((grid) => [gridTitle(grid), alignColumns([grid.header, ...gridCells(grid)]), '']),
    ),
    ...benchmarks.flatMap(({ name, subject, rival }) => [
      `${name}: ${subject.what}`,
      ...(rival === null ? [] : [`  against ${rival.what}`]),
    ]),
  ].join('\n');
}

const documentPath = 'docs/benchmarks.md';
const dataPath = 'docs/benchmarks.json';
const beginMarker = '<!-- begin: figures of `npm run bench -- --write` -->';
const endMarker = '<!-- end: figures -->';

/** Replaces what stands between the markers of docs/benchmarks.md, and docs/benchmarks.json. */
export async function writeReport(report: Report): Promise<void> {
  const document = await readFile(documentPath, 'utf8');
  const begin = document.indexOf(beginMarker);
  const end = document.indexOf(endMarker);
  if (begin < 0 || end < begin) throw new Error(`${documentPath} lacks the markers ${beginMarker} and ${endMarker}`);
  const figures = `${beginMarker}\n\n${renderMarkdown(report)}\n\n`;
  const changed = document.slice(0, begin) + figures + document.slice(end);
  const style = { printWidth: 120, singleQuote: true };
  await writeFile(documentPath, await format(changed, { ...style, parser: 'markdown' }));
  await writeFile(dataPath, await format(JSON.stringify(report, roundFigures), { ...style, parser: 'json' }));
}

function renderMarkdown({ date, machine, benchmarks }: Report): string {
  return [
    `Taken on ${date}. ${describe(machine)}`,
    markdownTable([resultHeader, ...benchmarks.map(resultCells)]),
    'Left and right of each comparison:',
    benchmarks
      .map(
        ({ name, subject, rival, warmUpRounds }) =>
          `- **${name}**, ${subject.count} rounds after ${warmUpRounds} to warm up: ${subject.what}` +
          (rival === null ? '' : `, against ${rival.what}`),
      )
      .join('\n'),
    'Taken in the same runs, without a target:',
    markdownTable([
      informationHeader,
      ...benchmarks.flatMap((result) => result.information.map((each) => [result.name, ...informationCells(each)])),
    ]),
    ...benchmarks.flatMap(({ grids }) =>
      grids.flatMap((grid) => [`${gridTitle(grid)}:`, markdownTable([grid.header, ...gridCells(grid)])]),
    ),
  ].join('\n\n');
}

const resultHeader = [
  'benchmark',
  'clock',
  'agent median',
  'p99',
  'rival median',
  'p99',
  'of medians',
  'pair by pair',
  'target',
  '',
];

function resultCells({ name, clock, unit, subject, rival, target }: BenchmarkResult): string[] {
  const { goal, comparison, met } = target;
  return [
    name,
    clock,
    figure(subject.median, unit),
    figure(subject.p99, unit),
    rival === null ? '' : figure(rival.median, unit),
    rival === null ? '' : figure(rival.p99, unit),
    compared(comparison?.ofMedians, goal, unit),
    compared(comparison?.pairByPair, goal, unit),
    describeGoal(goal, unit),
    met ? 'met' : 'MISSED',
  ];
}

function compared(value: number | undefined, { kind }: Goal, unit: Unit): string {
  if (value === undefined) return '';
  switch (kind) {
    case 'ratio':
      return `${value.toFixed(2)} x`;
    case 'difference':
      return `${value < 0 ? '' : '+'}${figure(value, unit)}`;
    case 'speed-up':
    case 'time':
      return `${value.toFixed(1)} x faster`;
  }
}

function describeGoal(goal: Goal, unit: Unit): string {
  switch (goal.kind) {
    case 'ratio':
      return `at most ${goal.atMost} x`;
    case 'difference':
      return `at most +${goal.atMost} ${unit}`;
    case 'speed-up':
      return `at least ${goal.atLeast} x faster`;
    case 'time':
      return `goal ${goal.atMost} ${unit}`;
  }
}

function gridTitle({ title, clock }: Grid): string {
  return `${title} (${clock}, medians)`;
}

function gridCells({ rows, unit }: Grid): string[][] {
  return rows.map(({ label, figures }) => [
    label,
    ...figures.map((value) => (value === null ? '' : figure(value, unit))),
  ]);
}

const informationHeader = ['benchmark', 'for information', 'clock', 'median', 'p99'];

function informationCells({ what, clock, unit, median, p99 }: Information): string[] {
  return [what, clock, figure(median, unit), p99 === undefined ? '' : figure(p99, unit)];
}

function figure(value: number, unit: Unit): string {
  const digits = (unit === 'ms' || unit === '') && Math.abs(value) < 10 ? 2 : 1;
  return `${value.toFixed(digits)} ${unit}`.trimEnd();
}

function describe({ cores, memoryGib, system, kernel, node, openVswitch, loadBefore }: Machine): string {
  return (
    `Machine: ${cores} cores, ${memoryGib} GiB, ${system}, Linux ${kernel}, Node.js ${node}, ` +
    `Open vSwitch ${openVswitch}; load before the first round: ${loadBefore}.`
  );
}

function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function markdownTable([header = [], ...rows]: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** Microseconds of a millisecond and kilobytes of a megabyte say enough. */
function roundFigures(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
}
