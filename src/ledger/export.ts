/** Blocks of a period out of a ledger's file: as they stand in it, or as a table for people. */
import { AgentError } from '../model/errors.ts';
import { parseBlock } from './block.ts';
import type { Block, JsonValue } from './block.ts';
import { ChainVerifier } from './chain.ts';
import type { ChainReport, CheckedLine, Unseen } from './chain.ts';

export const exportFormats = ['jsonl', 'csv'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  readonly format: ExportFormat;
  /** Milliseconds since 1970: from `sinceMs` on, before `untilMs`, by the clock of who wrote the block. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Hears of blocks whose segments were moved away. */
  readonly onUnseen: (unseen: Unseen) => void;
}

/**
 * Streams the blocks of the period to `write`, which is waited for, so that memory stays flat. Every line is held against
 * the chain on the way: what stands behind a bad one is not exported, and the report names it. Blocks that are appended
 * meanwhile may or may not be there; one that is still being written is not.
 */
export async function exportLedger(
  chunks: AsyncIterable<Uint8Array>,
  { format, sinceMs, untilMs, onUnseen }: ExportOptions,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<ChainReport> {
  const rows = format === 'csv' ? new CsvRows() : new PlainLines();
  const found: Buffer[] = [rows.head];
  const verifier = new ChainVerifier({
    onUnseen,
    onBlock: (line, bytes) => {
      const timeMs = Date.parse(line.timestamp);
      if (timeMs >= sinceMs && timeMs < untilMs) found.push(rows.row(line, bytes));
    },
    whyBad: (_line, bytes) => rows.whyBad(bytes),
  });
  for await (const chunk of chunks) {
    verifier.push(chunk);
    const bytes = Buffer.concat(found.splice(0));
    if (bytes.length > 0) await write(bytes);
  }
  const left = Buffer.concat(found);
  if (left.length > 0) await write(left);
  return verifier.end();
}

/** Byte for byte: the hashes still hold. */
class PlainLines {
  readonly head = Buffer.alloc(0);

  whyBad(): null {
    return null;
  }

  row(_line: CheckedLine, bytes: Buffer): Buffer {
    return Buffer.concat([bytes, Buffer.from('\n')]);
  }
}

/** RFC 4180: CRLF, and a quoted cell where it must be one. */
class CsvRows {
  readonly head = Buffer.from(csvRow(columns.map(({ name }) => name)));
  #block: Block | null = null;

  /** Called before `row` for the same line. */
  whyBad(bytes: Buffer): string | null {
    try {
      this.#block = parseBlock(bytes);
      return null;
    } catch (thrown) {
      if (thrown instanceof AgentError) return thrown.message;
      throw thrown;
    }
  }

  row(): Buffer {
    const block = this.#block;
    if (block === null) throw new TypeError('no line was read');
    return Buffer.from(csvRow(columns.map(({ of }) => cellOf(of(block)))));
  }
}

interface Column {
  readonly name: string;
  readonly of: (block: Block) => JsonValue | undefined;
}

const inMetadata = (name: string): Column => ({ name, of: ({ metadata }) => metadata[name] });
const inData = (name: string): Column => ({ name, of: ({ data }) => data[name] });

/** What people sort and filter by has a column of its own; `metadata` and `data` are whole, as JSON. */
const columns: readonly Column[] = [
  { name: 'height', of: ({ height }) => height },
  { name: 'timestamp', of: ({ timestamp }) => timestamp },
  { name: 'category', of: ({ category }) => category },
  { name: 'action', of: ({ action }) => action },
  ...['user', 'uid', 'process', 'host', 'plugin', 'cause'].map(inMetadata),
  ...['vmid', 'nic', 'port', 'netdev', 'bridge', 'tag'].map(inData),
  { name: 'metadata', of: ({ metadata }) => metadata },
  { name: 'data', of: ({ data }) => data },
  { name: 'hash', of: ({ hash }) => hash },
];

function cellOf(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return harmless(value);
  return JSON.stringify(value);
}

/**
 * A spreadsheet takes what begins so for a formula, and would run it; behind an apostrophe it is text. Text with an
 * apostrophe of its own gets one more, so that taking the first away gives the text back.
 */
function harmless(text: string): string {
  return /^[=+\-@\t\r\n']/.test(text) ? `'${text}` : text;
}

function csvRow(cells: readonly string[]): string {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
}
