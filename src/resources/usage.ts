/** Usage texts, made from the table. */
import type { ParameterSpec } from './schema.ts';
import { findResource, noHandler, noSuchResource } from './lookup.ts';
import { verbs } from './table.ts';
import type { MethodSpec, ResourceSpec, Verb } from './table.ts';

/** Usage of one verb, or of every verb the path has. Throws `NotFound` or `InvalidArgument` as pvesh words it. */
export function usageOf(path: string, verb: Verb | null): string {
  const resource = findResource(path)?.resource;
  if (resource === undefined) throw noSuchResource(path);
  const shown = verbs.filter((candidate) => verb === null || candidate === verb);
  const texts = shown.flatMap((candidate) => {
    const method = resource.methods[candidate];
    return method === undefined ? [] : [usageOfMethod(candidate, resource, method)];
  });
  if (texts.length === 0 && verb !== null) throw noHandler(verb, path);
  return texts.join('\n\n');
}

/** The first line alone, for after an error. */
export function shortUsage(verb: Verb, path: string): string {
  const method = findResource(path)?.resource.methods[verb];
  return method === undefined ? '' : commandLine(verb, path, method);
}

function usageOfMethod(verb: Verb, resource: ResourceSpec, method: MethodSpec): string {
  const described = Object.entries({ ...resource.pathParameters, ...method.parameters });
  return [
    `USAGE: ${commandLine(verb, resource.path, method)}`,
    '',
    `  ${method.description}`,
    ...described.flatMap(([name, spec]) => [
      '',
      `  ${describeParameter(name, spec)}`,
      '',
      `       ${spec.description}`,
    ]),
  ].join('\n');
}

function commandLine(verb: Verb, path: string, method: MethodSpec): string {
  const required = Object.entries(method.parameters).filter(([, spec]) => spec.optional !== true);
  const isOptional = required.length < Object.keys(method.parameters).length;
  const words = required.map(([name, spec]) => `--${name} ${typeText(spec)}`);
  return ['ovs-port-agent', verb, path, ...words, ...(isOptional ? ['[OPTIONS]'] : [])].join(' ');
}

function describeParameter(name: string, spec: ParameterSpec): string {
  return `-${name} ${typeText(spec)}`;
}

function typeText(spec: ParameterSpec): string {
  if (spec.enum !== undefined) return `<${spec.enum.join(' | ')}>`;
  if (spec.type !== 'integer' || (spec.minimum === undefined && spec.maximum === undefined)) return `<${spec.type}>`;
  return `<integer> (${spec.minimum ?? '-N'} - ${spec.maximum ?? 'N'})`;
}
