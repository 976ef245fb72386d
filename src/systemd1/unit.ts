/** A unit as its properties tell. */
import { parseJobPath } from './job.ts';
import type { JobPath } from './job.ts';
import { parseUnitName } from './unit-name.ts';
import type { UnitName } from './unit-name.ts';

/** Words as in systemd: `loaded`, `masked`, `not-found`; `active`, `activating`, `failed`; `running`, `dead`. */
export interface UnitState {
  /** `Id`: the name that an alias stands for. */
  readonly name: UnitName;
  readonly loadState: string;
  readonly activeState: string;
  readonly subState: string;
  /** 32 hexadecimal digits, another one at every start; null when it was never started. */
  readonly invocationId: string | null;
  readonly job: JobPath | null;
  /** Of services and scopes: why it is not well, `success` when it is. null for other kinds. */
  readonly result: string | null;
  /** Of services: the process that runs, or null. */
  readonly mainPid: number | null;
  /** Of services: exit status, or number of the signal, of the last main process. */
  readonly execMainStatus: number | null;
  /** Path below `/sys/fs/cgroup`; null while it has none. */
  readonly controlGroup: string | null;
}

/** One line of `systemctl list-units`. */
export interface ListedUnit {
  readonly name: UnitName;
  readonly loadState: string;
  readonly activeState: string;
  readonly subState: string;
}

/** `GetAll` of `org.freedesktop.systemd1.Unit` and of the interface of its kind, as one. */
export function readUnitState(name: UnitName, unit: unknown, ofItsKind: unknown): UnitState {
  const text = (from: unknown, key: string): string | null => {
    const value = property(from, key);
    return typeof value === 'string' && value !== '' ? value : null;
  };
  const number = (key: string): number | null => {
    const value = property(ofItsKind, key);
    return typeof value === 'number' ? value : null;
  };
  const [, jobPath] = asArray(property(unit, 'Job'));
  const mainPid = number('MainPID');
  return {
    name: parseUnitName(text(unit, 'Id') ?? name),
    loadState: text(unit, 'LoadState') ?? 'not-found',
    activeState: text(unit, 'ActiveState') ?? 'inactive',
    subState: text(unit, 'SubState') ?? 'dead',
    invocationId: readInvocationId(property(unit, 'InvocationID')),
    job: parseJobPath(jobPath),
    result: text(ofItsKind, 'Result'),
    mainPid: mainPid === 0 ? null : mainPid,
    execMainStatus: number('ExecMainStatus'),
    controlGroup: text(ofItsKind, 'ControlGroup'),
  };
}

/** Entries of `ListUnitsByPatterns`; what is no unit is passed over. */
export function readListedUnits(value: unknown): ListedUnit[] {
  return asArray(value).flatMap((entry) => {
    const [name, , loadState, activeState, subState] = asArray(entry);
    if ([name, loadState, activeState, subState].some((part) => typeof part !== 'string')) return [];
    return [{ name, loadState, activeState, subState } as ListedUnit];
  });
}

/** A property of a `GetAll` reply: a Map of variants. */
function property(properties: unknown, key: string): unknown {
  if (!(properties instanceof Map)) return undefined;
  const variant: unknown = properties.get(key);
  return typeof variant === 'object' && variant !== null && 'value' in variant ? variant.value : undefined;
}

function readInvocationId(value: unknown): string | null {
  return value instanceof Uint8Array && value.length === 16 ? Buffer.from(value).toString('hex') : null;
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
