/**
 * Reading along instead of parsing: most lines say what they say in plain JSON (ASCII, no escapes, no white space, no
 * fractions), and whether such a line is well-formed takes a quarter of the time that `JSON.parse` needs to build it.
 */
import type { Body, JsonValue } from './block.ts';

/** A member of `metadata` or `data`: the index of its first quote, of its value, and where that ends. */
type OnMember = (name: number, value: number, end: number) => void;

/**
 * Whether `text` from `start` to `end` is `"metadata":{...},"data":{...}` in plain JSON. What is not plain is not wrong:
 * then only `parseBody` can tell.
 */
export function isPlainBody(text: string, start: number, end: number): boolean {
  return readPlain(text, start, end, null, null);
}

/** Of a plain body the strings and numbers that `wanted` names, null for other values there; null when it is not plain. */
export function plainMembers(text: string, start: number, end: number, wanted: readonly string[]): Body | null {
  const metadata: Record<string, JsonValue> = {};
  const data: Record<string, JsonValue> = {};
  const into =
    (members: Record<string, JsonValue>): OnMember =>
    (name, value, valueEnd) => {
      const length = value - name - 3;
      for (const one of wanted) {
        if (one.length === length && text.startsWith(one, name + 1)) members[one] = plainValue(text, value, valueEnd);
      }
    };
  return readPlain(text, start, end, into(metadata), into(data)) ? { metadata, data } : null;
}

function plainValue(text: string, start: number, end: number): JsonValue {
  const first = text.charCodeAt(start);
  if (first === quoteChar) return text.slice(start + 1, end - 1);
  return first === minusChar || (first >= zeroChar && first <= nineChar) ? Number(text.slice(start, end)) : null;
}

function readPlain(
  text: string,
  start: number,
  end: number,
  onMetadata: OnMember | null,
  onData: OnMember | null,
): boolean {
  if (!text.startsWith(metadataName, start)) return false;
  const metadataEnd = skipObject(text, start + metadataName.length, 0, onMetadata);
  if (metadataEnd === notPlain || !text.startsWith(dataName, metadataEnd)) return false;
  return skipObject(text, metadataEnd + dataName.length, 0, onData) === end;
}

const metadataName = '"metadata":';
const dataName = ',"data":';
const notPlain = -1;
/** Deeper values are left to `JSON.parse`, which does not recurse. */
const depthMax = 16;
const quoteChar = 0x22;
const commaChar = 0x2c;
const colonChar = 0x3a;
const minusChar = 0x2d;
const zeroChar = 0x30;
const nineChar = 0x39;
const backslashChar = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Each of these takes the index where something begins and returns where it ends, or `notPlain`. */
function skipObject(text: string, start: number, depth: number, onMember: OnMember | null): number {
  if (text.charCodeAt(start) !== openBrace || depth > depthMax) return notPlain;
  if (text.charCodeAt(start + 1) === closeBrace) return start + 2;
  for (let at = start + 1; ; at++) {
    const name = at;
    const colon = skipString(text, at);
    if (colon === notPlain || text.charCodeAt(colon) !== colonChar) return notPlain;
    at = skipValue(text, colon + 1, depth);
    if (at === notPlain) return notPlain;
    if (onMember !== null) onMember(name, colon + 1, at);
    const next = text.charCodeAt(at);
    if (next === closeBrace) return at + 1;
    if (next !== commaChar) return notPlain;
  }
}

function skipArray(text: string, start: number, depth: number): number {
  if (depth > depthMax) return notPlain;
  if (text.charCodeAt(start + 1) === closeBracket) return start + 2;
  for (let at = start + 1; ; at++) {
    at = skipValue(text, at, depth);
    if (at === notPlain) return notPlain;
    const next = text.charCodeAt(at);
    if (next === closeBracket) return at + 1;
    if (next !== commaChar) return notPlain;
  }
}

function skipValue(text: string, start: number, depth: number): number {
  const first = text.charCodeAt(start);
  if (first === quoteChar) return skipString(text, start);
  if (first === openBrace) return skipObject(text, start, depth + 1, null);
  if (first === openBracket) return skipArray(text, start, depth + 1);
  if (first === minusChar || (first >= zeroChar && first <= nineChar)) return skipInteger(text, start);
  for (const word of words) {
    if (text.startsWith(word, start)) return start + word.length;
  }
  return notPlain;
}

const words = ['null', 'true', 'false'];

function skipString(text: string, start: number): number {
  if (text.charCodeAt(start) !== quoteChar) return notPlain;
  for (let at = start + 1; ; at++) {
    const char = text.charCodeAt(at);
    if (char === quoteChar) return at + 1;
    // The end of the text is NaN, which is no plain character either.
    if (!(char >= 0x20 && char < 0x80) || char === backslashChar) return notPlain;
  }
}

function skipInteger(text: string, start: number): number {
  const first = text.charCodeAt(start) === minusChar ? start + 1 : start;
  let at = first;
  while (text.charCodeAt(at) >= zeroChar && text.charCodeAt(at) <= nineChar) at++;
  const isPlain = at === first + 1 || (at > first && text.charCodeAt(first) !== zeroChar);
  return isPlain ? at : notPlain;
}
