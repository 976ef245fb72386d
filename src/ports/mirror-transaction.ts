/** Changes of Mirrors as guarded operations. Never an `update` of `Bridge.mirrors`: others mirror too. */
import type { WantedMirror } from '../model/mirror.ts';
import type { Operation, Row, Value } from '../ovsdb/wire.ts';
import { setMarks, waitForRow } from './guarded-operations.ts';
import { markKeys } from './marks.ts';
import { mirrorMarks, mirrorName } from './mirror-marks.ts';
import type { MirrorChange } from './mirror-plan.ts';
import { uuidV5 } from './uuid-v5.ts';

/** `seed` as for `insertedPortUuid`. */
export function insertedMirrorUuid(seed: string): string {
  return uuidV5(`Mirror ${seed}`);
}

export function mirrorOperations(change: MirrorChange, seed: string, txn: string): Operation[] {
  switch (change.kind) {
    case 'mirror':
      return make(change.wanted, insertedMirrorUuid(seed), txn);
    case 'set-mirror':
      return [
        waitForRow('Mirror', '_uuid', ['uuid', change.row.uuid]),
        waitForRow('Port', '_uuid', ['uuid', change.wanted.output]),
        {
          op: 'update',
          table: 'Mirror',
          where: [['_uuid', '==', ['uuid', change.row.uuid]]],
          row: selection(change.wanted),
        },
        setMarks('Mirror', change.row.uuid, marksOf(change.wanted, txn)),
      ];
    case 'unmirror':
      return [
        waitForRow('Mirror', '_uuid', ['uuid', change.row.uuid]),
        // The Mirror is not a root table and goes with the reference.
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', change.row.bridge]],
          mutations: [['mirrors', 'delete', ['uuid', change.row.uuid]]],
        },
      ];
  }
}

function make(wanted: WantedMirror, uuid: string, txn: string): Operation[] {
  return [
    waitForRow('Bridge', 'name', wanted.bridge),
    // A Mirror refers to its ports weakly: one that has just gone would be left out without a word.
    waitForRow('Port', '_uuid', ['uuid', wanted.output]),
    {
      op: 'insert',
      table: 'Mirror',
      uuid,
      row: {
        name: mirrorName(wanted.target),
        ...selection(wanted),
        external_ids: ['map', [...marksOf(wanted, txn)]],
      },
    },
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['name', '==', wanted.bridge]],
      mutations: [['mirrors', 'insert', ['uuid', uuid]]],
    },
  ];
}

/** Every column by which a Mirror selects and puts out. */
function selection({ sources, output }: WantedMirror): Row {
  const rows = ['set', sources.map(({ row }) => ['uuid', row] as const)] satisfies Value;
  return {
    select_all: false,
    select_src_port: rows,
    select_dst_port: rows,
    select_vlan: ['set', []],
    output_port: ['uuid', output],
    output_vlan: ['set', []],
  };
}

function marksOf(wanted: WantedMirror, txn: string): ReadonlyMap<string, string> {
  return new Map([...mirrorMarks(wanted), [markKeys.txn, txn]]);
}
