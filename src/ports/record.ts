/** What the ledger is told about ports and guests. */
import type { BlockDraft, JsonObject } from '../ledger/block.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import type { Phase } from '../model/lifecycle.ts';
import type { Vmid } from '../model/names.ts';
import type { WantedMirror } from '../model/mirror.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import type { Cause, PlannedChange } from './contracts.ts';
import type { Change } from './change.ts';
import { mirrorTarget } from './mirror-marks.ts';
import type { MirrorDrift } from './mirror-plan.ts';
import type { Drift } from './plan.ts';
import type { Difference } from './settings.ts';

/** What the block says that is written ahead of a change. */
export function plannedChange(change: Change, cause: Cause, txn: string): PlannedChange {
  const isDrift = (change.kind === 'set' || change.kind === 'set-mirror') && change.drift;
  return {
    category: isDrift ? 'drift' : 'port',
    action: isDrift ? 'repair' : change.kind,
    cause,
    data: { ...describeChange(change), txn },
  };
}

/** A hook's call: an event, not a change. */
export function phaseDraft(vmid: Vmid, phase: Phase, cause: Cause, host: string): BlockDraft {
  return { category: 'guest', action: phase, metadata: { ...cause, host, plugin: 'ports' }, data: { vmid } };
}

function describeChange(change: Change): BlockDraft['data'] {
  switch (change.kind) {
    case 'attach':
      return describeWanted(change.wanted);
    case 'adopt':
    case 'replace':
      return { ...describeWanted(change.wanted), row: change.row.portUuid, before: describeColumns(change.row) };
    case 'set':
      return describeDrift(change);
    case 'detach':
      return describeRow(change.row, change.port);
    case 'mirror':
      return describeMirror(change.wanted);
    case 'set-mirror':
      return describeMirrorDrift(change);
    case 'unmirror':
      return {
        port: mirrorTarget(change.row),
        bridge: change.row.bridge,
        mirror: change.row.uuid,
        before: { source_count: change.row.selectSrcPort.length },
      };
  }
}

/** Names that one block carries; a guest more is only counted. */
const sourcesRecordedMax = 1000;

function describeMirror({ target, bridge, sources }: WantedMirror): JsonObject {
  return {
    port: target,
    bridge,
    sources: sources.slice(0, sourcesRecordedMax).map(({ port }) => port),
    source_count: sources.length,
  };
}

function describeMirrorDrift({ wanted, row, differences }: MirrorDrift): JsonObject {
  return { ...describeMirror(wanted), mirror: row.uuid, differences: differences.map(describeDifference) };
}

/** A foreign edit that stays as it is: seen, not changed. */
export function driftDraft(drift: Drift, host: string): BlockDraft {
  return reportDraft(describeDrift(drift), host);
}

export function mirrorDriftDraft(drift: MirrorDrift, host: string): BlockDraft {
  return reportDraft(describeMirrorDrift(drift), host);
}

function reportDraft(data: JsonObject, host: string): BlockDraft {
  return {
    category: 'drift',
    action: 'report',
    metadata: { user: 'root', uid: 0, host, plugin: 'ports', cause: 'switch' },
    data,
  };
}

function describeDrift({ wanted, row, differences }: Drift): BlockDraft['data'] {
  return {
    ...describeWanted(wanted),
    row: row.portUuid,
    differences: differences.map(describeDifference),
  };
}

function describeDifference({ column, wanted, got }: Difference<string>): JsonObject {
  return { column, wanted, got };
}

function describeWanted({ owner, port, netdev, bridge, tag, trunks }: WantedPort): BlockDraft['data'] {
  return {
    vmid: owner.vmid,
    ...(owner.kind === 'binding' ? { container: owner.container } : { nic: owner.nic }),
    port,
    netdev,
    bridge,
    tag,
    ...(trunks.length === 0 ? {} : { trunks: [...trunks] }),
  };
}

function describeRow(row: ObservedPort, port: string | null): BlockDraft['data'] {
  const guest = parseGuestNetdev(row.netdev);
  return {
    vmid: guest?.vmid ?? null,
    ...(guest === null ? {} : { nic: `net${guest.index}` }),
    port,
    netdev: row.netdev,
    bridge: row.bridge,
    tag: row.tag,
    row: row.portUuid,
  };
}

/** The row as it was found. */
function describeColumns({ rowName, bridge, tag, trunks, vlanMode }: ObservedPort): JsonObject {
  return {
    name: rowName,
    bridge,
    tag,
    ...(trunks.length === 0 ? {} : { trunks: [...trunks] }),
    ...(vlanMode === null ? {} : { vlan_mode: vlanMode }),
  };
}
