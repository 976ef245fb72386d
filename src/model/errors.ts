/**
 * The one table of errors: a code is at once the D-Bus error name, the command's exit code and the HTTP status.
 * Exit codes 1 and 2 are missing on purpose: they belong to a command's own answer (`ledger verify`, `doctor`).
 */
export const errorTable = {
  InvalidArgument: { exit: 64, http: 400, retryable: false, meaning: 'a word, a name or the configuration is wrong' },
  NotFound: { exit: 3, http: 404, retryable: false, meaning: 'what was named does not exist' },
  NotOwner: { exit: 4, http: 403, retryable: false, meaning: 'it is foreign and was left alone' },
  AccessDenied: { exit: 5, http: 403, retryable: false, meaning: 'the caller may not do this' },
  Conflict: { exit: 6, http: 409, retryable: false, meaning: 'something else stands in the way' },
  Busy: { exit: 7, http: 409, retryable: true, meaning: 'somebody else is at it' },
  NotApplied: { exit: 8, http: 504, retryable: true, meaning: 'committed, but not seen to be applied in time' },
  SwitchError: { exit: 9, http: 502, retryable: false, meaning: 'Open vSwitch refused' },
  Unavailable: { exit: 10, http: 503, retryable: true, meaning: 'the service, the switch or a file cannot be reached' },
  Timeout: { exit: 11, http: 504, retryable: true, meaning: 'no answer in time' },
  RolledBack: { exit: 12, http: 409, retryable: false, meaning: 'the change was taken back' },
  Tampered: { exit: 13, http: 500, retryable: false, meaning: 'the ledger was altered from outside' },
  Internal: { exit: 70, http: 500, retryable: false, meaning: 'a fault of this program' },
} as const;

export type ErrorCode = keyof typeof errorTable;

/** Prefix of every D-Bus error name of the service; the code follows. */
export const dbusErrorPrefix = 'dev.ovs.PortAgent1.Error.';

/** An error that may cross a face. Its message says what failed, on what, why, and what to do. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Any thrown value as an `AgentError`; what was not one is `Internal`, with the original as its cause. */
export function toAgentError(thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  return new AgentError('Internal', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** Whether the same request may succeed later. A lost `transact` reply still has to be looked up before repeating. */
export function isRetryable(error: unknown): boolean {
  return error instanceof AgentError && errorTable[error.code].retryable;
}

export function dbusErrorName(code: ErrorCode): string {
  return dbusErrorPrefix + code;
}

/** The code in a D-Bus error name of ours; null for anybody else's. */
export function parseDbusErrorName(name: string): ErrorCode | null {
  if (!name.startsWith(dbusErrorPrefix)) return null;
  const code = name.slice(dbusErrorPrefix.length);
  return Object.hasOwn(errorTable, code) ? (code as ErrorCode) : null;
}
