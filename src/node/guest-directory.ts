/** The guests that there are: this node's from its own files, and the cluster's when the Proxmox API is configured. */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import type { ProxmoxClient } from '../proxmox/api-client.ts';
import { listClusterGuests } from '../proxmox/cluster-guests.ts';
import type { GuestConfig, GuestDetails } from '../proxmox/guest-config.ts';
import { runStates } from '../proxmox/run-state.ts';
import type { RunFacts } from '../proxmox/run-state.ts';

export interface GuestEntry {
  readonly vmid: Vmid;
  /** `unknown` when the guest's file cannot be read. */
  readonly kind: GuestKind | 'unknown';
  readonly name: string;
  /** `running`, `changing`, `stopped`, `unknown`; of another node's guest what Proxmox VE says. */
  readonly status: string;
  readonly node: string;
  readonly template: boolean;
  readonly tags: readonly string[];
  readonly pool: string | null;
  readonly lock: string | null;
  /** Why less is known of it than of others. */
  readonly problem: string | null;
}

export interface GuestDirectoryOptions {
  /** Name of this node. */
  readonly node: string;
  /** This node's guests, as `GuestFiles` documents them. */
  readonly local: {
    list(): Promise<Vmid[]>;
    config(vmid: Vmid): Promise<GuestConfig | null>;
    details(vmid: Vmid): Promise<GuestDetails | null>;
  };
  readonly runFacts: () => Promise<RunFacts>;
  readonly poolsOfGuests: () => Promise<ReadonlyMap<Vmid, string>>;
  /** null: the Proxmox API is not configured. */
  readonly cluster: ProxmoxClient | null;
}

export class GuestDirectory {
  readonly #options: GuestDirectoryOptions;

  constructor(options: GuestDirectoryOptions) {
    this.#options = options;
  }

  /**
   * By vmid. Of this node's guests the files count, whatever the API says. Rejects when the API is configured and does not
   * answer: half a list would look like a whole one. `isLocal` leaves the API out.
   */
  async list({ isLocal, signal }: { isLocal: boolean; signal?: AbortSignal }): Promise<GuestEntry[]> {
    const { cluster, node } = this.#options;
    const own = await this.#listOwn();
    if (cluster === null || isLocal) return own;
    const known = new Set(own.map(({ vmid }) => vmid));
    const others = (await this.#listCluster(cluster, signal)).filter(
      (guest) => guest.node !== node && !known.has(guest.vmid),
    );
    return [...own, ...others].sort((a, b) => a.vmid - b.vmid);
  }

  /** One guest of this node, its file read now. Rejects with `NotFound` for any other. */
  async show(vmid: Vmid): Promise<{ entry: GuestEntry; details: GuestDetails }> {
    const details = await this.#options.local.details(vmid);
    if (details === null) {
      throw new AgentError('NotFound', `guest ${vmid} has no configuration on ${this.#options.node}`);
    }
    const [facts, pools] = await Promise.all([this.#options.runFacts(), this.#options.poolsOfGuests()]);
    return { entry: this.#entryOf(details.config, runStates(facts), pools), details };
  }

  async #listOwn(): Promise<GuestEntry[]> {
    const { local, node } = this.#options;
    const [vmids, facts, pools] = await Promise.all([
      local.list(),
      this.#options.runFacts(),
      this.#options.poolsOfGuests(),
    ]);
    const stateOf = runStates(facts);
    const entries = await Promise.all(
      vmids.map(async (vmid): Promise<GuestEntry | null> => {
        try {
          const config = await local.config(vmid);
          return config === null ? null : this.#entryOf(config, stateOf, pools);
        } catch (error) {
          const pool = pools.get(vmid) ?? null;
          const unknown = {
            kind: 'unknown',
            name: '',
            status: 'unknown',
            template: false,
            tags: [],
            lock: null,
          } as const;
          return { vmid, node, pool, ...unknown, problem: toAgentError(error).message };
        }
      }),
    );
    return entries.filter((entry) => entry !== null);
  }

  #entryOf(
    { guest, template, lock }: GuestConfig,
    stateOf: ReturnType<typeof runStates>,
    pools: ReadonlyMap<Vmid, string>,
  ): GuestEntry {
    const { vmid, kind, name, tags } = guest;
    const pool = pools.get(vmid) ?? null;
    return {
      vmid,
      kind,
      name,
      status: stateOf(guest),
      node: this.#options.node,
      template,
      tags,
      pool,
      lock,
      problem: null,
    };
  }

  async #listCluster(cluster: ProxmoxClient, signal: AbortSignal | undefined): Promise<GuestEntry[]> {
    try {
      const guests = await listClusterGuests(cluster, { signal });
      return guests.map(({ vmid, kind, name, status, node, template, tags, pool, lock }) => ({
        ...{ vmid, kind, name, status, node, template, tags, pool, lock },
        problem: null,
      }));
    } catch (error) {
      const { code, message } = toAgentError(error);
      throw new AgentError(code, `${message}; this node's guests alone: \`ovs-port-agent guest list --local\``, {
        cause: error,
      });
    }
  }
}
