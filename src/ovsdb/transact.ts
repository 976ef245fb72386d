/** A `transact` reply as a result or one typed error (RFC 7047 section 4.1.3). */
import { TransactError } from './errors.ts';
import { excerpt, isRecord, malformed } from './malformed.ts';
import type { Operation, OperationResult } from './wire.ts';

/**
 * The elements of a reply to `count` operations: one for each, one more when the commit itself failed, null for those
 * that were not carried out. Throws `SwitchError` when the reply is malformed; it says nothing of the outcome then.
 */
export function readTransactReply(reply: unknown, count: number): (OperationResult | null)[] {
  if (!Array.isArray(reply)) throw malformed(`a reply to transact that is not an array: ${excerpt(reply)}`);
  const results = reply as unknown[];
  if (!results.every(isResultOrNull)) throw malformed(`a reply to transact with a malformed result: ${excerpt(reply)}`);
  const failed = results.findIndex((result) => result?.error !== undefined);
  const expected = failed === count ? count + 1 : count;
  if (results.length !== expected || (failed < 0 && results.includes(null))) {
    throw malformed(`a reply to transact that does not fit its ${count} operations: ${excerpt(reply)}`);
  }
  return results;
}

function isResultOrNull(result: unknown): result is OperationResult | null {
  if (result === null) return true;
  if (!isRecord(result)) return false;
  const { error, details, count, rows } = result;
  return (
    (error === undefined || typeof error === 'string') &&
    (details === undefined || typeof details === 'string') &&
    (count === undefined || typeof count === 'number') &&
    (rows === undefined || (Array.isArray(rows) && rows.every(isRecord)))
  );
}

/** The results, one for each operation. Throws `TransactError` for the first that failed. */
export function checkTransactReply(
  operations: readonly Operation[],
  results: readonly (OperationResult | null)[],
): OperationResult[] {
  return results.map((result, index) => {
    if (typeof result?.error !== 'string') return result ?? {};
    const { error, details = '' } = result;
    const operation = operations[index];
    const what = operation === undefined ? 'commit' : describeOperation(operation);
    throw new TransactError(error, index, `OVSDB ${what} failed: ${details === '' ? error : `${error}: ${details}`}`);
  });
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
    case 'commit':
    case 'abort':
    case 'comment':
    case 'assert':
      return operation.op;
  }
}
