import assert from 'node:assert/strict';
import { isRetryable } from '../../src/model/errors.ts';
import { callSite, withCallSite } from '../../src/ovsdb/call-site.ts';
import { isRetryableKind, OvsdbError, TransactError } from '../../src/ovsdb/errors.ts';

describe('an error of OVSDB', () => {
  for (const [kind, retryable] of [
    ['not owner', true],
    ['resources exhausted', true],
    ['cluster error', true],
    ['timed out', false],
    ['constraint violation', false],
    ['I/O error', false],
    ['one of tomorrow', false],
    ['constructor', false],
  ] as const) {
    it(`may${retryable ? '' : ' not'} be repeated when it is "${kind}"`, () => {
      assert.equal(isRetryableKind(kind), retryable);
      assert.equal(isRetryable(new OvsdbError(kind, 'x')), retryable);
      assert.equal(new TransactError(kind, 3, 'x').operation, 3);
    });
  }

  it('shows who asked', () => {
    function asker(): { readonly stack?: string } {
      return callSite();
    }
    const error = new OvsdbError('aborted', 'x');
    assert.equal(withCallSite(error, asker()), error);
    assert.match(error.stack ?? '', /x\n[^]*---- asked for\n +at asker/);
  });

  it('is left alone when there is nothing to show', () => {
    const error = new OvsdbError('aborted', 'x');
    const { stack } = error;
    withCallSite(error, {});
    assert.equal(error.stack, stack);
    assert.equal(withCallSite('text', callSite()), 'text');
  });
});
