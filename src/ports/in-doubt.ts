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

/** `proof`: nothing else can have left it. `fits`: as it should be, whoever did it. */
type Trace = 'proof' | 'fits' | 'none';

/** Whether the transaction `txn` was carried out. All or none: a proof of one of its changes is one of all of them. */
export function transactionLanded(changes: readonly SeededChange[], txn: string, view: SwitchView): boolean {
  const traces = changes.map((change) => traceOfChange(change, txn, view));
  return traces.includes('proof') || !traces.includes('none');
}

/** Those blocks of an earlier run whose changes the switch does not have. */
export function blocksLost(blocks: readonly Block[], view: SwitchView): Block[] {
  const proven = new Set(
    blocks.filter((block) => traceOfBlock(block, view) === 'proof').map(({ data }) => data['txn']),
  );
  return blocks.filter((block) => traceOfBlock(block, view) === 'none' && !proven.has(block.data['txn']));
}

function traceOfChange({ change, seed }: SeededChange, txn: string, view: SwitchView): Trace {
  switch (change.kind) {
    case 'attach':
    case 'replace':
      return proofIf(view.byUuid(insertedPortUuid(seed)) !== null);
    case 'adopt':
      return proofIf(isOf(txn, view.byUuid(change.row.portUuid)));
    case 'set': {
      const row = view.byUuid(change.row.portUuid);
      return isOf(txn, row) ? 'proof' : fitsIf(row !== null && settingsDiffer(change.wanted, row).length === 0);
    }
    case 'detach':
      return fitsIf(view.byUuid(change.row.portUuid) === null);
    case 'mirror':
      return proofIf(view.mirrorByUuid(insertedMirrorUuid(seed)) !== null);
    case 'set-mirror':
      return proofIf(view.mirrorByUuid(change.row.uuid)?.ids.get(markKeys.txn) === txn);
    case 'unmirror':
      return fitsIf(view.mirrorByUuid(change.row.uuid) === null);
    default:
      return change satisfies never;
  }
}

/** The same, from what a block of an earlier run says. null: the block is no change of ports. */
function traceOfBlock({ category, action, data, hash }: Block, view: SwitchView): Trace | null {
  if (typeof data['mirror'] === 'string') {
    const mirror = view.mirrorByUuid(data['mirror']);
    return action === 'unmirror'
      ? fitsIf(mirror === null)
      : proofIf(mirror !== null && mirror.ids.get(markKeys.txn) === data['txn']);
  }
  const row = typeof data['row'] === 'string' ? view.byUuid(data['row']) : null;
  switch (`${category} ${action}`) {
    case 'port attach':
    case 'port replace':
      // Or made without its block, which the ledger had taken without being able to say so.
      return proofIf(
        view.byUuid(insertedPortUuid(hash)) !== null || isOf(data['txn'], view.byNetdev(data['netdev'] as string)),
      );
    case 'port adopt':
      return proofIf(isOf(data['txn'], row));
    case 'port set':
    case 'drift repair':
      return isOf(data['txn'], row) ? 'proof' : fitsIf(row !== null && isAsSaid(data['differences'], row));
    case 'port mirror':
      return proofIf(view.mirrorByUuid(insertedMirrorUuid(hash)) !== null);
    case 'port detach':
      return fitsIf(typeof data['row'] === 'string' && row === null);
    default:
      return null;
  }
}

function proofIf(isThere: boolean): Trace {
  return isThere ? 'proof' : 'none';
}

function fitsIf(isThere: boolean): Trace {
  return isThere ? 'fits' : 'none';
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
