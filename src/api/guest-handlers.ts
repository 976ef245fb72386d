/** The answers of `/guests`. */
import { guestNetdevName, parseGuestNetdev } from '../model/guest.ts';
import { nicIndex, parseVmid } from '../model/names.ts';
import type { GuestDirectory, GuestEntry } from '../node/guest-directory.ts';
import { definedOnly, portEntry } from './entries.ts';
import type { Handler } from './handler.ts';

type GuestDetails = Awaited<ReturnType<GuestDirectory['show']>>['details'];

export const listGuests: Handler = async ({ directory }, { parameters, signal }) => {
  const entries = await directory.list({ isLocal: parameters['local'] === true, signal });
  return entries.map(guestEntry);
};

export const showGuest: Handler = async (service, { parameters }) => {
  const vmid = parseVmid(Number(parameters['vmid']));
  const { entry, details } = await service.directory.show(vmid);
  const { config, settings, notes, parent, snapshots } = details;
  return {
    ...guestEntry(entry),
    config: Object.fromEntries(settings),
    nics: details.nics.map((nic) => nicEntry(config.guest, nic)),
    ports: service.engine
      .ports()
      .filter(({ row }) => parseGuestNetdev(row.netdev)?.vmid === vmid)
      .map((view) => portEntry(service, view)),
    pending: config.pending,
    ...definedOnly({ description: notes, hookscript: config.hookscript, parent, snapshots, problems: config.problems }),
  };
};

function guestEntry({ vmid, kind, name, status, node, ...rest }: GuestEntry): Record<string, unknown> {
  const { lock, pool, problem, tags, template } = rest;
  return {
    vmid,
    kind,
    name,
    status,
    node,
    ...definedOnly({ lock, pool, problem, tags, template: template ? true : null }),
  };
}

function nicEntry(guest: GuestDetails['config']['guest'], nic: GuestDetails['nics'][number]): Record<string, unknown> {
  const { firewall, linkDown, hostManaged, ...options } = nic;
  return {
    nic: nic.nic,
    netdev: guestNetdevName(guest, nicIndex(nic.nic), firewall),
    firewall,
    link_down: linkDown,
    ...definedOnly({ ...options, host_managed: hostManaged ? true : null }),
  };
}
