/** What a check is, and what it answers. */
import type { NodeFacts } from './facts.ts';

/** An `error` harms ports or guests, or soon will. A `warning` may. A `note` is worth knowing, and nothing is wrong. */
export type Severity = 'error' | 'warning' | 'note';

export interface Finding {
  readonly severity: Severity;
  /** What is so, on what, and what comes of it. */
  readonly message: string;
  /** A command line that mends it, or leads to what does. */
  readonly remedy: string;
}

export interface Check {
  readonly id: string;
  readonly looksAt: string;
  /** Pure and total. null: it does not apply to this host. */
  readonly run: (facts: NodeFacts) => readonly Finding[] | null;
}

export const setUp = 'ovs-port-agent setup';

export function error(message: string, remedy: string): Finding {
  return { severity: 'error', message, remedy };
}

export function warning(message: string, remedy: string): Finding {
  return { severity: 'warning', message, remedy };
}

export function note(message: string, remedy: string): Finding {
  return { severity: 'note', message, remedy };
}
