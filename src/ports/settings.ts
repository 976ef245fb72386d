/** The columns of a row that the agent sets, compared with what they should be. */
import { vlanModeOf } from '../model/port.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import { fieldsFingerprint, fingerprintOf, markKeys } from './marks.ts';

/** One column that is not as wanted, spelled as in the schema; values as a person reads them. */
export interface Difference<Column extends string = 'tag' | 'trunks' | 'vlan_mode'> {
  readonly column: Column;
  readonly wanted: string;
  readonly got: string;
}

type Setting = string | number | readonly number[] | null;
type Settings = Readonly<Record<Difference['column'], Setting>>;

export function settingsDiffer(wanted: WantedPort, row: ObservedPort): Difference[] {
  const vlanMode = vlanModeOf(wanted);
  if (wanted.tag === row.tag && vlanMode === row.vlanMode && String(wanted.trunks) === String(row.trunks)) return [];
  const [want, got] = [settingsOf({ ...wanted, vlanMode }), settingsOf(row)];
  return (Object.keys(want) as Difference['column'][]).flatMap((column) =>
    String(want[column]) === String(got[column])
      ? []
      : [{ column, wanted: text(want[column]), got: text(got[column]) }],
  );
}

/** A column of a row as `Difference` has it; null for a column that the agent never sets. */
export function readSetting(row: ObservedPort, column: string): string | null {
  const settings: Readonly<Record<string, Setting>> = settingsOf(row);
  const setting = Object.hasOwn(settings, column) ? settings[column] : undefined;
  return setting === undefined ? null : text(setting);
}

function settingsOf({ tag, trunks, vlanMode }: Pick<ObservedPort, 'tag' | 'trunks' | 'vlanMode'>): Settings {
  return { tag, trunks, vlan_mode: vlanMode };
}

/** The agent set these columns itself; of a row that Proxmox VE plugged, Proxmox VE did. */
export function isSetByUs(row: ObservedPort): boolean {
  return row.portIds.has(markKeys.fields);
}

/** The columns are not as the agent set them, whatever is wanted now: somebody else has changed them since. */
export function isForeignEdit(row: ObservedPort): boolean {
  return row.portIds.get(markKeys.fields) !== fingerprintOf(row);
}

/** The agent set something else than is wanted now: the configuration has changed since. */
export function isReconfigured(wanted: WantedPort, row: ObservedPort): boolean {
  return row.portIds.get(markKeys.fields) !== fieldsFingerprint(wanted);
}

/** `tag: wanted 10, got 20; trunks: wanted none, got 30,40` */
export function describeDifferences(differences: readonly Difference<string>[]): string {
  return differences.map(({ column, wanted, got }) => `${column}: wanted ${wanted}, got ${got}`).join('; ');
}

function text(value: Setting): string {
  return value === null || String(value) === '' ? 'none' : String(value);
}
