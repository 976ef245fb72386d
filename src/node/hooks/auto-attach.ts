/**
 * `auto_attach`: new guests of this node get our hookscript. New is a guest whose vmid this node has not known, on any node:
 * one that moves here is not, and one from which somebody took the hookscript off stays without. What is there when the key
 * is set for the first time is not new either. A vmid that is gone from the cluster is forgotten.
 */
import { toAgentError } from '../../model/errors.ts';
import type { Vmid } from '../../model/names.ts';
import { parseVmlist } from '../../proxmox/cluster-state.ts';
import type { GuestHooks } from './guest-hooks.ts';
import { listGuestFiles } from './survey.ts';
import type { HookHost } from './survey.ts';

/** Vmids that this node has known. Bytes survive power loss once `save` resolves. */
export interface KnownGuests {
  /** null before the first `save`. */
  load(): Promise<unknown>;
  save(vmids: readonly Vmid[]): Promise<void>;
}

export interface AutoAttachOptions {
  readonly host: HookHost;
  readonly hooks: Pick<GuestHooks, 'attach' | 'status'>;
  readonly known: KnownGuests;
  readonly signal: AbortSignal;
}

/** Guests in one pass: each costs a run of `pct` or `qm`. */
const attachedMax = 16;

export class AutoAttach {
  readonly #options: AutoAttachOptions;
  /** By guest that was given up, until the service is started again. */
  readonly #problems = new Map<Vmid, string>();
  #known: Set<Vmid> | null = null;
  #running: Promise<void> | null = null;

  constructor(options: AutoAttachOptions) {
    this.#options = options;
  }

  /** What `status` says. */
  problems(): readonly string[] {
    return [...this.#problems.values()];
  }

  /** One pass; one that runs already is waited for. Rejects when guests cannot be read, or the known ones not written. */
  look(): Promise<void> {
    this.#running ??= this.#look().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #look(): Promise<void> {
    const { host, known, signal } = this.#options;
    if (!(await host.files.exists(host.pveDir))) return;
    const here = (await listGuestFiles(host)).map(({ vmid }) => vmid);
    const registered = parseVmlist((await host.files.read(`${host.pveDir}/.vmlist`))?.text ?? '');
    // A cluster file system that is not mounted has no guests either: they are not gone.
    if (registered === null && here.length === 0) return;
    const everywhere = new Set([...here, ...(registered ?? []).map(({ vmid }) => vmid)]);
    const before = this.#known ?? readKnown(await known.load());
    const settled = new Set([...(before ?? everywhere)].filter((vmid) => everywhere.has(vmid)));
    for (const vmid of everywhere) if (!here.includes(vmid)) settled.add(vmid);
    const fresh = here.filter((vmid) => !settled.has(vmid) && !this.#problems.has(vmid));
    for (const vmid of fresh.slice(0, attachedMax)) {
      if (signal.aborted) break;
      if (await this.#settle(vmid)) settled.add(vmid);
    }
    for (const vmid of this.#problems.keys()) if (!everywhere.has(vmid)) this.#problems.delete(vmid);
    if (before === null || !isSame(settled, before)) await known.save([...settled].sort((a, b) => a - b));
    this.#known = settled;
  }

  /** False: it is looked at again. */
  async #settle(vmid: Vmid): Promise<boolean> {
    const { hooks, signal } = this.#options;
    try {
      const guest = await hooks.status(vmid);
      // Being made, restored or cloned; a template never starts, and a hookscript that came with the guest is its owner's.
      if (guest.lock !== null) return false;
      if (guest.isTemplate || guest.hookscript !== null) return true;
      await hooks.attach(vmid, { dryRun: false, signal });
      return true;
    } catch (thrown) {
      const error = toAgentError(thrown);
      if (error.code === 'Busy' || signal.aborted) return false;
      // It went meanwhile.
      if (error.code === 'NotFound') return true;
      this.#problems.set(vmid, `guest ${vmid} did not get our hookscript: ${error.message}`);
      return false;
    }
  }
}

function isSame(a: ReadonlySet<Vmid>, b: ReadonlySet<Vmid>): boolean {
  return a.size === b.size && [...a].every((vmid) => b.has(vmid));
}

/** What is not understood is taken for nothing: every guest that is there then counts as known. */
function readKnown(value: unknown): Set<Vmid> | null {
  if (!Array.isArray(value)) return null;
  return new Set(value.filter((vmid): vmid is Vmid => Number.isSafeInteger(vmid)));
}
