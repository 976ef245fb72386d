/**
 * Network cards of guests: read out of this node's files, or by the Proxmox API; changed by the API, or by `pct` and `qm` while
 * the API is not configured. Proxmox VE writes the guest's file and plugs a running guest's card anew; the ports follow by
 * the service's own events.
 */
import type { BlockDraft } from '../ledger/block.ts';
import { AgentError, toAgentError } from '../model/errors.ts';
import { guestLabel } from '../model/guest.ts';
import type { GuestKind } from '../model/guest.ts';
import type { NicName, Vmid } from '../model/names.ts';
import type { Cause, GuestLocks, Recorder } from '../ports/contracts.ts';
import { editNic, parseNicEdit } from '../proxmox/nic-edit.ts';
import type { NicWishes } from '../proxmox/nic-edit.ts';
import { parseNicOptions } from '../proxmox/nic-options.ts';
import type { NicOptions } from '../proxmox/nic-options.ts';
import { freeNic, newNic } from '../proxmox/new-nic.ts';
import { nicSettingsOf } from '../proxmox/nic-settings.ts';
import type { NicSettings } from '../proxmox/nic-settings.ts';
import { parseUnitName } from '../systemd1/unit-name.ts';
import type { ClusterPlace, HostFiles, NicApi, NicWrite, ProgramWait, Tasks } from './contracts.ts';
import { locateGuest, refuseLocked } from './guest-facts.ts';
import type { GuestPaths } from './guest-facts.ts';

export interface GuestNicsOptions {
  readonly files: HostFiles;
  readonly paths: GuestPaths;
  readonly tasks: Tasks;
  /** null while the configuration has no `[proxmox]`. */
  readonly api: NicApi | null;
  readonly locks: GuestLocks;
  readonly recorder: Pick<Recorder, 'writeAheadAll'>;
  /** Name of this node. */
  readonly node: string;
}

export interface NicView {
  readonly guest: { readonly kind: GuestKind; readonly vmid: Vmid };
  readonly nic: NicName;
  readonly value: string;
  /** null when they cannot be told; `problem` says why. */
  readonly options: NicOptions | null;
  readonly problem: string | null;
}

interface NicRequest {
  /** Only says what would be done. */
  readonly isDryRun: boolean;
  readonly wait: ProgramWait;
  readonly cause: Cause;
}

export interface NicChangeRequest extends NicRequest {
  /** null takes the whole card away. */
  readonly wishes: NicWishes | null;
}

export interface NicAddRequest extends NicRequest {
  /** null takes the lowest number that is free. */
  readonly nic: NicName | null;
  /** As Proxmox VE writes them: `bridge=ovsbr0,tag=10`. */
  readonly options: string;
}

export interface NicChange {
  /** `CT 100` */
  readonly guest: string;
  readonly nic: NicName;
  /** False when it was so already, and for a dry run; then nothing was sent. */
  readonly changed: boolean;
  /** null for a card that was not there. */
  readonly before: string | null;
  /** As it was asked for; null for a card that is taken away. */
  readonly after: string | null;
  /** `api`, `pct`, `qm`; null when there was nothing to do. */
  readonly way: string | null;
}

/** A guest whose cards were read to change them. */
interface Opened {
  readonly place: ClusterPlace;
  readonly way: Way;
  readonly settings: NicSettings;
}

type Way = 'api' | 'pct' | 'qm';

/** Of a tool's output, for an error message. */
const saidLinesMax = 3;

export class GuestNics {
  readonly #options: GuestNicsOptions;

  constructor(options: GuestNicsOptions) {
    this.#options = options;
  }

  /** By number, as they will be after the next start. Throws `NotFound`, and what the API says of another node's guest. */
  async list(vmid: Vmid, wait: ProgramWait): Promise<NicView[]> {
    const { place, values } = await this.#read(vmid, wait);
    return [...values].map(([nic, value]) => viewOf(place, nic, value));
  }

  /** One of them; throws `NotFound` with the names of those that there are. */
  async show(vmid: Vmid, nic: NicName, wait: ProgramWait): Promise<NicView> {
    const { place, values } = await this.#read(vmid, wait);
    const value = values.get(nic);
    if (value === undefined) throw noSuchNic(place, nic, values);
    return viewOf(place, nic, value);
  }

  /**
   * Resolves when Proxmox VE has taken the change, at once when there is nothing to change. Throws `NotFound` (no such guest or
   * nic), `Busy` (the guest is locked), `Conflict` (somebody else changed the guest meanwhile), `InvalidArgument`, and what
   * Proxmox VE says when it refuses.
   */
  async change(vmid: Vmid, nic: NicName, { wishes, ...request }: NicChangeRequest): Promise<NicChange> {
    const edit = wishes === null ? null : parseNicEdit(wishes);
    const opened = await this.#open(vmid, request.wait);
    const { place, settings } = opened;
    const before = settings.values.get(nic) ?? null;
    if (before === null && edit !== null) throw noSuchNic(place, nic, settings.values);
    const after = before === null || edit === null ? null : editNic(place.kind, before, edit);
    if (after === before) return { guest: guestLabel(place), nic, changed: false, before, after, way: null };
    return this.#carryOut(opened, { nic, before, after }, request);
  }

  /**
   * Resolves when Proxmox VE has taken the new card. Throws `Conflict` when the guest has that card, or one of that name inside;
   * otherwise as `change` does.
   */
  async add(vmid: Vmid, { nic: wanted, options, ...request }: NicAddRequest): Promise<NicChange> {
    const opened = await this.#open(vmid, request.wait);
    const { place, settings } = opened;
    const nic = wanted ?? freeNic(settings.values);
    if (nic === null) throw new AgentError('Conflict', `${guestLabel(place)} has as many network cards as can be`);
    const before = settings.values.get(nic);
    if (before !== undefined) throw new AgentError('Conflict', `${guestLabel(place)} has ${nic} already: ${before}`);
    const after = newNic(place.kind, nic, options);
    refuseSameName(place, settings.values, after);
    return this.#carryOut(opened, { nic, before: null, after }, request);
  }

  async #carryOut(
    { place, way, settings }: Opened,
    { nic, before, after }: Pick<NicChange, 'nic' | 'before' | 'after'>,
    { isDryRun, wait, cause }: NicRequest,
  ): Promise<NicChange> {
    const outcome = { guest: guestLabel(place), nic, before, after, way };
    await this.#refuseLocked(place, settings);
    if (isDryRun) return { ...outcome, changed: false };
    const draft: BlockDraft = {
      category: 'guest',
      action: before === null ? 'add-nic' : after === null ? 'delete-nic' : 'set-nic',
      metadata: { ...cause, host: this.#options.node, plugin: 'node' },
      data: { vmid: place.vmid, node: place.node, way, nic, before, after },
    };
    await this.#options.recorder.writeAheadAll([draft], async () => {
      // Again, because the ledger's disk may have taken its time.
      await this.#refuseLocked(place, settings);
      await this.#write(place, way, { nic, value: after, digest: settings.digest }, wait);
    });
    return { ...outcome, changed: true };
  }

  async #open(vmid: Vmid, wait: ProgramWait): Promise<Opened> {
    const place = await this.#locate(vmid);
    const way = this.#wayTo(place);
    return { place, way, settings: await (way === 'api' ? this.#api(place).read(place, wait) : this.#readFile(place)) };
  }

  async #read(vmid: Vmid, wait: ProgramWait): Promise<{ place: ClusterPlace; values: NicSettings['values'] }> {
    const place = await this.#locate(vmid);
    const isHere = place.node === this.#options.node;
    const { values } = await (isHere ? this.#readFile(place) : this.#api(place).read(place, wait));
    return { place, values };
  }

  async #locate(vmid: Vmid): Promise<ClusterPlace> {
    const { files, paths, node } = this.#options;
    const place = await locateGuest(files, paths, node, vmid);
    if (place.at === 'elsewhere') return { kind: place.kind, vmid, node: place.node };
    if (place.facts.manager === 'lxc') {
      throw new AgentError(
        'NotFound',
        `CT ${vmid} is a container of LXC itself, which has no netN: its cards stand in ${paths.lxcDir}/${vmid}/config`,
      );
    }
    return { kind: place.facts.kind, vmid, node };
  }

  #api(place: ClusterPlace): NicApi {
    const { api } = this.#options;
    if (api !== null) return api;
    throw new AgentError('NotFound', `${guestLabel(place)} is on node ${place.node}, not here: run the command there`);
  }

  #wayTo({ kind, node }: ClusterPlace): Way {
    if (this.#options.api !== null || node !== this.#options.node) return 'api';
    return kind === 'lxc' ? 'pct' : 'qm';
  }

  #write(place: ClusterPlace, way: Way, change: NicWrite, wait: ProgramWait): Promise<void> {
    if (way === 'api') return this.#api(place).write(place, change, wait);
    const { nic, value, digest } = change;
    return this.#runTool(
      place,
      [
        ...([`/usr/sbin/${way}`, 'set', String(place.vmid)] as const),
        ...(value === null ? ['--delete', nic] : [`--${nic}`, value]),
        ...['--digest', digest],
      ],
      wait,
    );
  }

  async #readFile({ kind, vmid }: ClusterPlace): Promise<NicSettings> {
    const { files, paths } = this.#options;
    const path = `${paths.pveDir}/${kind === 'lxc' ? 'lxc' : 'qemu-server'}/${vmid}.conf`;
    const file = await files.read(path);
    if (file === null) throw new AgentError('NotFound', `${guestLabel({ kind, vmid })} went away: ${path} is gone`);
    return nicSettingsOf(kind, file.text);
  }

  async #refuseLocked(place: ClusterPlace, { lock }: NicSettings): Promise<void> {
    refuseLocked(place, lock);
    if (place.node === this.#options.node && (await this.#options.locks.isLocked(place))) {
      throw new AgentError(
        'Busy',
        `${guestLabel(place)} is being worked on by Proxmox VE: try again when that has ended`,
      );
    }
  }

  async #runTool({ vmid }: ClusterPlace, command: readonly [string, ...string[]], wait: ProgramWait): Promise<void> {
    const { exitStatus, result, lines } = await this.#options.tasks.run(
      {
        unit: parseUnitName(`ovs-port-agent-nic-${vmid}.service`),
        description: `${command.join(' ')} for ovs-port-agent`,
        command,
        environment: { LC_ALL: 'C' },
      },
      wait,
    );
    if (exitStatus === 0) return;
    const how = exitStatus === null ? result : `exit status ${exitStatus}`;
    const said = lines
      .filter((line) => line.trim() !== '')
      .slice(-saidLinesMax)
      .join('; ');
    throw new AgentError(
      /file changed? by other user/.test(said) ? 'Conflict' : 'NotApplied',
      `\`${command.join(' ')}\` failed (${how})${said === '' ? '' : `: ${said}`}`,
    );
  }
}

function viewOf({ kind, vmid }: ClusterPlace, nic: NicName, value: string): NicView {
  const view = { guest: { kind, vmid }, nic, value };
  try {
    return { ...view, options: parseNicOptions(kind, value), problem: null };
  } catch (error) {
    return { ...view, options: null, problem: toAgentError(error).message };
  }
}

/** Two cards of one name leave a container that does not start. */
function refuseSameName(place: ClusterPlace, values: NicSettings['values'], wanted: string): void {
  const { name } = parseNicOptions(place.kind, wanted);
  for (const [nic, value] of values) {
    if (name === null || viewOf(place, nic, value).options?.name !== name) continue;
    throw new AgentError('Conflict', `${guestLabel(place)} has a ${name} already, ${nic}: give another name=NAME`);
  }
}

function noSuchNic(place: ClusterPlace, nic: NicName, values: NicSettings['values']): AgentError {
  const there = values.size === 0 ? 'it has no network card' : `it has ${[...values.keys()].join(', ')}`;
  return new AgentError('NotFound', `${guestLabel(place)} has no ${nic}: ${there}`);
}
