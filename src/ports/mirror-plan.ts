/**
 * The planner of mirrors: what policies want copied against the Mirror rows that carry our mark. Pure and total; planning
 * again against the result plans nothing. A Mirror without our mark is never looked at.
 */
import type { PortName } from '../model/names.ts';
import { comparePortNames } from '../model/naming.ts';
import type { ObservedMirror, WantedMirror } from '../model/mirror.ts';
import type { ObservedPort } from '../model/port.ts';
import { carries, markKeys } from './marks.ts';
import { isOursMirror, mirrorFingerprint, mirrorMarks, mirrorName } from './mirror-marks.ts';
import { describeDifferences } from './settings.ts';
import type { Difference } from './settings.ts';

export type MirrorDifference = Difference<string>;

export type MirrorChange =
  /** Makes the Mirror. */
  | { readonly kind: 'mirror'; readonly wanted: WantedMirror }
  /** Makes a Mirror of ours what it should be; `drift` when somebody else has changed it. */
  | {
      readonly kind: 'set-mirror';
      readonly wanted: WantedMirror;
      readonly row: ObservedMirror;
      readonly differences: readonly MirrorDifference[];
      readonly drift: boolean;
    }
  /** Takes a Mirror of ours off its bridge. */
  | { readonly kind: 'unmirror'; readonly row: ObservedMirror };

export interface MirrorDrift {
  readonly wanted: WantedMirror;
  readonly row: ObservedMirror;
  readonly differences: readonly MirrorDifference[];
}

export interface MirrorPlan {
  readonly changes: readonly MirrorChange[];
  /** Why something is not mirrored as a policy says; one sentence each. */
  readonly problems: readonly string[];
  /** Foreign edits that are only reported. */
  readonly drift: readonly MirrorDrift[];
}

/** A port whose packets a policy wants at the port `target`. */
export interface MirrorSource {
  readonly port: PortName;
  readonly row: ObservedPort;
  readonly target: PortName;
}

export interface MirrorInput {
  readonly sources: readonly MirrorSource[];
  /** All Mirror rows on managed bridges. */
  readonly mirrors: readonly ObservedMirror[];
  /** The row that stands for a port name, on whatever bridge. */
  readonly rowOfPort: (port: PortName) => ObservedPort | null;
  /** What people call a Port row. */
  readonly nameOf: (portUuid: string) => string;
  readonly drift: 'repair' | 'report';
}

export function planMirrors(input: MirrorInput): MirrorPlan {
  const { wanted, problems } = wantedMirrors(input);
  const changes: MirrorChange[] = [];
  const drift: MirrorDrift[] = [];
  const kept = new Set<string>();
  const ours = input.mirrors.filter(isOursMirror);
  for (const mirror of wanted) {
    const row = ours.find(
      ({ uuid, bridge, name }) => !kept.has(uuid) && bridge === mirror.bridge && name === mirrorName(mirror.target),
    );
    if (row === undefined) {
      changes.push({ kind: 'mirror', wanted: mirror });
      continue;
    }
    kept.add(row.uuid);
    const differences = mirrorDiffers(mirror, row, input.nameOf);
    const isEdited = differences.length > 0 && row.ids.get(markKeys.fields) === mirrorFingerprint(mirror);
    if (isEdited && input.drift === 'report') {
      drift.push({ wanted: mirror, row, differences });
      problems.push(`mirror to ${mirror.target}: drift on ${mirror.bridge}: ${describeDifferences(differences)}`);
    } else if (differences.length > 0 || !carries(row.ids, mirrorMarks(mirror))) {
      // Also when a port that is gone has taken itself out of the columns: the marks still speak of it.
      changes.push({ kind: 'set-mirror', wanted: mirror, row, differences, drift: isEdited });
    }
  }
  // First what goes: two mirrors to one port would send it everything twice.
  for (const row of ours) if (!kept.has(row.uuid)) changes.unshift({ kind: 'unmirror', row });
  return { changes, problems, drift };
}

/** What tells two requests for one and the same change; another change of the same Mirror is another matter. */
export function mirrorChangeKey(change: MirrorChange): string {
  if (change.kind === 'unmirror') return `unmirror ${change.row.uuid}`;
  const { target, bridge } = change.wanted;
  return `${change.kind} ${target} ${bridge} ${mirrorFingerprint(change.wanted)}`;
}

/** One for each target and bridge, as far as the target can take it. */
function wantedMirrors({ sources, rowOfPort }: MirrorInput): { wanted: WantedMirror[]; problems: string[] } {
  const wanted: WantedMirror[] = [];
  const problems: string[] = [];
  for (const [target, ofTarget] of groupBy(sources, (source) => source.target)) {
    const output = rowOfPort(target);
    const others = ofTarget.filter(({ row }) => row.portUuid !== output?.portUuid);
    if (others.length < ofTarget.length) {
      problems.push(`mirror to ${target}: a policy says to mirror that port itself, which an output cannot be`);
    }
    for (const [bridge, group] of groupBy(others, ({ row }) => row.bridge)) {
      const lost = `${group.length === 1 ? '1 port' : `${group.length} ports`} of ${bridge} not mirrored`;
      if (output === null) problems.push(`mirror to ${target}: no port of that name on the switch, ${lost}`);
      else if (output.bridge !== bridge) problems.push(`mirror to ${target}: it is on ${output.bridge}, ${lost}`);
      else {
        const rows = group.map(({ port, row }) => ({ port, row: row.portUuid }));
        rows.sort((a, b) => comparePortNames(a.port, b.port));
        wanted.push({ target, bridge, sources: rows, output: output.portUuid });
      }
    }
  }
  return { wanted, problems };
}

/** In a sentence about a Mirror. */
const namesShownMax = 20;

/** The columns by which a Mirror selects and puts out; the others are left to whoever sets them. */
function mirrorDiffers(
  { sources, output }: WantedMirror,
  row: ObservedMirror,
  nameOf: (portUuid: string) => string,
): MirrorDifference[] {
  const rows = sources.map((source) => source.row).sort();
  const names = (uuids: readonly string[]): string => {
    const all = uuids.map(nameOf).sort();
    return all.length <= namesShownMax
      ? all.join()
      : `${all.slice(0, namesShownMax).join()} and ${all.length - namesShownMax} more`;
  };
  const compare = (column: string, want: string, got: string, isSame = want === got): MirrorDifference[] =>
    isSame ? [] : [{ column, wanted: want === '' ? 'none' : want, got: got === '' ? 'none' : got }];
  const ports = (column: string, want: readonly string[], got: readonly string[]): MirrorDifference[] =>
    compare(column, names(want), names(got), want.join() === got.join());
  return [
    ...compare('select_all', 'false', String(row.selectAll)),
    ...ports('select_src_port', rows, row.selectSrcPort),
    ...ports('select_dst_port', rows, row.selectDstPort),
    ...compare('select_vlan', '', row.selectVlan.join()),
    ...ports('output_port', [output], row.outputPort === null ? [] : [row.outputPort]),
    ...compare('output_vlan', '', row.outputVlan === null ? '' : String(row.outputVlan)),
  ];
}

function groupBy<Key, Item>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
