/** `guest start|stop|shutdown|reboot`. */
import { parseVmid } from '../model/names.ts';
import { findResource } from '../resources/lookup.ts';
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
  const returns = findResource(path)?.resource.methods.create?.returns ?? { type: 'null' };
  env.print(await renderResult(result, returns, options));
  return 0;
}

function describe(verb: GuestVerb, { guest, state, changed, way, reasons = [], ports }: Controlled): string[] {
  if (!changed) return [`${guest} is ${state} already`];
  const why = reasons.length === 0 ? '' : `, because ${reasons.join(' and ')}`;
  return [`${guest} is ${state} (${verb} by ${way ?? ''}${why})`, ...(ports === undefined ? [] : [ports])];
}
