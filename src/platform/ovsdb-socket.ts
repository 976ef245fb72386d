/** Dials an OVSDB endpoint, spelled as Open vSwitch spells its connection methods (ovsdb(7)). */
import { createConnection } from 'node:net';
import { AgentError } from '../model/errors.ts';
import type { Channel, ChannelEvents, Dial } from '../ovsdb/channel.ts';

/** What a server that does not read may leave with us. The largest transaction, of 1,000 ports, has about 1 MB. */
const unsentBytesMax = 64 * 1024 * 1024;

/** `unix:PATH`. Throws `InvalidArgument` for anything else. */
export function ovsdbDialer(endpoint: string): Dial {
  const path = /^unix:(.+)$/.exec(endpoint)?.[1];
  if (path === undefined) {
    throw new AgentError('InvalidArgument', `ovsdb = "${endpoint}" is not supported: expected "unix:PATH"`);
  }
  return (events, signal) => dialUnix(path, events, signal);
}

function dialUnix(path: string, events: ChannelEvents, signal: AbortSignal): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path, signal });
    let failure: AgentError | null = null;
    let connected = false;
    socket.on('connect', () => {
      connected = true;
      resolve({
        write: (text) => {
          // As bytes: the stream's own way of writing text costs several times as much.
          socket.write(Buffer.from(text));
          if (socket.writableLength > unsentBytesMax) {
            socket.destroy(new Error(`more than ${unsentBytesMax} bytes wait for the server to read them`));
          }
        },
      });
    });
    socket.on('data', (chunk: Buffer) => {
      events.onData(chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = new AgentError('Unavailable', reasons[error.code ?? ''] ?? error.message, { cause: error });
    });
    socket.on('close', () => {
      if (connected) events.onClose(failure);
      else reject(failure ?? new AgentError('Unavailable', 'connecting was given up'));
    });
  });
}

/** What to do about the errors that people meet. */
const reasons: Partial<Record<string, string>> = {
  ENOENT: 'there is no such socket (is ovsdb-server running?)',
  ECONNREFUSED: 'nobody listens on this socket (is ovsdb-server running?)',
  EACCES: 'permission denied (does this process run as root?)',
};
