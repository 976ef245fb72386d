/** Devices that somebody hands over by name: `add_port`, `create_container_interface` and their opposites. */
import { AgentError } from '../model/errors.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import type { BridgeName, ContainerName, NetdevName, PortName, Vmid } from '../model/names.ts';
import { nicIndex, nicNameOf } from '../model/names.ts';
import { guestPortName, templatePortName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { ObservedPort } from '../model/port.ts';
import { wantedOfBinding } from './bindings.ts';
import type { Binding, Bindings } from './bindings.ts';
import type { Committer } from './committer.ts';
import type { Cause, Guests } from './contracts.ts';
import type { Devices } from './devices.ts';
import { isOurs } from './marks.ts';
import { portNameOfRow } from './plan.ts';
import type { Policies } from './policies.ts';
import { everythingNow } from './reconciler.ts';
import { deviceName, giveBackNames, linkOfBinding, renameDevices } from './renaming.ts';
import type { Reconciler } from './reconciler.ts';
import type { SwitchView } from './switch-view.ts';

export interface HandoverOptions {
  readonly view: SwitchView;
  readonly links: Devices;
  readonly bindings: Bindings;
  readonly committer: Committer;
  readonly reconciler: Reconciler;
  readonly guests: Guests;
  readonly managed: ReadonlySet<BridgeName>;
  readonly policies: Policies;
  readonly namingTemplate: string;
  readonly namingMode: NamingMode;
}

/** Longer than a hook's: here a person waits, not a guest. */
const appliedDeadlineMs = 5000;

export class Handover {
  readonly #options: HandoverOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /**
   * Attaches a device to a managed bridge, that of its policy or `bridge_name` when none is given, named by
   * `naming_template`. Idempotent.
   */
  addPort(netdev: NetdevName, bridge: BridgeName | null, cause: Cause): Promise<PortName> {
    const { managed } = this.#options;
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
    return this.#inTurn(() => this.#attach({ port, netdev, container: null, vmid, asked: bridge }, cause));
  }

  /** Attaches a container's device as `vi<vmid>`, where its policy says. Idempotent. */
  createContainerInterface(netdev: NetdevName, container: ContainerName, vmid: Vmid, cause: Cause): Promise<PortName> {
    const port = guestPortName(vmid, nicNameOf(0));
    return this.#inTurn(() => this.#attach({ port, netdev, container, vmid, asked: null }, cause));
  }

  /** Takes a port off the switch. `name` is a port name, a netdev or a row; never a foreign row, never a guest's live port. */
  remove(name: string, cause: Cause): Promise<PortName> {
    return this.#inTurn(() => this.#remove(name, cause));
  }

  async #remove(name: string, cause: Cause): Promise<PortName> {
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
    if (binding !== null) await links.removeAltname(binding.netdev, binding.port, cause);
    await this.#giveBack(row?.netdev ?? binding?.port ?? port, cause);
    return port;
  }

  /** The port of this name, netdev or row. */
  find(name: string): ObservedPort | null {
    const { view, bindings, namingMode } = this.#options;
    const bound = bindings.byPort(name) ?? bindings.byNetdev(name);
    const direct = view.byNetdev(bound === null ? name : deviceName(bound, namingMode)) ?? view.byRowName(name);
    if (direct !== null) return direct;
    const guest = /^vi([1-9][0-9]{2,8})(?:i\d+)?$/.exec(name)?.[1];
    if (guest === undefined) return null;
    return view.ofVmid(Number(guest) as Vmid).find((row) => portNameOfRow(row) === name) ?? null;
  }

  async #attach(handedOver: Omit<Binding, 'bridge'>, cause: Cause): Promise<PortName> {
    const { view, links, bindings, committer, policies, guests, namingMode } = this.#options;
    const { netdev, port, vmid } = handedOver;
    if (await this.#isGuestCard(netdev)) return this.#attachGuestCard(handedOver, cause);
    const placement = policies.place({ ...handedOver, guest: vmid === null ? null : await guests.read(vmid) });
    const { bridge } = placement;
    const binding: Binding = { ...handedOver, bridge };
    const link = linkOfBinding(handedOver, await links.observe([netdev, port]));
    const row = view.byNetdev(link?.name ?? netdev);
    if (row !== null) {
      if (isOurs(row) && portNameOfRow(row) === port && row.bridge === bridge) return port;
      throw new AgentError('Conflict', `${netdev} is already plugged into ${row.bridge} as ${row.rowName}`);
    }
    const bond = view.bondOf(netdev);
    if (bond !== null) throw new AgentError('Conflict', `${netdev} is already plugged as a member of ${bond}`);
    if (link === null) throw new AgentError('NotFound', `network device ${netdev} does not exist on this host`);
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
    const other = bindings.byPort(port);
    if (other !== null && other.netdev !== netdev) {
      throw new AgentError('Conflict', `the name ${port} is kept for ${other.netdev}; \`del-port ${port}\` frees it`);
    }
    const before = bindings.byNetdev(netdev);
    // Durable before the switch is told, so that a wiped database or a crash cannot forget the device.
    await bindings.add(binding);
    try {
      const present = { ...wantedOfBinding(binding, placement, namingMode), netdev: link.name as NetdevName };
      const { wanted, problems } = await renameDevices([present], new Map(), this.#options, cause);
      for (const problem of problems.values()) throw new AgentError('Conflict', problem);
      const changes = wanted.map((port) => ({ kind: 'attach', wanted: port, after: [] }) as const);
      const committed = await committer.commit(changes, cause);
      await committer.waitApplied(committed, appliedDeadlineMs);
    } catch (error) {
      await this.#takeBack(binding, before, cause);
      throw error;
    }
    const device = deviceName(binding, namingMode);
    const error = view.byNetdev(device)?.error ?? null;
    if (error !== null) throw new AgentError('SwitchError', `Open vSwitch could not open ${netdev}: ${error}`);
    if (String(device) !== port && !link.altnames.includes(port)) {
      const { moment } = links;
      const seen = await links.observe([netdev, port]);
      await links.addAltnames(new Map([[netdev, port]]), { links: seen, moment }, cause);
    }
    return port;
  }

  /** Whether a guest's configuration on this node has the card that this device belongs to. */
  async #isGuestCard(netdev: NetdevName): Promise<boolean> {
    const device = parseGuestNetdev(netdev);
    const guest = device === null ? null : await this.#options.guests.read(device.vmid);
    return guest?.nics.some(({ nic }) => nicIndex(nic) === device?.index) ?? false;
  }

  /** Its configuration decides about name, bridge and VLAN; handing it over only means "now". */
  async #attachGuestCard({ netdev, port }: Pick<Binding, 'netdev' | 'port'>, cause: Cause): Promise<PortName> {
    const { view, reconciler } = this.#options;
    const vmid = parseGuestNetdev(netdev)?.vmid;
    if (vmid === undefined) throw new AgentError('Internal', `${netdev} is no guest's device`);
    const result = await reconciler.pass(new Set([vmid]), cause, everythingNow);
    const row = view.byNetdev(netdev);
    const name = row === null || !isOurs(row) ? null : portNameOfRow(row);
    if (name === port) return port;
    const reason = result.problems.get(port) ?? result.verdicts.get(vmid)?.find(({ wanted }) => wanted === null);
    const why =
      typeof reason === 'string'
        ? reason
        : reason?.wanted === null
          ? reason.reason
          : `its port is ${name ?? 'not plugged'}`;
    throw new AgentError(
      'Conflict',
      `${netdev} belongs to guest ${vmid}, whose configuration in Proxmox VE decides: ${why}`,
    );
  }

  /** One handover after the other: each looks at names and devices before it takes them. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#last.then(action);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** After a refused attach: what was handed over before stays so. A port that was committed but not applied is there. */
  async #takeBack(binding: Binding, before: Binding | null, cause: Cause): Promise<void> {
    const { view, bindings, namingMode } = this.#options;
    const { netdev, port } = binding;
    if (bindings.byPort(port)?.netdev !== netdev) return;
    const row = view.byNetdev(deviceName(binding, namingMode));
    if (row !== null && isOurs(row) && portNameOfRow(row) === port) return;
    if (before !== null) {
      await bindings.add(before);
      return;
    }
    await bindings.remove(port);
    await this.#giveBack(port, cause);
  }

  /** The device that was renamed to this, when nothing wants it under that name any more. */
  async #giveBack(device: string, cause: Cause): Promise<void> {
    const { links, namingMode } = this.#options;
    if (namingMode === 'rename') await giveBackNames(await links.observe([device]), [], this.#options, cause);
  }
}
