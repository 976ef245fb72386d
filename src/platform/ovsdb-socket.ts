/** Dials OVSDB endpoints: Unix sockets, TCP, and TLS with both sides known by certificates. */
import { readFile } from 'node:fs/promises';
import { createConnection, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AgentError } from '../model/errors.ts';
import type { Channel, ChannelEvents, Dial, Remote } from '../ovsdb/channel.ts';
import { parseEndpoint, splitEndpoints } from './ovsdb-endpoint.ts';
import type { Endpoint } from './ovsdb-endpoint.ts';

/** Paths of PEM files. Read anew for each connection, so that a renewed certificate needs no restart. */
export interface TlsFiles {
  readonly key: string;
  readonly certificate: string;
  /** Certificates of the authorities that may have signed the server's. */
  readonly ca: string;
}

/** What a server that does not read may leave with us. The largest transaction, of 1,000 ports, has about 1 MB. */
const unsentBytesMax = 64 * 1024 * 1024;

/** Bytes that one read takes at most, as much as Node.js reads by itself. */
const readBytesMax = 64 * 1024;

/** The files that the configuration names; undefined when it names none. Throws `InvalidArgument` when one is missing. */
export function ovsdbTlsFiles(config: {
  readonly ovsdb_key?: string | undefined;
  readonly ovsdb_certificate?: string | undefined;
  readonly ovsdb_ca?: string | undefined;
}): TlsFiles | undefined {
  const { ovsdb_key: key, ovsdb_certificate: certificate, ovsdb_ca: ca } = config;
  if (key !== undefined && certificate !== undefined && ca !== undefined) return { key, certificate, ca };
  if (key === undefined && certificate === undefined && ca === undefined) return undefined;
  throw new AgentError('InvalidArgument', 'ovsdb_key, ovsdb_certificate and ovsdb_ca belong together: set all three');
}

/** Where to find one database: comma-separated endpoints. Throws `InvalidArgument`, also for `ssl:` without files. */
export function ovsdbRemotes(endpoints: string, tls?: TlsFiles): Remote[] {
  return splitEndpoints(endpoints).map((endpoint) => ({ endpoint, dial: ovsdbDialer(endpoint, tls) }));
}

/** One endpoint: `unix:PATH`, `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`. Throws `InvalidArgument` for anything else. */
export function ovsdbDialer(text: string, tls?: TlsFiles): Dial {
  const endpoint = parseEndpoint(text);
  if (endpoint.kind !== 'ssl')
    return (events, signal) => join(connectPlain(endpoint, events), 'connect', events, signal);
  if (tls === undefined) {
    throw new AgentError('InvalidArgument', `"${text}" needs ovsdb_key, ovsdb_certificate and ovsdb_ca`);
  }
  return async (events, signal) => join(await connectSecurely(endpoint, tls, events), 'secureConnect', events, signal);
}

function connectPlain(endpoint: Endpoint, events: ChannelEvents): Socket {
  // Without the stream's own reading, which costs every message a buffer of its own and a turn through its queue.
  const onread = {
    buffer: Buffer.allocUnsafeSlow(readBytesMax),
    callback: (bytes: number, buffer: Uint8Array) => {
      events.onData(buffer.subarray(0, bytes));
      return true;
    },
  };
  if (endpoint.kind === 'unix') return createConnection({ path: endpoint.path, onread });
  return createConnection({ host: endpoint.host, port: endpoint.port, noDelay: true, onread });
}

async function connectSecurely(
  { host, port }: { host: string; port: number },
  { key, certificate, ca }: TlsFiles,
  events: ChannelEvents,
): Promise<Socket> {
  const read = async (path: string): Promise<Buffer> => {
    try {
      return await readFile(path);
    } catch (cause) {
      throw new AgentError('Unavailable', `cannot read ${path}: ${(cause as Error).message}`, { cause });
    }
  };
  const [keyPem, certificatePem, caPem] = await Promise.all([read(key), read(certificate), read(ca)]);
  const socket = connectTls({
    host,
    port,
    key: keyPem,
    cert: certificatePem,
    ca: caPem,
    minVersion: 'TLSv1.2',
    // A name is asked for, an address is not (RFC 6066 section 3); the certificate must name either.
    servername: isIP(host) === 0 ? host : '',
  });
  socket.on('data', (chunk: Buffer) => {
    events.onData(chunk);
  });
  return socket.setNoDelay(true);
}

/** `opened` is the event after which the server's words are trusted. */
function join(
  socket: Socket,
  opened: 'connect' | 'secureConnect',
  events: ChannelEvents,
  signal: AbortSignal,
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    let failure: AgentError | null = null;
    let connected = false;
    const onAbort = (): void => {
      socket.destroy();
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    socket.on(opened, () => {
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
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = new AgentError('Unavailable', reasons[error.code ?? ''] ?? error.message, { cause: error });
    });
    socket.on('close', () => {
      signal.removeEventListener('abort', onAbort);
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
  ENOTFOUND: 'there is no host of this name',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate of this server is not for this host name',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate of this server was signed by no authority that is trusted here',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate of this server was signed by no authority that is trusted here',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate of this server was signed by no authority that is trusted here',
  CERT_HAS_EXPIRED: 'the certificate of this server has expired',
};
