/**
 * Columns of a Port row that neither Proxmox VE nor the agent ever sets (ovs-vswitchd.conf.db(5)). A row's name cannot be
 * changed, only the row replaced: one that somebody else has written such a column into is kept with the name it has.
 */
import type { Row, Value } from '../ovsdb/wire.ts';

type Absent = null | 0 | false | ReadonlySet<number> | ReadonlyMap<string, string>;

/** Each with the value it has in a row that nobody has written it into. */
export const foreignPortColumns = {
  bond_active_slave: null as string | null,
  bond_downdelay: 0 as number,
  bond_fake_iface: false as boolean,
  bond_mode: null as string | null,
  bond_updelay: 0 as number,
  cvlans: new Set<number>() as ReadonlySet<number>,
  fake_bridge: false as boolean,
  lacp: null as string | null,
  mac: null as string | null,
  other_config: new Map<string, string>() as ReadonlyMap<string, string>,
  protected: false as boolean,
  qos: null as string | null,
};

export type ForeignColumn = keyof typeof foreignPortColumns;
export const foreignColumnNames = Object.keys(foreignPortColumns) as ForeignColumn[];
const none: readonly string[] = [];

/** Names of those that somebody has written and of those that nobody has, sorted, when `known` are all that there are. */
export function foreignColumnsOf(
  row: typeof foreignPortColumns,
  known: readonly ForeignColumn[],
): { readonly foreignColumns: readonly string[]; readonly unwrittenColumns: readonly string[] } {
  const written = known.filter((name) => !isAbsent(row[name]));
  if (written.length === 0) return { foreignColumns: none, unwrittenColumns: known };
  return { foreignColumns: written, unwrittenColumns: known.filter((name) => !written.includes(name)) };
}

/** Those columns of a row in which they are absent (RFC 7047 section 5.1). */
export function unwritten(names: readonly string[]): Row {
  return Object.fromEntries(names.map((name) => [name, wireOf(foreignPortColumns[name as ForeignColumn] as Absent)]));
}

function isAbsent(value: (typeof foreignPortColumns)[ForeignColumn]): boolean {
  if (typeof value === 'object' && value !== null) return value.size === 0;
  return value === null || value === 0 || value === false;
}

function wireOf(absent: Absent): Value {
  if (absent === null || absent instanceof Set) return ['set', []];
  return absent instanceof Map ? ['map', []] : (absent as 0 | false);
}
