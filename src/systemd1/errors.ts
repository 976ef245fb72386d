/** systemd's error replies as errors of ours. */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';

const prefix = 'org.freedesktop.systemd1.';
const codes: Readonly<Record<string, ErrorCode>> = {
  NoSuchUnit: 'NotFound',
  NoUnitForPID: 'NotFound',
  NoUnitForInvocationID: 'NotFound',
  NoSuchJob: 'NotFound',
  UnitMasked: 'Conflict',
  UnitExists: 'Conflict',
  UnitGenerated: 'Conflict',
  UnitLinked: 'Conflict',
  UnitBadPath: 'InvalidArgument',
  UnitBusy: 'Busy',
  NotReferenced: 'NotFound',
  LoadFailed: 'Conflict',
  BadUnitSetting: 'Conflict',
  JobTypeNotApplicable: 'InvalidArgument',
  NoIsolation: 'InvalidArgument',
  OnlyByDependency: 'Conflict',
  TransactionJobsConflicting: 'Conflict',
  TransactionOrderIsCyclic: 'Conflict',
  TransactionIsDestructive: 'Conflict',
  ShuttingDown: 'Unavailable',
  DiskFull: 'Unavailable',
};

/** The name of an error reply without systemd's prefix; null for every other error. */
export function systemdErrorName(error: unknown): string | null {
  const name = errorNameOf(error);
  return name?.startsWith(prefix) === true ? name.slice(prefix.length) : null;
}

/** Whether the object or unit asked for does not exist (any more). */
export function isGone(error: unknown): boolean {
  const name = systemdErrorName(error);
  return (
    name === 'NoSuchUnit' || name === 'NoSuchJob' || errorNameOf(error) === 'org.freedesktop.DBus.Error.UnknownObject'
  );
}

/** `what` says what was asked for; systemd's own words follow. */
export function systemdError(what: string, thrown: unknown): AgentError {
  const error = toAgentError(thrown);
  const name = systemdErrorName(thrown);
  if (name === null) return error;
  const code = Object.hasOwn(codes, name) ? codes[name] : undefined;
  return new AgentError(code ?? 'Internal', `${what} was refused by systemd: ${error.message}`, { cause: thrown });
}

function errorNameOf(error: unknown): string | null {
  return error instanceof Error && 'errorName' in error && typeof error.errorName === 'string' ? error.errorName : null;
}
