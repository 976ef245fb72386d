/**
 * Naming mode `rename`: devices that no guest of Proxmox VE has get their port's name before they are plugged, and theirs
 * back when nothing wants them under it any more, also when the naming mode has become another. What a device was called
 * stands on the device itself (`originalName`), so that neither a kill nor a wiped database can lose it.
 */
import type { NetdevName, PortName } from '../model/names.ts';
import type { NamingMode } from '../model/naming.ts';
import type { WantedPort } from '../model/port.ts';
import type { Binding, Bindings } from './bindings.ts';
import type { Cause, Link } from './contracts.ts';
import type { Devices } from './devices.ts';
import { isOurs } from './marks.ts';
import type { SwitchView } from './switch-view.ts';

type LinksByName = ReadonlyMap<string, Link>;

export interface Renamed {
  /** Under the names that the devices have now; without those that could not get theirs. */
  readonly wanted: readonly WantedPort[];
  readonly links: LinksByName;
  readonly problems: ReadonlyMap<PortName, string>;
}

export interface RenamingOptions {
  readonly links: Devices;
  readonly view: SwitchView;
  readonly bindings: Bindings;
  readonly namingMode: NamingMode;
}

/** The name under which a bound device is plugged. */
export function deviceName({ netdev, port }: Pick<Binding, 'netdev' | 'port'>, mode: NamingMode): NetdevName {
  return mode === 'rename' ? (port as string as NetdevName) : netdev;
}

/** The device of a binding, under whichever of its names. */
export function linkOfBinding({ netdev, port }: Pick<Binding, 'netdev' | 'port'>, links: LinksByName): Link | null {
  const renamed = links.get(port);
  return renamed?.originalName === netdev ? renamed : (links.get(netdev) ?? null);
}

/** Gives devices the names of their ports. */
export async function renameDevices(
  wanted: readonly WantedPort[],
  found: LinksByName,
  { links, view, namingMode }: RenamingOptions,
  cause: Cause,
): Promise<Renamed> {
  const problems = new Map<PortName, string>();
  const due = new Map<string, PortName>();
  for (const { netdev, port, owner } of wanted) {
    if (namingMode !== 'rename' || owner.kind !== 'binding' || isForeign(netdev, view)) continue;
    const link = found.get(netdev);
    if (netdev !== String(port)) due.set(netdev, port);
    // A kill has come before its old name was an altname.
    else if (link?.originalName != null && !link.altnames.includes(link.originalName)) due.set(link.originalName, port);
  }
  if (due.size === 0) return { wanted, links: found, problems };
  const renamed = await links.rename(due, cause);
  const now = new Map(found);
  for (const [before, port] of due) {
    const link = renamed.get(port);
    if (link === undefined) {
      problems.set(port, `${before} could not be renamed to ${port}; does another device have that name?`);
    } else {
      now.delete(before);
      now.set(port, link);
    }
  }
  return {
    wanted: wanted
      .filter(({ port }) => !problems.has(port))
      .map((port) => (due.has(port.netdev) ? { ...port, netdev: deviceName(port, 'rename') } : port)),
    links: now,
    problems,
  };
}

/**
 * Gives renamed devices their own names back: in naming mode `rename` those that nobody wants, in every other mode all.
 * Answers the devices as they are then.
 */
export async function giveBackNames(
  found: LinksByName,
  wanted: readonly WantedPort[],
  { links, view, bindings, namingMode }: RenamingOptions,
  cause: Cause,
): Promise<LinksByName> {
  const kept = new Set<string>(wanted.map(({ netdev }) => netdev));
  const due = [...found.values()].filter(({ name, originalName }) => {
    if (originalName === null || isForeign(name, view)) return false;
    if (namingMode !== 'rename') return true;
    // The bindings once more: one may have been added since, and its device renamed for it.
    return !kept.has(name) && view.byNetdev(name) === null && bindings.byPort(name) === null;
  });
  if (due.length === 0) return found;
  const back = await links.giveBackNames(due, cause);
  const now = new Map(found);
  for (const { name, originalName } of due) {
    const link = originalName === null ? undefined : back.get(originalName);
    if (link === undefined) continue;
    now.delete(name);
    now.set(link.name, link);
  }
  return now;
}

/** Somebody else has plugged it, under the name that it has. */
function isForeign(netdev: string, view: SwitchView): boolean {
  const row = view.byNetdev(netdev);
  return row !== null && !isOurs(row);
}
