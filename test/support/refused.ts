/** Checks for errors that an `AgentError` must be: its code, and what its words must name. */
import { AgentError } from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';

/** A predicate for `assert.throws` and `assert.rejects`. */
export function refusedWith(code: ErrorCode, ...words: (string | RegExp)[]): (thrown: unknown) => true {
  return (thrown) => {
    if (!(thrown instanceof AgentError)) throw new Error(`not an AgentError: ${String(thrown)}`, { cause: thrown });
    if (thrown.code !== code) throw new Error(`${thrown.code}, not ${code}: ${thrown.message}`, { cause: thrown });
    for (const word of words) {
      const found = typeof word === 'string' ? thrown.message.includes(word) : word.test(thrown.message);
      if (!found) throw new Error(`${String(word)} is missing in: ${thrown.message}`, { cause: thrown });
    }
    return true;
  };
}
