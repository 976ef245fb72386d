/** Making and verifying the signatures of notes: of a log (C2SP signed-note) and of witnesses (C2SP tlog-cosignature). */
import { AgentError } from '../../model/errors.ts';
import { cosignatureSecondsMax } from '../limits.ts';
import type { SignerKey, VerifierKey } from './key.ts';
import { signatureTypes } from './key.ts';
import type { NoteSignature, SignedNote } from './note.ts';

/** A signature that verifies. */
export interface Verified {
  readonly key: VerifierKey;
  /** When a cosignature was made, in seconds since 1970 by its maker's clock; null for other signatures. */
  readonly timestampS: number | null;
}

/**
 * Signs as the log. Throws `InvalidArgument` for a text that could pass for what a cosigner signs: with this refused, one
 * key can do both.
 */
export function signText(text: string, key: SignerKey): NoteSignature {
  if (text.startsWith(cosignatureHeader)) {
    throw new AgentError('InvalidArgument', 'a text that begins as a cosignature is not signed as a note');
  }
  const { name, keyId } = key.verifierKey;
  return { name, keyId, signature: key.sign(text) };
}

/** Signs as a witness: the largest tree seen of this log is that of `checkpointText`, at this time. */
export function cosignText(checkpointText: string, key: SignerKey, timestampS: number): NoteSignature {
  const { name, keyId } = key.cosignerKey;
  const timestamp = Buffer.alloc(timestampBytes);
  timestamp.writeBigUInt64BE(BigInt(timestampS));
  return { name, keyId, signature: Buffer.concat([timestamp, key.sign(cosignedMessage(checkpointText, timestampS))]) };
}

/**
 * The signatures of `keys`; those of others are passed over, and none at all is an empty list. Throws `InvalidArgument`
 * when a signature that claims to be of one of `keys` is not: then nothing of the note is worth anything.
 */
export function verifySignatures({ text, signatures }: SignedNote, keys: readonly VerifierKey[]): Verified[] {
  return signatures.flatMap(({ name, keyId, signature }) => {
    const key = keys.find((known) => known.name === name && known.keyId === keyId);
    return key === undefined ? [] : [verifyOne(text, signature, key)];
  });
}

const cosignatureHeader = 'cosignature/v1\n';
const timestampBytes = 8;

function verifyOne(text: string, signature: Buffer, key: VerifierKey): Verified {
  if (key.type === signatureTypes.ed25519) {
    if (key.verify(text, signature)) return { key, timestampS: null };
  } else if (signature.length > timestampBytes) {
    const timestampS = Number(signature.readBigUInt64BE());
    const message = cosignedMessage(text, timestampS);
    if (timestampS <= cosignatureSecondsMax && key.verify(message, signature.subarray(timestampBytes))) {
      return { key, timestampS };
    }
  }
  throw new AgentError('InvalidArgument', `the signature of ${key.name} (key ${key.keyId}) is not valid`);
}

function cosignedMessage(checkpointText: string, timestampS: number): string {
  return `${cosignatureHeader}time ${timestampS}\n${checkpointText}`;
}
