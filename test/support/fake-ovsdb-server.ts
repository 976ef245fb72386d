/**
 * A second implementation of `ovsdb-server` for one small schema, in memory or on a socket. It complains about what a
 * client must not send; tests override single methods, or what is written, to make it misbehave.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Channel, ChannelEvents, Dial } from '../../src/ovsdb/channel.ts';
import { JsonStream } from '../../src/ovsdb/json-stream.ts';
import type { Operation, OperationResult, Row, Value } from '../../src/ovsdb/wire.ts';

/** One column of each shape. Also for the real server, with which this one has to agree. */
export const thingSchema = {
  name: 'Things',
  version: '1.0.0',
  tables: {
    Thing: {
      columns: {
        name: { type: 'string' },
        size: { type: 'integer' },
        label: { type: { key: 'string', min: 0, max: 1 } },
        tags: { type: { key: 'string', min: 0, max: 'unlimited' } },
        ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        pair: { type: { key: 'string', value: 'string', min: 0, max: 1 } },
        some: { type: { key: 'integer', min: 1, max: 5 } },
      },
      isRoot: true,
    },
  },
};

export const thingTables = {
  Thing: {
    name: '',
    size: 0,
    label: null as string | null,
    tags: new Set<string>() as ReadonlySet<string>,
    ids: new Map<string, string>() as ReadonlyMap<string, string>,
    pair: new Map<string, string>() as ReadonlyMap<string, string>,
    some: new Set<number>() as ReadonlySet<number>,
  },
};
export type ThingTables = typeof thingTables;

const defaults: Row = {
  name: '',
  size: 0,
  label: ['set', []],
  tags: ['set', []],
  ids: ['map', []],
  pair: ['map', []],
  some: 0,
};

export interface FakeRequest {
  readonly method: string;
  readonly params: unknown[];
  readonly id: unknown;
}

type Handler = (request: FakeRequest, connection: FakeConnection) => void;

class FakeConnection {
  readonly server: FakeOvsdbServer;
  readonly received: FakeRequest[] = [];
  readonly #write: (bytes: Uint8Array) => void;
  readonly #end: () => void;
  readonly #stream = new JsonStream();
  #bytesLeft: number;
  sentBytes = 0;
  monitorId: unknown = undefined;

  constructor(server: FakeOvsdbServer, write: (bytes: Uint8Array) => void, end: () => void) {
    this.server = server;
    this.#write = write;
    this.#end = end;
    this.#bytesLeft = server.cutAfterBytes.shift() ?? Infinity;
  }

  /** Writes the messages as one chunk. */
  send(...messages: unknown[]): void {
    this.sendBytes(Buffer.from(messages.map((message) => JSON.stringify(message)).join('')));
  }

  /** Closes the connection in the middle when the server was told to cut it there. */
  sendBytes(bytes: Uint8Array): void {
    const part = bytes.subarray(0, this.#bytesLeft);
    this.#bytesLeft -= part.length;
    this.sentBytes += part.length;
    this.#write(part);
    if (this.#bytesLeft === 0) this.close();
  }

  close(): void {
    this.#end();
    this.server.forget(this);
  }

  receive(bytes: Uint8Array): void {
    for (const value of this.#stream.push(bytes)) {
      const request = value as FakeRequest;
      this.received.push(request);
      if (typeof request.method !== 'string') continue;
      const handler = this.server.on.get(request.method) ?? this.server.behave;
      handler(request, this);
    }
  }
}

export class FakeOvsdbServer {
  readonly connections: FakeConnection[] = [];
  /** Instead of what a good server does; `behave` is that. */
  readonly on = new Map<string, Handler>();
  /** How many bytes the next connections get before they are closed, one after another. */
  readonly cutAfterBytes: number[] = [];
  /** The newest one it knows. */
  monitorMethod: 'monitor_cond_since' | 'monitor_cond' | 'monitor' = 'monitor_cond_since';
  /** How it says that it does not know a method. */
  unknownMethod: unknown = 'unknown method';
  readonly #sockets = new Set<Socket>();
  #rows = new Map<string, Row>();
  #lockQueue: FakeConnection[] = [];
  #listener: Server | null = null;

  get latest(): FakeConnection {
    const connection = this.connections.at(-1);
    if (connection === undefined) throw new Error('nobody has connected');
    return connection;
  }

  /** Connects in memory, without a socket. Everything arrives in a microtask of its own, in order. */
  readonly dial: Dial = async (events, signal) => {
    await Promise.resolve();
    return this.#accept(events, signal);
  };

  #accept(events: ChannelEvents, signal: AbortSignal): Channel {
    let isOpen = true;
    const later = (callback: () => void): void => {
      queueMicrotask(() => {
        if (isOpen) callback();
      });
    };
    const connection = new FakeConnection(
      this,
      (bytes) => {
        later(() => {
          events.onData(bytes);
        });
      },
      () => {
        later(() => {
          isOpen = false;
          events.onClose(null);
        });
      },
    );
    this.connections.push(connection);
    signal.addEventListener('abort', () => {
      isOpen = false;
      this.forget(connection);
    });
    return {
      write: (text) => {
        later(() => {
          connection.receive(Buffer.from(text));
        });
      },
    };
  }

  async listen(path: string): Promise<void> {
    const listener = createServer((socket) => {
      this.#sockets.add(socket);
      const connection = new FakeConnection(
        this,
        (bytes) => socket.write(bytes),
        () => socket.end(),
      );
      this.connections.push(connection);
      socket.on('data', (chunk: Buffer) => {
        connection.receive(chunk);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        this.forget(connection);
      });
    });
    this.#listener = listener;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(path, resolve);
    });
  }

  async close(): Promise<void> {
    const listener = this.#listener;
    if (listener === null) return;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  }

  /** Sockets stay open, and what the client writes stays with it. */
  stopReading(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  /** What a connection that is over held. */
  forget(connection: FakeConnection): void {
    connection.monitorId = undefined;
    this.#leaveQueue(connection);
  }

  #leaveQueue(connection: FakeConnection): void {
    const wasOwner = this.#lockQueue[0] === connection;
    this.#lockQueue = this.#lockQueue.filter((other) => other !== connection);
    const owner = this.#lockQueue[0];
    if (wasOwner && owner !== undefined) owner.send({ method: 'locked', params: ['things'], id: null });
  }

  readonly behave = (request: FakeRequest, connection: FakeConnection): void => {
    const reply = (result: unknown): void => {
      connection.send({ id: request.id, result, error: null });
    };
    switch (request.method) {
      case 'echo':
        reply(request.params);
        break;
      case 'get_schema':
        if (request.params[0] === thingSchema.name) reply(thingSchema);
        else connection.send({ id: request.id, error: { error: 'unknown database', details: 'no such database' } });
        break;
      case 'lock':
        if (this.#lockQueue.includes(connection)) throw new Error('misuse: lock without unlock');
        this.#lockQueue.push(connection);
        reply({ locked: this.#lockQueue[0] === connection });
        break;
      case 'monitor_cond_since':
      case 'monitor_cond':
      case 'monitor': {
        if (request.method !== this.monitorMethod) {
          connection.send({ id: request.id, result: null, error: this.unknownMethod });
          break;
        }
        if (connection.monitorId !== undefined) throw new Error('misuse: a second monitor');
        connection.monitorId = request.params[1];
        const isOld = request.method === 'monitor';
        const rows = [...this.#rows].map(([uuid, row]): [string, unknown] => [
          uuid,
          isOld ? { new: row } : { initial: withoutDefaults(row) },
        ]);
        const updates = rows.length === 0 ? {} : { Thing: Object.fromEntries(rows) };
        reply(request.method === 'monitor_cond_since' ? [false, randomUUID(), updates] : updates);
        break;
      }
      case 'unlock':
        this.#leaveQueue(connection);
        reply({});
        break;
      case 'steal': {
        this.#lockQueue[0]?.send({ method: 'stolen', params: ['things'], id: null });
        this.#lockQueue.unshift(connection);
        reply({ locked: true });
        break;
      }
      case 'cancel':
        // RFC 7047 section 4.1.4: a notification. Nothing here takes long enough to be cancelled.
        if (request.id !== null) throw new Error('misuse: cancel has no reply');
        break;
      case 'transact':
        this.#transact(request.params.slice(1) as Operation[], connection, reply);
        break;
      default:
        throw new Error(`misuse: ${request.method}`);
    }
  };

  /** Somebody else's transaction. */
  put(uuid: string, row: Row | null): void {
    const rows = new Map(this.#rows);
    if (row === null) rows.delete(uuid);
    else rows.set(uuid, { ...defaults, ...row });
    this.#commit(rows);
  }

  #transact(operations: Operation[], connection: FakeConnection, reply: (result: unknown) => void): void {
    const rows = new Map(this.#rows);
    const results: (OperationResult | null)[] = [];
    for (const operation of operations) {
      const result = this.#execute(rows, operation, connection);
      results.push(result);
      if (result.error === undefined) continue;
      reply([...results, ...operations.slice(results.length).map(() => null)]);
      return;
    }
    this.#commit(rows);
    reply(results);
  }

  #execute(rows: Map<string, Row>, operation: Operation, connection: FakeConnection): OperationResult {
    if ('table' in operation && operation.table !== 'Thing') {
      return { error: 'syntax error', details: `No table named ${operation.table}.` };
    }
    switch (operation.op) {
      case 'comment':
        return {};
      case 'assert':
        return this.#lockQueue[0] === connection ? {} : { error: 'not owner', details: 'Asserted lock not held.' };
      case 'insert': {
        const uuid = operation.uuid ?? randomUUID();
        if (rows.has(uuid)) return { error: 'duplicate uuid', details: uuid };
        rows.set(uuid, { ...defaults, ...operation.row });
        return { uuid: ['uuid', uuid] };
      }
      case 'wait': {
        const found = matching(rows, operation.where);
        const isThere = found.length === operation.rows.length;
        return isThere === (operation.until === '==') ? {} : { error: 'timed out', details: '"where" not satisfied' };
      }
      case 'select':
        return { rows: matching(rows, operation.where).map((uuid) => rows.get(uuid) ?? {}) };
      case 'update':
      case 'delete': {
        const found = matching(rows, operation.where);
        for (const uuid of found) {
          if (operation.op === 'delete') rows.delete(uuid);
          else rows.set(uuid, { ...rows.get(uuid), ...operation.row });
        }
        return { count: found.length };
      }
      case 'mutate':
      case 'commit':
      case 'abort':
        throw new Error(`misuse: ${operation.op} is not played by this server`);
    }
  }

  /** The update goes out before the reply, as ovsdb-server sends it. */
  #commit(rows: Map<string, Row>): void {
    const isOld = this.monitorMethod === 'monitor';
    const updates = new Map<string, unknown>();
    for (const [uuid, row] of this.#rows) {
      if (!rows.has(uuid)) updates.set(uuid, isOld ? { old: row } : { delete: null });
    }
    for (const [uuid, row] of rows) {
      const old = this.#rows.get(uuid);
      if (old === undefined) updates.set(uuid, isOld ? { new: row } : { insert: withoutDefaults(row) });
      else if (JSON.stringify(old) !== JSON.stringify(row)) {
        updates.set(uuid, isOld ? { old: previously(old, row), new: row } : { modify: differences(old, row) });
      }
    }
    this.#rows = rows;
    if (updates.size === 0) return;
    for (const connection of this.connections) {
      if (connection.monitorId !== undefined) connection.send(this.#notification(connection.monitorId, updates));
    }
  }

  #notification(monitorId: unknown, updates: Map<string, unknown>): unknown {
    const tables = { Thing: Object.fromEntries(updates) };
    switch (this.monitorMethod) {
      case 'monitor_cond_since':
        return { method: 'update3', params: [monitorId, randomUUID(), tables], id: null };
      case 'monitor_cond':
        return { method: 'update2', params: [monitorId, tables], id: null };
      case 'monitor':
        return { method: 'update', params: [monitorId, tables], id: null };
    }
  }
}

/** RFC 7047 section 4.1.6: of a modified row, `old` has the columns that changed. */
function previously(old: Row, row: Row): Row {
  return Object.fromEntries(Object.entries(old).filter(([column, value]) => !isSame(row[column], value)));
}

function matching(rows: Map<string, Row>, where: readonly [string, string, Value][]): string[] {
  const [condition] = where;
  if (condition === undefined) return [...rows.keys()];
  const [column, func, value] = condition;
  if (func !== '==') throw new Error(`misuse: the condition ${func} is not played by this server`);
  return [...rows]
    .filter(([uuid, row]) => isSame(column === '_uuid' ? ['uuid', uuid] : row[column], value))
    .map(([uuid]) => uuid);
}

const isSame = (a: Value | undefined, b: Value | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);

function withoutDefaults(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([column, value]) => !isSame(value, defaults[column])));
}

function differences(old: Row, row: Row): Row {
  const changed = Object.entries(row).filter(([column, value]) => !isSame(value, old[column]));
  return Object.fromEntries(changed.map(([column, value]) => [column, differenceOf(column, old[column], value)]));
}

function differenceOf(column: string, old: Value | undefined, now: Value): Value {
  if (column === 'ids') return ['map', toggled(members(old), members(now)) as [string, string][]];
  return column === 'tags' || column === 'some' ? ['set', toggled(members(old), members(now)) as string[]] : now;
}

/** What is in only one of both; of a map's changed key, the new pair. */
function toggled(old: unknown[], now: unknown[]): unknown[] {
  const keyOf = (member: unknown): unknown => (Array.isArray(member) ? (member as unknown[])[0] : member);
  const isIn = (list: unknown[], member: unknown): boolean =>
    list.some((other) => JSON.stringify(other) === JSON.stringify(member));
  const added = now.filter((member) => !isIn(old, member));
  const gone = old.filter((member) => !now.some((other) => keyOf(other) === keyOf(member)));
  return [...added, ...gone];
}

function members(value: Value | undefined): unknown[] {
  if (Array.isArray(value) && (value[0] === 'set' || value[0] === 'map')) return value[1];
  return value === undefined ? [] : [value];
}
