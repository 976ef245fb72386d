/**
 * What the ledger says about one port in a period: where it was plugged with which VLAN, from when to when, and what the
 * ledger cannot say because the service did not run or could not record. Blocks that callers added themselves
 * (`plugin: external`) say nothing here. Every line names the block that says so, for `ledger prove`.
 */
import type { Block, JsonValue } from './block.ts';

/** Blocks, the oldest first. */
export interface PortRecords {
  /** About the port: those before the period, as far back as they were read, and those within it. */
  readonly before: readonly Block[];
  readonly within: readonly Block[];
  /** Starts and stops of the service, and gaps, within the period. */
  readonly runs: readonly Block[];
  readonly gaps: readonly Block[];
}

export interface HistoryLine {
  readonly timestamp: string;
  readonly height: number;
  readonly text: string;
}

/** The lines in the order of their blocks; the first may be from before the period and says how it began. */
export function portHistory({ before, within, runs, gaps }: PortRecords): HistoryLine[] {
  const all = [...before, ...within];
  const undone = new Set(all.filter(isOutcome).map(({ data }) => data['height']));
  const says = (block: Block): HistoryLine[] => {
    const text = undone.has(block.height) ? null : stateOf(block);
    return text === null || block.metadata['plugin'] === 'external' ? [] : [lineOf(block, text)];
  };
  const lines = [
    ...before.flatMap(says).slice(-1),
    ...within.flatMap(says),
    ...runs.flatMap(runLine),
    ...gaps.flatMap(gapLine),
  ];
  return lines.sort((a, b) => a.height - b.height);
}

const plugged = new Set(['attach', 'adopt', 'replace', 'set', 'repair']);

function isOutcome({ action, metadata }: Block): boolean {
  return (action === 'failed' || action === 'abandoned') && metadata['plugin'] !== 'external';
}

function stateOf({ category, action, data }: Block): string | null {
  if (category !== 'port' && category !== 'drift') return null;
  if (action === 'detach') return 'not plugged';
  if (action === 'report') return `as somebody else changed it: ${JSON.stringify(data['differences'])}`;
  if (!plugged.has(action)) return null;
  const { bridge, tag, trunks } = data;
  const vlan = typeof tag === 'number' ? `tag ${tag}` : 'untagged';
  const trunk = Array.isArray(trunks) ? `, trunks ${trunks.join(' ')}` : '';
  return `on ${textOf(bridge)}, ${vlan}${trunk}`;
}

function runLine(block: Block): HistoryLine[] {
  if (block.metadata['plugin'] !== 'agent') return [];
  if (block.action === 'stop') return [lineOf(block, 'not observed from here on: the service stopped')];
  if (block.action === 'start') return [lineOf(block, 'observed from here on: the service started')];
  return [];
}

function gapLine(block: Block): HistoryLine[] {
  const { changes, why } = block.data;
  if (block.metadata['plugin'] === 'external') return [];
  return [lineOf(block, `${textOf(changes)} changes of any port before this were not recorded: ${textOf(why)}`)];
}

function lineOf({ timestamp, height }: Block, text: string): HistoryLine {
  return { timestamp, height, text };
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
