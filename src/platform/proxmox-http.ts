/**
 * HTTPS to the Proxmox API. The server is verified before a byte of a request is sent, by its authority and name or by its
 * certificate's SHA-256; there is no way to leave that out. The token is read from its file for each request, and stands
 * in no message, no error and no log.
 */
import { stat } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { AgentError, toAgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { ApiAnswer, ApiRequest, ApiTransport } from '../proxmox/api-exchange.ts';
import { readBoundedFile } from './bounded-file.ts';
import { cancelled } from './cancellation.ts';

/** How the server is known: an authority's file (PEM), or the SHA-256 of the server's own certificate. */
export type ProxmoxTrust =
  { readonly kind: 'ca'; readonly file: string } | { readonly kind: 'fingerprint'; readonly sha256: string };

export interface ProxmoxHttpOptions {
  /** `https://HOST:8006`. */
  readonly url: string;
  /** File with `USER@REALM!TOKENID=SECRET`. */
  readonly tokenFile: string;
  readonly trust: ProxmoxTrust;
}

/** The list of 5,000 guests has 2 MB. */
const bodyBytesMax = 8 * 1024 * 1024;
const tokenBytesMax = 1024;
const caBytesMax = 256 * 1024;
const connectDeadlineMs = 10_000;
/** Connections at a time; more requests wait for one, within their deadline. */
const connectionsMax = 4;
const requestsMax = 64;
/** Proxmox VE closes an idle connection after 5 s. */
const idleMs = 4_000;

export class ProxmoxHttp implements ApiTransport {
  readonly #options: ProxmoxHttpOptions;
  readonly #host: string;
  readonly #port: number;
  /** For reading alone: a change never goes out on a connection that the server may be closing. */
  readonly #keptAlive: Agent;
  #running = 0;

  constructor(options: ProxmoxHttpOptions) {
    const { hostname, port } = new URL(options.url);
    this.#options = options;
    this.#host = hostname.replace(/^\[(.*)\]$/, '$1');
    this.#port = port === '' ? 443 : Number(port);
    this.#keptAlive = this.#agent({ keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: 1, timeout: idleMs });
  }

  async exchange(request: ApiRequest): Promise<ApiAnswer> {
    const { deadlineMs, signal, method } = request;
    if (this.#running >= requestsMax) {
      return failed('Busy', `more than ${requestsMax} requests are under way`, false);
    }
    this.#running++;
    const exchange = new Exchange(`${this.#host}:${this.#port}`, deadlineMs, signal);
    try {
      const token = await readToken(this.#options.tokenFile);
      const answer = await this.#send(request, token, exchange);
      // The server closed an idle connection at the moment it was used again.
      if (answer === 'stale' && method === 'GET') return withoutStale(await this.#send(request, token, exchange));
      return withoutStale(answer);
    } catch (error) {
      const { code, message } = toAgentError(error);
      return failed(code, message, false);
    } finally {
      exchange.end();
      this.#running--;
    }
  }

  close(): void {
    this.#keptAlive.destroy();
  }

  #send({ method, path, form }: ApiRequest, token: string, exchange: Exchange): Promise<ApiAnswer | 'stale'> {
    const isInUrl = method === 'GET' || method === 'DELETE';
    const body = isInUrl ? null : Buffer.from(form);
    const sent = httpsRequest({
      host: this.#host,
      port: this.#port,
      method,
      path: isInUrl && form !== '' ? `${path}?${form}` : path,
      agent: method === 'GET' ? this.#keptAlive : this.#agent({ keepAlive: false }),
      headers: {
        Accept: 'application/json',
        Authorization: `PVEAPIToken=${token}`,
        'User-Agent': 'ovs-port-agent',
        ...(body !== null && { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length }),
      },
    });
    return exchange.run(sent, body);
  }

  /** Hands a connection on only when its other end has been verified. */
  #agent(options: ConstructorParameters<typeof Agent>[0]): Agent {
    const agent = new Agent(options);
    const connect = (_options: unknown, callback: (error: Error | null, socket?: Duplex) => void): undefined => {
      this.#connect().then((socket) => {
        callback(null, socket);
      }, callback);
    };
    // Its declared type knows only connections that are there at once.
    Object.assign(agent, { createConnection: connect });
    return agent;
  }

  async #connect(): Promise<TLSSocket> {
    const { trust } = this.#options;
    const ca = trust.kind === 'ca' ? await readAuthority(trust.file) : undefined;
    const socket = tlsConnect({
      host: this.#host,
      port: this.#port,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      ...(isIP(this.#host) === 0 && { servername: this.#host }),
      // With a fingerprint the certificate itself is compared below, before the connection is handed on.
      ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
    });
    return new Promise((resolve, reject) => {
      const refuse = (error: Error): void => {
        socket.destroy();
        reject(error);
      };
      socket.once('error', refuse);
      socket.setTimeout(connectDeadlineMs, () => {
        refuse(new AgentError('Timeout', `${this.#host}:${this.#port} took longer than ${connectDeadlineMs} ms to connect`)); // prettier-ignore
      });
      socket.once('secureConnect', () => {
        const shown = socket.getPeerCertificate().fingerprint256;
        if (trust.kind === 'fingerprint' && shown !== trust.sha256.toUpperCase()) {
          refuse(
            new AgentError(
              'AccessDenied',
              `${this.#host}:${this.#port} has the certificate ${shown}, which is not the pinned one; nothing was sent`,
            ),
          );
          return;
        }
        socket.setTimeout(0);
        socket.removeAllListeners('timeout');
        // `refuse` stays: an error between two requests must find somebody who listens.
        resolve(socket);
      });
    });
  }
}

/** One request's deadline and cancellation, over a second attempt if there is one. */
class Exchange {
  readonly #server: string;
  readonly #deadlineMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  #stopped: AgentError | null = null;
  #stop: ((reason: AgentError) => void) | null = null;

  constructor(server: string, deadlineMs: number, signal: AbortSignal | undefined) {
    this.#server = server;
    this.#deadlineMs = deadlineMs;
    this.#signal = signal;
    this.#timer = setTimeout(() => {
      this.#end(new AgentError('Timeout', `${server} did not answer in full within ${this.#deadlineMs} ms`));
    }, deadlineMs);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted === true) this.#onAbort();
  }

  /** Sends the request and waits for the last byte of its answer. */
  run(sent: ReturnType<typeof httpsRequest>, body: Buffer | null): Promise<ApiAnswer | 'stale'> {
    return new Promise((resolve) => {
      const settle = (answer: ApiAnswer | 'stale'): void => {
        this.#stop = null;
        resolve(answer);
      };
      const fail = (error: Error): void => {
        // A socket is only handed over when the server is verified; before that nothing can have been sent.
        const mayHaveArrived = sent.socket !== null;
        const { code, message } = this.#stopped ?? describe(error, this.#server);
        settle(failed(code, message, mayHaveArrived));
        sent.destroy();
      };
      this.#stop = fail;
      sent.on('error', (error: NodeJS.ErrnoException) => {
        if (sent.reusedSocket && error.code === 'ECONNRESET' && this.#stopped === null) settle('stale');
        else fail(error);
      });
      sent.on('response', (response) => {
        collect(response).then(settle, fail);
      });
      if (this.#stopped !== null) fail(this.#stopped);
      else sent.end(body ?? undefined);
    });
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #end(reason: AgentError): void {
    this.#stopped ??= reason;
    this.#stop?.(reason);
  }

  readonly #onAbort = (): void => {
    if (this.#signal !== undefined) this.#end(cancelled(this.#signal, `the request to ${this.#server}`));
  };
}

async function collect(response: IncomingMessage): Promise<ApiAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyBytesMax) throw new AgentError('Unavailable', `the answer has more than ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return {
    kind: 'answered',
    status: response.statusCode ?? 0,
    // Node.js reads the status line as latin1, Proxmox VE writes UTF-8.
    reason: Buffer.from(response.statusMessage ?? '', 'latin1').toString('utf8'),
    location: response.headers.location ?? null,
    text: Buffer.concat(chunks).toString('utf8'),
  };
}

function withoutStale(answer: ApiAnswer | 'stale'): ApiAnswer {
  return answer === 'stale' ? failed('Unavailable', 'the connection was closed before an answer came', true) : answer;
}

function failed(code: ErrorCode, message: string, mayHaveArrived: boolean): ApiAnswer {
  return { kind: 'failed', code, message, mayHaveArrived };
}

/** What went wrong on the way, in words that say what to look at. */
function describe(error: NodeJS.ErrnoException, server: string): { code: ErrorCode; message: string } {
  if (error instanceof AgentError) return error;
  if (/CERT|SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)/.test(error.code ?? '')) {
    return {
      code: 'AccessDenied',
      message: `the certificate of ${server} is not trusted: ${error.message}; nothing was sent. Set ca or fingerprint`,
    };
  }
  if (error.code === 'ECONNRESET') return { code: 'Unavailable', message: `${server} ended the connection before its answer did` }; // prettier-ignore
  return { code: 'Unavailable', message: `${server}: ${error.message}` };
}

async function readAuthority(file: string): Promise<string> {
  const text = await readBoundedFile(file, caBytesMax);
  if (text?.includes('-----BEGIN CERTIFICATE-----') === true) return text;
  throw new AgentError('Unavailable', `${file} ${text === null ? 'does not exist' : 'holds no certificate in PEM'}`);
}

/** Throws an error that says nothing of what the file holds. */
async function readToken(file: string): Promise<string> {
  const text = await readBoundedFile(file, tokenBytesMax);
  if (text === null) throw new AgentError('Unavailable', `the token file ${file} does not exist`);
  const { mode } = await stat(file);
  if ((mode & 0o007) !== 0) {
    throw new AgentError(
      'AccessDenied',
      `the token file ${file} is open to everybody: chmod 600, and make a new token`,
    );
  }
  const token = text.trim().replace(/^PVEAPIToken=/, '');
  if (!/^[^\s:/!=]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]*=[A-Za-z0-9-]+$/.test(token)) {
    throw new AgentError(
      'InvalidArgument',
      `the token file ${file} does not hold USER@REALM!TOKENID=SECRET on one line`,
    );
  }
  return token;
}
