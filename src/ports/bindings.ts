/**
 * Bindings: the devices that were handed over by `add_port` and `create_container_interface`. Nothing else remembers
 * them when the database is wiped, so they are kept in a file of their own.
 */
import { AgentError } from '../model/errors.ts';
import {
  parseBridgeName,
  parseContainerName,
  parseNetdevName,
  parsePortName,
  parseVmid,
  quote,
} from '../model/names.ts';
import type { BridgeName, ContainerName, NetdevName, PortName, Vmid } from '../model/names.ts';
import { portRowName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { WantedPort } from '../model/port.ts';
import type { BindingsStore } from './contracts.ts';
import type { Placement } from './policies.ts';

export interface Binding {
  readonly port: PortName;
  readonly netdev: NetdevName;
  readonly bridge: BridgeName;
  readonly container: ContainerName | null;
  readonly vmid: Vmid | null;
  /** The bridge that the caller named; null when the configuration chose it. */
  readonly asked: BridgeName | null;
}

export class Bindings {
  readonly #store: BindingsStore;
  #byPort = new Map<PortName, Binding>();
  #byNetdev = new Map<string, Binding>();
  #loaded: Promise<void> | null = null;

  constructor(store: BindingsStore) {
    this.#store = store;
  }

  /** Once, however often it is asked. Rejects with `InvalidArgument` when the file is not what `save` wrote; it is left as it is. */
  load(): Promise<void> {
    this.#loaded ??= this.#read();
    return this.#loaded;
  }

  async #read(): Promise<void> {
    const value = await this.#store.load();
    this.#take(new Map((value === null ? [] : parseBindings(value)).map((binding) => [binding.port, binding])));
  }

  all(): Binding[] {
    return [...this.#byPort.values()];
  }

  byPort(port: string): Binding | null {
    return this.#byPort.get(port as PortName) ?? null;
  }

  byNetdev(netdev: string): Binding | null {
    return this.#byNetdev.get(netdev) ?? null;
  }

  /** The binding of the device that has or had this name: its own, or its port's after it was renamed. */
  ofDevice(name: string): Binding | null {
    return this.byNetdev(name) ?? this.byPort(name);
  }

  /** A device that was handed over under another name before is that no longer: it has one port. */
  add(binding: Binding): Promise<void> {
    const others = this.all().filter(({ netdev }) => netdev !== binding.netdev);
    return this.#replace(new Map([...others, binding].map((each) => [each.port, each])));
  }

  remove(port: PortName): Promise<void> {
    const next = new Map(this.#byPort);
    next.delete(port);
    return this.#replace(next);
  }

  async #replace(next: Map<PortName, Binding>): Promise<void> {
    await this.#store.save({ version: 1, bindings: [...next.values()] });
    this.#take(next);
  }

  #take(next: Map<PortName, Binding>): void {
    this.#byPort = next;
    this.#byNetdev = new Map([...next.values()].map((binding) => [binding.netdev, binding]));
  }
}

/** A port stays on the bridge that it was handed over to; VLAN and mirror are what the configuration says now. */
export function wantedOfBinding(
  binding: Binding,
  { tag, trunks, mirrorTo }: Omit<Placement, 'bridge'>,
  mode: NamingMode,
): WantedPort {
  return {
    port: binding.port,
    netdev: binding.netdev,
    owner: { kind: 'binding', vmid: binding.vmid, container: binding.container },
    bridge: binding.bridge,
    tag,
    trunks,
    mirrorTo,
    mtu: null,
    rowName: portRowName(mode, { ...binding, isGuest: false }),
    mac: null,
    firewallBridge: null,
  };
}

function parseBindings(value: unknown): Binding[] {
  if (!isRecord(value) || value['version'] !== 1 || !Array.isArray(value['bindings'])) {
    throw new AgentError('InvalidArgument', 'the bindings file is not {"version": 1, "bindings": [...]}');
  }
  return value['bindings'].map((entry: unknown, index) => {
    if (!isRecord(entry)) throw new AgentError('InvalidArgument', `the bindings file: entry ${index} is not an object`);
    const text = (key: string): string => {
      const field = entry[key];
      if (typeof field !== 'string')
        throw new AgentError('InvalidArgument', `the bindings file: entry ${index}: ${quote(key)} is missing`);
      return field;
    };
    return {
      port: parsePortName(text('port')),
      netdev: parseNetdevName(text('netdev')),
      bridge: parseBridgeName(text('bridge')),
      container: entry['container'] === null ? null : parseContainerName(text('container')),
      vmid: typeof entry['vmid'] === 'number' ? parseVmid(entry['vmid']) : null,
      asked: typeof entry['asked'] === 'string' ? parseBridgeName(entry['asked']) : null,
    };
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
