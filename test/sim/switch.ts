/**
 * The switch of a simulated host: the fake `ovsdb-server` behind channels that delay, split, cut and stall, and an
 * `ovs-vswitchd` that applies a little later, or not.
 */
import type { Dial } from '../../src/ovsdb/channel.ts';
import type { Operation, OperationResult, Value } from '../../src/ovsdb/wire.ts';
import { switchLock } from '../../src/ports/transaction.ts';
import { FakeOvsdbServer } from '../support/fake-ovsdb-server.ts';
import type { Contents, DatabaseRow } from '../support/memory-database.ts';
import { switchSchema } from '../support/switch-schema.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

export type Actor = 'agent' | 'proxmox' | 'ovs-vswitchd' | 'foreign';

/**
 * Where the connection breaks around one transaction of the agent. `held back`: the agent hears of the break at once, the
 * server much later, after what was sent.
 */
export type Cut = 'before send' | 'after send' | 'mid-frame' | 'held back';

const heldBackMs = 4000;

type FakeConnection = FakeOvsdbServer['latest'];

/** What the switch asks of the host around it. */
export interface SwitchHost {
  deviceExists(name: string): boolean;
  /** The device's master, as the kernel tells it. */
  masterOf(name: string): string | null;
  /** `ovs-vswitchd` took a device, or let go of it. */
  setPlugged(name: string, isPlugged: boolean): void;
  makeInternal(name: string): void;
  removeInternal(name: string): void;
  /** A transaction of the agent has changed something, or was refused (`before` is `after` then). */
  onAgentTransaction(operations: readonly Operation[], before: Contents, after: Contents): void;
}

export class SimSwitch {
  readonly server: FakeOvsdbServer;
  /** What becomes of the agent's next transactions. */
  readonly cuts: Cut[] = [];
  /** What others do just before the agent's next transactions are carried out. */
  readonly races: (() => void)[] = [];
  /** Who inserted each Port row that was ever there. */
  readonly madeBy = new Map<string, Actor>();
  /** Port rows that somebody else than the agent removed, or changed after they were there. */
  readonly touchedByOthers = new Set<string>();
  isApplying = true;
  /** When a bridge was last made. */
  bridgeMadeMs = Number.NEGATIVE_INFINITY;
  isUp = true;
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #host: SwitchHost;
  readonly #pipes = new Set<() => void>();
  readonly #internal = new Set<string>();
  readonly #plugged = new Set<string>();
  #isStalled = false;
  #willApply = false;
  #ofport = 0;

  constructor(random: Random, scheduler: Scheduler, host: SwitchHost) {
    this.#random = random;
    this.#scheduler = scheduler;
    this.#host = host;
    this.server = new FakeOvsdbServer({ schema: switchSchema, newUuid: () => random.uuid() });
    this.server.on.set('transact', (request, connection) => {
      this.#onTransact(request, connection);
    });
    this.init();
  }

  get contents(): Contents {
    return this.server.database.contents;
  }

  /** Whether a client would be answered now. */
  get answers(): boolean {
    return this.isUp && !this.#isStalled;
  }

  /** As `ovs-vsctl init` after the database was created. */
  init(): void {
    this.transact('foreign', [{ op: 'insert', table: 'Open_vSwitch', row: { ovs_version: '3.5.0' } }]);
  }

  /** Rows of a table with their UUIDs. */
  rows(table: keyof (typeof switchSchema)['tables']): [string, DatabaseRow][] {
    return [...(this.contents.get(table) ?? [])];
  }

  rowNamed(table: 'Bridge' | 'Port' | 'Interface', name: string): [string, DatabaseRow] | null {
    return this.rows(table).find(([, row]) => textOf(row, 'name') === name) ?? null;
  }

  bridgeOf(portUuid: string): string | null {
    const found = this.rows('Bridge').find(([, row]) => uuidsOf(row, 'ports').includes(portUuid));
    return found === undefined ? null : textOf(found[1], 'name');
  }

  /** Carried out at once. Answers the results, or the error of the first that failed. */
  transact(actor: Actor, operations: readonly Operation[]): (OperationResult | null)[] | string {
    const before = this.contents;
    const results = this.server.database.transact(operations);
    if (actor !== 'ovs-vswitchd') this.#noteTouched(before);
    const failed = results.find((result) => result?.error !== undefined);
    if (failed?.error !== undefined) return `${failed.error}: ${failed.details ?? ''}`;
    this.#noteMade(actor);
    if (actor !== 'ovs-vswitchd') this.applySoon();
    return results;
  }

  addBridge(name: string): void {
    if (this.rowNamed('Bridge', name) !== null) return;
    this.bridgeMadeMs = this.#scheduler.livedMs;
    this.transact('foreign', [
      { op: 'insert', table: 'Bridge', 'uuid-name': 'bridge', row: { name } },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', ['named-uuid', 'bridge']], ['next_cfg', '+=', 1]] }, // prettier-ignore
    ]);
  }

  /** With everything on it. */
  removeBridge(name: string): void {
    const found = this.rowNamed('Bridge', name);
    if (found === null) return;
    this.transact('foreign', [
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'delete', ['uuid', found[0]]], ['next_cfg', '+=', 1]] }, // prettier-ignore
    ]);
  }

  /** As `ovs-vsctl add-port`: refuses a name that is there. */
  addPort(
    actor: Actor,
    bridge: string,
    { row, netdev = row, port = {}, device = {} }: { row: string; netdev?: string; port?: Record<string, Value>; device?: Record<string, Value> }, // prettier-ignore
  ): string | null {
    const result = this.transact(actor, [
      { op: 'insert', table: 'Interface', 'uuid-name': 'device', row: { name: netdev, ...device } },
      { op: 'insert', table: 'Port', 'uuid-name': 'port', row: { name: row, interfaces: ['named-uuid', 'device'], ...port } }, // prettier-ignore
      { op: 'mutate', table: 'Bridge', where: [['name', '==', bridge]], mutations: [['ports', 'insert', ['named-uuid', 'port']]] }, // prettier-ignore
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
    ]);
    return typeof result === 'string' ? result : null;
  }

  /** As `ovs-vsctl --if-exists del-port`. */
  delPort(actor: Actor, row: string): void {
    const found = this.rowNamed('Port', row);
    if (found === null) return;
    this.transact(actor, [
      { op: 'mutate', table: 'Bridge', where: [], mutations: [['ports', 'delete', ['uuid', found[0]]]] },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
    ]);
  }

  /** All connections are cut, and new ones refused, until `comeUp`. */
  goDown(): void {
    this.isUp = false;
    for (const connection of [...this.server.connections]) connection.close();
    this.server.connections.length = 0;
  }

  /** As deleting `conf.db` while the server is down. */
  wipe(): void {
    this.goDown();
    const before = this.contents;
    this.server.database.wipe();
    this.#noteTouched(before);
    this.init();
  }

  comeUp(): void {
    this.isUp = true;
    this.applySoon();
  }

  /** As SIGSTOP: connections stay, and what arrives waits. */
  stall(): void {
    this.#isStalled = true;
  }

  resume(): void {
    this.#isStalled = false;
    for (const pump of [...this.#pipes]) pump();
    this.applySoon();
  }

  closeConnections(): void {
    for (const connection of [...this.server.connections]) connection.close();
  }

  /** Another client takes the agent's lock; the function returned gives it back. */
  stealLock(): () => void {
    const thief = this.server.accept(
      () => undefined,
      () => undefined,
    );
    this.server.behave({ method: 'steal', params: [switchLock], id: 0 }, thief);
    return () => {
      this.server.forget(thief);
    };
  }

  /** A dial for one process, until `killed`: its sockets are closed then, and it hears nothing more. */
  dialFor(killed: AbortSignal): Dial {
    return async (events, signal) => {
      await this.#scheduler.sleep(this.#latencyMs());
      if (killed.aborted) return new Promise(() => undefined);
      if (!this.isUp) throw new Error('connect ECONNREFUSED');
      let isOpen = true;
      const toClient = this.#pipe(() => false);
      let isHeldBack = false;
      const toServer = this.#pipe(() => this.#isStalled || isHeldBack);
      const holdBack = (): void => {
        isHeldBack = true;
        isOpen = false;
        this.#scheduler.after(this.#latencyMs(), () => {
          if (!killed.aborted) events.onClose(new Error('Connection reset by peer'));
        });
        this.#scheduler.after(this.#random.between(0, heldBackMs), () => {
          isHeldBack = false;
          toServer(() => {
            this.#forget(connection);
          });
        });
      };
      const connection = this.server.accept(
        (bytes) => {
          const at = this.#random.chance(0.1) ? this.#random.integer(1, Math.max(1, bytes.length)) : bytes.length;
          for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) {
            if (part.length === 0) continue;
            toClient(() => {
              if (isOpen) events.onData(part);
            });
          }
        },
        () => {
          this.#forget(connection);
          toClient(() => {
            if (isOpen) {
              isOpen = false;
              events.onClose(null);
            }
          });
        },
      );
      const isKnown = (): boolean => this.server.connections.includes(connection);
      AbortSignal.any([signal, killed]).addEventListener('abort', () => {
        isOpen = false;
        // What was written before arrives before the end does.
        toServer(() => {
          this.#forget(connection);
        });
      });
      return {
        write: (text) => {
          if (!isOpen) return;
          const bytes = Buffer.from(text);
          toServer(() => {
            if (isKnown()) connection.receive(bytes);
          });
          if (this.cuts[0] !== 'held back' || !text.includes('"method":"transact"')) return;
          this.cuts.shift();
          holdBack();
        },
      };
    };
  }

  #forget(connection: FakeConnection): void {
    this.server.forget(connection);
    const at = this.server.connections.indexOf(connection);
    if (at >= 0) this.server.connections.splice(at, 1);
  }

  /** Delivers in order, each a little later; waits while `isHeld`. */
  #pipe(isHeld: () => boolean): (deliver: () => void) => void {
    const arrived: (() => void)[] = [];
    let lastMs = 0;
    const pump = (): void => {
      while (!isHeld()) {
        const deliver = arrived.shift();
        if (deliver === undefined) return;
        deliver();
      }
    };
    this.#pipes.add(pump);
    return (deliver) => {
      lastMs = Math.max(lastMs, this.#scheduler.nowMs + this.#latencyMs());
      this.#scheduler.after(lastMs - this.#scheduler.nowMs, () => {
        arrived.push(deliver);
        pump();
      });
    };
  }

  #latencyMs(): number {
    return this.#random.chance(0.03) ? this.#random.between(0, 80) : this.#random.between(0, 0.5);
  }

  #onTransact(request: Parameters<FakeOvsdbServer['behave']>[0], connection: FakeConnection): void {
    const cut = this.cuts[0] === 'held back' ? undefined : this.cuts.shift();
    this.races.shift()?.();
    if (cut === 'before send') {
      connection.close();
      return;
    }
    if (cut === 'after send') connection.cutAfter(0);
    if (cut === 'mid-frame') connection.cutAfter(this.#random.integer(1, 600));
    const before = this.contents;
    this.server.behave(request, connection);
    this.#noteMade('agent');
    this.applySoon();
    this.#host.onAgentTransaction(request.params.slice(1) as Operation[], before, this.contents);
  }

  #noteMade(actor: Actor): void {
    for (const [uuid] of this.rows('Port')) if (!this.madeBy.has(uuid)) this.madeBy.set(uuid, actor);
  }

  #noteTouched(before: Contents): void {
    const now = this.contents.get('Port');
    for (const [uuid, row] of before.get('Port') ?? []) if (now?.get(uuid) !== row) this.touchedByOthers.add(uuid);
  }

  /** `ovs-vswitchd` looks at the database soon. */
  applySoon(): void {
    if (this.#willApply) return;
    this.#willApply = true;
    this.#scheduler.after(this.#random.between(0.5, 30), () => {
      this.#willApply = false;
      if (this.isApplying && this.answers) this.#apply();
    });
  }

  #apply(): void {
    const operations: Operation[] = [];
    const named = new Set<string>();
    for (const [uuid, row] of this.rows('Interface')) {
      const name = textOf(row, 'name');
      named.add(name);
      if (textOf(row, 'type') === 'internal' && !this.#host.deviceExists(name)) {
        this.#internal.add(name);
        this.#host.makeInternal(name);
      }
      const problem = this.#problemOf(name);
      if (problem === null && !this.#plugged.has(name) && !this.#internal.has(name)) {
        this.#plugged.add(name);
        this.#host.setPlugged(name, true);
      }
      const has = { ofport: numberOf(row, 'ofport'), error: optionalOf(row, 'error') };
      if (has.error === problem && (problem === null ? (has.ofport ?? 0) > 0 : has.ofport === -1)) continue;
      const ofport = problem === null ? ++this.#ofport : -1;
      const columns = { ofport, error: problem ?? (['set', []] satisfies Value) };
      operations.push({ op: 'update', table: 'Interface', where: [['_uuid', '==', ['uuid', uuid]]], row: columns });
    }
    for (const name of [...this.#internal]) {
      if (named.has(name)) continue;
      this.#internal.delete(name);
      this.#host.removeInternal(name);
    }
    for (const name of [...this.#plugged]) {
      if (named.has(name) && this.#host.deviceExists(name)) continue;
      this.#plugged.delete(name);
      this.#host.setPlugged(name, false);
    }
    const [root] = this.rows('Open_vSwitch');
    const nextCfg = root === undefined ? null : numberOf(root[1], 'next_cfg');
    if (nextCfg !== null && root !== undefined && numberOf(root[1], 'cur_cfg') !== nextCfg) {
      operations.push({ op: 'update', table: 'Open_vSwitch', where: [], row: { cur_cfg: nextCfg } });
    }
    if (operations.length > 0) this.transact('ovs-vswitchd', operations);
  }

  #problemOf(name: string): string | null {
    if (!this.#host.deviceExists(name)) return `could not open network device ${name} (No such device)`;
    const master = this.#host.masterOf(name);
    if (this.#internal.has(name) || this.#plugged.has(name) || master === null || master === 'ovs-system') return null;
    return `could not add network device ${name} to ofproto (Device or resource busy)`;
  }
}

export function textOf(row: DatabaseRow, column: string): string {
  return String([...(row.get(column)?.keys() ?? [])][0] ?? '');
}

export function optionalOf(row: DatabaseRow, column: string): string | null {
  const [value] = row.get(column)?.keys() ?? [];
  return value === undefined ? null : String(value);
}

export function numberOf(row: DatabaseRow, column: string): number | null {
  const [value] = row.get(column)?.keys() ?? [];
  return typeof value === 'number' ? value : null;
}

export function uuidsOf(row: DatabaseRow, column: string): string[] {
  return [...(row.get(column)?.keys() ?? [])].map(String);
}

export function mapOf(row: DatabaseRow, column: string): Map<string, string> {
  return new Map([...(row.get(column) ?? [])].map(([key, value]) => [String(key), String(value)]));
}
