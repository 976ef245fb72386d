/**
 * A second implementation of `ovsdb-server`, in memory or on a socket, around a database in memory. It complains about
 * what a client must not send; tests override single methods, or what is written, to make it misbehave.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Channel, ChannelEvents, Dial } from '../../src/ovsdb/channel.ts';
import { JsonStream } from '../../src/ovsdb/json-stream.ts';
import type { Operation, Row } from '../../src/ovsdb/wire.ts';
import { MemoryDatabase } from './memory-database.ts';
import type { Contents, DatabaseRow, DatabaseSchema } from './memory-database.ts';
import { defaultOf, differenceOf, encode, isEqual } from './memory-datum.ts';
import type { Column } from './memory-datum.ts';

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
} satisfies DatabaseSchema;

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
  #isCut = false;
  sentBytes = 0;
  /** What it monitors: columns by table. */
  monitor: { readonly id: unknown; readonly tables: ReadonlyMap<string, readonly string[]> } | null = null;

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
    if (this.#isCut) return;
    const part = bytes.subarray(0, this.#bytesLeft);
    this.#bytesLeft -= part.length;
    this.sentBytes += part.length;
    this.#write(part);
    if (this.#bytesLeft > 0) return;
    this.#isCut = true;
    // What the server is doing it does for all its clients before it looks after one that is gone.
    queueMicrotask(() => {
      this.close();
    });
  }

  /** Closes the connection once so many more bytes are sent. */
  cutAfter(bytes: number): void {
    this.#bytesLeft = bytes;
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

interface FakeOptions {
  readonly schema?: DatabaseSchema;
  readonly newUuid?: () => string;
}

export class FakeOvsdbServer {
  readonly connections: FakeConnection[] = [];
  readonly database: MemoryDatabase;
  /** Instead of what a good server does; `behave` is that. */
  readonly on = new Map<string, Handler>();
  /** How many bytes the next connections get before they are closed, one after another. */
  readonly cutAfterBytes: number[] = [];
  /** The newest one it knows. */
  monitorMethod: 'monitor_cond_since' | 'monitor_cond' | 'monitor' = 'monitor_cond_since';
  /** How it says that it does not know a method. */
  unknownMethod: unknown = 'unknown method';
  readonly #newUuid: () => string;
  readonly #sockets = new Set<Socket>();
  /** Of each lock those who asked for it; the first has it. */
  readonly #locks = new Map<string, FakeConnection[]>();
  #listener: Server | null = null;

  constructor({ schema = thingSchema, newUuid = randomUUID }: FakeOptions = {}) {
    this.#newUuid = newUuid;
    this.database = new MemoryDatabase(schema, {
      newUuid,
      onCommit: (before, after) => {
        this.#tell(before, after);
      },
    });
  }

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
    const connection = this.accept(
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

  /** A client that is connected by other means: `write` and `end` lead to it. */
  accept(write: (bytes: Uint8Array) => void, end: () => void): FakeConnection {
    const connection = new FakeConnection(this, write, end);
    this.connections.push(connection);
    return connection;
  }

  async listen(path: string): Promise<void> {
    const listener = createServer((socket) => {
      this.#sockets.add(socket);
      const connection = this.accept(
        (bytes) => socket.write(bytes),
        () => socket.end(),
      );
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
    connection.monitor = null;
    for (const lock of this.#locks.keys()) this.#leaveQueue(lock, connection);
  }

  ownsLock(lock: string, connection: FakeConnection): boolean {
    return this.#locks.get(lock)?.[0] === connection;
  }

  #leaveQueue(lock: string, connection: FakeConnection): void {
    const queue = this.#locks.get(lock) ?? [];
    const rest = queue.filter((other) => other !== connection);
    this.#locks.set(lock, rest);
    if (queue[0] === connection) rest[0]?.send({ method: 'locked', params: [lock], id: null });
  }

  readonly behave = (request: FakeRequest, connection: FakeConnection): void => {
    const reply = (result: unknown): void => {
      connection.send({ id: request.id, result, error: null });
    };
    const [lock] = request.params as [string];
    switch (request.method) {
      case 'echo':
        reply(request.params);
        break;
      case 'get_schema':
        if (request.params[0] === this.database.schema.name) reply(this.database.schema);
        else connection.send({ id: request.id, error: { error: 'unknown database', details: 'no such database' } });
        break;
      case 'lock': {
        const queue = this.#locks.get(lock) ?? [];
        if (queue.includes(connection)) throw new Error('misuse: lock without unlock');
        this.#locks.set(lock, [...queue, connection]);
        reply({ locked: queue.length === 0 });
        break;
      }
      case 'monitor_cond_since':
      case 'monitor_cond':
      case 'monitor': {
        if (request.method !== this.monitorMethod) {
          connection.send({ id: request.id, result: null, error: this.unknownMethod });
          break;
        }
        if (connection.monitor !== null) throw new Error('misuse: a second monitor');
        const requests = request.params[2] as Record<string, [{ columns: string[] }]>;
        const tables = new Map(Object.entries(requests).map(([table, [{ columns }]]) => [table, columns]));
        connection.monitor = { id: request.params[1], tables };
        const { contents } = this.database;
        const updates = this.#updates(tables, new Map(), contents, true) ?? {};
        reply(request.method === 'monitor_cond_since' ? [false, this.#newUuid(), updates] : updates);
        break;
      }
      case 'unlock':
        this.#leaveQueue(lock, connection);
        reply({});
        break;
      case 'steal': {
        const queue = this.#locks.get(lock) ?? [];
        queue[0]?.send({ method: 'stolen', params: [lock], id: null });
        this.#locks.set(lock, [connection, ...queue]);
        reply({ locked: true });
        break;
      }
      case 'cancel':
        // RFC 7047 section 4.1.4: a notification. Nothing here takes long enough to be cancelled.
        if (request.id !== null) throw new Error('misuse: cancel has no reply');
        break;
      case 'transact': {
        const operations = request.params.slice(1) as Operation[];
        reply(this.database.transact(operations, (asserted) => this.ownsLock(asserted, connection)));
        break;
      }
      default:
        throw new Error(`misuse: ${request.method}`);
    }
  };

  /** Somebody else's transaction: a row of the first table as it is from now on, null for none. */
  put(uuid: string, row: Row | null): void {
    const [table = ''] = this.database.tables.keys();
    const where: [[string, '==', ['uuid', string]]] = [['_uuid', '==', ['uuid', uuid]]];
    const isThere = this.database.contents.get(table)?.has(uuid) === true;
    if (row === null) this.database.transact([{ op: 'delete', table, where }]);
    else if (!isThere) this.database.transact([{ op: 'insert', table, uuid, row }]);
    else {
      const columns = this.database.tables.get(table)?.columns ?? new Map<string, Column>();
      const defaults = Object.fromEntries(
        [...columns].map(([name, column]) => [name, encode(defaultOf(column), column)]),
      );
      this.database.transact([{ op: 'update', table, where, row: { ...defaults, ...row } }]);
    }
  }

  /** The update goes out before the reply, as ovsdb-server sends it. */
  #tell(before: Contents, after: Contents): void {
    for (const connection of [...this.connections]) {
      if (connection.monitor === null) continue;
      const updates = this.#updates(connection.monitor.tables, before, after, false);
      if (updates !== null) connection.send(this.#notification(connection.monitor.id, updates));
    }
  }

  /** `<table-updates>` or `<table-updates2>` from one state to another; null when nothing monitored differs. */
  #updates(
    monitored: ReadonlyMap<string, readonly string[]>,
    before: Contents,
    after: Contents,
    isInitial: boolean,
  ): Record<string, unknown> | null {
    const isOld = this.monitorMethod === 'monitor';
    const tables: Record<string, Record<string, unknown>> = {};
    for (const [name, columnNames] of monitored) {
      const schema = this.database.tables.get(name);
      if (schema === undefined) throw new Error(`misuse: a monitor of ${name}`);
      const columns = columnNames.map((column): [string, Column] => [column, schema.columns.get(column)!]);
      const [old, now] = [before.get(name), after.get(name)];
      const note = (uuid: string, update: unknown): void => {
        (tables[name] ??= {})[uuid] = update;
      };
      for (const [uuid, row] of old ?? []) {
        if (now?.has(uuid) !== true) note(uuid, isOld ? { old: encodeRow(row, columns) } : { delete: null });
      }
      for (const [uuid, row] of now ?? []) {
        const was = old?.get(uuid);
        if (was === row) continue;
        if (was === undefined) {
          if (isOld) note(uuid, { new: encodeRow(row, columns) });
          else note(uuid, { [isInitial ? 'initial' : 'insert']: withoutDefaults(row, columns) });
          continue;
        }
        const changed = columns.filter(([column]) => !isEqual(was.get(column)!, row.get(column)!));
        if (changed.length === 0) continue;
        // RFC 7047 section 4.1.6: of a modified row, `old` has the columns that changed.
        if (isOld) note(uuid, { old: encodeRow(was, changed), new: encodeRow(row, columns) });
        else note(uuid, { modify: differences(was, row, changed) });
      }
    }
    return Object.keys(tables).length === 0 ? null : tables;
  }

  #notification(monitorId: unknown, updates: Record<string, unknown>): unknown {
    switch (this.monitorMethod) {
      case 'monitor_cond_since':
        return { method: 'update3', params: [monitorId, this.#newUuid(), updates], id: null };
      case 'monitor_cond':
        return { method: 'update2', params: [monitorId, updates], id: null };
      case 'monitor':
        return { method: 'update', params: [monitorId, updates], id: null };
    }
  }
}

type Columns = readonly (readonly [string, Column])[];

function encodeRow(row: DatabaseRow, columns: Columns): Row {
  return Object.fromEntries(columns.map(([name, column]) => [name, encode(row.get(name)!, column)]));
}

function withoutDefaults(row: DatabaseRow, columns: Columns): Row {
  return encodeRow(
    row,
    columns.filter(([name, column]) => !isEqual(row.get(name)!, defaultOf(column))),
  );
}

function differences(was: DatabaseRow, row: DatabaseRow, columns: Columns): Row {
  return Object.fromEntries(
    columns.map(([name, column]) => [name, differenceOf(was.get(name)!, row.get(name)!, column)]),
  );
}
