/** The named commands: the older tool's and ours. Each is a thin reader of the resource table or of the ledger's file. */
import { dirname, join } from 'node:path';
import pico from 'picocolors';
import type { Block } from '../ledger/block.ts';
import { checkProof } from '../ledger/check-proof.ts';
import { noteBytesMax, policyBytesMax, proofBytesMax } from '../ledger/limits.ts';
import { portHistory } from '../ledger/port-history.ts';
import { openCheckpoint, parseCheckpoint } from '../ledger/tlog/checkpoint.ts';
import type { Checkpoint } from '../ledger/tlog/checkpoint.ts';
import { signatureTypes, VerifierKey } from '../ledger/tlog/key.ts';
import { parseNote } from '../ledger/tlog/note.ts';
import { parsePolicy } from '../ledger/tlog/policy.ts';
import { sayVerdict, verifyLedger } from '../ledger/verify.ts';
import { AgentError } from '../model/errors.ts';
import { parseContainerName, parsePortName, parseVmid } from '../model/names.ts';
import { guestPortName, templatePortName } from '../model/naming.ts';
import { nicNameOf } from '../model/names.ts';
import type { Vmid } from '../model/names.ts';
import { findResource } from '../resources/lookup.ts';
import type { ResultSpec } from '../resources/schema.ts';
import type { Environment } from './environment.ts';
import { renderResult } from './output.ts';
import type { OutputOptions } from './output.ts';
import { callVerb } from './resource-commands.ts';

/** A command's own answers (`ledger verify`, `ledger check-proof`): good, bad; 2 when it could not be told. */
const exitGood = 0;
const exitBad = 1;

/** Names to a pipe, a table to a terminal. */
export async function listPorts(env: Environment, options: OutputOptions): Promise<number> {
  const ports = (await callVerb(env, 'get', '/ports')) as { port: string }[];
  if (options.format === 'text' && !env.isTerminal) {
    for (const { port } of ports) env.print(port);
    return exitGood;
  }
  return printResult(env, '/ports', ports, options);
}

/** vmids to a pipe, a table to a terminal. */
export async function listGuests(env: Environment, isLocal: boolean, options: OutputOptions): Promise<number> {
  const guests = (await callVerb(env, 'get', '/guests', isLocal ? { local: true } : {})) as { vmid: number }[];
  if (options.format === 'text' && !env.isTerminal) {
    for (const { vmid } of guests) env.print(String(vmid));
    return exitGood;
  }
  return printResult(env, '/guests', guests, options);
}

export async function showGuest(env: Environment, vmid: Vmid, options: OutputOptions): Promise<number> {
  // A tree: a table would flatten it.
  const format = options.format === 'text' ? 'yaml' : options.format;
  return printResult(env, '/guests/100', await callVerb(env, 'get', `/guests/${vmid}`), { ...options, format });
}

export async function showStatus(env: Environment, options: OutputOptions): Promise<number> {
  const status = (await callVerb(env, 'get', '/status')) as Record<string, unknown> & { problems: string[] };
  if (options.format !== 'text') return printResult(env, '/status', status, options);
  const { problems, ...facts } = status;
  const colors = pico.createColors(env.colors);
  facts['state'] = (problems.length === 0 ? colors.green : colors.yellow)(String(facts['state']));
  for (const [name, value] of Object.entries(facts)) env.print(`${`${name}:`.padEnd(12)}${String(value)}`);
  for (const [index, problem] of problems.entries()) env.print((index === 0 ? 'problems:' : '').padEnd(12) + problem);
  return exitGood;
}

export async function queryState(env: Environment, plugin: string | null, options: OutputOptions): Promise<number> {
  const [json] = await env.call('QueryState', 's', [plugin ?? '']);
  // A tree: a table would flatten it.
  const format = options.format === 'text' ? 'json-pretty' : options.format;
  env.print(await renderResult(JSON.parse(String(json)), { type: 'null' }, { ...options, format }));
  return exitGood;
}

export async function addPort(env: Environment, bridge: string | null, netdev: string): Promise<number> {
  env.print(String(await callVerb(env, 'create', '/ports', { netdev, ...(bridge !== null && { bridge }) })));
  return exitGood;
}

/** With a bridge: only when the port is on that one. */
export async function deletePort(env: Environment, bridge: string | null, port: string): Promise<number> {
  const path = `/ports/${parsePortName(port)}`;
  if (bridge !== null) {
    const found = (await callVerb(env, 'get', path)) as { bridge: string };
    if (found.bridge !== bridge) {
      throw new AgentError('NotFound', `${port} is on ${found.bridge}, not on ${bridge}; it was left there`);
    }
  }
  env.print(String(await callVerb(env, 'delete', path)));
  return exitGood;
}

/** One call of an older method; prints its answer. */
export async function callAndPrint(
  env: Environment,
  member: string,
  signature: string,
  body: readonly unknown[],
): Promise<number> {
  const [answer] = await env.call(member, signature, body);
  env.print(String(answer));
  return exitGood;
}

/** What a port would be called. Needs no service. */
export function printName(
  env: Environment,
  container: string,
  index: string,
  vmid: string | undefined,
  template: string,
): number {
  const nicNumber = Number(index);
  env.print(
    vmid === undefined
      ? templatePortName(template, { container: parseContainerName(container), index: nicNumber })
      : guestPortName(parseVmid(vmid), nicNameOf(nicNumber)),
  );
  return exitGood;
}

export async function ledgerStats(env: Environment, options: OutputOptions): Promise<number> {
  return printResult(env, '/ledger', await callVerb(env, 'get', '/ledger'), options);
}

export async function ledgerList(
  env: Environment,
  filter: Readonly<Record<string, unknown>>,
  options: OutputOptions,
): Promise<number> {
  const blocks = (await callVerb(env, 'get', '/ledger/blocks', filter)) as Record<string, unknown>[];
  if (options.format !== 'text') return printResult(env, '/ledger/blocks', blocks, options);
  // Newest last on a screen, where the eye is.
  for (const { height, timestamp, category, action, metadata, data } of blocks.reverse()) {
    const { cause } = metadata as { cause?: unknown };
    const words = [height, timestamp, category, action, describeData(data), `(${String(cause)})`];
    env.print(
      words
        .map(String)
        .filter((word) => word !== '')
        .join(' '),
    );
  }
  return exitGood;
}

export async function ledgerShow(env: Environment, height: string, options: OutputOptions): Promise<number> {
  return printResult(env, '/ledger/blocks/0', await callVerb(env, 'get', `/ledger/blocks/${height}`), options);
}

interface VerifyOptions {
  readonly key: string | undefined;
  readonly checkpoint: string | undefined;
}

/**
 * With a file: offline, by this process, and against a checkpoint when one or a key is given; the one beside the ledger
 * unless it is named. Without: by the service, over its own ledger.
 */
export async function ledgerVerify(env: Environment, file: string | null, options: VerifyOptions): Promise<number> {
  if (file === null) {
    if (options.key !== undefined || options.checkpoint !== undefined) {
      throw new AgentError('InvalidArgument', '--key and --checkpoint go with a file');
    }
    const [verdict] = await env.call('verify_blockchain_integrity', '', []);
    env.print(String(verdict));
    return String(verdict).startsWith('VALID') ? exitGood : exitBad;
  }
  const checkpoint = await readCheckpoint(env, file, options);
  if (checkpoint !== null && 'bad' in checkpoint) {
    env.print(`INVALID: ${checkpoint.bad}`);
    return exitBad;
  }
  const report = await verifyLedger(env.readLedger(file), checkpoint);
  env.print(sayVerdict(report));
  if (!report.valid) return exitBad;
  if (checkpoint !== null) {
    const signer = options.key === undefined ? `; its signature was not checked` : ', signed by that key';
    env.print(`the first ${checkpoint.tree_size} are those of the checkpoint of ${checkpoint.origin}${signer}`);
  }
  return exitGood;
}

/** null: none was asked for. Throws when there is none, or what was given cannot be one; a wrong signature is `bad`. */
async function readCheckpoint(
  env: Environment,
  file: string,
  { key, checkpoint }: VerifyOptions,
): Promise<Checkpoint | { bad: string } | null> {
  if (key === undefined && checkpoint === undefined) return null;
  const path = checkpoint ?? join(dirname(file), 'checkpoint');
  const bytes = await env.readFile(path, noteBytesMax);
  const found = parseCheckpoint(parseNote(bytes).text);
  if (key === undefined) return found;
  const verifier = VerifierKey.parse(key, signatureTypes.ed25519);
  try {
    return openCheckpoint(bytes, [verifier]).checkpoint;
  } catch (thrown) {
    if (!(thrown instanceof AgentError) || thrown.code !== 'InvalidArgument') throw thrown;
    return { bad: thrown.message };
  }
}

/** A proof of one block, as one text. */
export async function ledgerProve(env: Environment, height: string): Promise<number> {
  const proof = String(await callVerb(env, 'get', `/ledger/proof/${height}`));
  env.print(proof.trimEnd());
  return exitGood;
}

/** Blocks about the port before the period that are looked at for the state in which it begins. */
const earlierBlocks = 100;
/** What one answer of the service holds. */
const blocksMax = 10_000;

/** What was recorded about a port in a period, gaps included. */
export async function ledgerProvePort(
  env: Environment,
  port: string,
  period: { readonly since: string | undefined; readonly until: string | undefined },
): Promise<number> {
  const { since, until } = period;
  const within = { ...(since !== undefined && { since }), ...(until !== undefined && { until }) };
  const blocks = async (filter: Readonly<Record<string, unknown>>): Promise<Block[]> => {
    const found = (await callVerb(env, 'get', '/ledger/blocks', { limit: blocksMax, ...filter })) as Block[];
    if (found.length === blocksMax) {
      throw new AgentError('InvalidArgument', `more than ${blocksMax} blocks in that period: name a shorter one`);
    }
    return found;
  };
  const lines = portHistory({
    before: since === undefined ? [] : (await blocks({ port, until: since, limit: earlierBlocks })).reverse(),
    within: await blocks({ port, ...within, order: 'oldest' }),
    runs: await blocks({ category: 'settings', ...within, order: 'oldest' }),
    gaps: await blocks({ category: 'storage', action: 'gap', ...within, order: 'oldest' }),
  });
  for (const { timestamp, height, text } of lines) env.print(`${timestamp} block ${height} ${port} ${text}`);
  if (lines.length === 0) throw new AgentError('NotFound', `the ledger says nothing about ${port} in that period`);
  return exitGood;
}

/** The vkey, for `--key` and for policies. */
export async function ledgerKey(env: Environment, isWitness: boolean): Promise<number> {
  const keys = (await callVerb(env, 'get', '/ledger/key')) as { vkey: string; witness_vkey: string };
  env.print(isWitness ? keys.witness_vkey : keys.vkey);
  return exitGood;
}

/** Offline, by this process: the file and the keys are all it takes. Throws when it could not be told. */
export async function ledgerCheckProof(
  env: Environment,
  file: string,
  trust: { readonly key: string | undefined; readonly policy: string | undefined },
): Promise<number> {
  const key = trust.key === undefined ? null : VerifierKey.parse(trust.key, signatureTypes.ed25519);
  const policy = trust.policy === undefined ? null : parsePolicy(await env.readFile(trust.policy, policyBytesMax));
  const proof = await env.readFile(file, proofBytesMax);
  let proven;
  try {
    proven = checkProof(proof, { key, policy });
  } catch (thrown) {
    if (!(thrown instanceof AgentError) || thrown.code !== 'InvalidArgument') throw thrown;
    env.print(`INVALID: ${thrown.message}`);
    return exitBad;
  }
  const { block, line, checkpoint, cosignatures } = proven;
  env.print(`VALID: block ${block.height} of ${checkpoint.origin}, among the first ${checkpoint.tree_size}`);
  for (const { name, timestampS } of cosignatures) {
    env.print(`cosigned by ${name} at ${new Date(timestampS * 1000).toISOString()}`);
  }
  env.print(line.toString());
  return exitGood;
}

async function printResult(env: Environment, path: string, result: unknown, options: OutputOptions): Promise<number> {
  const returns: ResultSpec = findResource(path)?.resource.methods.get?.returns ?? { type: 'null' };
  const text = await renderResult(result, returns, options);
  if (text !== '') env.print(text);
  return exitGood;
}

/** The fields of a block that say what it is about, in one line. */
function describeData(data: unknown): string {
  const { port, netdev, bridge, tag, vmid, height, why } = data as Record<string, string | number | null | undefined>;
  const has = (value: unknown): boolean => value !== undefined && value !== null;
  return [
    has(port) ? port : has(vmid) ? `guest ${vmid}` : null,
    netdev,
    bridge,
    has(tag) ? `tag ${tag}` : null,
    has(height) ? `of ${height}` : null,
    why,
  ]
    .filter(has)
    .join(' ');
}
