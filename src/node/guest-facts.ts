/** What has to be known of a guest before it is started or stopped, read at the moment it is needed. */
import { AgentError } from '../model/errors.ts';
import { guestLabel, guestUnitNames } from '../model/guest.ts';
import type { GuestKind } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import { parseVmlist } from '../proxmox/cluster-state.ts';
import { parseGuestConfig } from '../proxmox/guest-config.ts';
import { parseHaResources } from '../proxmox/ha-resources.ts';
import { runStates } from '../proxmox/run-state.ts';
import type { RunState } from '../proxmox/run-state.ts';
import type { HostFiles, Units } from './contracts.ts';

export interface GuestFacts {
  readonly kind: GuestKind;
  readonly vmid: Vmid;
  /** `lxc`: a container that LXC itself manages, on a host without Proxmox VE. */
  readonly manager: 'proxmox' | 'lxc';
  readonly settings: GuestSettings;
  /** High availability starts and stops it. */
  readonly isHaManaged: boolean;
  /** Last change of the guest's configuration, and of what LXC reads instead; null when there is none. */
  readonly configuredAtMs: number;
  readonly lxcConfiguredAtMs: number | null;
}

export interface GuestSettings {
  readonly isTemplate: boolean;
  /** `backup`, `migrate`, `snapshot`, ...; null when there is none. */
  readonly lock: string | null;
  readonly hasPending: boolean;
  /** Volume of the hookscript. */
  readonly hookscript: string | null;
  readonly isDebug: boolean;
}

export type GuestPlace =
  | { readonly at: 'here'; readonly facts: GuestFacts }
  | { readonly at: 'elsewhere'; readonly kind: GuestKind; readonly node: string };

export interface GuestPaths {
  /** `/etc/pve` on a node. */
  readonly pveDir: string;
  /** `/var/lib/lxc`. */
  readonly lxcDir: string;
}

/** Where the guest is, and what is known of it here. Throws `NotFound`, or `Conflict` for a vmid that is two guests. */
export async function locateGuest(files: HostFiles, paths: GuestPaths, node: string, vmid: Vmid): Promise<GuestPlace> {
  const { pveDir, lxcDir } = paths;
  const lxcFile = await files.read(`${lxcDir}/${vmid}/config`);
  if (!(await files.exists(pveDir))) {
    if (lxcFile === null) {
      throw new AgentError(
        'NotFound',
        `guest ${vmid} does not exist: there is neither Proxmox VE nor ${lxcDir}/${vmid}/config`,
      );
    }
    const { mtimeMs } = lxcFile;
    const facts = { settings: noSettings, isHaManaged: false, configuredAtMs: mtimeMs, lxcConfiguredAtMs: mtimeMs };
    return { at: 'here', facts: { kind: 'lxc', vmid, manager: 'lxc', ...facts } };
  }
  const [container, machine] = await Promise.all([
    files.read(`${pveDir}/lxc/${vmid}.conf`),
    files.read(`${pveDir}/qemu-server/${vmid}.conf`),
  ]);
  if (container !== null && machine !== null) {
    throw new AgentError(
      'Conflict',
      `guest ${vmid} is a container and a machine: ${pveDir} has lxc/${vmid}.conf and qemu-server/${vmid}.conf. Remove the one that is wrong`,
    );
  }
  const file = container ?? machine;
  if (file === null) return elsewhere(await files.read(`${pveDir}/.vmlist`), node, vmid, pveDir);
  const kind = container === null ? 'qemu' : 'lxc';
  const ha = await files.read(`${pveDir}/ha/resources.cfg`);
  return {
    at: 'here',
    facts: {
      kind,
      vmid,
      manager: 'proxmox',
      settings: readGuestSettings(kind, vmid, file.text),
      isHaManaged: ha !== null && isInHaResources(ha.text, kind, vmid),
      configuredAtMs: file.mtimeMs,
      lxcConfiguredAtMs: lxcFile?.mtimeMs ?? null,
    },
  };
}

const noSettings: GuestSettings = {
  isTemplate: false,
  lock: null,
  hasPending: false,
  hookscript: null,
  isDebug: false,
};

/** Total. */
export function readGuestSettings(kind: GuestKind, vmid: Vmid, text: string): GuestSettings {
  const { template, lock, pending, hookscript, debug } = parseGuestConfig(kind, vmid, text);
  return { isTemplate: template, lock, hasPending: pending, hookscript, isDebug: debug };
}

/** An entry counts whatever its state: what HA makes of it is for Proxmox VE's own tools to say. */
function isInHaResources(text: string, kind: GuestKind, vmid: Vmid): boolean {
  return parseHaResources(text).some((resource) => resource.kind === kind && resource.vmid === vmid);
}

function elsewhere(vmlist: { text: string } | null, node: string, vmid: Vmid, pveDir: string): GuestPlace {
  const entry = parseVmlist(vmlist?.text ?? '')?.find((guest) => guest.vmid === vmid);
  if (entry === undefined || entry.node === node) {
    throw new AgentError('NotFound', `guest ${vmid} does not exist: ${pveDir} has no configuration of it`);
  }
  return { at: 'elsewhere', kind: entry.kind, node: entry.node };
}

/** The unit by which systemd runs the guest. */
export function unitOfGuest(facts: GuestFacts): string {
  return facts.manager === 'lxc' ? `lxc@${facts.vmid}.service` : guestUnitNames(facts)[0];
}

/** Whether the guest runs now, by its units and the sockets of this host. */
export async function runStateOf(
  files: HostFiles,
  units: Pick<Units, 'listUnits'>,
  lxcDir: string,
  facts: GuestFacts,
): Promise<RunState> {
  const listed = await units.listUnits([unitOfGuest(facts), ...guestUnitNames(facts)]);
  const unixSockets = (await files.read('/proc/net/unix'))?.text ?? '';
  return runStates({ unixSockets, lxcDir, units: listed })(facts);
}

/** Why the guest must be left alone whatever the way; throws. */
export function refuseUntouchable(facts: GuestFacts, action: string): void {
  const { settings } = facts;
  const guest = guestLabel(facts);
  if (settings.isTemplate) {
    throw new AgentError(
      'Conflict',
      `${guest} is a template, which cannot ${action}: make a guest of it with \`${facts.kind === 'lxc' ? 'pct' : 'qm'} clone ${facts.vmid} NEWID\``,
    );
  }
  refuseLocked(facts, settings.lock);
}

/** `lock`: why Proxmox VE keeps others off the guest; throws unless it is null. */
export function refuseLocked({ kind, vmid }: Pick<GuestFacts, 'kind' | 'vmid'>, lock: string | null): void {
  if (lock === null) return;
  throw new AgentError(
    'Busy',
    `${guestLabel({ kind, vmid })} is locked (${lock}): try again when that has ended, or, if nothing is under way, \`${kind === 'lxc' ? 'pct' : 'qm'} unlock ${vmid}\``,
  );
}
