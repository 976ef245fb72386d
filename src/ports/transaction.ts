/** Changes as one guarded OVSDB transaction. Never an `update` of `Bridge.ports`: others plug at the same time. */
import { vlanModeOf } from '../model/port.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import type { Operation, Row, UuidAtom, Value } from '../ovsdb/wire.ts';
import { unwritten } from './foreign-columns.ts';
import { setMarks, waitForRow } from './guarded-operations.ts';
import { fieldsFingerprint, interfaceMarks, markKeys, portMarks } from './marks.ts';
import type { Change } from './change.ts';
import { mirrorOperations } from './mirror-transaction.ts';
import type { PortChange } from './plan.ts';
import { uuidV5 } from './uuid-v5.ts';

/** Lock under which the agent writes, so that two agents never do at once (RFC 7047 section 4.1.8). */
export const switchLock = 'ovs_port_agent';

export interface TransactionContext {
  readonly cluster: string;
  readonly txn: string;
  /** For `comment`: what the ledger says about this transaction. */
  readonly comment: string;
}

/** A change with the seed of the UUIDs it would insert: the hash of the block that was written ahead for it. */
export interface SeededChange {
  readonly change: Change;
  readonly seed: string;
}

export function insertedPortUuid(seed: string): string {
  return uuidV5(`Port ${seed}`);
}

/**
 * Operations of one transaction. Its last result but one is the `select` of `next_cfg` when `nextCfgIndex` is not null:
 * a transaction that only marks rows changes nothing that `ovs-vswitchd` would have to apply.
 */
export function buildTransaction(
  changes: readonly SeededChange[],
  context: TransactionContext,
): { operations: Operation[]; nextCfgIndex: number | null } {
  const operations: Operation[] = [{ op: 'assert', lock: switchLock }];
  for (const { change, seed } of changes) {
    switch (change.kind) {
      case 'attach':
        operations.push(...attach(change.wanted, seed, context));
        break;
      case 'adopt':
        operations.push(...adopt(change, context));
        break;
      case 'replace':
        operations.push(...replace(change, seed, context));
        break;
      case 'set':
        operations.push(...setColumns(change, context));
        break;
      case 'detach':
        operations.push(...detach(change));
        break;
      case 'mirror':
      case 'set-mirror':
      case 'unmirror':
        operations.push(...mirrorOperations(change, seed, context.txn));
        break;
      default:
        change satisfies never;
    }
  }
  let nextCfgIndex: number | null = null;
  if (changes.some(({ change }) => change.kind !== 'adopt')) {
    operations.push({ op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] });
    nextCfgIndex = operations.push({ op: 'select', table: 'Open_vSwitch', where: [], columns: ['next_cfg'] }) - 1;
  }
  operations.push({ op: 'comment', comment: context.comment });
  return { operations, nextCfgIndex };
}

function attach(wanted: WantedPort, seed: string, context: TransactionContext): Operation[] {
  const interfaceUuid = uuidV5(`Interface ${seed}`);
  const portUuid = insertedPortUuid(seed);
  return [
    // Without this a missing bridge "succeeds" with count 0 and the rows are collected as garbage.
    waitForRow('Bridge', 'name', wanted.bridge),
    {
      op: 'insert',
      table: 'Interface',
      uuid: interfaceUuid,
      row: {
        name: wanted.netdev,
        ...(wanted.firewallBridge === null ? {} : { type: 'internal' }),
        ...(wanted.mtu === null ? {} : { mtu_request: wanted.mtu }),
        external_ids: ['map', [...interfaceMarks(wanted, context.cluster)]],
      },
    },
    { op: 'insert', table: 'Port', uuid: portUuid, row: portRow(wanted, interfaceUuid, context) },
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', wanted.bridge]],
      mutations: [['ports', 'insert', ['uuid', portUuid]]],
    },
  ];
}

function portRow(wanted: WantedPort, interfaceUuid: string, context: TransactionContext): Row {
  const mode = vlanModeOf(wanted);
  return {
    name: wanted.rowName,
    interfaces: ['uuid', interfaceUuid],
    external_ids: [
      'map',
      [...portMarks(wanted), [markKeys.txn, context.txn], [markKeys.fields, fieldsFingerprint(wanted)]],
    ],
    ...(wanted.tag === null ? {} : { tag: wanted.tag }),
    ...(wanted.trunks.length === 0 ? {} : { trunks: ['set', [...wanted.trunks]] satisfies Value }),
    ...(mode === null ? {} : { vlan_mode: mode }),
  };
}

/** The row as it is, under its new name: VLAN and keys stay whoever set them. */
function renamedRow(wanted: WantedPort, row: ObservedPort, context: TransactionContext): Row {
  const marks = new Map([...row.portIds, ...portMarks(wanted), [markKeys.txn, context.txn]]);
  return { ...columnsOf(row), name: wanted.rowName, external_ids: ['map', [...marks]] };
}

/** Every column of a row that Proxmox VE or the agent may have set. */
function columnsOf(row: ObservedPort): Row {
  return {
    name: row.rowName,
    interfaces: ['uuid', row.interfaceUuid],
    external_ids: ['map', [...row.portIds]],
    ...vlanColumnsOf(row),
  };
}

function vlanColumnsOf({ tag, trunks, vlanMode }: Pick<ObservedPort, 'tag' | 'trunks' | 'vlanMode'>): Row {
  return { tag: tag ?? ['set', []], trunks: ['set', [...trunks]], vlan_mode: vlanMode ?? ['set', []] };
}

function adopt({ wanted, row }: PortChange & { kind: 'adopt' }, context: TransactionContext): Operation[] {
  return [
    waitForRow('Port', '_uuid', ['uuid', row.portUuid]),
    setMarks('Port', row.portUuid, new Map([...portMarks(wanted), [markKeys.txn, context.txn]])),
    setMarks('Interface', row.interfaceUuid, interfaceMarks(wanted, context.cluster)),
  ];
}

/** The Interface row stays, and with it device, `ofport` and counters. */
function replace(
  { wanted, row }: PortChange & { kind: 'replace' },
  seed: string,
  context: TransactionContext,
): Operation[] {
  const old: UuidAtom = ['uuid', row.portUuid];
  const renamed: UuidAtom = ['uuid', insertedPortUuid(seed)];
  return [
    // What the new row does not take over would be lost with the old one, whoever wrote it a moment ago.
    waitForColumns(row, { ...columnsOf(row), ...unwritten(row.unwrittenColumns) }),
    { op: 'insert', table: 'Port', uuid: insertedPortUuid(seed), row: renamedRow(wanted, row, context) },
    setMarks('Interface', row.interfaceUuid, interfaceMarks(wanted, context.cluster)),
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', row.bridge]],
      mutations: [
        ['ports', 'delete', old],
        ['ports', 'insert', renamed],
      ],
    },
    ...mirrorAnew(old, renamed),
  ];
}

/** A Mirror refers to its ports weakly: without this it would go on without the one that was replaced. */
function mirrorAnew(old: UuidAtom, renamed: UuidAtom): Operation[] {
  return ['select_src_port', 'select_dst_port', 'output_port'].map((column) => ({
    op: 'mutate',
    table: 'Mirror',
    where: [[column, 'includes', old]],
    mutations: [
      [column, 'delete', old],
      [column, 'insert', renamed],
    ],
  }));
}

function setColumns({ wanted, row }: PortChange & { kind: 'set' }, context: TransactionContext): Operation[] {
  const { tag, trunks } = wanted;
  return [
    // The block says what was there; whoever wrote something else a moment ago is not overwritten unsaid.
    waitForColumns(row, vlanColumnsOf(row)),
    {
      op: 'update',
      table: 'Port',
      where: [['_uuid', '==', ['uuid', row.portUuid]]],
      row: vlanColumnsOf({ tag, trunks, vlanMode: vlanModeOf(wanted) }),
    },
    setMarks(
      'Port',
      row.portUuid,
      new Map([
        [markKeys.txn, context.txn],
        [markKeys.fields, fieldsFingerprint(wanted)],
      ]),
    ),
  ];
}

/** Removing the port from its bridge is enough: Port and Interface are not root tables and go with the reference. */
function detach({ row }: PortChange & { kind: 'detach' }): Operation[] {
  return [
    // Gone already, by Proxmox's own hand: then this is not our change, and not our block.
    waitForRow('Port', '_uuid', ['uuid', row.portUuid]),
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', row.bridge]],
      mutations: [['ports', 'delete', ['uuid', row.portUuid]]],
    },
  ];
}

/** Refuses the transaction when the row is gone, or is not as it was seen. */
function waitForColumns({ portUuid }: ObservedPort, columns: Row): Operation {
  return {
    op: 'wait',
    timeout: 0,
    table: 'Port',
    where: [['_uuid', '==', ['uuid', portUuid]]],
    columns: Object.keys(columns),
    until: '==',
    rows: [columns],
  };
}
