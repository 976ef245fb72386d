/** The client's half of "Authentication Protocol" in the D-Bus specification: EXTERNAL alone, by the socket's uid. */
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { authLineBytesMax } from './limits.ts';

/** First bytes on the wire. The uid goes as the hexadecimal form of its decimal digits. */
export function authRequest(uid: number): string {
  return `\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString('hex')}\r\n`;
}

export const authBegin = 'BEGIN\r\n';

/**
 * The bytes after the server's `OK` line; null while the line is not complete. Throws `AccessDenied` when the server
 * refuses, `Unavailable` when it does not speak D-Bus.
 */
export function parseAuthReply(received: Buffer): Buffer | null {
  const end = received.indexOf('\r\n');
  if (end < 0) {
    if (received.length > authLineBytesMax) throw noBus(received.toString('latin1'));
    return null;
  }
  const line = received.toString('latin1', 0, end);
  if (/^OK [0-9a-f]+$/i.test(line)) return received.subarray(end + 2);
  if (/^(REJECTED|ERROR)\b/.test(line)) {
    throw new AgentError('AccessDenied', `the bus does not let this user in: it answered ${quote(line)}`);
  }
  throw noBus(line);
}

function noBus(text: string): AgentError {
  return new AgentError('Unavailable', `what listens there is no D-Bus server: it answered ${quote(text)}`);
}
