/** What the passes found wrong and could not put right, until a later pass finds it gone. */
import { toAgentError } from '../model/errors.ts';
import type { AgentError } from '../model/errors.ts';
import type { PortName, Vmid } from '../model/names.ts';
import { parseGuestPortName } from '../model/naming.ts';
import type { Recorder } from './contracts.ts';
import type { Drift, PortChange } from './plan.ts';
import type { PassResult, Scope } from './reconciler.ts';
import { driftDraft } from './record.ts';
import { describeDifferences } from './settings.ts';

export interface FindingEvents {
  /** Somebody else changed what the agent had set; `text` says what, and whether it was put back. */
  drift(port: PortName, text: string): void;
  /** Something went wrong that no caller hears of: a pass, a block that could not be written. */
  trouble(error: AgentError): void;
}

export interface FindingsOptions {
  readonly events: FindingEvents;
  readonly recorder: Recorder;
  readonly host: string;
}

export class Findings {
  readonly #options: FindingsOptions;
  readonly #problems = new Map<PortName, string>();
  readonly #unreadable = new Map<Vmid, string>();
  /** Drift that is left as it is and has its block, by port. */
  readonly #reported = new Map<PortName, string>();

  constructor(options: FindingsOptions) {
    this.#options = options;
  }

  /** Why a port is not as it should be. */
  get problems(): ReadonlyMap<PortName, string> {
    return this.#problems;
  }

  /** Guests whose configuration cannot be read. */
  get unreadable(): ReadonlyMap<Vmid, string> {
    return this.#unreadable;
  }

  /** Takes in what a pass over `scope` found; what it did not find any more is forgotten. */
  keep(scope: Scope, result: PassResult): void {
    forget(this.#unreadable, (vmid) => scope === 'all' || scope.has(vmid));
    for (const [vmid, reason] of result.unreadable) this.#unreadable.set(vmid, reason);
    forget(this.#problems, (port) => covers(scope, port));
    for (const [port, problem] of result.problems) this.#problems.set(port, problem);
    const found = new Set(result.drift.map(({ wanted }) => wanted.port));
    forget(this.#reported, (port) => covers(scope, port) && !found.has(port));
    for (const drift of result.drift) this.#report(drift);
  }

  /** A change was made. A repair of drift is told here; its block was written ahead of it. */
  committed(change: PortChange): void {
    if (change.kind !== 'set' || !change.drift) return;
    this.#options.events.drift(change.wanted.port, `${describeDifferences(change.differences)}; put back`);
  }

  /** One block and one event, however many passes see it. */
  #report(drift: Drift): void {
    const { events, recorder, host } = this.#options;
    const { port } = drift.wanted;
    const text = describeDifferences(drift.differences);
    if (this.#reported.get(port) === text) return;
    this.#reported.set(port, text);
    events.drift(port, `${text}; left as it is`);
    recorder.append(driftDraft(drift, host)).catch((error: unknown) => {
      events.trouble(toAgentError(error));
    });
  }
}

function covers(scope: Scope, port: PortName): boolean {
  if (scope === 'all') return true;
  const guest = parseGuestPortName(port);
  return guest !== null && scope.has(guest.vmid);
}

function forget<Key>(entries: Map<Key, unknown>, isGone: (key: Key) => boolean): void {
  for (const key of entries.keys()) if (isGone(key)) entries.delete(key);
}
