/** Parts of schemas that the configuration and its policies share. */
import * as z from 'zod';
import { toAgentError } from './errors.ts';
import { parseBridgeName } from './names.ts';

/** What `parse` makes of it; the message of what it throws is that of the issue. */
export function parsed<Input, Output>(schema: z.ZodType<Input>, parse: (input: Input) => Output) {
  return schema.transform((input, context): Output => {
    try {
      return parse(input);
    } catch (error) {
      context.addIssue({ code: 'custom', message: toAgentError(error).message });
      return z.NEVER;
    }
  });
}

export const bridge = parsed(z.string(), parseBridgeName);
export const absolutePath = z.string().regex(/^\//, 'expected an absolute path');
