/**
 * One monitor on one connection, by the newest method that the server knows: `monitor_cond_since` and `monitor_cond` of
 * ovsdb-server(7), `monitor` of RFC 7047 section 4.1.5.
 */
import { OvsdbError } from './errors.ts';
import type { JsonRpc } from './json-rpc.ts';
import { excerpt, malformed } from './malformed.ts';

/** How updates are written: `<table-updates>` of RFC 7047 or `<table-updates2>` of ovsdb-server(7). */
export type UpdateFormat = 'table-updates' | 'table-updates2';

interface Dialect {
  readonly method: 'monitor_cond_since' | 'monitor_cond' | 'monitor';
  readonly notification: 'update3' | 'update2' | 'update';
  readonly format: UpdateFormat;
}

/** Newest first. */
const dialects: readonly Dialect[] = [
  { method: 'monitor_cond_since', notification: 'update3', format: 'table-updates2' },
  { method: 'monitor_cond', notification: 'update2', format: 'table-updates2' },
  { method: 'monitor', notification: 'update', format: 'table-updates' },
];
/** A zero UUID asks `monitor_cond_since` for everything: a database that is no cluster member never resumes. */
const noTransaction = '00000000-0000-0000-0000-000000000000';

export interface MonitorOptions {
  /** Ours to choose: its name within one connection. */
  readonly id: string;
  readonly database: string;
  /** `<monitor-cond-requests>` or `<monitor-requests>`: without conditions they are the same. */
  readonly requests: unknown;
  readonly deadlineMs: number;
  /** The whole contents first, then what changes. What it throws ends the connection. */
  readonly onUpdates: (updates: unknown, format: UpdateFormat) => void;
}

export class Monitor {
  readonly #options: MonitorOptions;
  /** null until the server has answered. */
  #dialect: Dialect | null = null;

  constructor(options: MonitorOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.id;
  }

  /** Resolves once `onUpdates` had the contents. Rejects as `JsonRpc.request` does. */
  async start(rpc: JsonRpc): Promise<void> {
    for (const dialect of dialects) {
      try {
        await this.#ask(rpc, dialect);
        return;
      } catch (thrown) {
        const isTooNew = thrown instanceof OvsdbError && thrown.kind === 'unknown method';
        if (!isTooNew || dialect === dialects.at(-1)) throw thrown;
      }
    }
  }

  /** A notification whose first parameter is `id`. Throws `SwitchError` on one that this monitor cannot have. */
  onNotification(method: string, params: unknown[]): void {
    if (this.#dialect === null) throw malformed(`an ${method} before the reply to the monitor`);
    const { notification, format } = this.#dialect;
    if (method !== notification) throw malformed(`an ${method} where a monitor sends ${notification}`);
    // update3 has the id of the last transaction before the updates.
    this.#options.onUpdates(params[method === 'update3' ? 2 : 1], format);
  }

  async #ask(rpc: JsonRpc, dialect: Dialect): Promise<void> {
    const { id, database, requests, deadlineMs, onUpdates } = this.#options;
    const isSince = dialect.method === 'monitor_cond_since';
    const params = [database, id, requests, ...(isSince ? [noTransaction] : [])];
    const read = (reply: unknown): void => {
      this.#dialect = dialect;
      // [found, last transaction id, <table-updates2>]; nothing to find was named.
      if (isSince && !Array.isArray(reply)) throw malformed(`a reply to ${dialect.method}: ${excerpt(reply)}`);
      onUpdates(isSince ? (reply as unknown[])[2] : reply, dialect.format);
    };
    await rpc.request(dialect.method, params, { read, deadlineMs });
  }
}
