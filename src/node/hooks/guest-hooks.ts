/**
 * Attaches our hookscript to guests of this node, and takes it off again (docs/decisions/0030). Proxmox VE's own tools write the
 * configuration: they hold the guest's lock, and only root itself may set a hookscript.
 *
 * 1. The snippet is put where the new volume is looked for, on this node; other nodes are asked whether they have it.
 * 2. `pct set` or `qm set` names it. This is the commit: before it nothing has changed for the guest.
 * 3. The configuration is read again. A chaining snippet that nobody names any more is removed.
 *
 * A crash after 1 leaves a file that does nothing, after 2 the guest with what was asked for.
 */
import { AgentError } from '../../model/errors.ts';
import { guestLabel } from '../../model/guest.ts';
import type { Vmid } from '../../model/names.ts';
import type { GuestLocks } from '../../ports/contracts.ts';
import type { ChangeDraft, Programs, Recorded, SnippetFiles } from '../contracts.ts';
import { isNamed, listGuestFiles, pathOf, readMembers, readStorages, requireProxmox, surveyGuest } from './survey.ts';
import type { GuestHook, HookHost, Storages } from './survey.ts';
import { chaining, ownHook, parseHookVolume, renderHookVolume, snippetName } from './volume.ts';
import type { OwnHook } from './volume.ts';

export interface GuestHooksOptions extends Omit<HookHost, 'snippets'> {
  readonly snippets: SnippetFiles;
  readonly programs: Programs;
  readonly locks: GuestLocks;
  /** Name of this node. */
  readonly node: string;
  readonly recorded: Recorded;
}

export interface HookRequest {
  /** Nothing is changed; the answer says what would be. */
  readonly dryRun: boolean;
  /** Where the snippet shall lie; null: on the first that will do. Means nothing for a chained one. */
  readonly storage?: string | null;
  readonly signal?: AbortSignal | undefined;
}

export interface HookChange {
  readonly vmid: Vmid;
  /** `CT 100` */
  readonly guest: string;
  /** False when it was so already. */
  readonly changed: boolean;
  readonly from: string | null;
  readonly to: string | null;
  /** One sentence each: what was done, or would be. */
  readonly steps: readonly string[];
}

/** Proxmox VE waits 10 s for a guest's lock. */
const setDeadlineMs = 30_000;
/** `pvesh` logs in to the other node. */
const askNodeDeadlineMs = 30_000;

export class GuestHooks {
  readonly #options: GuestHooksOptions;

  constructor(options: GuestHooksOptions) {
    this.#options = options;
  }

  /** Every guest of this node, by vmid. */
  async statusAll(): Promise<GuestHook[]> {
    await requireProxmox(this.#options);
    const storages = await readStorages(this.#options);
    const hooks: GuestHook[] = [];
    for (const guest of await listGuestFiles(this.#options)) {
      const hook = await surveyGuest(this.#options, storages, guest);
      if (hook !== null) hooks.push(hook);
    }
    return hooks;
  }

  /** Throws `NotFound` for a guest that is not on this node, `Conflict` for a vmid that is two guests. */
  async status(vmid: Vmid): Promise<GuestHook> {
    await requireProxmox(this.#options);
    return this.#find(vmid, await readStorages(this.#options));
  }

  /**
   * Our hookscript for the guest; one that it has is called after ours from then on. Throws `NotFound`, `Busy` (locked),
   * `NotOwner` (a file of that name is not ours), `Conflict` (a template, a pending change of it, a missing hookscript, or
   * a node on which the guest could not start any more; the remedy is in the message), `NotApplied`.
   */
  async attach(vmid: Vmid, request: HookRequest): Promise<HookChange> {
    await requireProxmox(this.#options);
    const storages = await readStorages(this.#options);
    const guest = await this.#find(vmid, storages);
    if (guest.isTemplate) {
      throw new AgentError(
        'Conflict',
        `${guestLabel(guest)} is a template, which never starts: attach it to what is cloned from it`,
      );
    }
    refuseUnchangeable(guest);
    const wanted = await this.#wantedFor(guest, storages, request.storage ?? null);
    const path = this.#pathOf(wanted, storages);
    const to = renderHookVolume(wanted);
    const steps: string[] = [];
    const isToBePut = await this.#isToBePut(path);
    if (isToBePut) steps.push(`put the snippet to ${path}`);
    const changed = guest.hookscript !== to;
    if (changed) {
      await this.#refuseWhereMissing(guest, wanted, storages, request.signal);
      steps.push(describeCommand(setCommand(guest, to)));
    }
    if (!request.dryRun && steps.length > 0) {
      if (changed) await this.#refuseLocked(guest);
      await this.#options.recorded(draftOf('attach-hook', guest, to, steps), async () => {
        if (isToBePut) await this.#options.snippets.put(path);
        if (changed) await this.#set(guest, to, storages, request.signal);
      });
    }
    return { vmid, guest: guestLabel(guest), changed, from: guest.hookscript, to, steps };
  }

  /** What the guest had before ours: the hookscript that ours calls, or none. Throws as `attach` does. */
  async detach(vmid: Vmid, request: HookRequest): Promise<HookChange> {
    await requireProxmox(this.#options);
    const storages = await readStorages(this.#options);
    const guest = await this.#find(vmid, storages);
    const own = ownHook(guest.hookscript);
    const base = { vmid, guest: guestLabel(guest), from: guest.hookscript };
    if (own === null) return { ...base, changed: false, to: guest.hookscript, steps: [] };
    refuseUnchangeable(guest);
    const to = own.chained === null ? null : renderHookVolume({ ...own, name: own.chained });
    const otherPath = own.chained === null ? null : pathOf({ ...own, name: own.chained }, storages);
    if (otherPath !== null && (await this.#options.snippets.look(otherPath))?.isRunnable !== true) {
      throw new AgentError(
        'Conflict',
        `${base.guest}: ${otherPath}, which it had before, is missing or may not be executed, and Proxmox VE would not take it: put it back, or take both out with \`${describeCommand(setCommand(guest, null))}\``,
      );
    }
    const steps = [describeCommand(setCommand(guest, to))];
    if (!request.dryRun) {
      await this.#refuseLocked(guest);
      await this.#options.recorded(draftOf('detach-hook', guest, to, steps), async () => {
        await this.#set(guest, to, storages, request.signal);
        if (own.chained !== null) await this.#removeUnnamed(own, storages);
      });
    }
    return { ...base, changed: true, to, steps };
  }

  /** Where a snippet would be put for a guest that has no hookscript. Throws `Conflict` when no storage will do. */
  async plainVolume(storage: string | null = null): Promise<{ volume: OwnHook; path: string }> {
    const storages = await readStorages(this.#options);
    const volume = this.#plain(storages, storage);
    return { volume, path: this.#pathOf(volume, storages) };
  }

  async #find(vmid: Vmid, storages: Storages): Promise<GuestHook> {
    const [container, machine] = await Promise.all([
      surveyGuest(this.#options, storages, { kind: 'lxc', vmid }),
      surveyGuest(this.#options, storages, { kind: 'qemu', vmid }),
    ]);
    if (container !== null && machine !== null) {
      throw new AgentError('Conflict', `guest ${vmid} is a container and a machine: remove the file that is wrong`);
    }
    const guest = container ?? machine;
    if (guest !== null) return guest;
    throw new AgentError(
      'NotFound',
      `guest ${vmid} has no configuration on node ${this.#options.node}; hookscripts are set on the node that has the guest`,
    );
  }

  async #wantedFor(guest: GuestHook, storages: Storages, storage: string | null): Promise<OwnHook> {
    const own = ownHook(guest.hookscript);
    if (own !== null) {
      // Ours that is missing is put back; what it would call and is missing is not ours to make.
      if (own.chained === null) return own;
      await this.#refuseMissingOther(guest, storages);
      return own;
    }
    if (guest.hookscript === null) return this.#plain(storages, storage);
    const other = parseHookVolume(guest.hookscript);
    if (!/^[\x21-\x7e]+$/.test(other.name)) {
      throw new AgentError(
        'Conflict',
        `${guestLabel(guest)}: its hookscript cannot be chained, because its name has blanks or other than ASCII characters: rename it`,
      );
    }
    await this.#refuseMissingOther(guest, storages);
    return chaining(other);
  }

  async #refuseMissingOther(guest: GuestHook, storages: Storages): Promise<void> {
    const { other } = guest;
    if (other === null) return;
    const volume = parseHookVolume(other);
    const path = pathOf(volume, storages);
    if (path === null) {
      throw new AgentError(
        'Conflict',
        `${guestLabel(guest)}: its hookscript ${other} is on a storage that is no folder here: move it to one that allows snippets`,
      );
    }
    if ((await this.#options.snippets.look(path))?.isRunnable === true) return;
    throw new AgentError(
      'Conflict',
      `${guestLabel(guest)}: its hookscript ${path} is missing or may not be executed, so that the guest does not start: put it back, or take it out with \`${describeCommand(setCommand(guest, null))}\``,
    );
  }

  /** `local` before others: it is there when the network is not. One that all nodes have before one that some have. */
  #plain(storages: Storages, wanted: string | null): OwnHook {
    const allowed = storages.folders.filter(
      ({ storage, nodes, allowsSnippets }) =>
        allowsSnippets &&
        (nodes === null || nodes.includes(this.#options.node)) &&
        (wanted === null || storage === wanted),
    );
    const chosen =
      allowed.find(({ storage }) => storage === 'local') ?? allowed.find(({ nodes }) => nodes === null) ?? allowed[0];
    if (chosen !== undefined) return { storage: chosen.storage, name: snippetName, chained: null };
    const candidate = storages.folders.find(({ storage }) => storage === (wanted ?? 'local'));
    const remedy =
      candidate === undefined
        ? '`pvesm status --content snippets` lists those that do'
        : `\`${describeCommand(allowSnippetsCommand(candidate))}\` makes it one`;
    throw new AgentError(
      'Conflict',
      `${wanted === null ? 'no storage of this node allows' : `the storage ${wanted} does not allow`} snippets here: ${remedy}`,
    );
  }

  #pathOf(volume: OwnHook, storages: Storages): string {
    const path = pathOf(volume, storages);
    if (path !== null) return path;
    throw new AgentError('Conflict', `the storage ${volume.storage} is no folder on this node`);
  }

  /** Throws `NotOwner` when somebody else's file is in that place. */
  async #isToBePut(path: string): Promise<boolean> {
    const file = await this.#options.snippets.look(path);
    if (file === null) return true;
    if (file.isOurs) return !file.isCurrent;
    throw new AgentError('NotOwner', `${path} is not ours and was left alone: rename it, and try again`);
  }

  /** On every node of the cluster: migration and high availability may start the guest there. */
  async #refuseWhereMissing(
    guest: GuestHook,
    volume: OwnHook,
    storages: Storages,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const storage = storages.folders.find(({ storage: id }) => id === volume.storage);
    const others = (await readMembers(this.#options)).filter(({ name }) => name !== this.#options.node);
    const label = guestLabel(guest);
    for (const { name, online } of others) {
      if (storage?.nodes?.includes(name) === false) {
        // The hookscript that is chained binds the guest to these nodes already.
        if (volume.chained !== null) continue;
        throw new AgentError(
          'Conflict',
          `${label} could not start on node ${name}, which does not have the storage ${volume.storage}: name one that all nodes have with --storage`,
        );
      }
      if (storage?.shared === true) continue;
      const path = this.#pathOf(volume, storages);
      if (!online) {
        throw new AgentError(
          'Conflict',
          `nobody can tell whether node ${name}, which is offline, has ${path}; ${label} could not start there without it: try again when the node is back, or name a shared storage with --storage`,
        );
      }
      if (!(await this.#hasVolume(name, volume, signal))) {
        const put = volume.chained === null ? '' : `, then there \`cp /usr/lib/ovs-port-agent/snippet ${path}\``;
        throw new AgentError(
          'Conflict',
          `${label} could not start on node ${name}, which does not have ${path}: install the package there${put}`,
        );
      }
    }
  }

  async #hasVolume(node: string, volume: OwnHook, signal: AbortSignal | undefined): Promise<boolean> {
    const command = [
      '/usr/bin/pvesh',
      'get',
      `/nodes/${node}/storage/${volume.storage}/content`,
      ...['--content', 'snippets', '--output-format', 'json'],
    ] as const;
    const result = await this.#options.programs.run([...command], { deadlineMs: askNodeDeadlineMs, signal });
    const volumes = result.exitStatus === 0 ? readVolumes(result.output) : null;
    if (volumes !== null) return volumes.includes(renderHookVolume(volume));
    throw new AgentError(
      'Unavailable',
      `node ${node} does not say what is on its storage ${volume.storage}: ${lastWords(result)}`,
    );
  }

  async #refuseLocked(guest: GuestHook): Promise<void> {
    if (!(await this.#options.locks.isLocked(guest))) return;
    throw new AgentError(
      'Busy',
      `${guestLabel(guest)} is being worked on by Proxmox VE: try again when that has ended`,
    );
  }

  async #set(guest: GuestHook, to: string | null, storages: Storages, signal: AbortSignal | undefined): Promise<void> {
    const command = setCommand(guest, to);
    const result = await this.#options.programs.run(command, { deadlineMs: setDeadlineMs, signal });
    const now = await surveyGuest(this.#options, storages, guest);
    if (result.exitStatus !== 0 || now?.hookscript !== to) {
      const why = result.exitStatus === 0 ? 'it ended well, but the configuration says otherwise' : lastWords(result);
      throw new AgentError('NotApplied', `\`${describeCommand(command)}\`: ${why}`);
    }
  }

  /** Another guest may be called through it, here or on another node; a snapshot may bring it back. */
  async #removeUnnamed(own: OwnHook, storages: Storages): Promise<void> {
    const path = this.#pathOf(own, storages);
    if (await isNamed(this.#options, renderHookVolume(own))) return;
    if ((await this.#options.snippets.look(path))?.isOurs === true) await this.#options.snippets.remove(path);
  }
}

function draftOf(
  action: string,
  { vmid, hookscript }: GuestHook,
  to: string | null,
  steps: readonly string[],
): ChangeDraft {
  return { category: 'guest', action, data: { vmid, from: hookscript, to, steps } };
}

/** The command that Proxmox VE's own storage configuration is changed with. */
export function allowSnippetsCommand({
  storage,
  content,
}: {
  storage: string;
  content: readonly string[];
}): [string, ...string[]] {
  const allowed = [...content.filter((type) => type !== 'none'), 'snippets'];
  return ['/usr/sbin/pvesm', 'set', storage, '--content', allowed.join(',')];
}

/** As a person would type it. */
export function describeCommand([file, ...args]: readonly [string, ...string[]]): string {
  return [file.slice(file.lastIndexOf('/') + 1), ...args].join(' ');
}

function setCommand({ kind, vmid }: GuestHook, to: string | null): [string, ...string[]] {
  const change = to === null ? ['--delete', 'hookscript'] : ['--hookscript', to];
  return [kind === 'lxc' ? '/usr/sbin/pct' : '/usr/sbin/qm', 'set', String(vmid), ...change];
}

function refuseUnchangeable(guest: GuestHook): void {
  const label = guestLabel(guest);
  const tool = guest.kind === 'lxc' ? 'pct' : 'qm';
  if (guest.lock !== null) {
    throw new AgentError(
      'Busy',
      `${label} is locked (${guest.lock}): try again when that has ended, or, if nothing is under way, \`${tool} unlock ${guest.vmid}\``,
    );
  }
  if (guest.isPending) {
    throw new AgentError(
      'Conflict',
      `${label} has a change of its hookscript that waits for the next start (\`${tool} pending ${guest.vmid}\`): restart it, or revert the change`,
    );
  }
}

/** The list that pvesh prints; null when it is none. Perl may have warned before it. */
function readVolumes(output: string): string[] | null {
  const start = output.startsWith('[') ? 0 : output.indexOf('\n[') + 1;
  try {
    const entries: unknown = JSON.parse(output.slice(start));
    if (!Array.isArray(entries)) return null;
    return entries.flatMap((entry: { volid?: unknown } | null) =>
      typeof entry?.volid === 'string' ? [entry.volid] : [],
    );
  } catch {
    return null;
  }
}

export function lastWords({
  exitStatus,
  output,
  complaint,
}: {
  exitStatus: number | null;
  output: string;
  complaint: string;
}): string {
  const lines = `${complaint}\n${output}`.split('\n').filter((line) => line.trim() !== '');
  return (
    lines.slice(-2).join('; ') || `it ended with ${exitStatus === null ? 'a signal' : `exit status ${exitStatus}`}`
  );
}
