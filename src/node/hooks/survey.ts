/** What hookscripts the guests of this node have, and whether Proxmox VE would find them. Reads only. */
import { AgentError } from '../../model/errors.ts';
import type { GuestKind } from '../../model/guest.ts';
import { parseVmid } from '../../model/names.ts';
import type { Vmid } from '../../model/names.ts';
import { parseMembers } from '../../proxmox/cluster-state.ts';
import { parseGuestConfig } from '../../proxmox/guest-config.ts';
import { parseGuestDocument, readLine, settingsOf } from '../../proxmox/guest-document.ts';
import { parseSectionConfig } from '../../proxmox/section-config.ts';
import { parseFolderStorages } from '../../proxmox/storages.ts';
import type { FolderStorage } from '../../proxmox/storages.ts';
import type { HostFiles, HostFolders, SnippetFiles } from '../contracts.ts';
import { ownHook, parseHookVolume } from './volume.ts';
import type { HookVolume } from './volume.ts';

/**
 * `attached`: ours alone. `chained`: ours, which calls another. `other`: somebody else's alone. `dangling`: Proxmox VE does
 * not find what is named, or what ours would call, and does not start the guest.
 */
export type HookState = 'none' | 'attached' | 'chained' | 'other' | 'dangling';

export interface GuestHook {
  readonly kind: GuestKind;
  readonly vmid: Vmid;
  readonly isTemplate: boolean;
  /** `backup`, `migrate`, ...; null when there is none. */
  readonly lock: string | null;
  /** As the configuration has it. */
  readonly hookscript: string | null;
  readonly state: HookState;
  /** The volume that is called beside ours, or instead of it. */
  readonly other: string | null;
  /** Why it is dangling. */
  readonly problem: string | null;
  /** A change of it waits for the next start. */
  readonly isPending: boolean;
  /** Hookscripts of its snapshots that are missing: after a rollback it would not start. Name of the snapshot first. */
  readonly danglingSnapshots: readonly (readonly [snapshot: string, problem: string])[];
}

export interface Storages {
  readonly folders: readonly FolderStorage[];
  /** Names of all, also of those that are no folders. */
  readonly ids: ReadonlySet<string>;
}

export interface HookHost {
  readonly files: HostFiles & HostFolders;
  readonly snippets: Pick<SnippetFiles, 'look'>;
  /** `/etc/pve` on a node. */
  readonly pveDir: string;
}

const folders = { lxc: 'lxc', qemu: 'qemu-server' } as const;

/** Throws `NotFound` on a host without Proxmox VE. */
export async function requireProxmox({ files, pveDir }: HookHost): Promise<void> {
  if (await files.exists(pveDir)) return;
  throw new AgentError('NotFound', `there is no Proxmox VE here (${pveDir}), so that there are no hookscripts`);
}

/** Guests of this node; a vmid of both kinds is there twice. */
export async function listGuestFiles({ files, pveDir }: HookHost): Promise<{ kind: GuestKind; vmid: Vmid }[]> {
  const found: { kind: GuestKind; vmid: Vmid }[] = [];
  for (const kind of ['lxc', 'qemu'] as const) {
    for (const name of await files.list(`${pveDir}/${folders[kind]}`)) {
      const vmid = /^([1-9][0-9]{2,8})\.conf$/.exec(name)?.[1];
      if (vmid !== undefined) found.push({ kind, vmid: parseVmid(vmid) });
    }
  }
  return found.sort((a, b) => a.vmid - b.vmid);
}

/** null when the guest has no file here. */
export async function surveyGuest(
  host: HookHost,
  storages: Storages,
  { kind, vmid }: { kind: GuestKind; vmid: Vmid },
): Promise<GuestHook | null> {
  const file = await host.files.read(`${host.pveDir}/${folders[kind]}/${vmid}.conf`);
  if (file === null) return null;
  const { hookscript, lock, template } = parseGuestConfig(kind, vmid, file.text);
  const document = parseGuestDocument(kind, file.text);
  const danglingSnapshots: [string, string][] = [];
  let isPending = false;
  for (const section of document.sections.slice(1)) {
    if (section.kind === 'pending') {
      isPending = document.lines.slice(section.start, section.end).some(concernsHookscript);
    } else if (section.kind === 'snapshot') {
      const problem = await whyDangling(host, storages, settingsOf(document, section).get('hookscript') ?? null);
      if (problem !== null) danglingSnapshots.push([section.name, problem]);
    }
  }
  const problem = await whyDangling(host, storages, hookscript);
  return {
    kind,
    vmid,
    isTemplate: template,
    lock,
    hookscript,
    ...stateOf(hookscript, problem),
    problem,
    isPending,
    danglingSnapshots,
  };
}

export async function readStorages({ files, pveDir }: Pick<HookHost, 'files' | 'pveDir'>): Promise<Storages> {
  const text = (await files.read(`${pveDir}/storage.cfg`))?.text ?? '';
  const ids = parseSectionConfig(text).map(({ id }) => id);
  return { folders: parseFolderStorages(text), ids: new Set(['local', ...ids]) };
}

/** Nodes of the cluster; empty for a node on its own. */
export async function readMembers({ files, pveDir }: HookHost): Promise<readonly { name: string; online: boolean }[]> {
  return parseMembers((await files.read(`${pveDir}/.members`))?.text ?? '')?.nodes ?? [];
}

/** Path of the file on a node that has the storage; null when no storage of that name is a folder. */
export function pathOf(volume: HookVolume, storages: Storages): string | null {
  const storage = storages.folders.find(({ storage: id }) => id === volume.storage);
  return storage === undefined ? null : `${storage.folder}/${volume.name}`;
}

/** Whether any guest of the cluster, or a snapshot of one, names the volume. */
export async function isNamed({ files, pveDir }: Pick<HookHost, 'files' | 'pveDir'>, volume: string): Promise<boolean> {
  const nodes = (await files.list(`${pveDir}/nodes`)).map((node) => `${pveDir}/nodes/${node}`);
  for (const folder of [pveDir, ...nodes].flatMap((base) => [`${base}/lxc`, `${base}/qemu-server`])) {
    for (const name of await files.list(folder)) {
      const text = (await files.read(`${folder}/${name}`))?.text ?? '';
      if (text.split('\n').some((line) => hookscriptIn(line) === volume)) return true;
    }
  }
  return false;
}

function hookscriptIn(text: string): string | null {
  const line = readLine(text);
  return line.kind === 'setting' && line.key === 'hookscript' ? line.value : null;
}

/** `hookscript: ...`, or `delete: ...,hookscript`. */
function concernsHookscript(text: string): boolean {
  const line = readLine(text);
  if (line.kind !== 'setting') return false;
  return line.key === 'hookscript' || (line.key === 'delete' && /(^|[,; !])hookscript($|[,; ])/.test(line.value));
}

function stateOf(hookscript: string | null, problem: string | null): Pick<GuestHook, 'state' | 'other'> {
  if (hookscript === null) return { state: 'none', other: null };
  const own = ownHook(hookscript);
  const other = own === null ? hookscript : own.chained === null ? null : `${own.storage}:snippets/${own.chained}`;
  if (problem !== null) return { state: 'dangling', other };
  return { state: own === null ? 'other' : own.chained === null ? 'attached' : 'chained', other };
}

/** What Proxmox VE would refuse a start with; null when all is there. */
async function whyDangling(host: HookHost, storages: Storages, hookscript: string | null): Promise<string | null> {
  if (hookscript === null) return null;
  let volume: HookVolume;
  try {
    volume = parseHookVolume(hookscript);
  } catch (error) {
    return (error as Error).message;
  }
  if (!storages.ids.has(volume.storage)) return `there is no storage ${volume.storage}`;
  const path = pathOf(volume, storages);
  // A storage of a kind that is not known here may well have it: only Proxmox VE can tell.
  if (path === null) return null;
  const chained = ownHook(hookscript)?.chained ?? null;
  const paths = chained === null ? [path] : [path, `${path.slice(0, path.lastIndexOf('/'))}/${chained}`];
  for (const needed of paths) {
    const file = await host.snippets.look(needed);
    if (file === null) return `${needed} does not exist`;
    if (!file.isRunnable) return `${needed} is no regular file that may be executed`;
  }
  return null;
}
