/** Guests of the whole cluster, through the Proxmox API. */
import { toAgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import { nicIndex } from '../model/names.ts';
import type { NicName, Vmid } from '../model/names.ts';
import type { CallOptions, ProxmoxClient } from './api-client.ts';
import { ProxmoxError } from './api-error.ts';
import type { ProxmoxErrorFacts } from './api-error.ts';
import { nicValues } from './nic-settings.ts';
import type { NicSettings } from './nic-settings.ts';
import { followTask } from './tasks.ts';
import type { FollowOptions, TaskResult } from './tasks.ts';
import { parseUpid } from './upid.ts';
import type { Task } from './upid.ts';

export interface ClusterGuest {
  readonly vmid: Vmid;
  readonly kind: GuestKind;
  readonly node: string;
  /** Empty when Proxmox VE knows none, as while the guest's node is offline. */
  readonly name: string;
  /** `running`, `stopped`, `paused`; `unknown` while its node is offline. */
  readonly status: string;
  readonly template: boolean;
  readonly tags: readonly string[];
  /** null for a guest in none, or in one that the token may not see. */
  readonly pool: string | null;
  readonly lock: string | null;
  /** What high availability says of it; null when it does not manage the guest. */
  readonly haState: string | null;
}

/** Where a guest is. */
export interface GuestPlace {
  readonly node: string;
  readonly kind: GuestKind;
  readonly vmid: Vmid;
}

/** Every guest that the token may see (`VM.Audit`), by vmid. */
export async function listClusterGuests(client: ProxmoxClient, options?: CallOptions): Promise<ClusterGuest[]> {
  const rows: unknown = await client.api(options).cluster.resources.$get({ type: 'vm' });
  if (!Array.isArray(rows)) throw misshapen('the list of guests is no list');
  return (rows as unknown[]).flatMap((row) => readGuest(row)).sort((a, b) => a.vmid - b.vmid);
}

function readGuest(row: unknown): ClusterGuest[] {
  const fields = (typeof row === 'object' && row !== null ? row : {}) as Record<string, unknown>;
  const { type, node } = fields;
  // A kind of guest that a later version may bring.
  if (type !== 'lxc' && type !== 'qemu') return [];
  const vmid = String(fields['vmid']);
  if (!/^[1-9][0-9]{2,8}$/.test(vmid) || typeof node !== 'string') throw misshapen('a guest has no vmid or no node');
  const text = (key: string): string | null => {
    const value = fields[key];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  return [
    {
      vmid: Number(vmid) as Vmid,
      kind: type,
      node,
      name: text('name') ?? '',
      status: text('status') ?? 'unknown',
      template: Number(fields['template']) === 1,
      tags: (text('tags') ?? '').split(/[;,\s]+/).filter((tag) => tag !== ''),
      pool: text('pool'),
      lock: text('lock'),
      haState: text('hastate'),
    },
  ];
}

/** Every `netN` as it will be after the next start. Needs `VM.Audit`. */
export async function readNics(client: ProxmoxClient, place: GuestPlace, options?: CallOptions): Promise<NicSettings> {
  const answer: unknown = await configOf(client, place, options).$get();
  const fields = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>;
  const { digest, lock } = fields;
  if (typeof digest !== 'string') throw misshapen(`the configuration of guest ${place.vmid} has no digest`);
  const settings = Object.entries(fields).flatMap(([key, value]) =>
    typeof value === 'string' ? [[key, value] as const] : [],
  );
  return { values: nicValues(settings), lock: typeof lock === 'string' ? lock : null, digest };
}

/**
 * Sets one `netN`, or removes it (null), unless somebody wrote to the configuration since `digest` was read (`Conflict`). On
 * a running guest Proxmox VE plugs the nic anew at once. Needs `VM.Config.Network` and `SDN.Use`. Must not be called from
 * a hook: it waits for the guest's lock.
 */
export async function writeNic(
  client: ProxmoxClient,
  place: GuestPlace,
  { nic, value, digest }: { readonly nic: NicName; readonly value: string | null; readonly digest: string },
  options?: CallOptions,
): Promise<void> {
  // By number, so that no other key can be meant.
  const key = `net${nicIndex(nic)}`;
  await configOf(client, place, options).$put({ digest, ...(value === null ? { delete: key } : { [key]: value }) });
}

export type GuestAction = 'start' | 'stop' | 'shutdown' | 'reboot';

/**
 * Starts, stops, shuts down or reboots, and waits for the task's own end. The deadline bounds the wait, not the guest: a
 * shutdown or reboot gives up in Proxmox VE at `guestTimeoutS` seconds (its own default otherwise). Needs `VM.PowerMgmt`.
 */
export async function controlGuest(
  client: ProxmoxClient,
  { node, kind, vmid }: GuestPlace,
  action: GuestAction,
  options: FollowOptions & { readonly guestTimeoutS?: number | undefined },
): Promise<TaskResult> {
  const { signal, guestTimeoutS } = options;
  const on = client.api({ signal }).nodes.$(node);
  const { status } = kind === 'lxc' ? on.lxc.$(vmid) : on.qemu.$(vmid);
  const timed = guestTimeoutS === undefined ? {} : { timeout: guestTimeoutS };
  const calls: Record<GuestAction, () => Promise<unknown>> = {
    start: () => status.start.$post(),
    stop: () => status.stop.$post(),
    shutdown: () => status.shutdown.$post(timed),
    reboot: () => status.reboot.$post(timed),
  };
  return followTask(client, taskOf(await calls[action]()), options);
}

export interface NewContainer {
  readonly node: string;
  /** null: the next free one. Somebody else may take that meanwhile (`Conflict`). */
  readonly vmid: Vmid | null;
  /** Volume of the template: `local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst`. */
  readonly template: string;
  /** Proxmox VE's own choice when it is not given, such as `CT102`. */
  readonly hostname?: string | undefined;
  /** Storage and size of the root disk: `local-lvm:8`, in GiB. */
  readonly rootfs: string;
  readonly memoryMib: number;
  readonly cores?: number | undefined;
  /** Value of net0, net1, ...: `name=eth0,bridge=ovsbr0,ip=dhcp,tag=10`. */
  readonly nics: readonly string[];
  readonly tags?: readonly string[] | undefined;
  readonly pool?: string | undefined;
  /** Whether it is started when it is there. */
  readonly start: boolean;
}

/**
 * Creates an unprivileged container and waits until it is there; `onTask` gets the name of the task that does it. Needs
 * `VM.Allocate`, `VM.Config.Disk`, `.Memory`, `.Network` and `.Options`, `Datastore.AllocateSpace` and `SDN.Use`.
 */
export async function createContainer(
  client: ProxmoxClient,
  container: NewContainer,
  options: FollowOptions & { readonly onTask?: (upid: string) => void },
): Promise<TaskResult & { readonly vmid: Vmid }> {
  const api = client.api({ signal: options.signal });
  const vmid = container.vmid ?? readVmid(await api.cluster.nextid.$get());
  const task = taskOf(await api.nodes.$(container.node).lxc.$post(containerParameters({ ...container, vmid })));
  options.onTask?.(task.upid);
  return { ...(await followTask(client, task, options)), vmid };
}

/** What Proxmox VE is asked with. */
export function containerParameters(container: NewContainer & { readonly vmid: Vmid }) {
  const { vmid, template, hostname, rootfs, memoryMib, cores, tags, pool, nics, start } = container;
  return {
    vmid: vmid as number,
    ostemplate: template,
    ...(hostname !== undefined && { hostname }),
    rootfs,
    memory: memoryMib,
    unprivileged: true,
    start,
    ...(cores !== undefined && { cores }),
    ...(tags !== undefined && { tags: tags.join(';') }),
    ...(pool !== undefined && { pool }),
    ...Object.fromEntries(nics.map((value, index) => [`net${index}`, value])),
  };
}

function configOf(client: ProxmoxClient, { node, kind, vmid }: GuestPlace, options?: CallOptions): ConfigCalls {
  const on = client.api(options).nodes.$(node);
  return kind === 'lxc' ? on.lxc.$(vmid).config : on.qemu.$(vmid).config;
}

/** Both kinds' `config`, without the keys that `proxmox-api` knows of each. */
interface ConfigCalls {
  $get(): Promise<unknown>;
  $put(parameters: Record<string, string>): Promise<unknown>;
}

/** `/cluster/nextid` answers text. */
function readVmid(answer: unknown): Vmid {
  if (!/^[1-9][0-9]{2,8}$/.test(String(answer))) throw misshapen('the next free vmid is no vmid');
  return Number(answer) as Vmid;
}

/** The task that an answer to a change names. Without a name nobody can tell what became of it. */
function taskOf(answer: unknown): Task {
  try {
    return parseUpid(answer);
  } catch (error) {
    throw misshapen(`${toAgentError(error).message}; look at the guest's task history`, { isOutcomeUnknown: true });
  }
}

function misshapen(what: string, facts?: Partial<ProxmoxErrorFacts>): ProxmoxError {
  return new ProxmoxError('Unavailable', `Proxmox VE answered something that is not understood: ${what}`, facts);
}
