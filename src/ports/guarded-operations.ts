/** Operations that every change of rows is made of. */
import type { Operation, UuidAtom } from '../ovsdb/wire.ts';

/** Refuses the transaction when no such row is there. */
export function waitForRow(table: string, column: string, value: string | UuidAtom): Operation {
  return {
    op: 'wait',
    timeout: 0,
    table,
    where: [[column, '==', value]],
    columns: [column],
    until: '==',
    rows: [{ [column]: value }],
  };
}

/** `insert` into a map keeps a key that is there (RFC 7047 section 5.1 `<mutator>`), so its old value goes first. */
export function setMarks(table: string, uuid: string, marks: ReadonlyMap<string, string>): Operation {
  return {
    op: 'mutate',
    table,
    where: [['_uuid', '==', ['uuid', uuid]]],
    mutations: [
      ['external_ids', 'delete', ['set', [...marks.keys()]]],
      ['external_ids', 'insert', ['map', [...marks]]],
    ],
  };
}
