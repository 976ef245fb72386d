/** A node of one's own: Open vSwitch, a bus, the built service, guests. Lives in a temporary folder. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { busName, objectPath } from '../src/api/dbus/port-agent-interface.ts';
import { BusConnection } from '../src/platform/dbus/connection.ts';
import { PrivateBus } from '../test/support/private-bus.ts';
import { startPrivateSwitch } from '../test/support/private-switch.ts';
import type { PrivateSwitch } from '../test/support/private-switch.ts';
import { waitFor } from '../test/support/wait-for.ts';
import type { Later } from './cleanup.ts';

export const command = resolve('dist/ovs-port-agent.mjs');
const bridge = 'ovsbr0';
const startedTogether = 25;
/** Mark of the devices made here, among those of the network namespace. */
const deviceGroup = 7;
const callDeadlineMs = 30_000;
const startDeadlineMs = 30_000;
const stopDeadlineMs = 10_000;

export interface PrivateNode {
  readonly ovs: PrivateSwitch;
  readonly busAddress: string;
  /** For the hookscript and the command: they find this node and no other. */
  readonly env: NodeJS.ProcessEnv;
  /** Starts the service, stopping the one before. */
  startService(): Promise<RunningService>;
  /** Gives the node containers with these numbers: configuration, device, row. The service is not waited for. */
  addGuests(vmids: readonly number[]): Promise<void>;
  /** Resolves when the service lists so many ports. */
  untilListed(count: number): Promise<void>;
  call(member: string): Promise<readonly unknown[]>;
}

export interface RunningService {
  readonly pid: number;
  /** From the start of the process until it answered its first call. */
  readonly answeredMs: number;
  /** From the start of the process; resolves when it lists so many ports. */
  listedMs(count: number): Promise<number>;
}

export interface PrivateNodeOptions {
  readonly later: Later;
  /** The service sees the devices of the benchmark's own network namespace, or of a new and empty one. */
  readonly devices: 'shared' | 'none';
}

export async function startPrivateNode({ later, devices }: PrivateNodeOptions): Promise<PrivateNode> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const ovs = await startPrivateSwitch();
  later(() => ovs.stop());
  const bus = await PrivateBus.start();
  later(() => bus.stop());
  await ovs.vsctl('add-br', bridge);
  await writeNodeFiles(folder, ovs.endpoint, bus.address);
  const connection = await BusConnection.connect(bus.address, { deadlineMs: callDeadlineMs });
  later(() => {
    connection.close();
    return undefined;
  });
  const containers = await newNetworkNamespace(later);
  // All at once, and awaited: with the namespace of their peers they would go some time later.
  later(() => execa('ip', ['link', 'delete', 'group', String(deviceGroup)], { reject: false }));
  let service: ChildProcess | null = null;
  const stopService = async (): Promise<void> => {
    if (service !== null) await end(service);
    service = null;
  };
  later(stopService);

  const call = (member: string): Promise<readonly unknown[]> =>
    connection.call(
      { destination: busName, path: objectPath, interface: busName, member, autoStart: false },
      { deadlineMs: callDeadlineMs },
    );
  const untilListed = (count: number): Promise<void> =>
    waitFor(`${count} ports`, async () => ((await call('list_ports'))[0] as string[]).length === count, 60_000);

  // As Proxmox VE does: configuration, device, row. Few at once: the agent plugs what stays unplugged for a second.
  const startGuests = async (vmids: readonly number[]): Promise<void> => {
    await Promise.all(vmids.map((vmid) => writeFile(join(folder, `pve/lxc/${vmid}.conf`), guestConfig(vmid))));
    const links = vmids.map(
      (vmid) =>
        `link add veth${vmid}i0 group ${deviceGroup} type veth peer name p${vmid} netns ${containers}\n` +
        `link set veth${vmid}i0 up\n`,
    );
    await execa('ip', ['-batch', '-'], { input: links.join('') });
    await ovs.vsctl('--no-wait', ...vmids.flatMap((vmid) => ['--', 'add-port', bridge, `veth${vmid}i0`, 'tag=10']));
  };

  return {
    ovs,
    busAddress: bus.address,
    env: {
      ...process.env,
      DBUS_SYSTEM_BUS_ADDRESS: bus.address,
      OVS_PORT_AGENT_RUN: join(folder, 'run'),
      OVS_PORT_AGENT_SPOOL: join(folder, 'state/spool'),
      OVS_PORT_AGENT_OVSDB: ovs.endpoint,
    },
    async startService() {
      await stopService();
      const startedMs = performance.now();
      const child = spawnService(folder, devices);
      service = child;
      await untilAnswered(child, call, folder);
      const answeredMs = performance.now() - startedMs;
      return {
        pid: child.pid as number,
        answeredMs,
        async listedMs(count) {
          await untilListed(count);
          return performance.now() - startedMs;
        },
      };
    },
    async addGuests(vmids) {
      for (let at = 0; at < vmids.length; at += startedTogether) {
        await startGuests(vmids.slice(at, at + startedTogether));
      }
    },
    untilListed,
    call,
  };
}

/** One with the service running, which lists a port for each of these containers. */
export async function startNodeWithGuests(later: Later, vmids: readonly number[]): Promise<PrivateNode> {
  const node = await startPrivateNode({ later, devices: 'shared' });
  await node.startService();
  await node.addGuests(vmids);
  await node.untilListed(vmids.length);
  return node;
}

async function writeNodeFiles(folder: string, ovsdb: string, busAddress: string): Promise<void> {
  for (const part of ['pve/lxc', 'pve/qemu-server', 'network', 'state'])
    await mkdir(join(folder, part), { recursive: true });
  await writeFile(join(folder, 'network/interfaces'), 'auto lo\niface lo inet loopback\n');
  const config = {
    bridges: [bridge],
    ovsdb,
    bus: busAddress,
    pve_dir: join(folder, 'pve'),
    state_dir: join(folder, 'state'),
    interfaces_path: join(folder, 'network/interfaces'),
  };
  const lines = Object.entries(config).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  await writeFile(join(folder, 'config.toml'), lines.join(''));
}

function guestConfig(vmid: number): string {
  const hex = vmid.toString(16).padStart(6, '0').toUpperCase();
  const mac = `BC:24:11:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
  return [
    'arch: amd64',
    'cores: 1',
    `hostname: ct${vmid}`,
    'memory: 512',
    `net0: name=eth0,bridge=${bridge},hwaddr=${mac},ip=dhcp,tag=10,type=veth`,
    'ostype: debian',
    `rootfs: local-lvm:vm-${vmid}-disk-0,size=4G`,
    'swap: 512',
    'unprivileged: 1',
    '',
  ].join('\n');
}

function spawnService(folder: string, devices: PrivateNodeOptions['devices']): ChildProcess {
  const serve = [process.execPath, command, 'serve', '--config', join(folder, 'config.toml')] as const;
  // unshare(1) becomes the command, so that the pid is the service's own either way.
  const [file, ...args] = devices === 'shared' ? serve : (['unshare', '--net', ...serve] as const);
  const log = openSync(join(folder, 'service.log'), 'a');
  try {
    return spawn(file, args, { stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

async function untilAnswered(child: ChildProcess, call: PrivateNode['call'], folder: string): Promise<void> {
  try {
    await waitFor(
      'an answer of the service',
      async () => child.exitCode === null && (await call('ping'))[0] === 'pong',
      startDeadlineMs,
    );
  } catch (cause) {
    const log = await readFile(join(folder, 'service.log'), 'utf8');
    throw new Error(`the service did not start; it said:\n${log}`, { cause });
  }
}

/** The pid of a process in a new network namespace. Devices in it are out of sight, as those inside containers are. */
async function newNetworkNamespace(later: Later): Promise<number> {
  // cat(1) ends when its input does, so not even a killed benchmark leaves it behind.
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  later(() => end(holder));
  await once(holder.stdout, 'data');
  return holder.pid as number;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const stopped = await Promise.race([exited, sleep(stopDeadlineMs, null, { ref: false })]);
  if (stopped === null) child.kill('SIGKILL');
  await exited;
}
