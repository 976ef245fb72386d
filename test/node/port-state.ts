/** Whether a node is as its guests' configurations say: rows, names of devices, the managed block. Read from outside. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseGuestNetdev } from '../../src/model/guest.ts';
import type { TestNode } from './test-node.ts';

const bridges = ['ovsbr0', 'ovsbr1'];
const folders = [
  ['etc/pve/lxc', 'veth'],
  ['etc/pve/qemu-server', 'tap'],
] as const;

interface Row {
  readonly name: string;
  readonly bridge: string;
  readonly tag: number | null;
  readonly ids: ReadonlyMap<string, string>;
  readonly error: string;
}

interface Nic {
  readonly port: string;
  /** The guest's own device. */
  readonly device: string;
  /** The device that is plugged. */
  readonly plugged: string;
  readonly bridge: string;
  readonly tag: number | null;
}

/** What is not as it should be, by vmid; guests with which nothing is wrong are missing. */
export async function portProblems(node: TestNode): Promise<Map<number, string[]>> {
  const [nics, { rows, devices }, interfaces] = await Promise.all([
    configuredNics(node),
    observe(node),
    node.read('/etc/network/interfaces'),
  ]);
  const problems = new Map<number, string[]>();
  const note = (vmid: number, problem: string): void => {
    problems.set(vmid, [...(problems.get(vmid) ?? []), problem]);
  };
  const expected = new Set<string>();
  for (const [vmid, nic] of nics) {
    if (!bridges.includes(nic.bridge) || !devices.has(nic.device)) continue;
    expected.add(nic.plugged);
    const row = rows.get(nic.plugged);
    if (row === undefined) {
      note(vmid, `${nic.plugged} has no row`);
      continue;
    }
    for (const problem of rowProblems(nic, row, devices.get(nic.plugged) ?? [])) note(vmid, problem);
    const stanza = `iface ${nic.port} inet manual\n\tovs_bridge ${nic.bridge}\n${nic.tag === null ? '' : `\tovs_options tag=${nic.tag}\n`}\tovs_type OVSPort\n`;
    if (!interfaces.includes(stanza)) note(vmid, `${nic.port} is not listed as it is`);
  }
  for (const name of rows.keys()) {
    const guest = parseGuestNetdev(name);
    if (guest !== null && !expected.has(name)) note(guest.vmid, `the row ${name} is left`);
  }
  const listed = new Set([...nics].flatMap(([, nic]) => (expected.has(nic.plugged) ? [nic.port] : [])));
  for (const [, port = '', vmid] of interfaces.matchAll(/^iface (vi([0-9]+)\S*) /gm)) {
    if (!listed.has(port)) note(Number(vmid), `${port} is still listed`);
  }
  return problems;
}

function rowProblems(nic: Nic, row: Row, altnames: readonly string[]): string[] {
  const checks: readonly (readonly [boolean, string])[] = [
    [row.bridge === nic.bridge, `${row.name} is on ${row.bridge}, not ${nic.bridge}`],
    [row.tag === nic.tag, `${row.name} has tag ${row.tag}, not ${nic.tag}`],
    [row.ids.get('owner') === 'dev.ovs.PortAgent1', `${row.name} is not marked`],
    [row.ids.get('port-name') === nic.port, `${row.name} is not marked as ${nic.port}`],
    [altnames.includes(nic.port), `${row.name} has no altname ${nic.port}`],
    [row.error === '', `${row.name}: ${row.error}`],
  ];
  return checks.flatMap(([isRight, problem]) => (isRight ? [] : [problem]));
}

async function configuredNics(node: TestNode): Promise<[vmid: number, nic: Nic][]> {
  const nics: [number, Nic][] = [];
  for (const [folder, prefix] of folders) {
    for (const file of await readdir(join(node.root, folder))) {
      if (!file.endsWith('.conf')) continue;
      const vmid = Number.parseInt(file, 10);
      // Gone meanwhile: looked at again.
      const text = await node.read(join(folder, file)).catch(() => '');
      for (const [, index = '', value = ''] of text.matchAll(/^net([0-9]+): (.*)$/gm)) {
        nics.push([vmid, nicOf(vmid, Number(index), prefix, value)]);
      }
    }
  }
  return nics;
}

function nicOf(vmid: number, index: number, prefix: string, value: string): Nic {
  const options = new Map(value.split(',').map((option) => option.split('=') as [string, string]));
  const device = `${prefix}${vmid}i${index}`;
  return {
    port: index === 0 ? `vi${vmid}` : `vi${vmid}i${index}`,
    device,
    plugged: options.get('firewall') === '1' ? `fwln${vmid}o${index}` : device,
    bridge: options.get('bridge') ?? '',
    tag: options.has('tag') ? Number(options.get('tag')) : null,
  };
}

type Json = string | number | readonly Json[];

async function observe(node: TestNode): Promise<{ rows: Map<string, Row>; devices: Map<string, string[]> }> {
  const printed = await node.run(
    'sh',
    '-c',
    'ovs-vsctl --format=json -- --columns=name,ports list Bridge -- --columns=_uuid,name,tag,external_ids list Port ' +
      '-- --columns=name,error list Interface; ip -json link show',
  );
  const [bridgeTable, portTable, interfaceTable, links] = printed.split('\n').filter(Boolean);
  const table = (text = ''): Json[][] => (JSON.parse(text) as { data: Json[][] }).data;
  const bridgeOf = new Map(
    table(bridgeTable).flatMap(([name, ports]) => members(ports).map((uuid) => [uuid, String(name)] as const)),
  );
  const errors = new Map(table(interfaceTable).map(([name, error]) => [String(name), members(error).join(' ')]));
  const rows = new Map<string, Row>();
  for (const [uuid, name, tag, ids] of table(portTable)) {
    const bridge = bridgeOf.get(members(uuid)[0] ?? '') ?? '';
    if (!bridges.includes(bridge)) continue;
    const [vlan] = members(tag);
    rows.set(String(name), {
      name: String(name),
      bridge,
      tag: vlan === undefined ? null : Number(vlan),
      ids: new Map((ids as readonly ['map', [string, string][]])[1]),
      error: errors.get(String(name)) ?? '',
    });
  }
  const devices = (JSON.parse(links ?? '[]') as { ifname: string; altnames?: string[] }[]).map(
    ({ ifname, altnames = [] }) => [ifname, altnames] as const,
  );
  return { rows, devices: new Map(devices) };
}

/** Of a set, an optional value or one UUID, as text (RFC 7047, section 5.1). */
function members(value: Json | undefined): string[] {
  if (!Array.isArray(value)) return [String(value)];
  const [kind, content] = value as unknown as readonly [string, Json];
  return kind === 'set' ? (content as readonly Json[]).flatMap(members) : [String(content)];
}
