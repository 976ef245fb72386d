/** JSON-RPC 1.0 over one channel (RFC 7047 section 4): requests matched with replies, echo answered, limits kept. */
import { AgentError } from '../model/errors.ts';
import type { Channel, Timers } from './channel.ts';
import { JsonStream } from './json-stream.ts';
import { pendingRequestsMax } from './limits.ts';
import type { Message } from './wire.ts';

interface Pending {
  method: string;
  resolve(result: unknown): void;
  reject(error: AgentError): void;
}

export interface RequestOptions {
  deadlineMs: number;
  signal?: AbortSignal | undefined;
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
   * Sends a request and resolves with its `result`. Rejects with `SwitchError` (the server answered an error),
   * `Timeout`, `Busy` (too many requests pending) or `Unavailable` (connection gone). After the last three the request
   * may still have been carried out.
   */
  request(method: string, params: unknown[], { deadlineMs, signal }: RequestOptions): Promise<unknown> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(aborted(method, signal));
    if (this.#pending.size >= pendingRequestsMax) {
      return Promise.reject(
        new AgentError('Busy', `OVSDB ${method} not sent: ${pendingRequestsMax} requests are pending`),
      );
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#pending.delete(id);
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        settle();
        reject(aborted(method, signal));
      };
      const cancelTimer = this.#timers.after(deadlineMs, () => {
        settle();
        reject(new AgentError('Timeout', `OVSDB ${method} was not answered within ${deadlineMs} ms`));
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        method,
        resolve: (result) => {
          settle();
          resolve(result);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      this.#send({ method, params, id });
    });
  }

  /** Feeds received bytes. Throws when they are not JSON-RPC; the caller then drops the connection. */
  receive(chunk: Uint8Array): void {
    this.#events.onActivity();
    for (const value of this.#stream.push(chunk)) this.#dispatch(value);
  }

  /** The channel is gone: every pending request rejects with `reason`. */
  close(reason: AgentError): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    for (const pending of [...this.#pending.values()]) pending.reject(reason);
  }

  #dispatch(value: unknown): void {
    if (!isMessage(value)) {
      throw new AgentError('SwitchError', 'OVSDB server sent a value that is neither request, reply nor notification');
    }
    if ('method' in value) {
      // RFC 7047 section 4.1.11: either side may send "echo"; the reply carries the parameters back.
      if (value.method === 'echo') this.#send({ result: value.params, error: null, id: value.id });
      else this.#events.onNotification(value.method, value.params);
      return;
    }
    const pending = typeof value.id === 'number' ? this.#pending.get(value.id) : undefined;
    // A reply to a request that has timed out, or to none at all: nobody waits for it.
    if (pending === undefined) return;
    if (value.error === null || value.error === undefined) pending.resolve(value.result);
    else pending.reject(new AgentError('SwitchError', `OVSDB ${pending.method} failed: ${describe(value.error)}`));
  }

  #send(message: Message): void {
    this.#channel.write(JSON.stringify(message));
  }
}

function isMessage(value: unknown): value is Message {
  if (typeof value !== 'object' || value === null || !('id' in value)) return false;
  if ('method' in value) return typeof value.method === 'string' && 'params' in value && Array.isArray(value.params);
  return 'result' in value;
}

/** RFC 7047 section 3.1 `<error>` as text. */
function describe(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'error' in error) {
    const { error: kind, details } = error as { error: unknown; details?: unknown };
    return typeof details === 'string' ? `${String(kind)}: ${details}` : String(kind);
  }
  return typeof error === 'string' ? error : JSON.stringify(error);
}

function aborted(method: string, signal: AbortSignal | undefined): AgentError {
  return new AgentError('Timeout', `OVSDB ${method} was given up by its caller`, { cause: signal?.reason });
}
