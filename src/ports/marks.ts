/** The marks in `external_ids` by which a port is known: Open vSwitch's integration guide names the Interface's keys. */
import { hash } from 'node:crypto';
import { vlanModeOf } from '../model/port.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';

/** Value of `owner` on a Port row that the agent made or adopted. */
export const ownerMark = 'dev.ovs.PortAgent1';

export const markKeys = {
  owner: 'owner',
  vmId: 'vm-id',
  portName: 'port-name',
  container: 'container',
  txn: 'txn',
  fields: 'fields',
  ifaceId: 'iface-id',
  attachedMac: 'attached-mac',
  ifaceStatus: 'iface-status',
} as const;

type Marks = ReadonlyMap<string, string>;

export function portMarks(wanted: WantedPort): Marks {
  const { owner } = wanted;
  const vmid = owner.vmid;
  return new Map([
    [markKeys.owner, ownerMark],
    [markKeys.portName, wanted.port],
    ...(vmid === null ? [] : [[markKeys.vmId, String(vmid)] as const]),
    // Nothing else remembers whose a device is that was found by its prefix.
    ...(owner.kind !== 'binding' || owner.container === null ? [] : [[markKeys.container, owner.container] as const]),
  ]);
}

/** `iface-id` is the same on every node of a cluster, so that it survives a migration. */
export function interfaceMarks(wanted: WantedPort, cluster: string): Marks {
  const { owner } = wanted;
  const vmid = owner.vmid;
  const nic = owner.kind === 'binding' ? 'net0' : owner.nic;
  return new Map([
    [markKeys.ifaceId, vmid === null ? `${cluster}-${wanted.port}` : `${cluster}-${vmid}-${nic}`],
    [markKeys.ifaceStatus, 'active'],
    ...(vmid === null ? [] : [[markKeys.vmId, String(vmid)] as const]),
    ...(wanted.mac === null ? [] : [[markKeys.attachedMac, wanted.mac] as const]),
  ]);
}

/** Whether every mark stands as it should; keys of others do not matter. */
export function carries(ids: ReadonlyMap<string, string>, marks: Marks): boolean {
  for (const [key, value] of marks) if (ids.get(key) !== value) return false;
  return true;
}

export function isOurs(row: ObservedPort): boolean {
  return row.portIds.get(markKeys.owner) === ownerMark;
}

/** Fingerprint of the columns as the agent sets them, so that a foreign edit of one of them can be told later. */
export function fieldsFingerprint(wanted: WantedPort): string {
  return fingerprintOf({ ...wanted, vlanMode: vlanModeOf(wanted) });
}

/** The same of the columns as they are. */
export function fingerprintOf({ tag, trunks, vlanMode }: Pick<ObservedPort, 'tag' | 'trunks' | 'vlanMode'>): string {
  const columns = JSON.stringify([tag, trunks, vlanMode]);
  const known = fingerprints.get(columns);
  if (known !== undefined) return known;
  const fingerprint = hash('sha256', columns).slice(0, 16);
  if (fingerprints.size >= fingerprintsMax) fingerprints.clear();
  fingerprints.set(columns, fingerprint);
  return fingerprint;
}

/** Ports of a node differ in few VLANs, and each pass asks for all of them. */
const fingerprints = new Map<string, string>();
const fingerprintsMax = 4096;
