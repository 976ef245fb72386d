/** What the passes found wrong and could not put right, until a later pass finds it gone. */
import { toAgentError } from '../model/errors.ts';
import type { AgentError } from '../model/errors.ts';
import type { PortName, Vmid } from '../model/names.ts';
import { parseGuestPortName } from '../model/naming.ts';
import type { Recorder } from './contracts.ts';
import type { Change } from './change.ts';
import type { MirrorDrift } from './mirror-plan.ts';
import type { MirrorResult } from './mirrors.ts';
import type { PassResult } from './reconciler.ts';
import type { Scope } from './scope.ts';
import type { BlockDraft } from '../ledger/block.ts';
import { driftDraft, mirrorDriftDraft } from './record.ts';
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
  /** The same of Mirrors, by row. */
  readonly #reportedMirrors = new Map<string, string>();
  #mirrorProblems: readonly string[] = [];

  constructor(options: FindingsOptions) {
    this.#options = options;
  }

  /** Why a port is not as it should be. */
  get problems(): ReadonlyMap<PortName, string> {
    return this.#problems;
  }

  /** Why something is not mirrored as a policy says. */
  get mirrorProblems(): readonly string[] {
    return this.#mirrorProblems;
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
    for (const drift of result.drift) {
      const { port } = drift.wanted;
      this.#report(
        this.#reported,
        port,
        port,
        describeDifferences(drift.differences),
        driftDraft(drift, this.#options.host),
      );
    }
    this.#keepMirrors(result.mirrors);
  }

  #keepMirrors({ problems, drift: drifts }: MirrorResult): void {
    this.#mirrorProblems = problems;
    const found = new Set(drifts.map(({ row }) => row.uuid));
    forget(this.#reportedMirrors, (uuid) => !found.has(uuid));
    for (const drift of drifts) {
      const draft = mirrorDriftDraft(drift, this.#options.host);
      this.#report(this.#reportedMirrors, drift.row.uuid, drift.wanted.target, describeMirrorDrift(drift), draft);
    }
  }

  /** A change was made. A repair of drift is told here; its block was written ahead of it. */
  committed(change: Change): void {
    if (change.kind === 'set' && change.drift) {
      this.#options.events.drift(change.wanted.port, `${describeDifferences(change.differences)}; put back`);
    } else if (change.kind === 'set-mirror' && change.drift) {
      this.#options.events.drift(change.wanted.target, `${describeMirrorDrift(change)}; put back`);
    }
  }

  /** One block and one event, however many passes see it. */
  #report<Key>(reported: Map<Key, string>, key: Key, port: PortName, text: string, draft: BlockDraft): void {
    const { events, recorder } = this.#options;
    if (reported.get(key) === text) return;
    reported.set(key, text);
    events.drift(port, `${text}; left as it is`);
    recorder.append(draft).catch((error: unknown) => {
      events.trouble(toAgentError(error));
    });
  }
}

function describeMirrorDrift({ wanted, differences }: MirrorDrift): string {
  return `mirror on ${wanted.bridge}: ${describeDifferences(differences)}`;
}

function covers(scope: Scope, port: PortName): boolean {
  if (scope === 'all') return true;
  const guest = parseGuestPortName(port);
  return scope.has(port) || (guest !== null && scope.has(guest.vmid));
}

function forget<Key>(entries: Map<Key, unknown>, isGone: (key: Key) => boolean): void {
  for (const key of entries.keys()) if (isGone(key)) entries.delete(key);
}
