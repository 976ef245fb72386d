/** Values that came off the wire: nothing is known about them until it was looked at. */
import { AgentError } from '../model/errors.ts';

/** What the server sent is not what the protocol says: nothing that follows can be trusted. Names `what` it was. */
export function malformed(what: string, options?: { cause?: unknown }): AgentError {
  return new AgentError('SwitchError', `OVSDB server sent ${what}`, options);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `value` as an object. Throws, naming it by `what`. */
export function asRecord(value: unknown, what: string): Record<string, unknown> {
  if (!isRecord(value)) throw malformed(`${what} that is not an object: ${excerpt(value)}`);
  return value;
}

/** A member of the object itself: `constructor` is none, `__proto__` only when the server sent it. */
export function own(record: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

const excerptChars = 80;

/** Text that may come from anywhere, for a message; never longer than a line of a log. */
export function excerpt(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > excerptChars ? `${text.slice(0, excerptChars)}…` : text;
}
