/**
 * A second implementation of the switch's database, in memory: the operations that the port engine sends, all or none,
 * and complaints about every other. `ovs-vswitchd` is played by `apply`. Faults come on demand.
 */
import { isDeepStrictEqual } from 'node:util';
import { checkTransactReply } from '../../src/ovsdb/transact.ts';
import type { Mutation, Operation, OperationResult, Row, Value } from '../../src/ovsdb/wire.ts';
import { AgentError } from '../../src/model/errors.ts';
import { foreignPortColumns } from '../../src/ports/foreign-columns.ts';
import type { SwitchChange, SwitchTables } from '../../src/ports/switch-view.ts';

type TableName = keyof SwitchTables;
/** A switch has more columns than the agent monitors. */
type Tables = Omit<SwitchTables, 'Interface'> & {
  Interface: SwitchTables['Interface'] & { type: string; mtu_request: number | null };
};
type Store = { [Name in TableName]: Map<string, Tables[Name]> };

/** `lost`: not carried out, no reply. `landed`: carried out, no reply. `refused`: the server says no. */
export type SwitchFault = 'lost' | 'landed' | 'refused';

export interface NewPort {
  readonly bridge: string;
  readonly row: string;
  readonly netdev?: string;
  readonly tag?: number;
  readonly trunks?: readonly number[];
  readonly portIds?: Readonly<Record<string, string>>;
  readonly interfaceIds?: Readonly<Record<string, string>>;
  /** A second Interface in the row. */
  readonly bondedWith?: string;
  /** Columns that neither Proxmox VE nor the agent sets. */
  readonly foreign?: Partial<typeof foreignPortColumns>;
}

/** As `ovs-vsctl set port` changes them. */
export interface PortColumns {
  readonly tag?: number | null;
  readonly trunks?: readonly number[];
  readonly vlan_mode?: string | null;
  readonly foreign?: Partial<typeof foreignPortColumns>;
}

const root = '00000000-0000-4000-8000-000000000000';

export class MemorySwitch {
  problem: AgentError | null = null;
  lockHeld = true;
  /** Taken one by one by the transactions to come. */
  readonly faults: (SwitchFault | null)[] = [];
  /** Every transaction that arrived. */
  readonly transactions: (readonly Operation[])[] = [];
  /** While set, transactions wait here before they are carried out. */
  gate: Promise<void> | null = null;
  onChanges: (changes: SwitchChange[]) => void = () => undefined;
  #rows: Store = {
    Open_vSwitch: new Map([[root, { cur_cfg: 0, next_cfg: 0, ovs_version: '3.5.0' }]]),
    Bridge: new Map(),
    Port: new Map(),
    Interface: new Map(),
    Mirror: new Map(),
  };
  #count = 0;
  #isBusy = false;

  constructor(...bridges: string[]) {
    for (const bridge of bridges) this.addBridge(bridge);
  }

  readonly reader = {
    hasColumn: () => true,
    table: <Name extends TableName>(name: Name): ReadonlyMap<string, SwitchTables[Name]> => this.#rows[name],
  };

  /** Everything there is, as a first connection sees it. */
  contents(): SwitchChange[] {
    return Object.entries(this.#rows).flatMap(([table, rows]) =>
      [...(rows as Map<string, unknown>)].map(([uuid, row]) => ({ table, uuid, kind: 'insert', row }) as SwitchChange),
    );
  }

  addBridge(name: string): void {
    const uuid = this.#newUuid();
    this.#rows.Bridge.set(uuid, { name, ports: new Set(), mirrors: new Set(), datapath_type: '' });
    this.#emit([{ table: 'Bridge', uuid, kind: 'insert', row: this.#rows.Bridge.get(uuid)! }]);
  }

  /** With everything on it, as a wiped database or `systemctl restart networking` does. */
  removeBridge(name: string): void {
    for (const [uuid, row] of [...this.#rows.Bridge]) {
      if (row.name !== name) continue;
      const changes = this.#removePorts(this.#rows, row.ports);
      this.#rows.Bridge.delete(uuid);
      this.#emit([...changes, { table: 'Bridge', uuid, kind: 'delete', row }]);
    }
  }

  /** As somebody else plugs. */
  plug(port: NewPort): string {
    const bridge = [...this.#rows.Bridge].find(([, { name }]) => name === port.bridge);
    if (bridge === undefined) throw new Error(`no bridge ${port.bridge}`);
    const interfaces = [port.netdev ?? port.row, ...(port.bondedWith === undefined ? [] : [port.bondedWith])];
    const interfaceUuids = interfaces.map(() => this.#newUuid());
    const uuid = this.#newUuid();
    for (const [index, name] of interfaces.entries()) {
      this.#rows.Interface.set(interfaceUuids[index]!, {
        name,
        type: '',
        ofport: 1,
        mtu_request: null,
        error: null,
        external_ids: new Map(Object.entries(port.interfaceIds ?? {})),
      });
    }
    this.#rows.Port.set(uuid, {
      name: port.row,
      interfaces: new Set(interfaceUuids),
      tag: port.tag ?? null,
      trunks: new Set(port.trunks ?? []),
      vlan_mode: null,
      external_ids: new Map(Object.entries(port.portIds ?? {})),
      ...foreignPortColumns,
      ...port.foreign,
    });
    this.#rows.Bridge.set(bridge[0], { ...bridge[1], ports: new Set([...bridge[1].ports, uuid]) });
    this.#emit([
      ...interfaceUuids.map((id) => this.#change('Interface', id, 'insert')),
      this.#change('Port', uuid, 'insert'),
      this.#change('Bridge', bridge[0], 'modify'),
    ]);
    return uuid;
  }

  /** As somebody else unplugs: `ovs-vsctl del-port`. */
  unplug(row: string): void {
    const found = [...this.#rows.Port].find(([, { name }]) => name === row);
    if (found === undefined) throw new Error(`no Port ${row}`);
    this.#emit(this.#removePorts(this.#rows, new Set([found[0]])));
  }

  /** As somebody else edits. */
  edit(row: string, { tag, trunks, vlan_mode: vlanMode, foreign }: PortColumns): void {
    const found = [...this.#rows.Port].find(([, { name }]) => name === row);
    if (found === undefined) throw new Error(`no Port ${row}`);
    const [uuid, port] = found;
    this.#rows.Port.set(uuid, {
      ...port,
      ...(tag === undefined ? {} : { tag }),
      ...(trunks === undefined ? {} : { trunks: new Set(trunks) }),
      ...(vlanMode === undefined ? {} : { vlan_mode: vlanMode }),
      ...foreign,
    });
    this.#emit([this.#change('Port', uuid, 'modify')]);
  }

  /** `ovs-vsctl clear port ROW external_ids` */
  wipeMarks(row: string): void {
    const found = [...this.#rows.Port].find(([, { name }]) => name === row);
    if (found === undefined) throw new Error(`no Port ${row}`);
    this.#rows.Port.set(found[0], { ...found[1], external_ids: new Map() });
    this.#emit([this.#change('Port', found[0], 'modify')]);
  }

  columnsOf(
    row: string,
  ): Required<Omit<PortColumns, 'foreign'>> & { mtu_request: number | null; interfaceUuid: string } {
    const port = [...this.#rows.Port.values()].find(({ name }) => name === row);
    if (port === undefined) throw new Error(`no Port ${row}`);
    const [interfaceUuid = ''] = port.interfaces;
    return {
      tag: port.tag,
      trunks: [...port.trunks],
      vlan_mode: port.vlan_mode,
      mtu_request: this.#rows.Interface.get(interfaceUuid)!.mtu_request,
      interfaceUuid,
    };
  }

  /** What `ovs-vsctl list-ports` says of all bridges, sorted. */
  portRows(): string[] {
    return [...this.#rows.Port.values()].map(({ name }) => name).sort();
  }

  idsOf(row: string): Record<string, string> {
    const port = [...this.#rows.Port.values()].find(({ name }) => name === row);
    return Object.fromEntries(port?.external_ids ?? []);
  }

  /** `ovs-vswitchd` catches up. */
  apply(): void {
    const row = this.#rows.Open_vSwitch.get(root)!;
    this.#rows.Open_vSwitch.set(root, { ...row, cur_cfg: row.next_cfg });
    this.#emit([this.#change('Open_vSwitch', root, 'modify')]);
  }

  async transact(operations: readonly Operation[]): Promise<OperationResult[]> {
    if (this.problem !== null) throw this.problem;
    if (this.#isBusy) throw new Error('misuse: two transactions in flight');
    this.#isBusy = true;
    try {
      this.transactions.push(operations);
      await this.gate;
      await new Promise((resolve) => setImmediate(resolve));
      const fault = this.faults.shift() ?? null;
      if (fault === 'lost') throw new AgentError('Timeout', 'OVSDB transact: no reply (injected: lost)');
      if (fault === 'refused') {
        return checkTransactReply(operations, [
          ...operations.slice(1).map(() => null),
          { error: 'constraint violation', details: 'injected' },
        ]);
      }
      const reply = this.#carryOut(operations);
      if (fault === 'landed') throw new AgentError('Timeout', 'OVSDB transact: no reply (injected: landed)');
      return checkTransactReply(operations, reply);
    } finally {
      this.#isBusy = false;
    }
  }

  /** All operations or none, on a copy; the monitor's update goes out before the reply. */
  #carryOut(operations: readonly Operation[]): (OperationResult | null)[] {
    const copy = Object.fromEntries(
      Object.entries(this.#rows).map(([table, rows]) => [table, new Map(rows as Map<string, never>)]),
    ) as unknown as Store;
    const changes: SwitchChange[] = [];
    const reply: (OperationResult | null)[] = [];
    for (const operation of operations) {
      const result = this.#execute(copy, operation, changes);
      reply.push(result);
      if (result.error !== undefined) return [...reply, ...operations.slice(reply.length).map(() => null)];
    }
    // RFC 7047 section 3.2: a Port or Interface that nothing refers to is no more at the end of the transaction.
    const referred = new Set([...copy.Bridge.values()].flatMap(({ ports }) => [...ports]));
    changes.push(...this.#removePorts(copy, new Set([...copy.Port.keys()].filter((uuid) => !referred.has(uuid)))));
    for (const table of ['Port', 'Interface', 'Bridge'] as const) {
      const names = [...copy[table].values()].map(({ name }) => name);
      const twice = names.find((name, index) => names.indexOf(name) !== index);
      if (twice !== undefined)
        return [...reply, { error: 'constraint violation', details: `two rows of ${table} are named ${twice}` }];
    }
    this.#rows = copy;
    this.#emit(changes);
    return reply;
  }

  #execute(rows: Store, operation: Operation, changes: SwitchChange[]): OperationResult {
    switch (operation.op) {
      case 'assert':
      case 'comment':
        return {};
      case 'wait': {
        const found = matching(rows, operation.table as TableName, operation.where[0]!);
        const [expected = {}] = operation.rows;
        const isAsExpected = (row: object): boolean =>
          operation.table !== 'Port' ||
          Object.entries(decodePort(expected)).every(
            ([column, value]) =>
              !(column in expected) || isDeepStrictEqual((row as Record<string, unknown>)[column], value),
          );
        return found.some((uuid) => isAsExpected(rows[operation.table as TableName].get(uuid)!))
          ? {}
          : { error: 'timed out', details: `no such row in ${operation.table}` };
      }
      case 'select':
        return { rows: [...rows.Open_vSwitch.values()].map(({ next_cfg }) => ({ next_cfg })) };
      case 'insert': {
        const uuid = operation.uuid ?? '';
        const table = operation.table as 'Port' | 'Interface';
        if (rows[table].has(uuid)) return { error: 'duplicate uuid' };
        if (table === 'Port') rows.Port.set(uuid, decodePort(operation.row));
        else rows.Interface.set(uuid, decodeInterface(operation.row));
        changes.push({ table, uuid, kind: 'insert', row: rows[table].get(uuid)! });
        return { uuid: ['uuid', uuid] };
      }
      case 'mutate': {
        // No mirrors here.
        if (operation.table === 'Mirror') return { count: 0 };
        const table = operation.table as TableName;
        const found =
          operation.where[0] === undefined ? [...rows[table].keys()] : matching(rows, table, operation.where[0]);
        for (const uuid of found) {
          for (const mutation of operation.mutations) mutate(rows, table, uuid, mutation);
          changes.push({ table, uuid, kind: 'modify', row: rows[table].get(uuid)! });
        }
        return { count: found.length };
      }
      case 'update': {
        const table = operation.table as TableName;
        const found = matching(rows, table, operation.where[0]!);
        for (const uuid of found) {
          update(rows, table, uuid, operation.row);
          changes.push({ table, uuid, kind: 'modify', row: rows[table].get(uuid)! });
        }
        return { count: found.length };
      }
      case 'delete':
      case 'commit':
      case 'abort':
        throw new Error(`misuse: the port engine sends no ${operation.op}`);
    }
  }

  #removePorts(rows: Store, ports: ReadonlySet<string>): SwitchChange[] {
    const changes: SwitchChange[] = [];
    for (const uuid of ports) {
      const row = rows.Port.get(uuid)!;
      rows.Port.delete(uuid);
      changes.push({ table: 'Port', uuid, kind: 'delete', row });
      const kept = new Set([...rows.Port.values()].flatMap(({ interfaces }) => [...interfaces]));
      for (const id of row.interfaces) {
        if (kept.has(id)) continue;
        const gone = rows.Interface.get(id);
        rows.Interface.delete(id);
        if (gone !== undefined) changes.push({ table: 'Interface', uuid: id, kind: 'delete', row: gone });
      }
      for (const [id, bridge] of rows.Bridge) {
        if (!bridge.ports.has(uuid)) continue;
        rows.Bridge.set(id, { ...bridge, ports: new Set([...bridge.ports].filter((port) => port !== uuid)) });
        changes.push({ table: 'Bridge', uuid: id, kind: 'modify', row: rows.Bridge.get(id)! });
      }
    }
    return changes;
  }

  #change(table: TableName, uuid: string, kind: 'insert' | 'modify'): SwitchChange {
    return { table, uuid, kind, row: this.#rows[table].get(uuid)! };
  }

  #emit(changes: SwitchChange[]): void {
    if (changes.length > 0) this.onChanges(changes);
  }

  #newUuid(): string {
    return `00000000-0000-4000-8000-${String(++this.#count).padStart(12, '0')}`;
  }
}

function matching(rows: Store, table: TableName, [column, func, value]: [string, string, Value]): string[] {
  if (func !== '==') throw new Error(`misuse: condition ${func}`);
  if (column === '_uuid')
    return rows[table].has((value as ['uuid', string])[1]) ? [(value as ['uuid', string])[1]] : [];
  return [...rows[table]].filter(([, row]) => (row as Record<string, unknown>)[column] === value).map(([uuid]) => uuid);
}

function mutate(rows: Store, table: TableName, uuid: string, [column, mutator, value]: Mutation): void {
  if (table === 'Open_vSwitch' && column === 'next_cfg' && mutator === '+=') {
    const row = rows.Open_vSwitch.get(uuid)!;
    rows.Open_vSwitch.set(uuid, { ...row, next_cfg: row.next_cfg + Number(value) });
  } else if (table === 'Bridge' && column === 'ports') {
    const row = rows.Bridge.get(uuid)!;
    const ports = new Set(row.ports);
    const [, port] = value as ['uuid', string];
    if (mutator === 'insert') ports.add(port);
    else ports.delete(port);
    rows.Bridge.set(uuid, { ...row, ports });
  } else if ((table === 'Port' || table === 'Interface') && column === 'external_ids') {
    const row = rows[table].get(uuid)!;
    const ids = new Map(row.external_ids);
    if (mutator === 'delete') for (const key of (value as ['set', string[]])[1]) ids.delete(key);
    else for (const [key, text] of decodeMap(value)) if (!ids.has(key)) ids.set(key, text);
    (rows[table] as Map<string, unknown>).set(uuid, { ...row, external_ids: ids });
  } else {
    throw new Error(`misuse: ${mutator} of ${table}.${column}`);
  }
}

function update(rows: Store, table: TableName, uuid: string, row: Row): void {
  const columns = Object.keys(row);
  if (table === 'Port' && columns.every((column) => ['tag', 'trunks', 'vlan_mode'].includes(column))) {
    const { tag, trunks, vlan_mode } = decodePort({ ...row, name: '', interfaces: ['uuid', uuid] });
    rows.Port.set(uuid, { ...rows.Port.get(uuid)!, tag, trunks, vlan_mode });
  } else {
    throw new Error(`misuse: update of ${table}.${columns.join()}`);
  }
}

function decodePort(row: Row): SwitchTables['Port'] {
  return {
    name: row['name'] as string,
    interfaces: new Set(row['interfaces'] === undefined ? [] : [(row['interfaces'] as ['uuid', string])[1]]),
    tag: decodeOptional(row['tag']) as number | null,
    trunks: new Set((row['trunks'] as ['set', number[]] | undefined)?.[1]),
    vlan_mode: decodeOptional(row['vlan_mode']) as string | null,
    external_ids: decodeMap(row['external_ids']),
    ...foreignPortColumns,
  };
}

function decodeInterface(row: Row): Tables['Interface'] {
  return {
    name: row['name'] as string,
    type: (row['type'] as string | undefined) ?? '',
    ofport: null,
    mtu_request: (row['mtu_request'] as number | undefined) ?? null,
    error: null,
    external_ids: decodeMap(row['external_ids']),
  };
}

/** RFC 7047 section 5.1: an absent optional value is the empty set. */
function decodeOptional(value: Value | undefined): Value | null {
  return value === undefined || (Array.isArray(value) && value[0] === 'set') ? null : value;
}

function decodeMap(value: Value | undefined): Map<string, string> {
  return new Map(((value as ['map', [string, string][]] | undefined) ?? ['map', []])[1]);
}
