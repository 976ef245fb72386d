/**
 * The planner: wanted ports against observed rows. Pure and total; planning again against the result plans nothing.
 * It never touches a foreign row: only rows named by Proxmox's patterns on a managed bridge, and rows that carry our mark.
 */
import { parseGuestNetdev } from '../model/guest.ts';
import type { BridgeName, PortName } from '../model/names.ts';
import { guestPortName } from '../model/naming.ts';
import { nicNameOf } from '../model/names.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import { carries, interfaceMarks, isOurs, markKeys, portMarks } from './marks.ts';
import { describeDifferences, isForeignEdit, isReconfigured, isSetByUs, settingsDiffer } from './settings.ts';
import type { Difference } from './settings.ts';

export type PortChange =
  /** Plugs a netdev that nobody plugged. */
  | {
      readonly kind: 'attach';
      readonly wanted: WantedPort;
      /** Stale Port rows of ours that hold its names; they have to go first, or with it. */
      readonly after: readonly string[];
    }
  /** Marks a row that somebody else plugged (or wiped the marks of). Changes nothing that traffic depends on. */
  | { readonly kind: 'adopt'; readonly wanted: WantedPort; readonly row: ObservedPort }
  /** Puts the same Interface under a Port row of the wanted name: a row's name cannot be changed (ovs-vswitchd.conf.db(5)). */
  | {
      readonly kind: 'replace';
      readonly wanted: WantedPort;
      readonly row: ObservedPort;
      readonly after: readonly string[];
    }
  /** Sets columns that the agent has set before; `drift` when somebody else has changed them since. */
  | {
      readonly kind: 'set';
      readonly wanted: WantedPort;
      readonly row: ObservedPort;
      readonly differences: readonly Difference[];
      readonly drift: boolean;
    }
  /** Removes a row whose netdev is gone. */
  | { readonly kind: 'detach'; readonly port: PortName | null; readonly row: ObservedPort };

export interface PortPlan {
  readonly changes: readonly PortChange[];
  /** Why a wanted port is not as it should be although nothing is planned; one sentence each. */
  readonly problems: readonly { readonly port: PortName; readonly problem: string }[];
  /** Foreign edits that are only reported. */
  readonly drift: readonly Drift[];
}

export interface Drift {
  readonly wanted: WantedPort;
  readonly row: ObservedPort;
  readonly differences: readonly Difference[];
}

export interface PlanInput {
  readonly wanted: readonly WantedPort[];
  /** All rows on managed bridges that are in scope. */
  readonly rows: readonly ObservedPort[];
  /** The row that holds a netdev, on whatever bridge; and whether a Port row of that name exists. */
  readonly rowOfNetdev: (netdev: string) => ObservedPort | null;
  readonly isRowNameTaken: (rowName: string) => boolean;
  /** The row that holds a netdev together with others. */
  readonly bondOf: (netdev: string) => string | null;
  /** Whether a netdev of that name exists. For an internal port (`fwln`) the guest's own netdev decides. */
  readonly netdevExists: (row: ObservedPort) => boolean;
  readonly managed: ReadonlySet<BridgeName>;
  readonly bridgeExists: (bridge: BridgeName) => boolean;
  readonly cluster: string;
  readonly drift: 'repair' | 'report';
}

export function planPorts(input: PlanInput): PortPlan {
  const changes: PortChange[] = [];
  const problems: { port: PortName; problem: string }[] = [];
  const drift: Drift[] = [];
  const stale = input.rows.filter((row) => isStale(row, input));
  const taken = new Set<string>();
  for (const wanted of input.wanted) {
    const row = input.rowOfNetdev(wanted.netdev);
    const outcome = taken.has(wanted.port)
      ? `the name ${wanted.port} is wanted twice`
      : row === null
        ? planMissing(wanted, input, stale)
        : planPresent(wanted, row, input, stale);
    taken.add(wanted.port);
    if (typeof outcome === 'string') problems.push({ port: wanted.port, problem: outcome });
    else if (outcome !== null) changes.push(outcome);
    if (row === null || typeof outcome === 'string' || outcome?.kind === 'replace') continue;
    planSettings(wanted, row, input, { changes, problems, drift });
    if (row.rowName !== wanted.rowName) problems.push({ port: wanted.port, problem: keepsName(row) });
  }
  for (const row of stale) changes.push({ kind: 'detach', port: portNameOfRow(row), row });
  return { changes, problems, drift };
}

/** The change or the problem. */
function planMissing(wanted: WantedPort, input: PlanInput, stale: readonly ObservedPort[]): PortChange | string {
  const bond = input.bondOf(wanted.netdev);
  if (bond !== null) return `${wanted.netdev} is plugged as a member of ${bond}, which is not ours`;
  if (!input.bridgeExists(wanted.bridge)) return `bridge ${wanted.bridge} does not exist on the switch`;
  const names = new Set([wanted.rowName, wanted.port]);
  const holders = stale.filter(({ rowName }) => names.has(rowName));
  for (const { rowName } of holders) names.delete(rowName);
  if (names.has(wanted.rowName) && input.isRowNameTaken(wanted.rowName)) return rowTaken(wanted);
  if (names.has(wanted.port) && input.isRowNameTaken(wanted.port)) return nameTaken(wanted);
  return { kind: 'attach', wanted, after: holders.map(({ portUuid }) => portUuid) };
}

/** The change, null when all is well, or the problem. */
function planPresent(
  wanted: WantedPort,
  row: ObservedPort,
  input: PlanInput,
  stale: readonly ObservedPort[],
): PortChange | string | null {
  const holderOf = (name: string): ObservedPort[] => stale.filter(({ rowName }) => rowName === name);
  const isTaken = (name: string): boolean => input.isRowNameTaken(name) && holderOf(name).length === 0;
  if (row.bridge !== wanted.bridge) {
    return `${wanted.netdev} is on ${row.bridge}, its configuration says ${wanted.bridge}`;
  }
  if (row.rowName !== wanted.port && isTaken(wanted.port)) return nameTaken(wanted);
  if (row.rowName !== wanted.rowName) {
    if (!isOurs(row) && parseGuestNetdev(row.rowName) === null) {
      return `${wanted.netdev} is plugged as ${row.rowName}, which is not ours`;
    }
    if (isTaken(wanted.rowName)) return rowTaken(wanted);
    // They would be lost with the row; some of them, such as those of a bond, make another thing of it.
    if (row.foreignColumns.length === 0)
      return { kind: 'replace', wanted, row, after: holderOf(wanted.rowName).map(({ portUuid }) => portUuid) };
  }
  return isMarked(wanted, row, input.cluster) ? null : { kind: 'adopt', wanted, row };
}

/** Whether the row says whose port it is. */
export function isMarked(wanted: WantedPort, row: ObservedPort, cluster: string): boolean {
  return carries(row.portIds, portMarks(wanted)) && carries(row.interfaceIds, interfaceMarks(wanted, cluster));
}

function keepsName({ rowName, foreignColumns }: ObservedPort): string {
  return `its row keeps the name ${rowName}: somebody has set ${foreignColumns.join(', ')} there`;
}

function rowTaken(wanted: WantedPort): string {
  return `a Port row named ${wanted.rowName} already exists and is not ours`;
}

/** Whatever becomes of the marks, the columns of a row that is there. */
function planSettings(
  wanted: WantedPort,
  row: ObservedPort,
  input: PlanInput,
  plan: { changes: PortChange[]; problems: { port: PortName; problem: string }[]; drift: Drift[] },
): void {
  const differences = settingsDiffer(wanted, row);
  if (differences.length === 0) return;
  const found = { wanted, row, differences };
  if (!isSetByUs(row)) {
    // Proxmox VE's own settings, perhaps about to change: said, never touched.
    plan.problems.push({ port: wanted.port, problem: describeDifferences(differences) });
  } else if (!isForeignEdit(row)) {
    plan.changes.push({ kind: 'set', ...found, drift: false });
  } else if (input.drift === 'repair' || isReconfigured(wanted, row)) {
    // A new configuration is carried out in either mode, as Proxmox VE would plug anew; what it overwrites is told.
    plan.changes.push({ kind: 'set', ...found, drift: true });
  } else {
    plan.drift.push(found);
    plan.problems.push({ port: wanted.port, problem: `drift: ${describeDifferences(differences)}` });
  }
}

function nameTaken(wanted: WantedPort): string {
  return `the name ${wanted.port} is taken by a Port row that is not ours`;
}

function isStale(row: ObservedPort, input: PlanInput): boolean {
  if (!input.managed.has(row.bridge)) return false;
  if (!isOurs(row) && parseGuestNetdev(row.rowName) === null) return false;
  return !input.netdevExists(row);
}

/** The name users know a row by: our mark, otherwise what the guest's pattern says. */
export function portNameOfRow(row: ObservedPort): PortName | null {
  const marked = isOurs(row) ? row.portIds.get(markKeys.portName) : undefined;
  if (marked !== undefined) return marked as PortName;
  const guest = parseGuestNetdev(row.netdev);
  return guest === null ? null : guestPortName(guest.vmid, nicNameOf(guest.index));
}
