/**
 * The client: connects and reconnects, keeps a replica by `monitor_cond_since` (ovsdb-server(7)), holds one named lock,
 * carries out transactions.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { Channel, Dial, Timers } from './channel.ts';
import { JsonRpc } from './json-rpc.ts';
import { handshakeDeadlineMs, transactDeadlineMs } from './limits.ts';
import { startReconnect, stepReconnect } from './reconnect.ts';
import type { ReconnectEvent } from './reconnect.ts';
import { Replica } from './replica.ts';
import type { ReplicaReader, RowChange, Tables } from './replica.ts';
import { checkTransactReply } from './transact.ts';
import type { DatabaseSchema, Operation, OperationResult, TableUpdates2 } from './wire.ts';

export interface OvsdbClientOptions<T extends Tables> {
  dial: Dial;
  timers: Timers;
  /** For messages: where `dial` leads to. */
  endpoint: string;
  database: string;
  tables: T;
  /** Named lock (RFC 7047 section 4.1.8) asked for on every connection. */
  lock?: string;
}

export interface OvsdbListener<T extends Tables> {
  /** Rows changed. After a reconnect the list holds what happened meanwhile. */
  onChanges?(changes: RowChange<T>[]): void;
  /** null: the replica is in step with the server. Otherwise: why it is not. */
  onState?(problem: AgentError | null): void;
}

/** A zero UUID asks `monitor_cond_since` for everything. */
const noTransaction = '00000000-0000-0000-0000-000000000000';

export class OvsdbClient<T extends Tables> {
  readonly #options: OvsdbClientOptions<T>;
  readonly #listeners = new Set<OvsdbListener<T>>();
  readonly #stopped = new AbortController();
  #replica: Replica<T>;
  #reconnect: ReturnType<typeof startReconnect>;
  #cancelTick: () => void = () => undefined;
  #channel: Channel | null = null;
  #rpc: JsonRpc | null = null;
  /** Set while the replica is in step; null otherwise, with the reason in `#problem`. */
  #live: JsonRpc | null = null;
  #problem: AgentError;
  #lockHeld = false;
  /** Updates that came in one chunk with the monitor's reply, before the replica stood. */
  #early: TableUpdates2[] = [];
  /** Counts connections, so that what an old one still has to say is not taken for the new one's. */
  #generation = 0;

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
    return this.#live === null ? this.#problem : null;
  }

  get lockHeld(): boolean {
    return this.#lockHeld;
  }

  /** Connects and goes on connecting until `stop`. */
  start(): void {
    this.#step({ kind: 'tick' });
  }

  stop(): void {
    this.#stopped.abort(new AgentError('Unavailable', 'the OVSDB client was stopped'));
    this.#cancelTick();
    this.#drop(new AgentError('Unavailable', 'the OVSDB client was stopped'));
  }

  listen(listener: OvsdbListener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * One transaction: all operations or none (RFC 7047 section 4.1.3). Resolves when the server has committed it; the
   * replica already holds the change then, because the server sends the monitor's update first. Rejects with
   * `TransactError` (refused, nothing changed) or, outcome unknown, with `Timeout` or `Unavailable`.
   */
  async transact(
    operations: readonly Operation[],
    { deadlineMs = transactDeadlineMs, signal }: { deadlineMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<OperationResult[]> {
    const rpc = this.#live;
    if (rpc === null) throw this.#problem;
    const reply = await rpc.request('transact', [this.#options.database, ...operations], { deadlineMs, signal });
    return checkTransactReply(operations, reply);
  }

  #step(event: ReconnectEvent): void {
    if (this.#stopped.signal.aborted) return;
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
        this.#rpc?.request('echo', [], { deadlineMs: handshakeDeadlineMs }).catch(() => undefined);
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
    const generation = ++this.#generation;
    const { dial, timers, endpoint } = this.#options;
    const isCurrent = (): boolean => generation === this.#generation && !this.#stopped.signal.aborted;
    const fail = (thrown: unknown): void => {
      if (!isCurrent()) return;
      const error = toAgentError(thrown);
      this.#drop(new AgentError('Unavailable', `Open vSwitch at ${endpoint}: ${error.message}`, { cause: error }));
      this.#step({ kind: 'closed' });
    };
    try {
      let rpc: JsonRpc | null = null;
      const channel = await dial(
        {
          onData: (chunk) => {
            if (!isCurrent()) return;
            try {
              rpc?.receive(chunk);
            } catch (thrown) {
              fail(thrown);
            }
          },
          onClose: (reason) => {
            fail(reason ?? new AgentError('Unavailable', 'the server closed the connection'));
          },
        },
        this.#stopped.signal,
      );
      if (!isCurrent()) {
        channel.destroy();
        return;
      }
      this.#channel = channel;
      rpc = this.#rpc = new JsonRpc(channel, timers, {
        onNotification: (method, params) => {
          this.#onNotification(method, params);
        },
        onActivity: () => {
          this.#step({ kind: 'activity' });
        },
      });
      this.#step({ kind: 'connected' });
      await this.#synchronise(rpc, isCurrent);
    } catch (thrown) {
      fail(thrown);
    }
  }

  async #synchronise(rpc: JsonRpc, isCurrent: () => boolean): Promise<void> {
    const { database, tables, lock } = this.#options;
    const options = { deadlineMs: handshakeDeadlineMs };
    const schema = (await rpc.request('get_schema', [database], options)) as DatabaseSchema;
    if (lock !== undefined) {
      const granted = (await rpc.request('lock', [lock], options)) as { locked?: boolean };
      if (!isCurrent()) return;
      this.#lockHeld = granted.locked === true;
    }
    const requests = monitorRequests(tables, schema);
    const reply = await rpc.request('monitor_cond_since', [database, monitorId, requests, noTransaction], options);
    if (!isCurrent()) return;
    const updates = Array.isArray(reply) ? (reply[2] as TableUpdates2 | undefined) : undefined;
    if (updates === undefined) throw new AgentError('SwitchError', 'OVSDB monitor_cond_since: reply without updates');
    const next = new Replica(tables, schema);
    next.apply(updates);
    for (const early of this.#early.splice(0)) next.apply(early);
    const changes = this.#replica.differenceTo(next);
    this.#replica = next;
    this.#live = rpc;
    for (const listener of this.#listeners) listener.onState?.(null);
    this.#emit(changes);
  }

  #onNotification(method: string, params: unknown[]): void {
    switch (method) {
      case 'update3':
        // RFC 7047 section 4.1.6 as extended: [monitor id, transaction id, <table-updates2>].
        if (params[0] !== monitorId) break;
        if (this.#live === null) this.#early.push(params[2] as TableUpdates2);
        else this.#emit(this.#replica.apply(params[2] as TableUpdates2));
        break;
      case 'locked':
        if (params[0] === this.#options.lock) this.#lockHeld = true;
        break;
      case 'stolen':
        if (params[0] === this.#options.lock) this.#lockHeld = false;
        break;
      default:
      // RFC 7047 knows no other notification; one from a newer server is none of ours.
    }
  }

  #emit(changes: RowChange<T>[]): void {
    if (changes.length === 0) return;
    for (const listener of this.#listeners) listener.onChanges?.(changes);
  }

  #drop(problem: AgentError): void {
    this.#generation++;
    const wasLive = this.#live !== null;
    this.#live = null;
    this.#lockHeld = false;
    this.#early = [];
    this.#problem = problem;
    this.#rpc?.close(problem);
    this.#rpc = null;
    this.#channel?.destroy();
    this.#channel = null;
    if (wasLive) for (const listener of this.#listeners) listener.onState?.(problem);
  }
}

const monitorId = 'ovs-port-agent';

function monitorRequests(tables: Tables, schema: DatabaseSchema): Record<string, { columns: string[] }[]> {
  const requests: Record<string, { columns: string[] }[]> = {};
  for (const [table, template] of Object.entries(tables)) {
    const known = schema.tables[table]?.columns;
    if (known === undefined) continue;
    requests[table] = [{ columns: Object.keys(template).filter((column) => Object.hasOwn(known, column)) }];
  }
  return requests;
}
