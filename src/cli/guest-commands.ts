/** `guest start|stop|shutdown|reboot`, `guest net`. */
import { AgentError } from '../model/errors.ts';
import { parseNicName, parseVmid } from '../model/names.ts';
import { findResource } from '../resources/lookup.ts';
import type { Verb } from '../resources/table.ts';
import type { Environment } from './environment.ts';
import { renderResult } from './output.ts';
import type { OutputOptions } from './output.ts';
import { callVerb } from './resource-commands.ts';

export type GuestVerb = 'start' | 'stop' | 'shutdown' | 'reboot';

interface Controlled {
  readonly guest: string;
  readonly state: string;
  readonly changed: boolean;
  readonly way?: string;
  readonly reasons?: readonly string[];
  readonly ports?: string;
}

/** Waits for the guest's own state; what the tool prints meanwhile goes to a terminal's standard error. */
export async function controlGuest(
  env: Environment,
  verb: GuestVerb,
  vmidText: string,
  timeoutS: number | null,
  options: OutputOptions,
): Promise<number> {
  const vmid = parseVmid(vmidText);
  if (env.showsProgress) {
    await env.listen('GuestProgress', ([ofVmid, line]) => {
      if (ofVmid === vmid) env.complain(String(line));
    });
  }
  const path = `/guests/${vmid}/status/${verb}`;
  const result = (await callVerb(env, 'create', path, timeoutS === null ? {} : { timeout: timeoutS })) as Controlled;
  if (options.format === 'text') {
    for (const line of describe(verb, result)) env.print(line);
    return 0;
  }
  return show(env, 'create', path, result, options);
}

export interface CreateFlags {
  readonly template: string;
  readonly hostname?: string;
  readonly storage?: string;
  readonly size?: number;
  readonly memory?: number;
  readonly cores?: number;
  readonly net0?: string;
  readonly tags?: string;
  readonly pool?: string;
  readonly node?: string;
  readonly start?: true;
  readonly dryRun?: true;
  readonly timeout?: number;
}

/** Follows the task of Proxmox VE; who stops waiting is told its name, for it goes on. */
export async function createGuest(
  env: Environment,
  vmidText: string,
  { dryRun, ...flags }: CreateFlags,
  options: OutputOptions,
): Promise<number> {
  const vmid = parseVmid(vmidText);
  let task: string | null = null;
  if (dryRun !== true) {
    await env.listen('GuestProgress', ([ofVmid, line]) => {
      if (ofVmid !== vmid) return;
      task ??= /^task (UPID:\S+)$/.exec(String(line))?.[1] ?? null;
      if (env.showsProgress) env.complain(String(line));
    });
  }
  const stopListening = env.onInterrupt(() =>
    task === null
      ? `no longer waiting; whether CT ${vmid} is being created is not known yet: \`pvesh get /cluster/tasks\``
      : `no longer waiting; the task goes on in Proxmox VE: ${task}`,
  );
  try {
    const input = { vmid, ...flags, ...(dryRun === true && { dry_run: true }) };
    const result = (await callVerb(env, 'create', '/guests', input)) as { guest: string; node: string; call: string };
    if (options.format !== 'text') return await show(env, 'create', '/guests', result, options);
    env.print(dryRun === true ? result.call : `${result.guest} is created on ${result.node}`);
    return 0;
  } finally {
    stopListening();
  }
}

export interface NicFlags {
  readonly bridge?: string;
  readonly tag?: string;
  readonly trunks?: string;
  readonly firewall?: string;
  readonly linkDown?: string;
  readonly mtu?: string;
  /** Options of a card that is new. */
  readonly add?: string;
  readonly delete?: true;
  readonly dryRun?: true;
  readonly timeout?: number;
}

interface ChangedNic {
  readonly guest: string;
  readonly nic: string;
  readonly changed: boolean;
  readonly before?: string;
  readonly after?: string;
  readonly way?: string;
}

/** The cards of a guest, one of them, a change of one, one more or one less, by what is given. */
export async function guestNet(
  env: Environment,
  vmidText: string,
  nicText: string | null,
  { add, delete: deleted, dryRun, timeout, linkDown, ...wishes }: NicFlags,
  options: OutputOptions,
): Promise<number> {
  const path = `/guests/${parseVmid(vmidText)}/net`;
  const nic = nicText === null ? null : parseNicName(nicText);
  const changes = { ...wishes, ...(linkDown !== undefined && { link_down: linkDown }) };
  const isChange = Object.keys(changes).length > 0;
  if (Number(isChange) + Number(deleted === true) + Number(add !== undefined) > 1) {
    throw new AgentError(
      'InvalidArgument',
      '--add says all of a new card, --delete takes the whole card away: neither goes with another option of it',
    );
  }
  const how = { ...(dryRun === true && { dry_run: true }), ...(timeout !== undefined && { timeout }) };
  if (add !== undefined) {
    return changeNic(env, 'create', path, { ...(nic !== null && { nic }), options: add, ...how }, options);
  }
  if (nic === null) {
    if (deleted === true || isChange)
      throw new AgentError('InvalidArgument', 'say which card is to change: net0, net1, ...');
    return showNics(env, path, options);
  }
  const ofNic = `${path}/${nic}`;
  if (deleted === true) return changeNic(env, 'delete', ofNic, how, options);
  if (isChange) return changeNic(env, 'set', ofNic, { ...changes, ...how }, options);
  return show(env, 'get', ofNic, await callVerb(env, 'get', ofNic), options);
}

async function changeNic(
  env: Environment,
  verb: Verb,
  path: string,
  input: Readonly<Record<string, unknown>>,
  options: OutputOptions,
): Promise<number> {
  const result = (await callVerb(env, verb, path, input)) as ChangedNic;
  if (options.format !== 'text') return show(env, verb, path, result, options);
  for (const line of describeNic(result)) env.print(line);
  return 0;
}

/** In a table the options are the value taken apart; where they could not be, the value says what there is. */
async function showNics(env: Environment, path: string, options: OutputOptions): Promise<number> {
  const nics = (await callVerb(env, 'get', path)) as { value: string; problem?: string }[];
  const rows = nics.map(({ value, ...parts }) => (parts.problem === undefined ? parts : { ...parts, value }));
  return show(env, 'get', path, options.format === 'text' ? rows : nics, options);
}

/** There is a way when there is something to do, if only in a dry run. */
function describeNic({ guest, nic, changed, before, after, way }: ChangedNic): string[] {
  if (way === undefined)
    return [before === undefined ? `${guest} has no ${nic}` : `${guest}: ${nic} is so already: ${before}`];
  const [was, is] = changed ? ['was', 'is'] : ['is', 'would be'];
  return [
    ...(before === undefined ? [] : [`${guest}: ${nic} ${was} ${before}`]),
    `${guest}: ${nic} ${is} ${after ?? 'gone'} (by ${way})`,
  ];
}

async function show(
  env: Environment,
  verb: Verb,
  path: string,
  result: unknown,
  options: OutputOptions,
): Promise<number> {
  const returns = findResource(path)?.resource.methods[verb]?.returns ?? { type: 'null' };
  env.print(await renderResult(result, returns, options));
  return 0;
}

function describe(verb: GuestVerb, { guest, state, changed, way, reasons = [], ports }: Controlled): string[] {
  if (!changed) return [`${guest} is ${state} already`];
  const why = reasons.length === 0 ? '' : `, because ${reasons.join(' and ')}`;
  return [`${guest} is ${state} (${verb} by ${way ?? ''}${why})`, ...(ports === undefined ? [] : [ports])];
}
