import assert from 'node:assert/strict';
import type { Block } from '../../src/ledger/block.ts';
import { parsePortName } from '../../src/model/names.ts';
import type { ReplicaReader } from '../../src/ovsdb/replica.ts';
import { blocksLost, transactionLanded } from '../../src/ports/in-doubt.ts';
import { mirrorName } from '../../src/ports/mirror-marks.ts';
import type { ObservedMirror } from '../../src/model/mirror.ts';
import type { MirrorChange } from '../../src/ports/mirror-plan.ts';
import { insertedMirrorUuid } from '../../src/ports/mirror-transaction.ts';
import { draftOf } from '../../src/ports/journal.ts';
import { plannedChange } from '../../src/ports/record.ts';
import { switchTables, SwitchView } from '../../src/ports/switch-view.ts';
import type { SwitchTables } from '../../src/ports/switch-view.ts';
import { cause, ovsbr0 } from '../support/ports-fixtures.ts';

const target = parsePortName('vi900');
const wanted = { target, bridge: ovsbr0, sources: [{ port: parsePortName('vi100'), row: 'p' }], output: 'o' };
const row: ObservedMirror = {
  uuid: 'm',
  name: mirrorName(target),
  bridge: ovsbr0,
  selectAll: false,
  selectSrcPort: [],
  selectDstPort: [],
  selectVlan: [],
  outputPort: null,
  outputVlan: null,
  ids: new Map(),
};

/** A switch that has one Mirror, or none. */
function viewOf(uuid: string | null, txn = ''): SwitchView {
  const mirror: SwitchTables['Mirror'] = {
    ...switchTables.Mirror,
    name: row.name,
    external_ids: new Map([['txn', txn]]),
  };
  const rows: Partial<{ [Name in keyof SwitchTables]: ReadonlyMap<string, SwitchTables[Name]> }> = {
    Bridge: new Map([['b', { ...switchTables.Bridge, name: 'ovsbr0', mirrors: new Set(uuid === null ? [] : [uuid]) }]]),
    Mirror: new Map(uuid === null ? [] : [[uuid, mirror]]),
  };
  const reader = { table: (name: keyof SwitchTables) => rows[name] ?? new Map() } as ReplicaReader<SwitchTables>;
  return new SwitchView(() => reader);
}

describe('a change of a mirror whose reply was lost, or that a crash left in doubt', () => {
  const set = (drift: boolean): MirrorChange => ({ kind: 'set-mirror', wanted, row, differences: [], drift });
  for (const [what, change, done, open] of [
    ['one that is made', { kind: 'mirror', wanted }, viewOf(insertedMirrorUuid('seed')), viewOf('m')],
    ['one that is set', set(false), viewOf('m', 'txn1'), viewOf('m', 'txn0')],
    ['one whose drift is repaired', set(true), viewOf('m', 'txn1'), viewOf(null)],
    ['one that goes', { kind: 'unmirror', row }, viewOf(null), viewOf('m', 'txn1')],
  ] as [string, MirrorChange, SwitchView, SwitchView][]) {
    it(`is known by the row: ${what}`, () => {
      const draft = draftOf(plannedChange(change, cause, 'txn1'), 'pve1');
      const block: Block = { height: 1, prev_hash: '', timestamp: '', hash: 'seed', ...draft };
      for (const [view, expected] of [
        [done, true],
        [open, false],
      ] as const) {
        assert.equal(transactionLanded([{ change, seed: 'seed' }], 'txn1', view), expected);
        assert.deepEqual(blocksLost([block], view), expected ? [] : [block]);
      }
    });
  }
});
