/** From a guest's configuration and the devices that exist to the ports that are wanted. Pure. */
import { firewallBridgeName, guestNetdevName } from '../model/guest.ts';
import type { Guest, GuestNic } from '../model/guest.ts';
import { netdevNameBytesMax, nicIndex } from '../model/names.ts';
import type { BridgeName, NetdevName, NicName, PortName } from '../model/names.ts';
import { guestPortName, portRowName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { WantedPort } from '../model/port.ts';
import type { Link } from './contracts.ts';

/** What became of one nic: a wanted port, or the reason why it has none. */
export type NicVerdict =
  | { readonly nic: NicName; readonly wanted: WantedPort }
  | {
      readonly nic: NicName;
      readonly wanted: null;
      readonly reason: string;
      /** It can never have one, whatever happens: `status` says so as well. */
      readonly isHopeless: boolean;
    };

/** What a policy says about a nic that is on this bridge. */
export type MirrorOf = (guest: Guest, nic: GuestNic & { readonly bridge: BridgeName }) => PortName | null;

/** Kernel datapath's own master: a device under it is plugged, not held by something else. */
const datapathMaster = 'ovs-system';

export function desiredPorts(
  guest: Guest,
  links: ReadonlyMap<string, Link>,
  managed: ReadonlySet<BridgeName>,
  mode: NamingMode,
  mirrorOf: MirrorOf = () => null,
): NicVerdict[] {
  return guest.nics.map((nic) => verdictOf(guest, nic, links, managed, mode, mirrorOf));
}

/** Netdevs that have to be observed before `desiredPorts` can judge this guest. */
export function netdevsOf(guest: Guest): NetdevName[] {
  return guest.nics.flatMap((nic) => [
    guestNetdevName(guest, nicIndex(nic.nic), false),
    ...(nic.firewall ? [guestNetdevName(guest, nicIndex(nic.nic), true)] : []),
  ]);
}

/** A name that Proxmox VE would give and the kernel refuses (IFNAMSIZ): those of a vmid of nine digits and net10 or more. */
function longNameOf(guest: Guest, { nic, firewall }: GuestNic): NetdevName | null {
  const names = firewall ? [false, true] : [false];
  const isTooLong = (name: NetdevName): boolean => name.length > netdevNameBytesMax;
  return names.map((behind) => guestNetdevName(guest, nicIndex(nic), behind)).find(isTooLong) ?? null;
}

function verdictOf(
  guest: Guest,
  nic: GuestNic,
  links: ReadonlyMap<string, Link>,
  managed: ReadonlySet<BridgeName>,
  mode: NamingMode,
  mirrorOf: MirrorOf,
): NicVerdict {
  const index = nicIndex(nic.nic);
  const unwanted = (reason: string, isHopeless = false): NicVerdict => ({
    nic: nic.nic,
    wanted: null,
    reason,
    isHopeless,
  });
  const { bridge } = nic;
  if (bridge === null) return unwanted('has no bridge');
  if (!managed.has(bridge)) return unwanted(`is on ${bridge}, which is not a managed bridge`);
  if (nic.linkDown) return unwanted('is set to link_down');
  const tooLong = longNameOf(guest, nic);
  if (tooLong !== null) {
    return unwanted(
      `can have no device: ${tooLong} has ${tooLong.length} bytes, the kernel allows ${netdevNameBytesMax}; ` +
        'use a card below net10 or a shorter vmid',
      true,
    );
  }
  // Behind the firewall the guest's own netdev says whether the nic is up; the port is made by its row.
  const own = guestNetdevName(guest, index, false);
  if (!links.has(own)) return unwanted(`has no device ${own} yet`);
  const firewallBridge = nic.firewall ? firewallBridgeName(guest.vmid, index) : null;
  const netdev = guestNetdevName(guest, index, nic.firewall);
  const master = links.get(netdev)?.master ?? null;
  if (master !== null && master !== datapathMaster && master !== firewallBridge) {
    return unwanted(`not attached: ${netdev} is held by ${master}`);
  }
  const port = guestPortName(guest.vmid, nic.nic);
  return {
    nic: nic.nic,
    wanted: {
      port,
      netdev,
      owner: { kind: guest.kind, vmid: guest.vmid, nic: nic.nic, name: guest.name },
      bridge,
      tag: nic.tag,
      trunks: nic.trunks,
      mirrorTo: mirrorOf(guest, { ...nic, bridge }),
      mtu: links.get(bridge)?.mtu ?? null,
      rowName: portRowName(mode, { netdev, port, isGuest: true }),
      mac: nic.mac,
      firewallBridge,
    },
  };
}
