/** What a node has from Proxmox VE, as far as the agent meets it: `pct`, units, guests' configuration files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestNode } from './test-node.ts';

const standIns: readonly (readonly [name: string, target: string, mode: number])[] = [
  ['pct', '/usr/sbin/pct', 0o755],
  ['qm', '/usr/sbin/qm', 0o755],
  ['kvm', '/usr/bin/kvm', 0o755],
  ['pmxcfs', '/usr/bin/pmxcfs', 0o755],
  ['pve-net', '/usr/share/lxc/pve-net', 0o644],
  ['lxcnetaddbr', '/usr/share/lxc/lxcnetaddbr', 0o755],
  ['lxc-pve-poststop-hook', '/usr/share/lxc/hooks/lxc-pve-poststop-hook', 0o755],
  ['pve-container@.service', '/usr/lib/systemd/system/pve-container@.service', 0o644],
  // The same but for what lxc-start prints.
  ['pve-container@.service', '/usr/lib/systemd/system/pve-container-debug@.service', 0o644],
];

const hookscriptLine = 'hookscript: local:snippets/ovs-port-agent';

interface GuestOptions {
  vmid: number;
  hostname: string;
  /** Values of net0, net1, ... as in the guest's configuration file. */
  nets: readonly string[];
  hookscript?: boolean;
}

/** The stand-ins, the storage `local`, and two bridges on the userspace datapath. */
export async function makeProxmox(node: TestNode): Promise<void> {
  for (const [name, target, mode] of standIns) {
    await node.write(target, await readFile(join(import.meta.dirname, 'fixtures', name), 'utf8'), mode);
  }
  await node.run('mkdir', '--parents', '/var/lib/vz/snippets', '/etc/pve/lxc', '/etc/pve/qemu-server');
  await node.run('systemctl', 'daemon-reload');
  await makeBridges(node);
}

/** As ifupdown2 does at boot; without the kernel's datapath. */
export async function makeBridges(node: TestNode): Promise<void> {
  for (const bridge of ['ovsbr0', 'ovsbr1']) {
    await node.run('ovs-vsctl', 'add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev');
    await node.run('ip', 'link', 'set', bridge, 'up');
  }
}

/** A container with a busybox root; not started. */
export async function makeContainer(node: TestNode, container: GuestOptions): Promise<void> {
  const { vmid, hostname, nets, hookscript = true } = container;
  const rootfs = `/var/lib/lxc/${vmid}/rootfs`;
  await node.run(
    'mkdir',
    '--parents',
    ...['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp'].map((d) => `${rootfs}/${d}`),
  );
  await node.run('ln', '--symbolic', '--force', 'bin', `${rootfs}/sbin`);
  await node.run('cp', '/usr/bin/busybox', `${rootfs}/bin/busybox`);
  await node.run('chroot', rootfs, '/bin/busybox', '--install', '-s', '/bin');
  await node.write(`${rootfs}/etc/inittab`, '::respawn:/bin/sleep 100000\n::shutdown:/bin/true\n');
  await node.write(
    `/etc/pve/lxc/${vmid}.conf`,
    [
      'arch: amd64',
      ...(hookscript ? [hookscriptLine] : []),
      `hostname: ${hostname}`,
      ...nets.map((net, index) => `net${index}: ${net}`),
      'ostype: debian',
      `rootfs: local:${vmid}/vm-${vmid}-disk-0.raw,size=1G`,
      '',
    ].join('\n'),
    0o640,
  );
}

/** A machine; not started. Its process holds tap devices and does nothing else. */
export async function makeMachine(node: TestNode, machine: GuestOptions): Promise<void> {
  const { vmid, hostname, nets, hookscript = true } = machine;
  await node.write(
    `/etc/pve/qemu-server/${vmid}.conf`,
    [
      ...(hookscript ? [hookscriptLine] : []),
      'memory: 512',
      `name: ${hostname}`,
      ...nets.map((net, index) => `net${index}: ${net}`),
      '',
    ].join('\n'),
    0o640,
  );
}
