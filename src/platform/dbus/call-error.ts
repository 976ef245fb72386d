/** Error replies of other programs as errors of ours. */
import { AgentError, parseDbusErrorName } from '../../model/errors.ts';
import type { ErrorCode } from '../../model/errors.ts';

/** An error reply. Whoever knows the callee reads `errorName`; everybody else has `code`. */
export class DbusCallError extends AgentError {
  /** For example `org.freedesktop.systemd1.NoSuchUnit`. */
  readonly errorName: string;

  constructor(code: ErrorCode, message: string, errorName: string) {
    super(code, message);
    this.errorName = errorName;
  }
}

/** `what` names the call. An error of this service keeps its code and its words; others are named in full. */
export function dbusCallError(what: string, errorName: string, text: string): DbusCallError {
  const own = parseDbusErrorName(errorName);
  if (own !== null) return new DbusCallError(own, text, errorName);
  const code = codesOfStandardErrors.get(errorName) ?? 'Internal';
  return new DbusCallError(code, `${what} failed: ${errorName}: ${text}`, errorName);
}

const standard = 'org.freedesktop.DBus.Error.';
const codesOfStandardErrors = new Map<string, ErrorCode>([
  [`${standard}ServiceUnknown`, 'Unavailable'],
  [`${standard}NameHasNoOwner`, 'Unavailable'],
  [`${standard}Disconnected`, 'Unavailable'],
  // The bus says so when the callee left without an answer: what it had done by then is unknown.
  [`${standard}NoReply`, 'Unavailable'],
  [`${standard}Spawn.ExecFailed`, 'Unavailable'],
  [`${standard}Spawn.ChildExited`, 'Unavailable'],
  [`${standard}Spawn.ChildSignaled`, 'Unavailable'],
  [`${standard}Spawn.ServiceNotFound`, 'Unavailable'],
  [`${standard}Timeout`, 'Timeout'],
  [`${standard}TimedOut`, 'Timeout'],
  [`${standard}LimitsExceeded`, 'Busy'],
  [`${standard}AccessDenied`, 'AccessDenied'],
  [`${standard}AuthFailed`, 'AccessDenied'],
  [`${standard}InteractiveAuthorizationRequired`, 'AccessDenied'],
  [`${standard}InvalidArgs`, 'InvalidArgument'],
  [`${standard}UnknownMethod`, 'InvalidArgument'],
  [`${standard}UnknownInterface`, 'InvalidArgument'],
  [`${standard}UnknownProperty`, 'InvalidArgument'],
  [`${standard}PropertyReadOnly`, 'InvalidArgument'],
  [`${standard}UnknownObject`, 'NotFound'],
]);
