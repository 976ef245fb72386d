/**
 * The client: connects and reconnects, to the next server when there are several, keeps a replica by a monitor, holds one
 * named lock, carries out transactions.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import { callSite, withCallSite } from './call-site.ts';
import type { Remote, Timers } from './channel.ts';
import { Connection } from './connection.ts';
import { handshakeDeadlineMs, transactDeadlineMs } from './limits.ts';
import { startReconnect, stepReconnect } from './reconnect.ts';
import type { ReconnectEvent, ReconnectOptions, ReconnectState } from './reconnect.ts';
import { Replica } from './replica.ts';
import type { ReplicaReader, RowChange, Tables } from './replica.ts';
import { checkTransactReply, readTransactReply } from './transact.ts';
import type { Operation, OperationResult } from './wire.ts';

export interface OvsdbClientOptions<T extends Tables> {
  /** Tried in turn, beginning with the first. Several must be members of one cluster. */
  remotes: readonly Remote[];
  timers: Timers;
  database: string;
  /** Only talk to the member that leads the cluster of the database, which sees every commit first. */
  leaderOnly?: boolean;
  tables: T;
  /** Named lock (RFC 7047 section 4.1.8) asked for on every connection. */
  lock?: string;
  /**
   * Told what a listener threw; the others are served all the same. Without it the error goes uncaught, as an error in a
   * listener of an `EventTarget` does: it is a fault of the listener, never of the server.
   */
  onListenerError?: (error: AgentError) => void;
  /** Back-off, probes and deadlines; default: `reconnectDefaults`. */
  reconnect?: ReconnectOptions;
}

export interface OvsdbListener<T extends Tables> {
  /** Rows changed. After a reconnect the list holds what happened meanwhile. */
  onChanges?(changes: RowChange<T>[]): void;
  /** null: the replica is in step with the server. Otherwise: why it no longer is. */
  onState?(problem: AgentError | null): void;
  /** The lock came or went: granted, stolen, or lost with the connection. */
  onLock?(isHeld: boolean): void;
}

const whyDropped = { RECONNECT: 'was let go to be connected anew', silence: 'does not answer' } as const;

export class OvsdbClient<T extends Tables> {
  readonly #options: OvsdbClientOptions<T>;
  readonly #listeners = new Set<OvsdbListener<T>>();
  #replica: Replica<T>;
  #reconnect: ReconnectState;
  #cancelTick: () => void = () => undefined;
  #connection: Connection<T> | null = null;
  /** Why the last connection is over, or why there was none yet. */
  #problem: AgentError;
  #isStopped = false;
  #attempts = 0;

  /** Throws `InvalidArgument` when there is no remote. */
  constructor(options: OvsdbClientOptions<T>) {
    if (options.remotes.length === 0) throw new AgentError('InvalidArgument', 'an OVSDB client without a remote');
    this.#options = options;
    this.#replica = new Replica(options.tables, null);
    this.#reconnect = startReconnect(options.timers.nowMs(), { freeTries: options.remotes.length });
    const endpoints = options.remotes.map(({ endpoint }) => endpoint).join(',');
    this.#problem = new AgentError('Unavailable', `Open vSwitch at ${endpoints} is not connected yet`);
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
    this.#step({ kind: 'enable' });
    this.#step({ kind: 'tick' });
  }

  /** Resolves when the replica is in step. Rejects with `Timeout`, whose cause is `problem`, when it is not in time. */
  async ready({ deadlineMs = handshakeDeadlineMs }: { deadlineMs?: number } = {}): Promise<void> {
    if (this.problem === null) return;
    await new Promise<void>((resolve, reject) => {
      const leave = this.listen({
        onState: (problem) => {
          if (problem !== null) return;
          leave();
          cancelTimer();
          resolve();
        },
      });
      const cancelTimer = this.#options.timers.after(deadlineMs, () => {
        leave();
        const { problem } = this;
        const message = `not in step with Open vSwitch within ${deadlineMs} ms: ${problem?.message ?? 'it was lost again'}`;
        reject(new AgentError('Timeout', message, { cause: problem }));
      });
    });
  }

  /** For good. What is pending rejects; listeners hear nothing more, not even of this. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTick();
    this.#drop(new AgentError('Unavailable', 'the OVSDB client was stopped'));
  }

  /** Drops the connection, if there is one, backs off and connects anew: with other certificates, to another member. */
  forceReconnect(): void {
    this.#step({ kind: 'force-reconnect' });
    this.#step({ kind: 'tick' });
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
   * Rejects with the outcome unknown: with `Timeout`, or with `Unavailable` when the connection broke before the reply
   * or the cluster lost its leader. The stack of what was sent leads to the caller.
   */
  async transact(
    operations: readonly Operation[],
    { deadlineMs = transactDeadlineMs, signal }: { deadlineMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<OperationResult[]> {
    const connection = this.#connection;
    if (connection?.isLive !== true) throw this.#problem;
    const site = callSite();
    try {
      const results = await connection.request('transact', [this.#options.database, ...operations], {
        read: (reply) => readTransactReply(reply, operations.length),
        deadlineMs,
        signal,
        cancels: true,
      });
      return checkTransactReply(operations, results);
    } catch (thrown) {
      throw withCallSite(thrown, site);
    }
  }

  /**
   * Takes the lock from whoever holds it (RFC 7047 section 4.1.8), who is told so and gets it back when this connection
   * ends. A later connection asks for it as usual. Rejects as `transact` does.
   */
  async steal(): Promise<void> {
    const { lock } = this.#options;
    const connection = this.#connection;
    if (lock === undefined) throw new AgentError('InvalidArgument', 'this OVSDB client was made without a lock');
    if (connection?.isLive !== true) throw this.#problem;
    await connection.steal(lock);
  }

  #step(event: ReconnectEvent): void {
    if (this.#isStopped) return;
    const nowMs = this.#options.timers.nowMs();
    const from = this.#reconnect.phase === 'RECONNECT' ? 'RECONNECT' : 'silence';
    const { state, action, wakeAtMs } = stepReconnect(this.#reconnect, event, nowMs, this.#options.reconnect);
    this.#reconnect = state;
    // Activity comes with every message; the timer that is already set re-arms itself when it finds itself early.
    if (event.kind !== 'activity') this.#armTick(wakeAtMs === null ? null : wakeAtMs - nowMs);
    switch (action) {
      case 'connect':
        this.#step({ kind: 'connecting' });
        this.#connect();
        break;
      case 'probe':
        this.#connection?.probe();
        break;
      case 'disconnect':
        this.#drop(
          new AgentError('Unavailable', `Open vSwitch at ${this.#connection?.endpoint ?? ''} ${whyDropped[from]}`),
        );
        this.#step({ kind: 'disconnected' });
        break;
      case 'none':
        break;
    }
  }

  #armTick(delayMs: number | null): void {
    this.#cancelTick();
    if (delayMs === null) return;
    const { timers } = this.#options;
    this.#cancelTick = timers.after(Math.max(0, delayMs), () => {
      // This process may have stood still; what the server said meanwhile is heard before it is found silent.
      this.#cancelTick = timers.afterReceiving(() => {
        this.#step({ kind: 'receive-attempted' });
        this.#step({ kind: 'tick' });
      });
    });
  }

  #connect(): void {
    const { remotes, timers, database, tables, lock, leaderOnly = false } = this.#options;
    const remote = remotes[this.#attempts++ % remotes.length] as Remote;
    const watchesServer = leaderOnly || remotes.length > 1;
    const connection = new Connection(
      { remote, timers, database, tables, lock, watchesServer, leaderOnly },
      {
        onOpen: () => {
          this.#step({ kind: 'connected' });
        },
        onActivity: () => {
          this.#step({ kind: 'activity' });
        },
        onLive: (replica) => {
          this.#goLive(replica);
        },
        onChanges: (changes) => {
          this.#emit(changes);
        },
        onLock: (isHeld) => {
          this.#tell((listener) => listener.onLock?.(isHeld));
        },
        onFailure: (thrown) => {
          const error = toAgentError(thrown);
          const message = `Open vSwitch at ${remote.endpoint}: ${error.message}`;
          this.#drop(new AgentError('Unavailable', message, { cause: error }));
          this.#step({ kind: 'disconnected' });
        },
      },
    );
    this.#connection = connection;
    void connection.open();
  }

  #goLive(next: Replica<T>): void {
    const changes = this.#replica.differenceTo(next);
    this.#replica = next;
    // When this connection is lost, the other servers are asked at once.
    this.#reconnect = { ...this.#reconnect, freeTries: this.#options.remotes.length };
    this.#tell((listener) => listener.onState?.(null));
    this.#emit(changes);
  }

  #drop(problem: AgentError): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#problem = problem;
    connection?.end(problem);
    if (connection?.isLockHeld === true) this.#tell((listener) => listener.onLock?.(false));
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
