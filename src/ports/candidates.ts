/**
 * Devices that nobody hands over and no guest's configuration names: those of plain LXC, Docker and the like, found by
 * `include_prefixes`. A prefix only offers a candidate. It is taken when it has no master and no address and its other end
 * lives in another network namespace; a device that does not look like a container's is left alone.
 */
import { toAgentError } from '../model/errors.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import { parseContainerName, parseNetdevName, parsePortName } from '../model/names.ts';
import type { ContainerName, NetdevName, PortName } from '../model/names.ts';
import { portRowName, templatePortName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import type { ContainerNames, Link, Links } from './contracts.ts';
import { isOurs, markKeys } from './marks.ts';
import { portNameOfRow } from './plan.ts';
import type { Policies } from './policies.ts';
import type { SwitchView } from './switch-view.ts';

export interface CandidateOptions {
  readonly prefixes: readonly string[];
  readonly names: ContainerNames;
  readonly policies: Pick<Policies, 'place'>;
  readonly namingTemplate: string;
  readonly namingMode: NamingMode;
}

export interface CandidatePorts {
  readonly wanted: WantedPort[];
  /** By netdev: why a candidate has no port. */
  readonly problems: ReadonlyMap<string, string>;
}

/** Whether a device is worth a look: guests' devices are never candidates, Proxmox VE plugs them. */
export function hasPrefix(name: string, prefixes: readonly string[]): boolean {
  return parseGuestNetdev(name) === null && prefixes.some((prefix) => name.startsWith(prefix));
}

/** `taken` are the netdevs that are wanted already. */
export async function candidatePorts(
  found: ReadonlyMap<string, Link>,
  taken: ReadonlySet<string>,
  view: SwitchView,
  links: Pick<Links, 'withAddress'>,
  options: CandidateOptions,
): Promise<CandidatePorts> {
  const offered = [...found.values()].filter(
    ({ name, originalName }) => hasPrefix(originalName ?? name, options.prefixes) && !taken.has(name),
  );
  const wanted: WantedPort[] = [];
  const problems = new Map<string, string>();
  const fresh: Link[] = [];
  const take = async ({ name, originalName }: Link, row: ObservedPort | null): Promise<void> => {
    try {
      const netdev = parseNetdevName(name);
      const marked = row?.portIds.get(markKeys.container);
      const container = marked === undefined ? await options.names.nameOf(netdev) : parseContainerName(marked);
      // A kill may have come between the new name and the row.
      const known = row === null ? null : portNameOfRow(row);
      const port = known ?? (originalName === null || originalName === name ? null : parsePortName(name));
      wanted.push(wantedCandidate(netdev, container, port, row, options));
    } catch (error) {
      problems.set(name, `${name} has no port: ${toAgentError(error).message}`);
    }
  };
  for (const link of offered) {
    const row = view.byNetdev(link.name);
    if (row !== null && isOurs(row)) await take(link, row);
    else if (row === null && link.master === null && link.peerElsewhere) fresh.push(link);
  }
  const addressed = await links.withAddress(fresh.map(({ name }) => name));
  for (const link of fresh) if (!addressed.has(link.name)) await take(link, null);
  return { wanted, problems };
}

/** A port that is there keeps its name and its bridge, whatever the container is called now. */
function wantedCandidate(
  netdev: NetdevName,
  container: ContainerName,
  known: PortName | null,
  row: ObservedPort | null,
  { policies, namingTemplate, namingMode }: CandidateOptions,
): WantedPort {
  const placement = policies.place({ netdev, container, vmid: null, guest: null, asked: null });
  const port = known ?? templatePortName(namingTemplate, { container, index: 0 });
  return {
    port,
    netdev,
    owner: { kind: 'binding', vmid: null, container },
    ...placement,
    bridge: row?.bridge ?? placement.bridge,
    mtu: null,
    rowName: portRowName(namingMode, { netdev, port, isGuest: false }),
    mac: null,
    firewallBridge: null,
  };
}
