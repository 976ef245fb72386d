/** A `transact` reply as a result or one typed error (RFC 7047 section 4.1.3). */
import { AgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { Operation, OperationResult } from './wire.ts';

/** A transaction the server refused as a whole. */
export class TransactError extends AgentError {
  /** The `<error>` string of the specification, for example `constraint violation`. */
  readonly kind: string;
  /** Index of the operation that failed; the number of operations when the commit itself did. */
  readonly operation: number;

  constructor(kind: string, operation: number, message: string) {
    super(codeOfKind[kind] ?? 'SwitchError', message);
    this.kind = kind;
    this.operation = operation;
  }
}

/** Kinds that mean more than "the switch refused": RFC 7047 sections 5.2.6 (wait) and 5.2.10 (assert). */
const codeOfKind: Record<string, ErrorCode | undefined> = {
  'timed out': 'Conflict',
  'not owner': 'Busy',
};

/** The results, one for each operation. Throws `TransactError` for the first that failed. */
export function checkTransactReply(operations: readonly Operation[], reply: unknown): OperationResult[] {
  if (!Array.isArray(reply) || reply.length < operations.length) {
    throw new AgentError('SwitchError', `OVSDB transact: expected ${operations.length} results in the reply`);
  }
  const results = reply as (OperationResult | null)[];
  const failed = results.findIndex((result) => typeof result?.error === 'string');
  if (failed >= 0) {
    const { error = '', details = '' } = results[failed] ?? {};
    const operation = operations[failed];
    const what = operation === undefined ? 'commit' : describeOperation(operation);
    throw new TransactError(error, failed, `OVSDB ${what} failed: ${details === '' ? error : `${error}: ${details}`}`);
  }
  return results.map((result) => result ?? {});
}

function describeOperation(operation: Operation): string {
  switch (operation.op) {
    case 'insert':
      return `insert into ${operation.table}`;
    case 'select':
    case 'update':
    case 'mutate':
    case 'delete':
    case 'wait':
      return `${operation.op} on ${operation.table}`;
    default:
      return operation.op;
  }
}
