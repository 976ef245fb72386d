/**
 * Devices that nobody hands over and no guest's configuration names: those of plain LXC, Docker and the like, found by
 * `include_prefixes`. A prefix only offers a candidate. It is taken when it has no master and no address and its other end
 * lives in another network namespace; a device that does not look like a container's is left alone.
 */
import { toAgentError } from '../model/errors.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import { parseNetdevName } from '../model/names.ts';
import type { BridgeName, ContainerName, NetdevName, PortName } from '../model/names.ts';
import { portRowName, templatePortName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { WantedPort } from '../model/port.ts';
import { bridgeOfContainer } from './bindings.ts';
import type { ContainerNames, Link, Links } from './contracts.ts';
import { isOurs } from './marks.ts';
import { portNameOfRow } from './plan.ts';
import type { SwitchView } from './switch-view.ts';

export interface CandidateOptions {
  readonly prefixes: readonly string[];
  readonly names: ContainerNames;
  readonly bridgeName: BridgeName;
  readonly containerBridge: BridgeName;
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
  const offered = [...found.values()].filter(({ name }) => hasPrefix(name, options.prefixes) && !taken.has(name));
  const wanted: WantedPort[] = [];
  const problems = new Map<string, string>();
  const fresh: Link[] = [];
  for (const link of offered) {
    const row = view.byNetdev(link.name);
    const port = row === null || !isOurs(row) ? null : portNameOfRow(row);
    // Ours already: its name stays, whatever the container is called now.
    if (row !== null && port !== null) wanted.push(wantedCandidate(link.name as NetdevName, port, row.bridge, options));
    else if (row === null && link.master === null && link.peerElsewhere) fresh.push(link);
  }
  const addressed = await links.withAddress(fresh.map(({ name }) => name));
  for (const { name } of fresh) {
    if (addressed.has(name)) continue;
    try {
      const netdev = parseNetdevName(name);
      const container = await options.names.nameOf(netdev);
      const port = templatePortName(options.namingTemplate, { container, index: 0 });
      wanted.push(wantedCandidate(netdev, port, bridgeOfContainer(container, options), options, container));
    } catch (error) {
      problems.set(name, `${name} has no port: ${toAgentError(error).message}`);
    }
  }
  return { wanted, problems };
}

function wantedCandidate(
  netdev: NetdevName,
  port: PortName,
  bridge: BridgeName,
  { namingMode }: CandidateOptions,
  container: ContainerName | null = null,
): WantedPort {
  return {
    port,
    netdev,
    owner: { kind: 'binding', vmid: null, container },
    bridge,
    tag: null,
    trunks: [],
    mtu: null,
    rowName: portRowName(namingMode, { netdev, port, isGuest: false }),
    mac: null,
    firewallBridge: null,
  };
}
