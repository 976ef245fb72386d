/** `hook attach|detach|status`. */
import { AgentError, errorTable, toAgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import { parseVmid } from '../model/names.ts';
import type { Vmid } from '../model/names.ts';
import type { ResultSpec } from '../resources/schema.ts';
import type { Environment, HookChange, HookEntry, Hooks } from './environment.ts';
import { renderResult } from './output.ts';
import type { OutputOptions } from './output.ts';

export interface HookFlags {
  readonly all: boolean;
  readonly dryRun: boolean;
  readonly storage: string | null;
  readonly config: string | null;
}

const statusSpec: ResultSpec = {
  type: 'array',
  items: {
    properties: {
      vmid: { type: 'integer', description: 'Number of the guest.' },
      kind: { type: 'string', description: 'lxc or qemu.' },
      state: { type: 'string', description: 'none, attached, chained, other or dangling.' },
      hookscript: { type: 'string', description: 'As the configuration has it.', optional: true },
      other: { type: 'string', description: 'What is called beside ours, or instead.', optional: true },
      problem: { type: 'string', description: 'Why Proxmox VE would not start the guest.', optional: true },
    },
  },
};

export async function showHooks(
  env: Environment,
  vmids: readonly string[],
  { config }: Pick<HookFlags, 'config'>,
  options: OutputOptions,
): Promise<number> {
  const wanted = vmids.map(parseVmid);
  const hooks = await env.openHooks({ config });
  const found = wanted.length === 0 ? await hooks.statusAll() : await eachStatus(hooks, wanted);
  const rows = found.map(({ vmid, kind, state, hookscript, other, problem }) => ({
    vmid,
    kind,
    state,
    ...Object.fromEntries(Object.entries({ hookscript, other, problem }).filter(([, value]) => value !== null)),
  }));
  const text = await renderResult(rows, statusSpec, options);
  if (text !== '') env.print(text);
  return 0;
}

/** Each guest by itself: one that cannot be changed does not keep the others from it. The first failure's exit code. */
export async function changeHooks(
  env: Environment,
  verb: 'attach' | 'detach',
  vmids: readonly string[],
  flags: HookFlags,
  options: OutputOptions,
): Promise<number> {
  if (flags.all === vmids.length > 0) throw new AgentError('InvalidArgument', 'name guests, or say --all');
  const named = vmids.map(parseVmid);
  const hooks = await env.openHooks({ config: flags.config });
  const wanted = flags.all ? changeable(await hooks.statusAll(), verb) : named;
  const changes: HookChange[] = [];
  let failure: ErrorCode | null = null;
  for (const vmid of wanted) {
    try {
      const change = await hooks[verb](vmid, { dryRun: flags.dryRun, storage: flags.storage });
      changes.push(change);
      if (options.format === 'text') env.print(describe(verb, change, flags.dryRun));
    } catch (thrown) {
      const error = toAgentError(thrown);
      failure ??= error.code;
      env.complain(`ovs-port-agent: ${error.message}`);
    }
  }
  if (options.format !== 'text') env.print(await renderResult(changes, { type: 'null' }, options));
  return failure === null ? 0 : errorTable[failure].exit;
}

async function eachStatus(hooks: Hooks, vmids: readonly Vmid[]): Promise<HookEntry[]> {
  const entries: HookEntry[] = [];
  for (const vmid of vmids) entries.push(await hooks.status(vmid));
  return entries;
}

/** A template never starts, and what has none of ours needs no detaching. */
function changeable(guests: readonly HookEntry[], verb: 'attach' | 'detach'): Vmid[] {
  return guests.filter(({ isTemplate }) => verb === 'detach' || !isTemplate).map(({ vmid }) => vmid);
}

function describe(verb: 'attach' | 'detach', { guest, steps, to }: HookChange, dryRun: boolean): string {
  if (steps.length === 0) return `${guest}: ${verb === 'attach' ? 'attached already' : 'not attached'}`;
  if (dryRun) return `${guest}: would ${steps.join('; then ')}`;
  return `${guest}: ${verb === 'attach' ? 'attached' : 'detached'}, hookscript ${to ?? 'none'}`;
}
