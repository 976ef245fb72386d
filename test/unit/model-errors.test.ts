import assert from 'node:assert/strict';
import {
  AgentError,
  dbusErrorName,
  errorTable,
  isRetryable,
  parseDbusErrorName,
  toAgentError,
} from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

/** The documented interface: scripts rely on every one of these numbers. */
const documented: Record<ErrorCode, [exit: number, http: number]> = {
  InvalidArgument: [64, 400],
  NotFound: [3, 404],
  NotOwner: [4, 403],
  AccessDenied: [5, 403],
  Conflict: [6, 409],
  Busy: [7, 409],
  NotApplied: [8, 504],
  SwitchError: [9, 502],
  Unavailable: [10, 503],
  Timeout: [11, 504],
  RolledBack: [12, 409],
  Tampered: [13, 500],
  Internal: [70, 500],
};

describe('the table of errors', () => {
  it('holds the documented exit codes and HTTP statuses', () => {
    assert.deepEqual(
      Object.fromEntries(codes.map((code) => [code, [errorTable[code].exit, errorTable[code].http]])),
      documented,
    );
  });

  it('gives every code an exit code of its own', () => {
    assert.equal(new Set(codes.map((code) => errorTable[code].exit)).size, codes.length);
  });

  it("leaves 0, 1 and 2 to a command's own answer, and what a shell uses for itself", () => {
    for (const code of codes) {
      const { exit } = errorTable[code];
      assert.ok(exit > 2 && exit < 126, `${code} is ${exit}`);
    }
  });

  for (const code of codes) {
    it(`turns ${code} into a D-Bus error name and back`, () => {
      assert.equal(dbusErrorName(code), `dev.ovs.PortAgent1.Error.${code}`);
      assert.equal(parseDbusErrorName(dbusErrorName(code)), code);
    });
  }

  for (const name of [
    '',
    'dev.ovs.PortAgent1.Error.',
    'dev.ovs.PortAgent1.Error.Nothing',
    'dev.ovs.PortAgent1.Error.toString',
    'org.freedesktop.DBus.Error.NoReply',
    'xdev.ovs.PortAgent1.Error.Busy',
  ]) {
    it(`does not take ${JSON.stringify(name)} for one of its names`, () => {
      assert.equal(parseDbusErrorName(name), null);
    });
  }
});

describe('an error that crosses a face', () => {
  it('keeps its code, its words and its cause', () => {
    const cause = new Error('disk full');
    const error = new AgentError('Busy', 'the ledger is busy', { cause });
    assert.deepEqual(
      [error.name, error.code, error.message, error.cause],
      ['AgentError', 'Busy', 'the ledger is busy', cause],
    );
    assert.equal(toAgentError(error), error);
  });

  it('is Internal for everything else, with the original as its cause', () => {
    const original = new TypeError('x is not a function');
    const { code, message, cause } = toAgentError(original);
    assert.deepEqual([code, message, cause], ['Internal', original.message, original]);
    assert.deepEqual([toAgentError('text').message, toAgentError(undefined).message], ['text', 'undefined']);
  });

  it('may be tried again exactly when its code says so', () => {
    const retryable = codes.filter((code) => isRetryable(new AgentError(code, '')));
    assert.deepEqual(retryable, ['Busy', 'NotApplied', 'Unavailable', 'Timeout']);
    assert.equal(isRetryable(new Error('Busy')), false);
    assert.equal(isRetryable({ code: 'Busy' }), false);
  });
});
