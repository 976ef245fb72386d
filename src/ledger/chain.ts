/**
 * The chain: every line names the hash of the line before it. Checking reads the file once, in any chunks, and keeps
 * nothing but the last hash. What stands inside `metadata` and `data` is covered by the hash and not looked at here:
 * a right hash over broken JSON shows when the block is read (`parseBlock`) and when the ledger is verified (verify.ts).
 */
import {
  asBuffer,
  hashField,
  hashFieldBytes,
  openingFields,
  parseBlock,
  readMiddle,
  sha256Hex,
  zeroHash,
} from './block.ts';
import type { Block, BlockHead } from './block.ts';
import { LineSplitter } from './lines.ts';
import { lineBytesMax } from './limits.ts';
import { beginsSegment, readable } from './state.ts';
import { AgentError } from '../model/errors.ts';

/** The first thing wrong with a ledger. */
export interface BadLine {
  /** Height the line should have had. */
  readonly height: number;
  /** Byte of the file where the line begins. */
  readonly offset: number;
  readonly reason: string;
  /** The file ends within this line: torn by a crash, cut, or still being written. */
  readonly torn: boolean;
}

/** Heights from `from` up to, and without, `to`. */
export interface Unseen {
  readonly from: number;
  readonly to: number;
}

export interface ChainReport {
  readonly valid: boolean;
  /** Blocks before the first bad line. */
  readonly blocks: number;
  /** Bytes before the first bad line. */
  readonly bytes: number;
  /** Hash of the last of those blocks; 64 zeros when there is none. */
  readonly lastHash: string;
  readonly firstBad?: BadLine;
  /** Blocks of segments that are not there; none when not given. */
  readonly unseen?: readonly Unseen[];
  /** Lines from the first bad one on whose own hash is right, wherever they belong: above 0, it is no torn tail. */
  readonly wholeFromBad: number;
}

/** One line in full: its place in the chain, its hash, and what it says. */
export function verifyLine(
  lineBytes: Uint8Array,
  expectedHeight: number,
  prevHash: string,
): { hash: string; block: Block } | { bad: string } {
  const line = asBuffer(lineBytes);
  const checked = checkLine(line, line.toString('latin1'), expectedHeight, prevHash);
  if ('bad' in checked) return checked;
  try {
    return { hash: checked.hash, block: parseBlock(lineBytes) };
  } catch (thrown) {
    if (thrown instanceof AgentError) return { bad: thrown.message };
    throw thrown;
  }
}

/** A line that is in its place: the part that is read without parsing JSON. */
export interface CheckedLine extends BlockHead {
  /** Byte of the line where `"metadata":` begins. */
  readonly bodyAt: number;
}

interface ChainVerifierOptions {
  /** Where in a ledger the first chunk begins; at block 0 when not given. */
  readonly from?: { readonly blocks: number; readonly bytes: number; readonly lastHash: string };
  /** Hears of every block before the first bad line; its bytes are valid during the call only. `text`: as Latin-1. */
  readonly onBlock?: (line: CheckedLine, bytes: Buffer, text: string) => void;
  /** May find something else wrong with a line that is in its place. */
  readonly whyBad?: (line: CheckedLine, bytes: Buffer, text: string) => string | null;
  /** When given, a segment may begin later than the blocks before it end, and hears of the ones that are not there. */
  readonly onUnseen?: (unseen: Unseen) => void;
}

export class ChainVerifier {
  readonly #options: ChainVerifierOptions;
  readonly #splitter: LineSplitter;
  #blocks: number;
  #bytes: number;
  #lastHash: string;
  #firstBad: BadLine | undefined;
  #wholeFromBad = 0;

  constructor(options: ChainVerifierOptions = {}) {
    this.#options = options;
    const { blocks, bytes, lastHash } = options.from ?? { blocks: 0, bytes: 0, lastHash: zeroHash };
    this.#blocks = blocks;
    this.#bytes = bytes;
    this.#lastHash = lastHash;
    this.#splitter = new LineSplitter((line, offset) => {
      this.#line(line, bytes + offset);
      return true;
    });
  }

  push(chunk: Uint8Array): void {
    this.#splitter.push(chunk);
  }

  end(): ChainReport {
    const rest = this.#splitter.rest();
    if (rest !== null && this.#firstBad === undefined) {
      const reason = `the file ends after ${rest.bytes} bytes of this line: torn, cut, or still being written`;
      this.#firstBad = { height: this.#blocks, offset: this.#bytes, reason, torn: true };
    }
    return {
      valid: this.#firstBad === undefined,
      blocks: this.#blocks,
      bytes: this.#bytes,
      lastHash: this.#lastHash,
      ...(this.#firstBad === undefined ? {} : { firstBad: this.#firstBad }),
      wholeFromBad: this.#wholeFromBad,
    };
  }

  #line(line: Buffer | null, offset: number): void {
    if (this.#firstBad === undefined) {
      const bad = line === null ? tooLong : this.#take(line);
      if (bad === null) return;
      this.#firstBad = { height: this.#blocks, offset, reason: bad, torn: false };
    }
    if (line !== null && isWhole(line)) this.#wholeFromBad++;
  }

  /** Why a line is not the next block; null when it was taken for that. */
  #take(line: Buffer): string | null {
    const text = line.toString('latin1');
    let checked = checkLine(line, text, this.#blocks, this.#lastHash);
    if ('bad' in checked && this.#passOver(line)) checked = checkLine(line, text, this.#blocks, this.#lastHash);
    if ('bad' in checked) return checked.bad;
    const bad = this.#options.whyBad?.(checked, line, text) ?? null;
    if (bad !== null) return bad;
    this.#blocks++;
    this.#bytes += line.length + 1;
    this.#lastHash = checked.hash;
    this.#options.onBlock?.(checked, line, text);
    return null;
  }

  /** Goes on with a block that begins a later segment, when the segments before it are not there. */
  #passOver(line: Buffer): boolean {
    const { onUnseen } = this.#options;
    const block = onUnseen === undefined ? null : readable(line);
    if (block === null || !beginsSegment(block) || block.height <= this.#blocks) return false;
    onUnseen?.({ from: this.#blocks, to: block.height });
    this.#blocks = block.height;
    this.#lastHash = block.prev_hash;
    return true;
  }
}

const tooLong = `the line has more than ${lineBytesMax} bytes`;

function checkLine(line: Buffer, text: string, height: number, prevHash: string): CheckedLine | { bad: string } {
  if (line.length > lineBytesMax) return { bad: tooLong };
  const opening = openingFields(height, prevHash);
  if (!text.startsWith(opening)) return { bad: whyOpeningDiffers(text, height) };
  const middle = readMiddle(text, opening.length);
  if (middle === null) return { bad: 'timestamp, category, action or metadata is malformed' };
  const hash = hashOf(line);
  if (!text.endsWith(hashField(hash))) return { bad: `the line does not end with its SHA-256, ${hash}` };
  const { timestamp, category, action, ahead, bodyAt } = middle;
  return { height, hash, timestamp, category, action, ahead, bodyAt };
}

function whyOpeningDiffers(text: string, height: number): string {
  const found = /^\{"height":([0-9]{1,16}),"prev_hash":"[0-9a-f]{64}","timestamp":"/.exec(text);
  if (found === null) return 'the line does not begin with the fields of a block';
  if (found[1] !== String(height)) return `height is ${String(found[1])}, expected ${height}`;
  return height === 0 ? 'prev_hash of block 0 is not 64 zeros' : `prev_hash is not the hash of block ${height - 1}`;
}

/** Whether a line is a block by itself, wherever it belongs. */
export function isWhole(line: Buffer): boolean {
  return (
    line.length > hashFieldBytes &&
    line.toString('latin1', 0, 10) === '{"height":' &&
    line.toString('latin1', line.length - hashFieldBytes) === hashField(hashOf(line))
  );
}

function hashOf(line: Buffer): string {
  return sha256Hex(line.subarray(0, Math.max(0, line.length - hashFieldBytes)));
}
