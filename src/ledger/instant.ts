/** Moments as people and programs write them. */
import { AgentError } from '../model/errors.ts';
import { quote } from '../model/names.ts';

/**
 * ISO 8601: a date, which means its beginning in UTC, or date and time with `Z` or an offset. Milliseconds since 1970.
 * Throws `InvalidArgument`, naming the text by `what`; also for a time without zone, which would mean another moment on
 * another host.
 */
export function parseInstant(text: string, what: string): number {
  const isInstant = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const ms = isInstant ? Date.parse(text) : NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new AgentError(
    'InvalidArgument',
    `${what} ${quote(text)} is not valid: expected a date such as 2025-10-14, or 2025-10-14T12:00:00Z`,
  );
}
