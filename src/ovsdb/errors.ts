/** What an OVSDB server refuses, in its own words, and what each of them means to a caller. */
import { AgentError, errorTable } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';

/**
 * `<error>` strings of RFC 7047 (sections 3.1, 4.1 and 5.2) and, in the second block, those that Open vSwitch adds. The
 * code decides whether the same request may succeed later.
 */
const codeOfKind = {
  aborted: 'SwitchError',
  canceled: 'SwitchError',
  'constraint violation': 'SwitchError',
  'domain error': 'SwitchError',
  'duplicate uuid-name': 'SwitchError',
  // The disk of the server: nothing was committed, and nothing will be before somebody has looked after it.
  'I/O error': 'SwitchError',
  // Section 5.2.10: another client holds the lock now.
  'not owner': 'Busy',
  'not supported': 'SwitchError',
  'range error': 'SwitchError',
  'referential integrity violation': 'SwitchError',
  'resources exhausted': 'Busy',
  // Section 5.2.6: what a `wait` guards is not as the caller believed.
  'timed out': 'Conflict',
  'unknown database': 'SwitchError',
  'unknown monitor': 'SwitchError',

  // A member of a cluster that lost its leader on the way: whether it was committed has to be looked up.
  'cluster error': 'Unavailable',
  'database removed': 'Unavailable',
  'duplicate monitor ID': 'SwitchError',
  'duplicate uuid': 'SwitchError',
  'internal error': 'SwitchError',
  'not allowed': 'SwitchError',
  'ovsdb error': 'SwitchError',
  'permission error': 'AccessDenied',
  'syntax error': 'SwitchError',
  'unknown column': 'SwitchError',
  'unknown method': 'SwitchError',
  'unknown table': 'SwitchError',
} as const satisfies Record<string, ErrorCode>;

export type OvsdbErrorKind = keyof typeof codeOfKind;

/** Whether the same request may succeed later, nothing else being changed. Kinds we do not know: no. */
export function isRetryableKind(kind: string): boolean {
  return errorTable[codeOf(kind)].retryable;
}

/** What the server answered instead of a result. */
export class OvsdbError extends AgentError {
  /** The `<error>` string as the server sent it: one of `OvsdbErrorKind`, or one that a newer server knows. */
  readonly kind: OvsdbErrorKind | (string & Record<never, never>);

  constructor(kind: string, message: string) {
    super(codeOf(kind), message);
    this.kind = kind;
  }
}

/** A transaction that the server refused as a whole. */
export class TransactError extends OvsdbError {
  /** Index of the operation that failed; the number of operations when the commit itself did. */
  readonly operation: number;

  constructor(kind: string, operation: number, message: string) {
    super(kind, message);
    this.operation = operation;
  }
}

function codeOf(kind: string): ErrorCode {
  return Object.hasOwn(codeOfKind, kind) ? codeOfKind[kind as OvsdbErrorKind] : 'SwitchError';
}
