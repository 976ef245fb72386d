/** The answers of `/guests`. */
import { guestNetdevName, parseGuestNetdev } from '../model/guest.ts';
import type { GuestKind } from '../model/guest.ts';
import { nicIndex, parseNicName, parseVmid } from '../model/names.ts';
import type { NicName, Vmid } from '../model/names.ts';
import type { GuestDirectory, GuestEntry } from '../node/guest-directory.ts';
import type { NicChange, NicChangeRequest, NicView } from '../node/guest-nics.ts';
import type { Parameters } from '../resources/schema.ts';
import { guestTimeoutDefault } from '../resources/table.ts';
import { definedOnly, portEntry } from './entries.ts';
import type { Handler, HandlerCall } from './handler.ts';
import type { Service } from './service.ts';

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

/** Of the API: a list takes no longer than the other node is asked for. */
const nicReadDeadlineMs = 35_000;

export const listNics: Handler = async ({ nics }, { parameters, signal }) => {
  const views = await nics.list(vmidOf(parameters), { deadlineMs: nicReadDeadlineMs, signal });
  return views.map(nicViewEntry);
};

export const showNic: Handler = async ({ nics }, { parameters, signal }) => {
  const wait = { deadlineMs: nicReadDeadlineMs, signal };
  return nicViewEntry(await nics.show(vmidOf(parameters), nicOf(parameters), wait));
};

export const setNic: Handler = (service, call) => {
  const { bridge, tag, trunks, firewall, link_down: linkDown, mtu } = call.parameters;
  return changeNic(service, call, {
    bridge: text(bridge),
    tag: text(tag),
    trunks: text(trunks),
    firewall: flag(firewall),
    linkDown: flag(linkDown),
    mtu: text(mtu),
  });
};

export const addNic: Handler = async (service, { parameters, cause, signal }) => {
  const { nic, options } = parameters;
  const change = await service.nics.add(vmidOf(parameters), {
    nic: nic === undefined ? null : nicOf(parameters),
    options: String(options),
    isDryRun: parameters['dry_run'] === true,
    wait: { deadlineMs: timeoutMsOf(parameters), signal },
    cause,
  });
  return nicChangeEntry(change);
};

export const deleteNic: Handler = (service, call) => changeNic(service, call, null);

export const createGuest: Handler = ({ creation }, { parameters, cause, signal }) => {
  const { template, hostname, storage, size, memory, cores, net0, tags, pool, node, start } = parameters;
  return creation.create(vmidOf(parameters), {
    wishes: {
      template: String(template),
      hostname: text(hostname),
      storage: text(storage),
      sizeGib: whole(size),
      memoryMib: whole(memory),
      cores: whole(cores),
      net0: text(net0),
      tags: text(tags),
      pool: text(pool),
      node: text(node),
      start: start === true,
    },
    isDryRun: parameters['dry_run'] === true,
    wait: { deadlineMs: timeoutMsOf(parameters), signal },
    cause,
  });
};

async function changeNic(
  { nics }: Service,
  { parameters, cause, signal }: HandlerCall,
  wishes: NicChangeRequest['wishes'],
): Promise<Record<string, unknown>> {
  const change = await nics.change(vmidOf(parameters), nicOf(parameters), {
    wishes,
    isDryRun: parameters['dry_run'] === true,
    wait: { deadlineMs: timeoutMsOf(parameters), signal },
    cause,
  });
  return nicChangeEntry(change);
}

function nicChangeEntry({ guest, nic, changed, ...rest }: NicChange): Record<string, unknown> {
  return { guest, nic, changed, ...definedOnly(rest) };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

function whole(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function timeoutMsOf(parameters: Parameters): number {
  return Number(parameters['timeout'] ?? guestTimeoutDefault) * 1000;
}

function vmidOf(parameters: Parameters): Vmid {
  return parseVmid(Number(parameters['vmid']));
}

function nicOf(parameters: Parameters): NicName {
  return parseNicName(String(parameters['nic']));
}

function nicViewEntry({ guest, nic, value, options, problem }: NicView): Record<string, unknown> {
  return options === null ? { nic, value, problem } : { ...nicEntry(guest, { nic, ...options }), value };
}

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

function nicEntry(guest: { kind: GuestKind; vmid: Vmid }, nic: GuestDetails['nics'][number]): Record<string, unknown> {
  const { firewall, linkDown, hostManaged, ...options } = nic;
  return {
    nic: nic.nic,
    netdev: guestNetdevName(guest, nicIndex(nic.nic), firewall),
    firewall,
    link_down: linkDown,
    ...definedOnly({ ...options, host_managed: hostManaged ? true : null }),
  };
}
