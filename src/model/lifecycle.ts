/** The phases in which Proxmox VE calls a hookscript. */
import { AgentError } from './errors.ts';
import { quote } from './names.ts';

export const phases = ['pre-start', 'post-start', 'pre-stop', 'post-stop'] as const;
export type Phase = (typeof phases)[number];

export function parsePhase(input: string): Phase {
  const phase = phases.find((known) => known === input);
  if (phase === undefined) {
    throw new AgentError('InvalidArgument', `phase ${quote(input)} is not valid: expected one of ${phases.join(', ')}`);
  }
  return phase;
}
