/**
 * A block is one line of JSON (docs/ledger.md). Its fields stand in a fixed order and its hash is the SHA-256 of
 * everything before the line's last 75 bytes, so that nobody has to agree on a canonical JSON: lines are hashed as
 * bytes and never serialised again.
 */
import { isUtf8 } from 'node:buffer';
import { hash as hashOnce } from 'node:crypto';
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';
import { actionCharsMax, lineBytesMax, lineOverheadBytes } from './limits.ts';

export const categories = [
  'bridge',
  'interface',
  'connection',
  'port',
  'connectivity',
  'config',
  'authentication',
  'authorization',
  'storage',
  'apply_state',
  'rollback',
  'guest',
  'unit',
  'drift',
  'settings',
  'user',
  'netcfg',
] as const;
export type Category = (typeof categories)[number];

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** What a writer says; the ledger adds height, time and hashes. */
export interface BlockDraft {
  readonly category: Category;
  /** 1 to 64 of `A-Z a-z 0-9 _ . : -`, a letter first. */
  readonly action: string;
  /** Who and why: `user`, `uid`, `host`, `plugin`, `cause`, `request`. `ahead` is the ledger's own key. */
  readonly metadata: JsonObject;
  /** What. Keys keep their order, except that keys that are whole numbers come first (ECMA-262, OrdinaryOwnPropertyKeys). */
  readonly data: JsonObject;
}

/** A block as it stands in the file, spelled as there. */
export interface Block {
  readonly height: number;
  readonly prev_hash: string;
  /** ISO 8601, UTC, milliseconds. The writer's clock: it may go back from one block to the next. */
  readonly timestamp: string;
  /** One of `categories`; a ledger written by a newer version may hold others. */
  readonly category: string;
  readonly action: string;
  readonly metadata: JsonObject;
  readonly data: JsonObject;
  readonly hash: string;
}

/** The `prev_hash` of block 0. */
export const zeroHash = '0'.repeat(64);

/** `,"hash":"`, 64 hex digits, `"}`. */
export const hashFieldBytes = 75;

/** A draft checked and turned into text: later changes to the caller's objects no longer matter. */
export interface PreparedDraft {
  readonly category: Category;
  readonly action: string;
  readonly metadataJson: string;
  readonly dataJson: string;
}

/** Where in the chain a prepared draft goes. */
interface Place {
  readonly height: number;
  readonly prevHash: string;
  /** As `timestampOf` makes it. */
  readonly timestamp: string;
  /** For a block written ahead: the lowest height whose outcome was open when it was written, itself included. */
  readonly ahead?: number;
}

/** The line (without newline) and hash of a block. Throws `InvalidArgument` as `prepareDraft` does. */
export function encodeBlock(
  draft: BlockDraft,
  height: number,
  prevHash: string,
  timestampMs: number,
): { line: Buffer; hash: string } {
  return encodePrepared(prepareDraft(draft), { height, prevHash, timestamp: timestampOf(timestampMs) });
}

/**
 * Checks a draft and serialises its two objects. Throws `InvalidArgument` for an unknown category, a malformed action,
 * what JSON cannot say, a lone surrogate (refused, never replaced: the ledger says what was said or nothing), or more
 * than a line holds.
 */
export function prepareDraft(draft: BlockDraft): PreparedDraft {
  if (!categories.includes(draft.category)) {
    throw invalid(`category ${quote(draft.category)} is not known: expected one of ${categories.join(', ')}`);
  }
  if (!actionPattern.test(draft.action)) {
    throw invalid(
      `action ${quote(draft.action)} is not valid: expected a letter, then letters, digits and any of _ . : -, ` +
        `at most ${actionCharsMax} in all`,
    );
  }
  if (Object.hasOwn(draft.metadata, 'ahead')) throw invalid('metadata key "ahead" is set by the ledger alone');
  const metadataJson = toJson('metadata', draft.metadata);
  const dataJson = toJson('data', draft.data);
  const bytes = Buffer.byteLength(bodyOf(draft.category, draft.action, metadataJson, dataJson)) + lineOverheadBytes;
  if (bytes > lineBytesMax) {
    throw invalid(`the line would have ${bytes} bytes, at most ${lineBytesMax}: shorten metadata or data`);
  }
  for (const json of [metadataJson, dataJson]) {
    if (loneSurrogate.test(json)) throw invalid('text with a lone surrogate has no UTF-8 form: remove it');
  }
  return { category: draft.category, action: draft.action, metadataJson, dataJson };
}

export function encodePrepared(draft: PreparedDraft, place: Place): { line: Buffer; hash: string } {
  const metadataJson =
    place.ahead === undefined
      ? draft.metadataJson
      : `{"ahead":${place.ahead}${draft.metadataJson === '{}' ? '' : ','}${draft.metadataJson.slice(1)}`;
  const head =
    openingFields(place.height, place.prevHash) +
    `${place.timestamp}",` +
    bodyOf(draft.category, draft.action, metadataJson, draft.dataJson);
  const hash = sha256Hex(head);
  return { line: Buffer.from(head + hashField(hash)), hash };
}

/** The bytes every line of this height after `prevHash` begins with. */
export function openingFields(height: number, prevHash: string): string {
  return `{"height":${height},"prev_hash":"${prevHash}","timestamp":"`;
}

/** The last 75 bytes of a line. */
export function hashField(hash: string): string {
  return `,"hash":"${hash}"}`;
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return hashOnce('sha256', bytes, 'hex');
}

/** What stands between the opening fields and `metadata`, and the ledger's own mark at its beginning. */
export interface Middle extends MiddleFields {
  /** Byte of the line where `"metadata":` begins. */
  readonly bodyAt: number;
}

interface MiddleFields {
  readonly timestamp: string;
  readonly category: string;
  readonly action: string;
  readonly ahead: number | null;
}

/** What is known of a block without parsing its JSON. */
export interface BlockHead extends MiddleFields {
  readonly height: number;
  readonly hash: string;
}

/** Reads the middle of a line, given as Latin-1, from where its opening fields end; null when it is malformed. */
export function readMiddle(text: string, start: number): Middle | null {
  middlePattern.lastIndex = start;
  const match = middlePattern.exec(text);
  if (match === null) return null;
  const [, timestamp = '', category = '', action = '', ahead] = match;
  return {
    timestamp,
    category,
    action,
    ahead: ahead === undefined ? null : Number(ahead),
    bodyAt: start + timestamp.length + category.length + action.length + middleTextChars,
  };
}

/**
 * A block from its line without newline: field order, types and UTF-8 are checked, the hash only for its form (the
 * chain checks it). Throws `InvalidArgument` with the reason.
 */
export function parseBlock(lineBytes: Uint8Array): Block {
  const line = asBuffer(lineBytes);
  if (line.length > lineBytesMax) throw invalid(`the line has ${line.length} bytes, at most ${lineBytesMax}`);
  const text = line.toString('latin1');
  const opening = openingPattern.exec(text);
  const middle = opening === null ? null : readMiddle(text, opening[0].length);
  if (opening === null || middle === null) throw invalid('the line does not begin with the fields of a block');
  const ending = endingPattern.exec(text.slice(-hashFieldBytes));
  if (ending === null) throw invalid('the line does not end with its hash');
  const height = Number(opening[1]);
  if (!Number.isSafeInteger(height)) throw invalid('the height is too large');
  return {
    height,
    prev_hash: opening[2] ?? '',
    timestamp: middle.timestamp,
    category: middle.category,
    action: middle.action,
    ...parseBody(line, middle.bodyAt),
    hash: ending[1] ?? '',
  };
}

/** What the callers say in a block. */
export interface Body {
  readonly metadata: JsonObject;
  readonly data: JsonObject;
}

/**
 * What only a JSON parser can judge: the line from `bodyAt` to its hash field, both of which were found well. A key that
 * belongs elsewhere could stand here a second time, and JSON lets the last one win. Throws `InvalidArgument`.
 */
export function parseBody(line: Buffer, bodyAt: number): Body {
  const text = line.subarray(bodyAt, Math.max(bodyAt, line.length - hashFieldBytes));
  if (!isUtf8(text)) throw invalid('the line is not UTF-8');
  const value = parseJson(`{${text.toString()}}`);
  for (const name in value) {
    if (name !== 'metadata' && name !== 'data') throw invalid(`the field ${quote(name)} is not expected there`);
  }
  const { metadata, data } = value;
  if (!isJsonObject(metadata) || !isJsonObject(data)) throw invalid('metadata and data must be objects');
  return { metadata, data };
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const actionPattern = new RegExp(`^[A-Za-z][A-Za-z0-9_.:-]{0,${actionCharsMax - 1}}$`);
const openingPattern = /^\{"height":(0|[1-9][0-9]{0,15}),"prev_hash":"([0-9a-f]{64})","timestamp":"/;
const middlePattern = new RegExp(
  '([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z)"' +
    ',"category":"([a-z][a-z0-9_]{0,31})"' +
    `,"action":"([A-Za-z][A-Za-z0-9_.:-]{0,${actionCharsMax - 1}})"` +
    ',"metadata":\\{(?:"ahead":(0|[1-9][0-9]{0,15})[,}])?',
  'y',
);
const endingPattern = /^,"hash":"([0-9a-f]{64})"\}$/;
/** What `middlePattern` matches around its values, up to `"metadata":`. */
const middleTextChars = '","category":"","action":"",'.length;
/** In the output of JSON.stringify only a lone surrogate becomes `\ud...`; an even run of backslashes is text. */
const loneSurrogate = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;

function bodyOf(category: string, action: string, metadataJson: string, dataJson: string): string {
  return `"category":"${category}","action":"${action}","metadata":${metadataJson},"data":${dataJson}`;
}

function toJson(name: string, value: JsonObject): string {
  let json: unknown;
  try {
    json = JSON.stringify(value);
  } catch (thrown) {
    throw invalid(`${name} cannot be written as JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  if (typeof json !== 'string' || !json.startsWith('{')) throw invalid(`${name} must be an object`);
  return json;
}

function parseJson(text: string): JsonObject {
  try {
    return JSON.parse(text) as JsonObject;
  } catch (thrown) {
    throw invalid(`the line is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** ISO 8601 in UTC with milliseconds; throws `InvalidArgument` outside the years 0 to 9999. */
export function timestampOf(timestampMs: number): string {
  const iso =
    Number.isFinite(timestampMs) && Math.abs(timestampMs) <= 8.64e15 ? new Date(timestampMs).toISOString() : '';
  if (iso.length !== 24) throw invalid(`time ${timestampMs} is not between the years 0 and 9999`);
  return iso;
}

function invalid(why: string): AgentError {
  return new AgentError('InvalidArgument', `ledger block: ${why}`);
}
