import assert from 'node:assert/strict';
import fc from 'fast-check';
import { errorTable, isRetryable } from '../../src/model/errors.ts';
import { TransactError } from '../../src/ovsdb/errors.ts';
import { checkTransactReply, readTransactReply } from '../../src/ovsdb/transact.ts';
import type { Operation } from '../../src/ovsdb/wire.ts';
import { refusedWith } from '../support/refused.ts';

const operationNames: [Operation, string][] = [
  [{ op: 'insert', table: 'Port', row: {} }, 'insert into Port'],
  [{ op: 'select', table: 'Bridge', where: [] }, 'select on Bridge'],
  [{ op: 'update', table: 'Port', where: [], row: {} }, 'update on Port'],
  [{ op: 'mutate', table: 'Bridge', where: [], mutations: [] }, 'mutate on Bridge'],
  [{ op: 'delete', table: 'Interface', where: [] }, 'delete on Interface'],
  [{ op: 'wait', table: 'Bridge', where: [], columns: [], until: '==', rows: [] }, 'wait on Bridge'],
  [{ op: 'commit', durable: true }, 'commit'],
  [{ op: 'abort' }, 'abort'],
  [{ op: 'comment', comment: 'x' }, 'comment'],
  [{ op: 'assert', lock: 'x' }, 'assert'],
];
const operations = operationNames.map(([operation]) => operation);

function check(reply: unknown): unknown {
  return checkTransactReply(operations, readTransactReply(reply, operations.length));
}

/** As ovsdb-server answers: results, the error, null for what was not carried out. */
function replyFailingAt(index: number, failure: object): unknown[] {
  const nulls = Math.max(0, operations.length - index - 1);
  return [...Array<object>(index).fill({}), failure, ...Array<null>(nulls).fill(null)];
}

describe('the reply to transact', () => {
  it('gives one result for each operation', () => {
    const reply = operations.map((_, index) => (index === 1 ? { rows: [{ next_cfg: 4 }] } : { count: index }));
    assert.deepEqual(check(reply), reply);
    assert.deepEqual(checkTransactReply([], readTransactReply([], 0)), []);
  });

  for (const [index, [, name]] of operationNames.entries()) {
    it(`names a failed ${name}`, () => {
      const reply = replyFailingAt(index, { error: 'constraint violation', details: 'because' });
      assert.throws(
        () => check(reply),
        refusedWith('SwitchError', `OVSDB ${name} failed: constraint violation: because`),
      );
      assert.throws(
        () => check(reply),
        (thrown) =>
          thrown instanceof TransactError && thrown.kind === 'constraint violation' && thrown.operation === index,
      );
    });
  }

  it('names the commit when no operation failed but it did', () => {
    const reply = replyFailingAt(operations.length, { error: 'referential integrity violation', details: 'Port' });
    assert.throws(
      () => check(reply),
      refusedWith('SwitchError', 'OVSDB commit failed: referential integrity violation: Port'),
    );
    assert.throws(
      () => check(reply),
      (thrown) => thrown instanceof TransactError && thrown.operation === operations.length,
    );
  });

  it('says the error alone when there are no details', () => {
    for (const failure of [{ error: 'aborted' }, { error: 'aborted', details: '' }]) {
      assert.throws(
        () => check(replyFailingAt(7, failure)),
        refusedWith('SwitchError', /^OVSDB abort failed: aborted$/),
      );
    }
  });

  for (const [kind, code] of [
    ['timed out', 'Conflict'],
    ['not owner', 'Busy'],
    ['duplicate uuid', 'SwitchError'],
    ['constraint violation', 'SwitchError'],
    ['resources exhausted', 'Busy'],
    ['cluster error', 'Unavailable'],
    ['permission error', 'AccessDenied'],
    ['I/O error', 'SwitchError'],
    ['constructor', 'SwitchError'],
    ['__proto__', 'SwitchError'],
    ['', 'SwitchError'],
  ] as const) {
    it(`gives "${kind}" the code ${code}`, () => {
      assert.throws(() => check(replyFailingAt(0, { error: kind })), refusedWith(code));
    });
  }

  it('gives any kind of error a code of the table', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.option(fc.string(), { nil: undefined }),
        fc.nat(operations.length),
        (kind, details, at) => {
          assert.throws(
            () => check(replyFailingAt(at, { error: kind, ...(details === undefined ? {} : { details }) })),
            (thrown) =>
              thrown instanceof TransactError &&
              thrown.kind === kind &&
              thrown.operation === at &&
              Object.hasOwn(errorTable, thrown.code) &&
              typeof isRetryable(thrown) === 'boolean',
          );
        },
      ),
    );
  });

  const good = operations.map(() => ({}));
  for (const [title, reply] of [
    ['null', null],
    ['an object', {}],
    ['a text', 'aborted'],
    ['too short', good.slice(1)],
    ['too long', [...good, {}]],
    ['null for an operation though none failed', [...good.slice(1), null]],
    ['a number among the results', [...good.slice(1), 7]],
    ['an array among the results', [...good.slice(1), []]],
    ['an error that is no text', [...good.slice(1), { error: { toString: 1 } }]],
    ['details that are no text', [...good.slice(1), { error: 'x', details: { toString: 1 } }]],
    ['a count that is no number', [...good.slice(1), { count: '1' }]],
    ['rows that are no array', [...good.slice(1), { rows: {} }]],
    ['rows that are no objects', [...good.slice(1), { rows: [7] }]],
    ['an error in the middle and nothing after it', [{}, { error: 'x' }]],
    ['two results after the last', [...good, {}, { error: 'x' }]],
  ] as const) {
    it(`refuses a reply that is malformed: ${title}`, () => {
      assert.throws(() => check(reply), refusedWith('SwitchError', 'OVSDB server sent a reply to transact'));
      assert.throws(
        () => check(reply),
        (thrown) => !(thrown instanceof TransactError),
      );
    });
  }
});
