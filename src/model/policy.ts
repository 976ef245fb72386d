/** Policies: what the configuration says about ports by the guest or container they belong to. Pure. */
import { globMatches } from './glob.ts';
import type { BridgeName, PortName, VlanTag, Vmid } from './names.ts';

/**
 * `lxc`: a container, of Proxmox VE or of anything else. `qemu`: a virtual machine. `device`: what was handed over by its
 * device's name alone.
 */
export const policyKinds = ['lxc', 'qemu', 'device'] as const;
export type PolicyKind = (typeof policyKinds)[number];

/** What has to hold, all of it; null: whatever it is. */
export interface PolicyMatch {
  readonly kind: PolicyKind | null;
  /** A tag of the guest in Proxmox VE, in whatever case. */
  readonly tag: string | null;
  /** Both ends belong to it. */
  readonly vmid: { readonly first: Vmid; readonly last: Vmid } | null;
  /** Pattern of `globMatches`. */
  readonly name: string | null;
  readonly pool: string | null;
  readonly bridge: BridgeName | null;
}

export interface Policy {
  readonly match: PolicyMatch;
  /** For devices that Proxmox VE does not plug; a guest's own configuration decides about its nics. */
  readonly bridge: BridgeName | null;
  readonly tag: VlanTag | null;
  readonly trunks: readonly VlanTag[];
  /** The port that gets a copy of every packet. */
  readonly mirrorTo: PortName | null;
}

/** What a policy is compared with: one nic or one device. */
export interface PolicySubject {
  readonly kind: PolicyKind;
  readonly vmid: Vmid | null;
  /** Of the guest, of the container, or of the device. */
  readonly name: string;
  readonly tags: readonly string[];
  /** null when it is in none, or that is not known. */
  readonly pool: string | null;
  /** Where it would be if there were no policies. */
  readonly bridge: BridgeName;
}

/** The first policy that matches; null when none does. */
export function policyFor(policies: readonly Policy[], subject: PolicySubject): Policy | null {
  return policies.find(({ match }) => matches(match, subject)) ?? null;
}

export function matches(match: PolicyMatch, subject: PolicySubject): boolean {
  const { vmid } = subject;
  return (
    (match.kind === null || match.kind === subject.kind) &&
    (match.tag === null || subject.tags.some((tag) => tag.toLowerCase() === match.tag?.toLowerCase())) &&
    (match.vmid === null || (vmid !== null && match.vmid.first <= vmid && vmid <= match.vmid.last)) &&
    (match.name === null || globMatches(match.name, subject.name)) &&
    (match.pool === null || match.pool === subject.pool) &&
    (match.bridge === null || match.bridge === subject.bridge)
  );
}
