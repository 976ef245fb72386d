/**
 * The client: connects and reconnects, keeps a replica by `monitor_cond_since` (ovsdb-server(7)), holds one named lock,
 * carries out transactions.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { Dial, Timers } from './channel.ts';
import { JsonRpc } from './json-rpc.ts';
import { handshakeDeadlineMs, transactDeadlineMs } from './limits.ts';
import { asRecord, excerpt, malformed } from './malformed.ts';
import { startReconnect, stepReconnect } from './reconnect.ts';
import type { ReconnectEvent } from './reconnect.ts';
import { Replica } from './replica.ts';
import type { ReplicaReader, RowChange, Tables } from './replica.ts';
import { checkTransactReply, readTransactReply } from './transact.ts';
import type { Operation, OperationResult } from './wire.ts';

export interface OvsdbClientOptions<T extends Tables> {
  dial: Dial;
  timers: Timers;
  /** For messages: where `dial` leads to. */
  endpoint: string;
  database: string;
  tables: T;
  /** Named lock (RFC 7047 section 4.1.8) asked for on every connection. */
  lock?: string;
  /**
   * Told what a listener threw; the others are served all the same. Without it the error goes uncaught, as an error in a
   * listener of an `EventTarget` does: it is a fault of the listener, never of the server.
   */
  onListenerError?: (error: AgentError) => void;
}

export interface OvsdbListener<T extends Tables> {
  /** Rows changed. After a reconnect the list holds what happened meanwhile. */
  onChanges?(changes: RowChange<T>[]): void;
  /** null: the replica is in step with the server. Otherwise: why it no longer is. */
  onState?(problem: AgentError | null): void;
}

/** One attempt to connect and what came of it. Of an old one, nothing is taken for the new one's. */
interface Connection {
  /** Aborted when the connection is over. */
  readonly over: AbortController;
  /** null while dialling. */
  rpc: JsonRpc | null;
  /** The replica is in step with the server. */
  isLive: boolean;
  isLockHeld: boolean;
}

/** Ours to choose: the monitor's name within one connection. */
const monitorId = 'ovs-port-agent';
/** A zero UUID asks `monitor_cond_since` for everything. */
const noTransaction = '00000000-0000-0000-0000-000000000000';

export class OvsdbClient<T extends Tables> {
  readonly #options: OvsdbClientOptions<T>;
  readonly #listeners = new Set<OvsdbListener<T>>();
  #replica: Replica<T>;
  #reconnect: ReturnType<typeof startReconnect>;
  #cancelTick: () => void = () => undefined;
  #connection: Connection | null = null;
  /** Why the last connection is over, or why there was none yet. */
  #problem: AgentError;
  #isStopped = false;

  constructor(options: OvsdbClientOptions<T>) {
    this.#options = options;
    this.#replica = new Replica(options.tables, null);
    this.#reconnect = startReconnect(options.timers.nowMs());
    this.#problem = new AgentError('Unavailable', `Open vSwitch at ${options.endpoint} is not connected yet`);
  }

  get replica(): ReplicaReader<T> {
    return this.#replica;
  }

  /** Why the replica is not in step with the server; null when it is. */
  get problem(): AgentError | null {
    return this.#connection?.isLive === true ? null : this.#problem;
  }

  get lockHeld(): boolean {
    return this.#connection?.isLockHeld === true;
  }

  /** Connects and goes on connecting until `stop`. */
  start(): void {
    this.#step({ kind: 'tick' });
  }

  /** For good. What is pending rejects; listeners hear nothing more, not even of this. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTick();
    this.#drop(new AgentError('Unavailable', 'the OVSDB client was stopped'));
  }

  listen(listener: OvsdbListener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * One transaction: all operations or none (RFC 7047 section 4.1.3). Resolves when the server has committed it; the
   * replica already holds the change then, because the server sends the monitor's update first.
   *
   * Rejects with nothing changed: with `TransactError` (an operation or the commit was refused), `SwitchError` (the
   * request was), `Busy` (too many are pending), or with `problem` itself when there is no connection to send it on.
   * Rejects with the outcome unknown: with `Timeout`, or with `Unavailable` when the connection broke before the reply.
   */
  async transact(
    operations: readonly Operation[],
    { deadlineMs = transactDeadlineMs, signal }: { deadlineMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<OperationResult[]> {
    const connection = this.#connection;
    if (connection?.isLive !== true || connection.rpc === null) throw this.#problem;
    const results = await connection.rpc.request('transact', [this.#options.database, ...operations], {
      read: (reply) => readTransactReply(reply, operations.length),
      deadlineMs,
      signal,
    });
    return checkTransactReply(operations, results);
  }

  #step(event: ReconnectEvent): void {
    if (this.#isStopped) return;
    const nowMs = this.#options.timers.nowMs();
    const { state, action, wakeAtMs } = stepReconnect(this.#reconnect, event, nowMs);
    this.#reconnect = state;
    // Activity comes with every message; the timer that is already set re-arms itself when it finds itself early.
    if (event.kind !== 'activity') this.#armTick(wakeAtMs - nowMs);
    switch (action) {
      case 'connect':
        void this.#connect();
        break;
      case 'probe':
        // Its reply is activity like any other; the machine keeps the deadline.
        this.#connection?.rpc
          ?.request('echo', [], { read: () => null, deadlineMs: handshakeDeadlineMs })
          .catch(() => undefined);
        break;
      case 'disconnect':
        this.#drop(new AgentError('Unavailable', `Open vSwitch at ${this.#options.endpoint} does not answer`));
        break;
      case 'none':
        break;
    }
  }

  #armTick(delayMs: number): void {
    this.#cancelTick();
    this.#cancelTick = this.#options.timers.after(Math.max(0, delayMs), () => {
      this.#step({ kind: 'tick' });
    });
  }

  async #connect(): Promise<void> {
    const { dial, timers } = this.#options;
    const connection: Connection = { over: new AbortController(), rpc: null, isLive: false, isLockHeld: false };
    this.#connection = connection;
    try {
      const channel = await dial(
        {
          onData: (chunk) => {
            try {
              connection.rpc?.receive(chunk);
            } catch (thrown) {
              this.#fail(connection, thrown);
            }
          },
          onClose: (reason) => {
            this.#fail(connection, reason ?? new AgentError('Unavailable', 'the server closed the connection'));
          },
        },
        connection.over.signal,
      );
      if (connection !== this.#connection) return;
      const rpc = new JsonRpc(channel, timers, {
        onNotification: (method, params) => {
          this.#onNotification(connection, method, params);
        },
        onActivity: () => {
          this.#step({ kind: 'activity' });
        },
      });
      connection.rpc = rpc;
      this.#step({ kind: 'connected' });
      await this.#synchronise(connection, rpc);
    } catch (thrown) {
      this.#fail(connection, thrown);
    }
  }

  /** Each reply is used the moment it is read: a `locked` or an `update3` may follow in the same chunk. */
  async #synchronise(connection: Connection, rpc: JsonRpc): Promise<void> {
    const { database, tables, lock } = this.#options;
    const deadlineMs = handshakeDeadlineMs;
    const next = await rpc.request('get_schema', [database], {
      read: (schema) => new Replica(tables, asRecord(schema, 'a schema')),
      deadlineMs,
    });
    if (lock !== undefined) {
      const read = (reply: unknown): void => {
        connection.isLockHeld = asRecord(reply, 'a reply to lock')['locked'] === true;
      };
      await rpc.request('lock', [lock], { read, deadlineMs });
    }
    await rpc.request('monitor_cond_since', [database, monitorId, next.monitorRequests(), noTransaction], {
      // [found, last transaction id, <table-updates2>]; nothing to find was named.
      read: (reply) => {
        if (!Array.isArray(reply)) throw malformed(`a reply to monitor_cond_since: ${excerpt(reply)}`);
        next.apply(reply[2]);
        this.#goLive(connection, next);
      },
      deadlineMs,
    });
  }

  #goLive(connection: Connection, next: Replica<T>): void {
    const changes = this.#replica.differenceTo(next);
    this.#replica = next;
    connection.isLive = true;
    this.#tell((listener) => listener.onState?.(null));
    this.#emit(changes);
  }

  #onNotification(connection: Connection, method: string, params: unknown[]): void {
    switch (method) {
      case 'update3':
        // ovsdb-server(7): [monitor id, last transaction id, <table-updates2>].
        if (params[0] !== monitorId) break;
        if (!connection.isLive) throw malformed('an update3 before the reply to monitor_cond_since');
        this.#emit(this.#replica.apply(params[2]));
        break;
      case 'locked':
        if (params[0] === this.#options.lock) connection.isLockHeld = true;
        break;
      case 'stolen':
        if (params[0] === this.#options.lock) connection.isLockHeld = false;
        break;
      default:
      // One that a newer server knows is none of ours.
    }
  }

  #fail(connection: Connection, thrown: unknown): void {
    if (connection !== this.#connection) return;
    const error = toAgentError(thrown);
    this.#drop(
      new AgentError('Unavailable', `Open vSwitch at ${this.#options.endpoint}: ${error.message}`, { cause: error }),
    );
    this.#step({ kind: 'closed' });
  }

  #drop(problem: AgentError): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#problem = problem;
    connection?.over.abort(problem);
    connection?.rpc?.close(problem);
    if (connection?.isLive === true) this.#tell((listener) => listener.onState?.(problem));
  }

  #emit(changes: RowChange<T>[]): void {
    if (changes.length > 0) this.#tell((listener) => listener.onChanges?.(changes));
  }

  #tell(call: (listener: OvsdbListener<T>) => void): void {
    for (const listener of [...this.#listeners]) {
      if (this.#isStopped) return;
      try {
        call(listener);
      } catch (thrown) {
        this.#onListenerError(thrown);
      }
    }
  }

  #onListenerError(thrown: unknown): void {
    const { onListenerError } = this.#options;
    if (onListenerError !== undefined) onListenerError(toAgentError(thrown));
    else
      queueMicrotask(() => {
        throw thrown;
      });
  }
}
