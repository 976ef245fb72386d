/** Signed notes as text (C2SP signed-note, "Format"). What a note says counts only once its signatures are verified. */
import { isUtf8 } from 'node:buffer';
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { asBuffer } from '../block.ts';
import { noteBytesMax, noteSignaturesMax } from '../limits.ts';
import { parseBase64 } from './fields.ts';
import { checkKeyName } from './key.ts';

export interface NoteSignature {
  readonly name: string;
  /** 8 hex digits. */
  readonly keyId: string;
  readonly signature: Buffer;
}

export interface SignedNote {
  /** Ends with a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Throws `InvalidArgument` for anything that is no signed note, and for more than the limits. */
export function parseNote(bytes: Uint8Array): SignedNote {
  if (bytes.length > noteBytesMax) throw malformed(`${bytes.length} bytes, at most ${noteBytesMax}`);
  if (!isUtf8(bytes)) throw malformed('it is not UTF-8');
  const note = asBuffer(bytes).toString();
  // eslint-disable-next-line no-control-regex -- these are what a note must not hold
  if (/[\u0000-\u0009\u000b-\u001f]/.test(note)) throw malformed('it holds a control character');
  const end = note.lastIndexOf('\n\n');
  if (end === -1) throw malformed('no empty line stands before its signatures');
  return { text: note.slice(0, end + 1), signatures: parseSignatureLines(note.slice(end + 2)) };
}

/** Signature lines and nothing else, as a witness answers with them. Throws `InvalidArgument`. */
export function parseSignatureLines(text: string): NoteSignature[] {
  const lines = text.split('\n', noteSignaturesMax + 2);
  if (lines.length > noteSignaturesMax + 1) throw malformed(`more than ${noteSignaturesMax} signatures`);
  if (lines.pop() !== '') throw malformed('its last line does not end with a newline');
  if (lines.length === 0) throw malformed('it has no signatures');
  return lines.map(parseSignatureLine);
}

export function renderNote({ text, signatures }: SignedNote): string {
  return `${text}\n${signatures.map(renderSignatureLine).join('')}`;
}

/** With its newline. */
export function renderSignatureLine({ name, keyId, signature }: NoteSignature): string {
  return `— ${name} ${Buffer.concat([Buffer.from(keyId, 'hex'), signature]).toString('base64')}\n`;
}

function parseSignatureLine(line: string): NoteSignature {
  const match = /^— ([^ ]+) ([^ ]+)$/.exec(line);
  if (match === null) throw malformed('a signature line is not "— <name> <base64>"');
  const [, name = '', base64 = ''] = match;
  checkKeyName(name);
  const bytes = parseBase64(base64, `the signature of ${quote(name)}`);
  if (bytes.length <= keyIdBytes) throw malformed(`the signature of ${quote(name)} is too short`);
  return { name, keyId: bytes.toString('hex', 0, keyIdBytes), signature: bytes.subarray(keyIdBytes) };
}

const keyIdBytes = 4;

function malformed(why: string): AgentError {
  return new AgentError('InvalidArgument', `not a signed note: ${why}`);
}
