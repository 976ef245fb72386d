/** Containers of `pve1` from texts, none of them running; the real directory over them. */
import type { Vmid } from '../../src/model/names.ts';
import { GuestDirectory } from '../../src/node/guest-directory.ts';
import type { GuestDirectoryOptions } from '../../src/node/guest-directory.ts';
import { parseGuestConfig, parseGuestDetails } from '../../src/proxmox/guest-config.ts';

export function guestDirectory(
  texts: Readonly<Record<number, string>>,
  options: Partial<GuestDirectoryOptions> = {},
): GuestDirectory {
  const read = <T>(parse: (kind: 'lxc', vmid: Vmid, text: string) => T, vmid: Vmid): Promise<T | null> => {
    const text = texts[vmid];
    return Promise.resolve(text === undefined ? null : parse('lxc', vmid, text));
  };
  return new GuestDirectory({
    node: 'pve1',
    local: {
      list: () => Promise.resolve(Object.keys(texts).map((vmid) => Number(vmid) as Vmid)),
      config: (vmid) => read(parseGuestConfig, vmid),
      details: (vmid) => read(parseGuestDetails, vmid),
    },
    runFacts: () => Promise.resolve({ unixSockets: '', lxcDir: '/var/lib/lxc', units: [] }),
    poolsOfGuests: () => Promise.resolve(new Map()),
    cluster: null,
    ...options,
  });
}
