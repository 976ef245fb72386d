/** One connection to one server, from dialling to its end, never revived: handshake, monitors, lock. */
import { AgentError } from '../model/errors.ts';
import type { Remote, Timers } from './channel.ts';
import { OvsdbError } from './errors.ts';
import { JsonRpc } from './json-rpc.ts';
import type { RequestOptions } from './json-rpc.ts';
import { handshakeDeadlineMs } from './limits.ts';
import { asRecord, malformed } from './malformed.ts';
import { Monitor } from './monitor.ts';
import { Replica } from './replica.ts';
import type { RowChange, Tables } from './replica.ts';
import { checkServer, serverTables } from './server-database.ts';

export interface ConnectionOptions<T extends Tables> {
  readonly remote: Remote;
  readonly timers: Timers;
  readonly database: string;
  readonly tables: T;
  readonly lock: string | undefined;
  /** Whether to leave a server that is of no use: one that lost its cluster or, with `leaderOnly`, does not lead it. */
  readonly watchesServer: boolean;
  readonly leaderOnly: boolean;
}

export interface ConnectionEvents<T extends Tables> {
  /** The server is there; the handshake begins. */
  onOpen(): void;
  /** The server was heard. */
  onActivity(): void;
  /** The replica is whole and, from now on, in step. */
  onLive(replica: Replica<T>): void;
  onChanges(changes: RowChange<T>[]): void;
  onLock(isHeld: boolean): void;
  /** Comes once, and nothing comes after it or after `end`. */
  onFailure(thrown: unknown): void;
}

const monitorId = 'ovs-port-agent';
const serverMonitorId = 'ovs-port-agent-server';
const serverDatabase = '_Server';

export class Connection<T extends Tables> {
  readonly #options: ConnectionOptions<T>;
  readonly #events: ConnectionEvents<T>;
  readonly #monitors = new Map<unknown, Monitor>();
  readonly #over = new AbortController();
  /** null while dialling. */
  #rpc: JsonRpc | null = null;
  #isLive = false;
  #isLockHeld = false;

  constructor(options: ConnectionOptions<T>, events: ConnectionEvents<T>) {
    this.#options = options;
    this.#events = events;
  }

  get endpoint(): string {
    return this.#options.remote.endpoint;
  }

  /** The replica is in step with the server. */
  get isLive(): boolean {
    return this.#isLive;
  }

  get isLockHeld(): boolean {
    return this.#isLockHeld;
  }

  /** Resolves when the handshake is over, one way or the other; `onFailure` tells which. */
  async open(): Promise<void> {
    const { remote, timers } = this.#options;
    try {
      const channel = await remote.dial(
        {
          onData: (chunk) => {
            try {
              this.#rpc?.receive(chunk);
            } catch (thrown) {
              this.#fail(thrown);
            }
          },
          onClose: (reason) => {
            this.#fail(reason ?? new AgentError('Unavailable', 'the server closed the connection'));
          },
        },
        this.#over.signal,
      );
      if (this.#over.signal.aborted) return;
      const rpc = new JsonRpc(channel, timers, {
        onNotification: (method, params) => {
          this.#onNotification(method, params);
        },
        onActivity: () => {
          this.#events.onActivity();
        },
      });
      this.#rpc = rpc;
      this.#events.onOpen();
      await this.#synchronise(rpc);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Sends something that the server must answer. Its reply is activity like any other. */
  probe(): void {
    this.#rpc?.request('echo', [], { read: () => null, deadlineMs: handshakeDeadlineMs }).catch(() => undefined);
  }

  /** Rejects as `JsonRpc.request` does. Only for a connection that is live. */
  request<R>(method: string, params: unknown[], options: RequestOptions<R>): Promise<R> {
    if (this.#rpc === null) throw new AgentError('Internal', `OVSDB ${method} on a connection that is not open`);
    return this.#rpc.request(method, params, options);
  }

  /** Takes the lock from whoever holds it (RFC 7047 section 4.1.8). */
  async steal(lock: string): Promise<void> {
    if (this.#isLockHeld) return;
    // Who waits for a lock must let go of its place before it may ask again.
    await this.request('unlock', [lock], { read: () => null, deadlineMs: handshakeDeadlineMs });
    await this.#askForLock('steal', lock);
  }

  /** For good: what is pending rejects with `reason` as its cause. */
  end(reason: AgentError): void {
    this.#over.abort(reason);
    this.#rpc?.close(reason);
  }

  /** Each reply is used the moment it is read: a `locked` or an update may follow in the same chunk. */
  async #synchronise(rpc: JsonRpc): Promise<void> {
    const { database, tables, lock, watchesServer } = this.#options;
    if (watchesServer) await this.#watchServer(rpc);
    const replica = await readSchema(rpc, database, tables);
    if (lock !== undefined) await this.#askForLock('lock', lock);
    const monitor = new Monitor({
      id: monitorId,
      database,
      requests: replica.monitorRequests(),
      deadlineMs: handshakeDeadlineMs,
      onUpdates: (updates, format) => {
        const changes = replica.apply(updates, format);
        if (this.#isLive) {
          this.#events.onChanges(changes);
        } else {
          this.#isLive = true;
          this.#events.onLive(replica);
        }
      },
    });
    await this.#startMonitor(rpc, monitor);
  }

  async #watchServer(rpc: JsonRpc): Promise<void> {
    try {
      const replica = await readSchema(rpc, serverDatabase, serverTables);
      const monitor = new Monitor({
        id: serverMonitorId,
        database: serverDatabase,
        requests: replica.monitorRequests(),
        deadlineMs: handshakeDeadlineMs,
        onUpdates: (updates, format) => {
          replica.apply(updates, format);
          checkServer(replica, this.#options);
        },
      });
      await this.#startMonitor(rpc, monitor);
    } catch (thrown) {
      // A server from before clusters has no such database.
      if (!(thrown instanceof OvsdbError && thrown.kind === 'unknown database')) throw thrown;
    }
  }

  async #startMonitor(rpc: JsonRpc, monitor: Monitor): Promise<void> {
    this.#monitors.set(monitor.id, monitor);
    await monitor.start(rpc);
  }

  async #askForLock(method: 'lock' | 'steal', lock: string): Promise<void> {
    const read = (reply: unknown): void => {
      this.#setLockHeld(asRecord(reply, `a reply to ${method}`)['locked'] === true);
    };
    await this.request(method, [lock], { read, deadlineMs: handshakeDeadlineMs });
  }

  #onNotification(method: string, params: unknown[]): void {
    switch (method) {
      case 'update':
      case 'update2':
      case 'update3':
        if (params[0] === monitorId && !this.#monitors.has(monitorId)) {
          throw malformed(`an ${method} before the reply to the monitor`);
        }
        this.#monitors.get(params[0])?.onNotification(method, params);
        break;
      case 'locked':
      case 'stolen':
        if (params[0] === this.#options.lock) this.#setLockHeld(method === 'locked');
        break;
      default:
      // One that a newer server knows is none of ours.
    }
  }

  #setLockHeld(isHeld: boolean): void {
    if (this.#isLockHeld === isHeld) return;
    this.#isLockHeld = isHeld;
    this.#events.onLock(isHeld);
  }

  #fail(thrown: unknown): void {
    if (!this.#over.signal.aborted) this.#events.onFailure(thrown);
  }
}

async function readSchema<T extends Tables>(rpc: JsonRpc, database: string, tables: T): Promise<Replica<T>> {
  return await rpc.request('get_schema', [database], {
    read: (schema) => new Replica(tables, asRecord(schema, 'a schema')),
    deadlineMs: handshakeDeadlineMs,
  });
}
