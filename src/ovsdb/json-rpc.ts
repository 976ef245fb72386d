/** JSON-RPC 1.0 over one channel (RFC 7047 section 4): requests matched with replies, echo answered, limits kept. */
import { AgentError } from '../model/errors.ts';
import type { Channel, Timers } from './channel.ts';
import { OvsdbError } from './errors.ts';
import { JsonStream } from './json-stream.ts';
import { pendingRequestsMax } from './limits.ts';
import { excerpt, isRecord, malformed } from './malformed.ts';
import type { Message } from './wire.ts';

interface Pending {
  readonly method: string;
  resolve(result: unknown): void;
  reject(error: AgentError): void;
}

export interface RequestOptions<R> {
  /**
   * Looks at the result at once, before anything that came after it. What it throws comes out of `receive`: whoever
   * sends such a reply is no peer to talk to any longer.
   */
  readonly read: (result: unknown) => R;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Tell the server when nobody waits any longer (RFC 7047 section 4.1.4), so that it does not go on waiting either. */
  readonly cancels?: boolean;
}

export interface JsonRpcEvents {
  onNotification(method: string, params: unknown[]): void;
  /** Something arrived, whatever it was: the peer lives. */
  onActivity(): void;
}

export class JsonRpc {
  readonly #channel: Channel;
  readonly #timers: Timers;
  readonly #events: JsonRpcEvents;
  readonly #stream = new JsonStream();
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #closed: AgentError | null = null;

  constructor(channel: Channel, timers: Timers, events: JsonRpcEvents) {
    this.#channel = channel;
    this.#timers = timers;
    this.#events = events;
  }

  /**
   * Sends a request and resolves with what `read` made of its `result`. Rejects with `SwitchError` (the server answered
   * an error), with `Busy` (not sent: too many requests are pending), or, after which the request may have been carried
   * out, with `Timeout` (deadline or `signal`) or `Unavailable` (connection gone before the reply).
   */
  request<R>(method: string, params: unknown[], { read, deadlineMs, signal, cancels }: RequestOptions<R>): Promise<R> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(givenUp(method, signal));
    if (this.#pending.size >= pendingRequestsMax) {
      return Promise.reject(
        new AgentError('Busy', `OVSDB ${method} not sent: ${pendingRequestsMax} requests are pending`),
      );
    }
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const bytes = JSON.stringify({ method, params, id });
      const settle = (): void => {
        this.#pending.delete(id);
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
      };
      const fail = (error: AgentError): void => {
        settle();
        reject(error);
      };
      const giveUp = (error: AgentError): void => {
        fail(error);
        if (cancels === true) this.#channel.write(JSON.stringify({ method: 'cancel', params: [id], id: null }));
      };
      const onAbort = (): void => {
        giveUp(givenUp(method, signal));
      };
      const cancelTimer = this.#timers.after(deadlineMs, () => {
        giveUp(new AgentError('Timeout', `OVSDB ${method} was not answered within ${deadlineMs} ms`));
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        method,
        resolve: (result) => {
          const value = read(result);
          settle();
          resolve(value);
        },
        reject: fail,
      });
      this.#channel.write(bytes);
    });
  }

  /** Feeds received bytes. Throws when they are not JSON-RPC; the caller then drops the connection. */
  receive(chunk: Uint8Array): void {
    if (this.#closed !== null) return;
    this.#events.onActivity();
    for (const value of this.#stream.push(chunk)) this.#dispatch(value);
  }

  /** The connection is over: what is pending rejects, with `reason` as its cause; what comes later, with `reason`. */
  close(reason: AgentError): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    for (const pending of [...this.#pending.values()]) {
      const message = `OVSDB ${pending.method} was sent, but not answered: ${reason.message}`;
      pending.reject(new AgentError('Unavailable', message, { cause: reason }));
    }
  }

  #dispatch(value: unknown): void {
    // Closed by what came before it in the same chunk.
    if (this.#closed !== null) return;
    if (!isMessage(value)) {
      throw malformed(`a value that is neither request, reply nor notification: ${excerpt(value)}`);
    }
    if ('method' in value) {
      // RFC 7047 section 4.1.11: either side may send "echo"; the reply carries the parameters back.
      if (value.method === 'echo') this.#answer({ result: value.params, error: null, id: value.id });
      else this.#events.onNotification(value.method, value.params);
      return;
    }
    const pending = typeof value.id === 'number' ? this.#pending.get(value.id) : undefined;
    // A reply to a request that has timed out, or to none at all: nobody waits for it.
    if (pending === undefined) return;
    if (value.error === null || value.error === undefined) pending.resolve(value.result);
    else pending.reject(refused(pending.method, value.error));
  }

  #answer(message: Message): void {
    this.#channel.write(JSON.stringify(message));
  }
}

function isMessage(value: unknown): value is Message {
  if (!isRecord(value) || !('id' in value)) return false;
  if ('method' in value) return typeof value['method'] === 'string' && Array.isArray(value['params']);
  // ovsdb-server leaves out `result` where there is an error.
  return 'result' in value || isRecord(value['error']) || typeof value['error'] === 'string';
}

/** RFC 7047 section 3.1 `<error>`; ovsdb-server also sends its string alone. */
function refused(method: string, error: unknown): OvsdbError {
  const { error: kind, details } = isRecord(error) ? error : { error };
  const words = typeof details === 'string' ? `${excerpt(kind)}: ${excerpt(details)}` : excerpt(kind ?? error);
  return new OvsdbError(typeof kind === 'string' ? kind : '', `OVSDB ${method} failed: ${words}`);
}

function givenUp(method: string, signal: AbortSignal | undefined): AgentError {
  return new AgentError('Timeout', `OVSDB ${method} was given up by its caller`, { cause: signal?.reason });
}
