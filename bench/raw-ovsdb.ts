/** The floor under every OVSDB client: bytes that were made before, written to a socket, and the reply that comes. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { JsonStream } from '../src/ovsdb/json-stream.ts';

export interface RawOvsdb {
  /** Sends one message and resolves with the next reply, parsed. */
  exchange(bytes: Buffer): Promise<RawReply>;
  close(): void;
}

export interface RawReply {
  readonly id: number;
  readonly result: unknown;
  readonly error: unknown;
}

/** RFC 7047 section 4.1.3: a request as it goes over the wire. */
export function transactBytes(id: number, operations: readonly unknown[]): Buffer {
  return requestBytes(id, 'transact', ['Open_vSwitch', ...operations]);
}

/** `monitor_cond_since` of ovsdb-server(7) for these tables, columns being the keys of each. */
export function monitorBytes(id: number, tables: Readonly<Record<string, object>>): Buffer {
  const requests = Object.entries(tables).map(([table, row]) => [table, [{ columns: Object.keys(row) }]] as const);
  const since = '00000000-0000-0000-0000-000000000000';
  return requestBytes(id, 'monitor_cond_since', ['Open_vSwitch', 'bench', Object.fromEntries(requests), since]);
}

function requestBytes(id: number, method: string, params: readonly unknown[]): Buffer {
  return Buffer.from(JSON.stringify({ method, params, id }));
}

type Incoming = RawReply | { readonly method: string; readonly params: unknown; readonly id: unknown };

/** `onUpdate` gets the parameters of every message of a monitor. */
export async function connectRaw(
  socketPath: string,
  onUpdate: (params: unknown) => void = () => undefined,
): Promise<RawOvsdb> {
  const socket = createConnection(socketPath);
  await once(socket, 'connect');
  const stream = new JsonStream();
  let resolveReply: (reply: RawReply) => void = () => undefined;
  socket.on('data', (chunk: Buffer) => {
    for (const message of stream.push(chunk) as Iterable<Incoming>) {
      if (!('method' in message)) resolveReply(message);
      else if (message.method === 'echo')
        socket.write(JSON.stringify({ id: message.id, result: message.params, error: null }));
      else onUpdate(message.params);
    }
  });
  return {
    exchange: (bytes) =>
      new Promise((resolve) => {
        resolveReply = resolve;
        socket.write(bytes);
      }),
    close() {
      socket.destroy();
    },
  };
}
