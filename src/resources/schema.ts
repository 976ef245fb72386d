/** Declarations of parameters and results: a small part of JSON Schema, enough to check input, print tables and usage. */
import { AgentError } from '../model/errors.ts';
import { nearest } from '../model/nearest.ts';
import { quote } from '../model/names.ts';

export interface ParameterSpec {
  readonly type: 'string' | 'integer' | 'boolean';
  readonly description: string;
  readonly optional?: true;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface PropertySpec {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';
  readonly description: string;
  readonly optional?: true;
}

export type ResultSpec =
  | { readonly type: 'null' | 'string' }
  | { readonly type: 'object'; readonly properties: Readonly<Record<string, PropertySpec>> }
  | { readonly type: 'array'; readonly items: { readonly properties: Readonly<Record<string, PropertySpec>> } };

export type Parameters = Readonly<Record<string, string | number | boolean>>;

/** What is wrong with a call's parameters, one message for each. */
export class ParameterError extends AgentError {
  readonly problems: Readonly<Record<string, string>>;

  constructor(problems: Record<string, string>) {
    const lines = Object.entries(problems).map(([key, problem]) => `${key}: ${problem}`);
    super('InvalidArgument', `Parameter verification failed. ${lines.join('; ')}`);
    this.problems = problems;
  }
}

/**
 * Checks and converts: the command line hands in text, D-Bus and REST the types themselves. Throws `ParameterError`
 * with everything that is wrong at once.
 */
export function checkParameters(
  specs: Readonly<Record<string, ParameterSpec>>,
  input: Readonly<Record<string, unknown>>,
): Parameters {
  const problems: Record<string, string> = {};
  const checked: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(input)) {
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) {
      const near = nearest(name, Object.keys(specs));
      problems[name] = `property is not defined in schema${near === null ? '' : `; did you mean ${near}?`}`;
      continue;
    }
    const outcome = checkValue(spec, value);
    if ('problem' in outcome) problems[name] = outcome.problem;
    else checked[name] = outcome.value;
  }
  for (const [name, spec] of Object.entries(specs)) {
    if (spec.optional !== true && !Object.hasOwn(input, name))
      problems[name] = 'property is missing and it is not optional';
  }
  if (Object.keys(problems).length > 0) throw new ParameterError(problems);
  return checked;
}

function checkValue(spec: ParameterSpec, value: unknown): { value: string | number | boolean } | { problem: string } {
  switch (spec.type) {
    case 'string':
      if (typeof value !== 'string') return { problem: 'expected text' };
      if (spec.enum !== undefined && !spec.enum.includes(value)) {
        return { problem: `value ${quote(value)} does not have a value in the enumeration '${spec.enum.join(', ')}'` };
      }
      return { value };
    case 'boolean':
      if (typeof value === 'boolean') return { value };
      if (value === '1' || value === 'true' || value === 1) return { value: true };
      if (value === '0' || value === 'false' || value === 0) return { value: false };
      return { problem: "type check ('boolean') failed" };
    case 'integer': {
      const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isSafeInteger(number))
        return { problem: "type check ('integer') failed" };
      if (spec.minimum !== undefined && number < spec.minimum)
        return { problem: `value must have a minimum value of ${spec.minimum}` };
      if (spec.maximum !== undefined && number > spec.maximum)
        return { problem: `value must have a maximum value of ${spec.maximum}` };
      return { value: number };
    }
  }
}
