/** Finding a path in the resource table. */
import { AgentError } from '../model/errors.ts';
import { checkParameters } from './schema.ts';
import type { ParameterSpec, Parameters } from './schema.ts';
import { resourceTable, verbs } from './table.ts';
import type { HandlerName, MethodSpec, ResourceSpec, Verb } from './table.ts';

export interface FoundResource {
  readonly resource: ResourceSpec;
  readonly pathParameters: Readonly<Record<string, string>>;
}

export interface PreparedCall {
  readonly handler: HandlerName;
  readonly method: MethodSpec;
  readonly parameters: Parameters;
}

/** Messages of pvesh, so that who knows it reads them at a glance. */
export function noSuchResource(path: string): AgentError {
  return new AgentError('NotFound', `no such resource '${path}'`);
}
export function noHandler(verb: Verb, path: string): AgentError {
  return new AgentError('InvalidArgument', `No '${verb}' handler defined for '${path}'`);
}

/** `/ports/`, `ports` and `/ports` are one; `/nodes/<this node>/...` is the same tree. */
export function normalisePath(path: string, node: string): string {
  const segments = path.split('/').filter((segment) => segment !== '');
  if (segments[0] === 'nodes' && segments[1] === node) segments.splice(0, 2);
  return `/${segments.join('/')}`;
}

/** Literal segments win over parameters. null when no entry has this path. */
export function findResource(path: string): FoundResource | null {
  const segments = path.split('/');
  let found: FoundResource | null = null;
  for (const resource of resourceTable as readonly ResourceSpec[]) {
    const parameters = matchPath(resource.path.split('/'), segments);
    if (parameters === null) continue;
    if (found === null || Object.keys(parameters).length < Object.keys(found.pathParameters).length) {
      found = { resource, pathParameters: parameters };
    }
  }
  return found;
}

/** The call of one verb on one path, its parameters checked. Throws what pvesh would say. */
export function prepareCall(verb: Verb, path: string, input: Readonly<Record<string, unknown>>): PreparedCall {
  const found = findResource(path);
  if (found === null) throw noSuchResource(path);
  const method = found.resource.methods[verb];
  if (method === undefined) throw noHandler(verb, path);
  const specs: Record<string, ParameterSpec> = { ...found.resource.pathParameters, ...method.parameters };
  return {
    handler: method.handler as HandlerName,
    method,
    parameters: checkParameters(specs, { ...input, ...found.pathParameters }),
  };
}

export interface Child {
  readonly name: string;
  /** Whether something lies below it. */
  readonly hasChildren: boolean;
  readonly verbs: readonly Verb[];
}

/** What lies directly below a path; parameters stand in braces. */
export function childrenOf(path: string): Child[] {
  const prefix = path === '/' ? [''] : path.split('/');
  const children = new Map<string, { hasChildren: boolean; verbs: Verb[] }>();
  for (const resource of resourceTable as readonly ResourceSpec[]) {
    const segments = resource.path.split('/');
    if (segments.length <= prefix.length || matchPath(segments.slice(0, prefix.length), prefix) === null) continue;
    const name = segments[prefix.length] ?? '';
    const child = children.get(name) ?? { hasChildren: false, verbs: [] };
    if (segments.length > prefix.length + 1) child.hasChildren = true;
    else child.verbs = verbs.filter((verb) => resource.methods[verb] !== undefined);
    children.set(name, child);
  }
  return [...children].map(([name, child]) => ({ name, ...child })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function matchPath(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? '';
    const name = /^\{(.+)\}$/.exec(expected)?.[1];
    if (name !== undefined) parameters[name] = segment;
    else if (expected !== segment) return null;
  }
  return parameters;
}
