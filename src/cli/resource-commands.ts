/** The pvesh-style verbs: `get /ports`, `ls /`, `usage /ports`. They read the resource table and nothing else. */
import { AgentError } from '../model/errors.ts';
import { childrenOf, findResource, noSuchResource, normalisePath, prepareCall } from '../resources/lookup.ts';
import { ParameterError } from '../resources/schema.ts';
import { guestTimeoutDefault, verbs } from '../resources/table.ts';
import type { Verb } from '../resources/table.ts';
import { shortUsage, usageOf } from '../resources/usage.ts';
import type { Environment } from './environment.ts';
import { renderResult } from './output.ts';
import type { OutputOptions } from './output.ts';

/** pvesh's own exit codes: the caller's words were wrong, or there is no such handler. */
const exitBadCall = 255;
const exitNoHandler = 1;

export interface VerbOptions extends OutputOptions {
  readonly quiet: boolean;
}

/** Runs one verb; resolves with the exit code of pvesh. */
export async function runVerb(
  env: Environment,
  verb: Verb,
  rawPath: string,
  words: readonly string[],
  options: VerbOptions,
): Promise<number> {
  const path = normalisePath(rawPath, env.node);
  let prepared;
  try {
    prepared = prepareCall(verb, path, parseWords(words));
  } catch (error) {
    return complainAbout(env, error, verb, path);
  }
  const result = await callVerb(env, verb, path, prepared.parameters);
  if (options.quiet) return 0;
  const text = await renderResult(result, prepared.method.returns, options);
  if (text !== '') env.print(text);
  return 0;
}

/** The service's answer to one verb on one path. */
export async function callVerb(
  env: Environment,
  verb: Verb,
  path: string,
  input: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
  // Parameters of the path are in the path; the service would take them twice otherwise.
  const inPath = new Set(Object.keys(findResource(path)?.pathParameters ?? {}));
  const body = Object.fromEntries(Object.entries(input).filter(([name]) => !inPath.has(name)));
  const [json] = await env.call('Call', 'sss', [verb, path, JSON.stringify(body)], waitMsOf(verb, path, input));
  return JSON.parse(String(json));
}

/** Beyond what the caller gives the service: for what surrounds the wait itself. */
const timeoutMarginMs = 90_000;

/** Of a call that takes a `timeout`; of any other, what every call gets. */
function waitMsOf(verb: Verb, path: string, input: Readonly<Record<string, unknown>>): number | undefined {
  const method = findResource(path)?.resource.methods[verb];
  if (method === undefined || !Object.hasOwn(method.parameters, 'timeout')) return undefined;
  return Number(input['timeout'] ?? guestTimeoutDefault) * 1000 + timeoutMarginMs;
}

/** `Drwcd        name`: D has children, then the verbs get, set, create, delete. */
export function runLs(env: Environment, rawPath: string): number {
  const path = normalisePath(rawPath, env.node);
  const children = childrenOf(path);
  if (children.length === 0 && findResource(path) === null)
    return complainAbout(env, noSuchResource(path), 'get', path);
  const letters: Record<Verb, string> = { get: 'r', set: 'w', create: 'c', delete: 'd' };
  for (const child of children) {
    const flags = verbs.map((verb) => (child.verbs.includes(verb) ? letters[verb] : '-')).join('');
    env.print(`${child.hasChildren ? 'D' : '-'}${flags}        ${child.name}`);
  }
  return 0;
}

export function runUsage(env: Environment, rawPath: string, verb: Verb | null): number {
  const path = normalisePath(rawPath, env.node);
  try {
    env.print(usageOf(path, verb));
    return 0;
  } catch (error) {
    return complainAbout(env, error, verb ?? 'get', path);
  }
}

/** `--key value` pairs; `--key=value` as well. */
function parseWords(words: readonly string[]): Record<string, string> {
  const parameters: Record<string, string> = {};
  for (let index = 0; index < words.length; index++) {
    const match = /^--?([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?$/s.exec(words[index] ?? '');
    const value = match?.[2] ?? words[index + 1];
    if (match?.[1] === undefined || value === undefined) {
      throw new ParameterError({ [words[index] ?? '']: 'expected --key value' });
    }
    if (match[2] === undefined) index++;
    parameters[match[1]] = value;
  }
  return parameters;
}

function complainAbout(env: Environment, error: unknown, verb: Verb, path: string): number {
  if (error instanceof ParameterError) {
    env.complain('400 Parameter verification failed.');
    for (const [key, problem] of Object.entries(error.problems)) env.complain(`${key}: ${problem}`);
    env.complain(shortUsage(verb, path));
    return exitBadCall;
  }
  if (!(error instanceof AgentError)) throw error;
  env.complain(error.message);
  return error.code === 'NotFound' ? exitBadCall : exitNoHandler;
}
