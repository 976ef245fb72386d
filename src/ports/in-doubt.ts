/**
 * Whether a change that may have been lost is on the switch after all. Looks by row UUID, never by name: another may have
 * made a row of that name meanwhile. A row that was changed carries the name of the transaction in its mark `txn`.
 */
import type { Block } from '../ledger/block.ts';
import type { ObservedPort } from '../model/port.ts';
import { markKeys } from './marks.ts';
import { insertedMirrorUuid } from './mirror-transaction.ts';
import { readSetting, settingsDiffer } from './settings.ts';
import type { SwitchView } from './switch-view.ts';
import { insertedPortUuid } from './transaction.ts';
import type { SeededChange } from './transaction.ts';

/** `txn`: the transaction that was sent with the change. */
export function landed({ change, seed }: SeededChange, txn: string, view: SwitchView): boolean {
  switch (change.kind) {
    case 'attach':
    case 'replace':
      return view.byUuid(insertedPortUuid(seed)) !== null;
    case 'adopt':
      return isOf(txn, view.byUuid(change.row.portUuid));
    case 'set': {
      const row = view.byUuid(change.row.portUuid);
      return isOf(txn, row) || (row !== null && settingsDiffer(change.wanted, row).length === 0);
    }
    case 'detach':
      return view.byUuid(change.row.portUuid) === null;
    case 'mirror':
      return view.mirrorByUuid(insertedMirrorUuid(seed)) !== null;
    case 'set-mirror':
      return view.mirrorByUuid(change.row.uuid)?.ids.get(markKeys.txn) === txn;
    case 'unmirror':
      return view.mirrorByUuid(change.row.uuid) === null;
    default:
      return change satisfies never;
  }
}

/** The same, from what a block of an earlier run says. null: the block is no change of ports. */
export function blockLanded({ category, action, data, hash }: Block, view: SwitchView): boolean | null {
  if (typeof data['mirror'] === 'string') {
    const mirror = view.mirrorByUuid(data['mirror']);
    return action === 'unmirror' ? mirror === null : mirror !== null && mirror.ids.get(markKeys.txn) === data['txn'];
  }
  const row = typeof data['row'] === 'string' ? view.byUuid(data['row']) : null;
  switch (`${category} ${action}`) {
    case 'port attach':
    case 'port replace':
      return view.byUuid(insertedPortUuid(hash)) !== null;
    case 'port adopt':
      return isOf(data['txn'], row);
    case 'port set':
    case 'drift repair':
      return isOf(data['txn'], row) || (row !== null && isAsSaid(data['differences'], row));
    case 'port mirror':
      return view.mirrorByUuid(insertedMirrorUuid(hash)) !== null;
    case 'port detach':
      return typeof data['row'] === 'string' && row === null;
    default:
      return null;
  }
}

function isOf(txn: unknown, row: ObservedPort | null): boolean {
  return typeof txn === 'string' && row?.portIds.get(markKeys.txn) === txn;
}

/** The marks may have been wiped since: every column that the block names is as it was to be. */
function isAsSaid(differences: unknown, row: ObservedPort): boolean {
  if (!Array.isArray(differences)) return false;
  return differences.every((difference: unknown) => {
    if (typeof difference !== 'object' || difference === null) return false;
    const { column, wanted } = difference as Record<string, unknown>;
    return typeof column === 'string' && readSetting(row, column) === wanted;
  });
}
