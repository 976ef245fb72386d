/** Devices that somebody hands over by name: `add_port`, `create_container_interface` and their opposites. */
import { AgentError } from '../model/errors.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import type { BridgeName, ContainerName, NetdevName, PortName, Vmid } from '../model/names.ts';
import { nicNameOf } from '../model/names.ts';
import { guestPortName, templatePortName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { ObservedPort } from '../model/port.ts';
import { wantedOfBinding } from './bindings.ts';
import type { Binding, Bindings } from './bindings.ts';
import type { Committer } from './committer.ts';
import type { Cause, Links } from './contracts.ts';
import { isOurs } from './marks.ts';
import { portNameOfRow } from './plan.ts';
import type { SwitchView } from './switch-view.ts';

export interface HandoverOptions {
  readonly view: SwitchView;
  readonly links: Links;
  readonly bindings: Bindings;
  readonly committer: Committer;
  readonly managed: ReadonlySet<BridgeName>;
  readonly bridgeName: BridgeName;
  readonly containerBridge: BridgeName;
  readonly namingTemplate: string;
  readonly namingMode: NamingMode;
}

/** Longer than a hook's: here a person waits, not a guest. */
const appliedDeadlineMs = 5000;

export class Handover {
  readonly #options: HandoverOptions;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** Attaches a device to a managed bridge, `bridge_name` when none is given, named by `naming_template`. Idempotent. */
  addPort(netdev: NetdevName, bridge: BridgeName | null, cause: Cause): Promise<PortName> {
    const { bridgeName, managed } = this.#options;
    if (bridge !== null && !managed.has(bridge)) {
      throw new AgentError(
        'InvalidArgument',
        `bridge ${bridge} is not managed: the configuration names ${[...managed].join(', ')} (keys bridge_name, container_bridge, bridges)`,
      );
    }
    const guest = parseGuestNetdev(netdev);
    const port =
      guest === null
        ? templatePortName(this.#options.namingTemplate, { container: netdev as string as ContainerName, index: 0 })
        : guestPortName(guest.vmid, nicNameOf(guest.index));
    const vmid = guest?.vmid ?? null;
    return this.#attach({ port, netdev, bridge: bridge ?? bridgeName, container: null, vmid }, cause);
  }

  /** Attaches a container's device as `vi<vmid>`; containers of Netmaker belong on `container_bridge`. Idempotent. */
  createContainerInterface(netdev: NetdevName, container: ContainerName, vmid: Vmid, cause: Cause): Promise<PortName> {
    const { bridgeName, containerBridge } = this.#options;
    const bridge = container.toLowerCase().includes('netmaker') ? containerBridge : bridgeName;
    return this.#attach({ port: guestPortName(vmid, nicNameOf(0)), netdev, bridge, container, vmid }, cause);
  }

  /** Takes a port off the switch. `name` is a port name, a netdev or a row; never a foreign row, never a guest's live port. */
  async remove(name: string, cause: Cause): Promise<PortName> {
    const { links, bindings, committer } = this.#options;
    const binding = bindings.byPort(name) ?? bindings.byNetdev(name);
    const row = this.find(name);
    if (row === null && binding === null)
      throw new AgentError('NotFound', `no port ${name}; \`ovs-port-agent list\` shows them`);
    if (row !== null && !isOurs(row)) {
      throw new AgentError(
        'NotOwner',
        `${row.rowName} on ${row.bridge} was not made or adopted by ovs-port-agent; it is left alone`,
      );
    }
    const port = (row === null ? null : portNameOfRow(row)) ?? binding?.port ?? (name as PortName);
    const vmid = row === null ? undefined : parseGuestNetdev(row.netdev)?.vmid;
    if (row !== null && binding === null && vmid !== undefined && (await links.observe([row.netdev])).has(row.netdev)) {
      throw new AgentError(
        'Conflict',
        `${port} belongs to running guest ${vmid}: change or stop the guest in Proxmox VE instead`,
      );
    }
    // The binding goes first: after a crash in between the row is ours without a reason and nothing puts it back.
    if (binding !== null) await bindings.remove(binding.port);
    if (row !== null) await committer.commit([{ kind: 'detach', port, row }], cause);
    if (binding !== null) await links.removeAltname(binding.netdev, binding.port);
    return port;
  }

  /** The port of this name, netdev or row. */
  find(name: string): ObservedPort | null {
    const { view } = this.#options;
    const direct = view.byNetdev(name) ?? view.byRowName(name);
    if (direct !== null) return direct;
    const guest = /^vi([1-9][0-9]{2,8})(?:i\d+)?$/.exec(name)?.[1];
    if (guest === undefined) return null;
    return view.ofVmid(Number(guest) as Vmid).find((row) => portNameOfRow(row) === name) ?? null;
  }

  async #attach(binding: Binding, cause: Cause): Promise<PortName> {
    const { view, links, bindings, committer } = this.#options;
    const { netdev, port, bridge } = binding;
    const row = view.byNetdev(netdev);
    if (row !== null) {
      if (isOurs(row) && portNameOfRow(row) === port && row.bridge === bridge) return port;
      throw new AgentError('Conflict', `${netdev} is already plugged into ${row.bridge} as ${row.rowName}`);
    }
    const link = (await links.observe([netdev])).get(netdev);
    if (link === undefined) throw new AgentError('NotFound', `network device ${netdev} does not exist on this host`);
    if (link.master !== null && link.master !== 'ovs-system') {
      throw new AgentError('Conflict', `${netdev} is held by ${link.master}; attaching it would bypass that`);
    }
    if (view.bridgeUuid(bridge) === null)
      throw new AgentError('NotFound', `bridge ${bridge} does not exist on the switch`);
    const owner = this.find(port);
    if (owner !== null || view.hasRowName(port)) {
      throw new AgentError(
        'Conflict',
        `the name ${port} is taken${owner === null ? '' : ` by ${owner.netdev} on ${owner.bridge}`}`,
      );
    }
    // Durable before the switch is told, so that a wiped database or a crash cannot forget the device.
    await bindings.add(binding);
    try {
      const committed = await committer.commit(
        [{ kind: 'attach', wanted: wantedOfBinding(binding, this.#options.namingMode) }],
        cause,
      );
      await committer.waitApplied(committed, appliedDeadlineMs);
    } catch (error) {
      await this.#takeBack(binding);
      throw error;
    }
    const error = view.byNetdev(netdev)?.error ?? null;
    if (error !== null) throw new AgentError('SwitchError', `Open vSwitch could not open ${netdev}: ${error}`);
    if (!link.altnames.includes(port)) await links.addAltnames(new Map([[netdev, port]]));
    return port;
  }

  /** After a refused attach. A port that was committed but not applied stays: it is there. */
  async #takeBack({ netdev, port }: Binding): Promise<void> {
    if (this.#options.view.byNetdev(netdev) === null) await this.#options.bindings.remove(port);
  }
}
