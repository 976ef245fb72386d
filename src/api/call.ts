/** One call of the resource table, whichever face it came through. */
import { AgentError } from '../model/errors.ts';
import type { Cause } from '../ports/contracts.ts';
import { childrenOf, findResource, noSuchResource, normalisePath, prepareCall } from '../resources/lookup.ts';
import { verbs } from '../resources/table.ts';
import type { Privilege, Verb } from '../resources/table.ts';
import { usageOf } from '../resources/usage.ts';
import { handlers } from './handlers.ts';
import type { Service } from './service.ts';

export interface ResourceCall {
  readonly verb: string;
  readonly path: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly cause: Cause;
  readonly signal: AbortSignal;
  /** Rejects with `AccessDenied` when the caller may not. */
  readonly authorise: (privilege: Privilege) => Promise<void>;
}

/** Everything about the call is checked before its handler sees it. `ls` and `usage` are answered from the table. */
export async function callResource(service: Service, call: ResourceCall): Promise<unknown> {
  const path = normalisePath(call.path, service.node);
  if (call.verb === 'ls') {
    const children = childrenOf(path);
    if (children.length === 0 && findResource(path) === null) throw noSuchResource(path);
    return children;
  }
  if (call.verb === 'usage') return usageOf(path, null);
  const { handler, method, parameters } = prepareCall(parseVerb(call.verb), path, call.input);
  await call.authorise(method.privilege);
  return handlers[handler](service, { parameters, cause: call.cause, signal: call.signal });
}

/** The object in `parameters_json`; the empty string means none. */
export function parseParameters(json: string, name = 'parameters_json'): Record<string, unknown> {
  if (json === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new AgentError('InvalidArgument', `${name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AgentError('InvalidArgument', `${name} is not a JSON object`);
  }
  return value as Record<string, unknown>;
}

function parseVerb(verb: string): Verb {
  const known = verbs.find((candidate) => candidate === verb);
  if (known === undefined) {
    throw new AgentError(
      'InvalidArgument',
      `verb ${JSON.stringify(verb.slice(0, 20))} is not one of ${verbs.join(', ')}, ls, usage`,
    );
  }
  return known;
}
