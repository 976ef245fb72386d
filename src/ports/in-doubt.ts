/** Whether a change that may have been lost is on the switch after all. */
import type { Block } from '../ledger/block.ts';
import { carries, portMarks } from './marks.ts';
import { settingsDiffer } from './settings.ts';
import type { SwitchView } from './switch-view.ts';
import { insertedPortUuid } from './transaction.ts';
import type { SeededChange } from './transaction.ts';

/** Looks by row UUID, never by name: another may have made a port of that name meanwhile. */
export function landed({ change, seed }: SeededChange, view: SwitchView): boolean {
  switch (change.kind) {
    case 'attach':
    case 'replace':
      return view.byUuid(insertedPortUuid(seed)) !== null;
    case 'adopt': {
      const row = view.byUuid(change.row.portUuid);
      return row !== null && carries(row.portIds, portMarks(change.wanted));
    }
    case 'set': {
      const row = view.byUuid(change.row.portUuid);
      return row !== null && settingsDiffer(change.wanted, row).length === 0;
    }
    case 'detach':
      return view.byUuid(change.row.portUuid) === null;
    default:
      return change satisfies never;
  }
}

/** The same, from what a block of an earlier run says. null: the block is no change of ports. */
export function blockLanded(block: Block, view: SwitchView): boolean | null {
  if (block.category !== 'port') return null;
  const { row, port } = block.data;
  switch (block.action) {
    case 'attach':
    case 'replace':
      return view.byUuid(insertedPortUuid(block.hash)) !== null;
    case 'adopt':
      return typeof row === 'string' && view.byUuid(row)?.portIds.get('port-name') === port;
    case 'detach':
      return typeof row === 'string' && view.byUuid(row) === null;
    default:
      return null;
  }
}
