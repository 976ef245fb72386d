/** Messages to bytes and back, over dbus-next's marshalling. */
import DBusBuffer from 'dbus-next/lib/dbus-buffer.js';
import dbusNextMessage from 'dbus-next/lib/message.js';
import signatures from 'dbus-next/lib/signature.js';
import { isBusName, isInterfaceName, isMemberName, isObjectPath } from './bus-names.ts';
import { messageBytesMax } from './limits.ts';
import { fromRaw, toRaw } from './values.ts';

/** "Message Types". */
export const messageTypes = { methodCall: 1, methodReturn: 2, error: 3, signal: 4 } as const;

/** "Message Flags", bits of `flags`. */
export const messageFlags = { noReplyExpected: 1, noAutoStart: 2 } as const;

export interface MessageHeader {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly path?: string | undefined;
  readonly interface?: string | undefined;
  readonly member?: string | undefined;
  readonly errorName?: string | undefined;
  readonly replySerial?: number | undefined;
  readonly destination?: string | undefined;
  readonly sender?: string | undefined;
  readonly signature: string;
}

export interface DecodedMessage {
  readonly header: MessageHeader;
  /** Reads the body; once at most. Throws when it does not fit the signature or holds a file descriptor. */
  readonly readBody: () => readonly unknown[];
}

const bigEndianMark = 0x42;

/**
 * dbus-next throws on an `h` without a descriptor, wherever it stands; with these it reads on, and values.ts refuses
 * the value. Otherwise an unknown header field of type `h` would make a stranger's message unreadable as a whole.
 */
const anyFileDescriptors = { length: Number.MAX_SAFE_INTEGER };

/** `bytes` is one whole message, or its header alone when `readBody` will not be called. Throws on a broken header. */
export function decodeMessage(bytes: Buffer): DecodedMessage {
  const endian = bytes[0] ?? 0;
  const reader = new DBusBuffer(bytes, 0, endian, anyFileDescriptors, { ayBuffer: true });
  const [, type, flags, , , serial, rawFields] = reader.read('yyyyuua(yv)') as RawHeader;
  const fields = new Map(rawFields.map(([code, [, [value]]]) => [code, value]));
  const text = (code: number) => {
    const value = fields.get(code);
    return typeof value === 'string' ? value : undefined;
  };
  const replySerial = fields.get(fieldCodes.replySerial);
  const signature = text(fieldCodes.signature) ?? '';
  return {
    header: {
      type,
      flags,
      serial,
      path: text(fieldCodes.path),
      interface: text(fieldCodes.interface),
      member: text(fieldCodes.member),
      errorName: text(fieldCodes.errorName),
      replySerial: typeof replySerial === 'number' ? replySerial : undefined,
      destination: text(fieldCodes.destination),
      sender: text(fieldCodes.sender),
      signature,
    },
    readBody: () => {
      reader.align(3);
      const types = signatures.parseSignature(signature);
      const body = reader.read(signature).map((raw, index) => {
        const type = types[index];
        return type === undefined ? raw : fromRaw(type, raw, endian === bigEndianMark);
      });
      if (reader.pos > bytes.length) throw new TypeError(`the body is shorter than its signature ${signature} says`);
      return body;
    },
  };
}

/** Header fields as dbus-next reads them: code and variant `[[type], [value]]`. */
type RawHeader = [number, number, number, number, number, number, [number, [unknown, [unknown]]][]];

/** "Header Fields". */
const fieldCodes = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  sender: 7,
  signature: 8,
} as const;

/** Throws TypeError when a name is not valid or the body does not fit its signature: bugs, not bad luck. */
export function encodeMessage(header: MessageHeader, body: readonly unknown[]): Buffer {
  checkNames(header);
  const types = signatures.parseSignature(header.signature);
  if (types.length !== body.length) {
    throw new TypeError(`signature ${header.signature} needs ${types.length} values, there are ${body.length}`);
  }
  const raw = types.map((type, index) => toRaw(type, body[index]));
  // A body of no values must be absent, and dbus-next adds a field to the object it is given.
  const [bytes] = dbusNextMessage.marshall(types.length > 0 ? { ...header, body: raw } : { ...header });
  if (bytes.length > messageBytesMax) {
    throw new RangeError(`a message of ${bytes.length} bytes is longer than the maximum of ${messageBytesMax}`);
  }
  return bytes;
}

function checkNames(header: MessageHeader): void {
  const check = (what: string, text: string | undefined, valid: (text: string) => boolean) => {
    if (text !== undefined && !valid(text)) throw new TypeError(`${JSON.stringify(text)} is not a valid ${what}`);
  };
  check('object path', header.path, isObjectPath);
  check('interface name', header.interface, isInterfaceName);
  check('member name', header.member, isMemberName);
  check('error name', header.errorName, isInterfaceName);
  check('bus name', header.destination, isBusName);
}
