/** What the Proxmox API answers when it does not do what it was asked, as one error with one code of ours. */
import { AgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';

/** Characters of Proxmox VE's own words that a message of ours repeats. */
const textMax = 500;

export interface ProxmoxErrorFacts {
  /** HTTP status; null when no answer came. */
  readonly status: number | null;
  /** What Proxmox VE says of single parameters. */
  readonly errors: Readonly<Record<string, string>>;
  /** A change was sent and no answer tells whether it was made: look before asking again. */
  readonly isOutcomeUnknown: boolean;
}

export class ProxmoxError extends AgentError implements ProxmoxErrorFacts {
  readonly status: number | null;
  readonly errors: Readonly<Record<string, string>>;
  readonly isOutcomeUnknown: boolean;

  constructor(code: ErrorCode, message: string, facts: Partial<ProxmoxErrorFacts> = {}) {
    super(code, message);
    this.status = facts.status ?? null;
    this.errors = facts.errors ?? {};
    this.isOutcomeUnknown = facts.isOutcomeUnknown ?? false;
  }
}

/**
 * The code for an answer. Proxmox VE gives most refusals the status 500 and says what they are in words alone, so the
 * words decide first; they have been the same for years, and an unknown one costs no more than a less exact code.
 */
export function codeOfRefusal(status: number, words: string, isChange: boolean): ErrorCode {
  if (status === 401 || status === 403) return 'AccessDenied';
  if (/file changed? by other user/i.test(words)) return 'Conflict';
  if (/is locked \(|can't lock file|got lock request timeout/i.test(words)) return 'Busy';
  if (/no quorum/i.test(words)) return 'Unavailable';
  if (/already exists|already running|not running/i.test(words)) return 'Conflict';
  if (status === 404 || status === 501 || /does not exist|no such (?:vm|ct|guest|node|task)/i.test(words))
    return 'NotFound';
  if (status === 400) return 'InvalidArgument';
  // 595 to 599: the node that was asked could not reach the one that the path names.
  if ([502, 503, 504].includes(status) || status >= 590 || status < 400) return 'Unavailable';
  return isChange ? 'NotApplied' : 'Unavailable';
}

/** Words from outside on one line: no control characters, not longer than a message can bear. */
export function plainText(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029\s]+/gu, ' ').trim();
  return line.length > textMax ? `${line.slice(0, textMax - 3)}...` : line;
}
