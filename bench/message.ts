/** A failed command of 1,000 ports is quoted whole in its error. */
const messageCharsMax = 500;

/** An error and its causes on one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.slice(0, messageCharsMax);
  return error.cause === undefined ? message : `${message} (${messageOf(error.cause)})`;
}
