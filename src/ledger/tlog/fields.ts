/** The fields that the texts of C2SP share: decimal numbers and base64 (RFC 4648 section 4). One spelling each. */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { hashBytes } from './hash.ts';
import type { Hash } from './hash.ts';

/** A whole number up to 2^53 - 1 without sign or leading zeros. Throws `InvalidArgument`, naming it by `what`. */
export function parseDecimal(text: string, what: string): number {
  const value = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) {
    throw invalid(`${what} ${quote(text)} is not valid: expected digits without leading zeros, at most 2^53 - 1`);
  }
  return value;
}

/** Padding and unused bits as they must be, so that bytes have one text. Throws `InvalidArgument`. */
export function parseBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (text === '' || bytes.toString('base64') !== text) throw invalid(`${what} ${quote(text)} is not base64`);
  return bytes;
}

export function parseHash(text: string, what: string): Hash {
  const hash = parseBase64(text, what);
  if (hash.length !== hashBytes) throw invalid(`${what} has ${hash.length} bytes, not ${hashBytes}`);
  return hash;
}

export function renderHash(hash: Uint8Array): string {
  return Buffer.from(hash).toString('base64');
}

function invalid(why: string): AgentError {
  return new AgentError('InvalidArgument', why);
}
