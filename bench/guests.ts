/** Containers as Proxmox VE's files and the kernel show them: a configuration and a veth device each. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Later } from './cleanup.ts';
import { enter } from './network-namespace.ts';
import type { NetworkNamespace } from './network-namespace.ts';

export const bridge = 'ovsbr0';
const node = 'bench';
export const vlanTag = 10;
export const bridgeMtu = 1500;
/** Mark of the devices made here, among those of the network namespace. */
const deviceGroup = 7;

export function netdevOf(vmid: number): string {
  return `veth${vmid}i0`;
}

/** So many vmids, ascending. */
export function vmidsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** The folders of `/etc/pve` that hold guests, and the files that tell what changed there, as on every Proxmox VE node. */
export async function makePveFolders(pveDir: string): Promise<void> {
  for (const folder of ['lxc', 'qemu-server']) await mkdir(join(pveDir, folder), { recursive: true });
  await writeFile(join(pveDir, '.members'), JSON.stringify({ nodename: node, version: 0 }));
  await writeRegistry(pveDir, { version: 1, ids: {} });
}

export async function writeConfigurations(pveDir: string, vmids: readonly number[]): Promise<void> {
  await Promise.all(vmids.map((vmid) => writeFile(configurationPath(pveDir, vmid), configuration(vmid))));
  await changeRegistry(pveDir, (ids, version) => {
    for (const vmid of vmids) ids[vmid] = { node, type: 'lxc', version };
  });
}

export async function removeConfigurations(pveDir: string, vmids: readonly number[]): Promise<void> {
  await Promise.all(vmids.map((vmid) => rm(configurationPath(pveDir, vmid))));
  await changeRegistry(pveDir, (ids) => {
    for (const vmid of vmids) Reflect.deleteProperty(ids, vmid);
  });
}

interface GuestList {
  readonly version: number;
  readonly ids: Record<number, { node: string; type: 'lxc'; version: number }>;
}

async function changeRegistry(pveDir: string, change: (ids: GuestList['ids'], version: number) => void): Promise<void> {
  const { version, ids } = JSON.parse(await readFile(join(pveDir, '.vmlist'), 'utf8')) as GuestList;
  change(ids, version + 1);
  await writeRegistry(pveDir, { version: version + 1, ids });
}

/** `.version` last: until it says so, nothing changed. */
async function writeRegistry(pveDir: string, list: GuestList): Promise<void> {
  await writeFile(join(pveDir, '.vmlist'), JSON.stringify(list));
  const version = { starttime: 1_700_000_000, clinfo: 1, vmlist: list.version };
  await writeFile(join(pveDir, '.version'), JSON.stringify(version));
}

/**
 * Devices in one network namespace, null for the benchmark's own, with their other ends in another, out of sight, as
 * those inside containers are.
 */
export class GuestDevices {
  readonly #inside: NetworkNamespace | null;
  readonly #containers: NetworkNamespace;

  constructor(later: Later, inside: NetworkNamespace | null, containers: NetworkNamespace) {
    this.#inside = inside;
    this.#containers = containers;
    // All at once, and awaited: with the namespace of their peers they would go some time later.
    later(() => this.#ip(['link', 'delete', 'group', String(deviceGroup)]).catch(() => undefined));
  }

  /** The bridge's own device, whose mtu Proxmox VE gives to every port; with its dummies `ovs-vswitchd` makes none. */
  async addBridge(): Promise<void> {
    await this.#batch([
      `link add ${bridge} group ${deviceGroup} mtu ${bridgeMtu} type veth peer name p${bridge} netns ${this.#containers.pid}`,
    ]);
  }

  /** A device that no guest's configuration names, and that is handed over by name. */
  async addForeign(name: string): Promise<void> {
    await this.#batch([
      `link add ${name} group ${deviceGroup} type veth peer name p${name} netns ${this.#containers.pid}`,
      `link set ${name} up`,
    ]);
  }

  async add(vmids: readonly number[]): Promise<void> {
    await this.#batch(
      vmids.flatMap((vmid) => [
        `link add ${netdevOf(vmid)} group ${deviceGroup} type veth peer name p${vmid} netns ${this.#containers.pid}`,
        `link set ${netdevOf(vmid)} up`,
      ]),
    );
  }

  /** As of devices that a container's start has just made. */
  async forgetAltnames(vmids: readonly number[]): Promise<void> {
    await this.#batch(vmids.map((vmid) => `link property del dev ${netdevOf(vmid)} altname vi${vmid}`));
  }

  #batch(lines: readonly string[]): Promise<unknown> {
    return this.#ip(['-batch', '-'], lines.map((line) => `${line}\n`).join(''));
  }

  #ip(args: readonly string[], input = ''): Promise<unknown> {
    const [file, ...words] = [...enter(this.#inside), 'ip', ...args] as [string, ...string[]];
    return execa(file, words, { input });
  }
}

function configurationPath(pveDir: string, vmid: number): string {
  return join(pveDir, 'lxc', `${vmid}.conf`);
}

function configuration(vmid: number): string {
  const hex = vmid.toString(16).padStart(6, '0').toUpperCase();
  const mac = `BC:24:11:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
  return [
    'arch: amd64',
    'cores: 1',
    `hostname: ct${vmid}`,
    'memory: 512',
    `net0: name=eth0,bridge=${bridge},hwaddr=${mac},ip=dhcp,tag=${vlanTag},type=veth`,
    'ostype: debian',
    `rootfs: local-lvm:vm-${vmid}-disk-0,size=4G`,
    'swap: 512',
    'unprivileged: 1',
    '',
  ].join('\n');
}
