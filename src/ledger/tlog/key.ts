/**
 * Keys of signed notes: Ed25519 (RFC 8032), as `vkey` (C2SP signed-note, "Verifier keys") and `skey` (the form of Go's
 * sumdb/note, which the tools of other logs read). One pair of keys signs checkpoints of its own log and, under another
 * signature type and so another key ID, cosigns those of others (docs/decisions/0021).
 */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { sha256Hex } from '../block.ts';
import { keyCharsMax } from '../limits.ts';
import { parseBase64 } from './fields.ts';

/** Of C2SP signed-note: 1 is an Ed25519 signature of the text, 4 a timestamped cosignature. */
export const signatureTypes = { ed25519: 0x01, cosignature: 0x04 } as const;
export type SignatureType = (typeof signatureTypes)[keyof typeof signatureTypes];

export class VerifierKey {
  readonly name: string;
  readonly type: SignatureType;
  /** 8 hex digits. With the name it tells which key made a signature. */
  readonly keyId: string;
  readonly #publicKey: Buffer;
  readonly #key: KeyObject;

  /** Throws `InvalidArgument` for a name that no note can carry, or a public key that is not 32 bytes long. */
  constructor(name: string, type: SignatureType, publicKey: Uint8Array) {
    checkKeyName(name);
    if (publicKey.length !== publicKeyBytes) throw invalid(`the public key of ${quote(name)} is not 32 bytes long`);
    this.name = name;
    this.type = type;
    this.#publicKey = Buffer.from(publicKey);
    this.keyId = keyIdOf(name, Buffer.from([type, ...publicKey]));
    this.#key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
  }

  /** A `vkey` of a log (Ed25519) or of a cosigner. Throws `InvalidArgument` with what is wrong with it. */
  static parse(vkey: string, type: SignatureType): VerifierKey {
    if (vkey.length > keyCharsMax) throw invalid(`a vkey has at most ${keyCharsMax} characters, not ${vkey.length}`);
    const [, name = '', keyId, base64 = ''] = /^([^+]*)\+([0-9a-f]{8})\+([^]*)$/.exec(vkey) ?? [];
    if (keyId === undefined) throw invalid(`vkey ${quote(vkey)} is not <name>+<8 hex digits>+<base64>`);
    const typed = parseBase64(base64, 'the key of a vkey');
    if (keyId !== keyIdOf(name, typed)) throw invalid(`vkey ${quote(vkey)} has the key ID of another name or key`);
    if (typed[0] !== type) {
      const found = `vkey ${quote(vkey)} is of signature type ${String(typed[0])}`;
      throw invalid(`${found}, not ${type}: a log has 1 (Ed25519), a witness 4 (cosignatures by Ed25519)`);
    }
    return new VerifierKey(name, type, typed.subarray(1));
  }

  /** The `vkey`. */
  render(): string {
    return `${this.name}+${this.keyId}+${Buffer.from([this.type, ...this.#publicKey]).toString('base64')}`;
  }

  /** Whether both wrap one public key, whatever their names and types. */
  hasKeyOf(other: VerifierKey): boolean {
    return this.#publicKey.equals(other.#publicKey);
  }

  verify(message: string, signature: Uint8Array): boolean {
    return verify(null, Buffer.from(message), this.#key, signature);
  }
}

/** The secret half. Printing or serialising one shows nothing of it. */
export class SignerKey {
  /** For signatures of the key's own log. */
  readonly verifierKey: VerifierKey;
  /** For cosignatures of other logs. */
  readonly cosignerKey: VerifierKey;
  readonly #seed: Buffer;
  readonly #key: KeyObject;

  private constructor(name: string, seed: Buffer) {
    this.#seed = seed;
    this.#key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' });
    const publicKey = createPublicKey(this.#key).export({ format: 'der', type: 'spki' }).subarray(spkiPrefix.length);
    this.verifierKey = new VerifierKey(name, signatureTypes.ed25519, publicKey);
    this.cosignerKey = new VerifierKey(name, signatureTypes.cosignature, publicKey);
  }

  /** A new key. Throws `InvalidArgument` for a name that no note can carry. */
  static generate(name: string): SignerKey {
    return new SignerKey(name, randomBytes(seedBytes));
  }

  /** An `skey`. Throws `InvalidArgument`; the message repeats nothing of the text, which is a secret. */
  static parse(skey: string): SignerKey {
    const match = skey.length > keyCharsMax ? null : /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([^]+)$/.exec(skey);
    const [, name = '', keyId, base64 = ''] = match ?? [];
    const typed = Buffer.from(base64, 'base64');
    if (typed.length === 1 + seedBytes && typed[0] === signatureTypes.ed25519 && typed.toString('base64') === base64) {
      const key = new SignerKey(name, typed.subarray(1));
      if (key.verifierKey.keyId === keyId) return key;
    }
    throw invalid('the signer key is not valid: expected PRIVATE+KEY+<name>+<8 hex digits>+<base64 of an Ed25519 key>');
  }

  get name(): string {
    return this.verifierKey.name;
  }

  /** The `skey`: a secret. */
  render(): string {
    const typed = Buffer.from([signatureTypes.ed25519, ...this.#seed]);
    return `PRIVATE+KEY+${this.name}+${this.verifierKey.keyId}+${typed.toString('base64')}`;
  }

  sign(message: string): Buffer {
    return sign(null, Buffer.from(message), this.#key);
  }
}

/** Throws `InvalidArgument` for an empty name, and for one with white space, control characters or a plus. */
export function checkKeyName(name: string): void {
  if (name === '' || /[\p{White_Space}\p{Cc}+]/u.test(name)) {
    throw invalid(`key name ${quote(name)} is not valid: it must not be empty or hold white space or a plus`);
  }
}

const publicKeyBytes = 32;
const seedBytes = 32;
/** RFC 8410: what stands before the 32 bytes of a public key, and of a private one. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

function keyIdOf(name: string, typedKey: Uint8Array): string {
  return sha256Hex(Buffer.concat([Buffer.from(`${name}\n`), typedKey])).slice(0, 8);
}

function invalid(why: string): AgentError {
  return new AgentError('InvalidArgument', why);
}
