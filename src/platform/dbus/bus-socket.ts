/** From an address to an authenticated socket. */
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import { parseBusAddress } from './address.ts';
import { authBegin, authRequest, parseAuthReply } from './authentication.ts';
import type { WaitOptions } from './deadline.ts';
import { watchDeadline } from './deadline.ts';

/**
 * Tries the endpoints of `address` in order, all within one deadline. The socket is paused: its owner adds listeners
 * and resumes it. Throws `Unavailable` or `AccessDenied` with the last endpoint's reason.
 */
export async function openBusSocket(address: string, wait: WaitOptions): Promise<Socket> {
  const expired = new AbortController();
  const stop = watchDeadline(wait, `connecting to the D-Bus at ${quote(address)}`, (reason) => {
    expired.abort(reason);
  });
  let failure: unknown;
  try {
    for (const { path } of parseBusAddress(address)) {
      wait.signal?.throwIfAborted();
      try {
        return await authenticate(path, expired.signal);
      } catch (error) {
        expired.signal.throwIfAborted();
        failure = error;
      }
    }
  } finally {
    stop();
  }
  const code = failure instanceof AgentError ? failure.code : 'Unavailable';
  const why = failure instanceof Error ? failure.message : String(failure);
  throw new AgentError(code, `cannot connect to the D-Bus at ${quote(address)}: ${why}`, { cause: failure });
}

function authenticate(path: string, expired: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    let received = Buffer.alloc(0);
    const detach = () => {
      expired.removeEventListener('abort', onExpired);
      socket.off('close', onClose).off('data', onData);
    };
    const fail = (error: unknown) => {
      detach();
      socket.destroy();
      reject(error instanceof Error ? error : new Error(String(error)));
    };
    const onExpired = () => {
      fail(expired.reason);
    };
    expired.addEventListener('abort', onExpired);
    const onClose = () => {
      fail(new AgentError('Unavailable', 'the bus closed the connection during authentication'));
    };
    socket.on('connect', () => {
      socket.write(authRequest(process.geteuid?.() ?? 0));
    });
    const onData = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      let rest: Buffer | null;
      try {
        rest = parseAuthReply(received);
      } catch (error) {
        fail(error);
        return;
      }
      if (rest === null) return;
      detach();
      socket.pause();
      if (rest.length > 0) socket.unshift(rest);
      socket.write(authBegin);
      resolve(socket);
    };
    // Stays for good: an error after the hand-over, or after a failure, must not be an uncaught one.
    socket.on('error', fail);
    socket.on('close', onClose);
    socket.on('data', onData);
  });
}
