/**
 * What the policies of the configuration mean for one nic or one device. Proxmox VE's own configuration decides about the
 * nics it plugs: of a policy they only get what Proxmox VE knows nothing of, the mirror.
 */
import type { Guest, GuestNic } from '../model/guest.ts';
import type { BridgeName, ContainerName, NetdevName, PortName, VlanTag, Vmid } from '../model/names.ts';
import { policyFor } from '../model/policy.ts';
import type { Policy, PolicySubject } from '../model/policy.ts';
import type { Pools } from './contracts.ts';

export interface PoliciesOptions {
  readonly policies: readonly Policy[];
  readonly pools: Pools;
  readonly bridgeName: BridgeName;
  readonly containerBridge: BridgeName;
}

/** A device that Proxmox VE does not plug. */
export interface Device {
  readonly netdev: NetdevName;
  /** null when it was handed over by its own name alone. */
  readonly container: ContainerName | null;
  readonly vmid: Vmid | null;
  /** The guest of Proxmox VE that it belongs to. */
  readonly guest: Guest | null;
  /** The bridge that somebody asked for; it counts for more than any policy's. */
  readonly asked: BridgeName | null;
}

/** Where a device belongs. */
export interface Placement {
  readonly bridge: BridgeName;
  readonly tag: VlanTag | null;
  readonly trunks: readonly VlanTag[];
  readonly mirrorTo: PortName | null;
}

export class Policies {
  readonly #options: PoliciesOptions;

  constructor(options: PoliciesOptions) {
    this.#options = options;
  }

  /** Whether there is anything to keep up at all. */
  get haveMirrors(): boolean {
    return this.#options.policies.some(({ mirrorTo }) => mirrorTo !== null);
  }

  /** Policies that cannot be followed, one sentence each. */
  problems(): string[] {
    const { policies, pools } = this.#options;
    const { problem } = pools;
    if (problem === null) return [];
    return policies.flatMap(({ match }, index) =>
      match.pool === null
        ? []
        : [`policy ${index + 1} matches nothing: its pool ${match.pool} is not known, ${problem}`],
    );
  }

  /** The port that gets a copy of what a nic sends and receives. */
  mirrorOf(guest: Guest, nic: GuestNic & { readonly bridge: BridgeName }): PortName | null {
    return policyFor(this.#options.policies, this.#guestSubject(guest, nic.bridge))?.mirrorTo ?? null;
  }

  place(device: Device): Placement {
    const bridge = device.asked ?? this.#bridgeWithoutPolicy(device);
    const { netdev, container, vmid, guest } = device;
    const policy = policyFor(
      this.#options.policies,
      guest === null
        ? {
            kind: container === null ? 'device' : 'lxc',
            vmid,
            name: container ?? netdev,
            tags: [],
            pool: null,
            bridge,
          }
        : this.#guestSubject(guest, bridge),
    );
    return {
      bridge: device.asked ?? policy?.bridge ?? bridge,
      tag: policy?.tag ?? null,
      trunks: policy?.trunks ?? [],
      mirrorTo: policy?.mirrorTo ?? null,
    };
  }

  #guestSubject(guest: Guest, bridge: BridgeName): PolicySubject {
    const { kind, vmid, name, tags } = guest;
    return { kind, vmid, name, tags, pool: this.#options.pools.poolOf(vmid), bridge };
  }

  /** Containers of Netmaker belong on `container_bridge`, all other devices on `bridge_name`. */
  #bridgeWithoutPolicy({ container, guest }: Device): BridgeName {
    const words = [
      ...(container === null ? [] : [container]),
      ...(guest?.kind === 'lxc' ? [guest.name, ...guest.tags] : []),
    ];
    const isNetmaker = words.some((word) => word.toLowerCase().includes('netmaker'));
    return isNetmaker ? this.#options.containerBridge : this.#options.bridgeName;
  }
}
