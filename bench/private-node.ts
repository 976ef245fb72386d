/** A node of one's own: Open vSwitch, a bus, the built service, guests. Lives in a temporary folder. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { busName, objectPath } from '../src/api/dbus/port-agent-interface.ts';
import { BusConnection } from '../src/platform/dbus/connection.ts';
import { PrivateBus } from '../test/support/private-bus.ts';
import { startPrivateSwitch } from '../test/support/private-switch.ts';
import type { PrivateSwitch } from '../test/support/private-switch.ts';
import { waitFor } from '../test/support/wait-for.ts';
import type { Later } from './cleanup.ts';
import { endProcess } from './end-process.ts';
import { bridge, GuestDevices, makePveFolders, netdevOf, vlanTag, writeConfigurations } from './guests.ts';
import { enter, newNetworkNamespace } from './network-namespace.ts';
import type { NetworkNamespace } from './network-namespace.ts';

export const command = resolve('dist/ovs-port-agent.mjs');
const startedTogether = 25;
/** Of one `ovs-vsctl`, where nobody watches. */
const pluggedTogether = 1000;
const callDeadlineMs = 30_000;
const startDeadlineMs = 30_000;
const listDeadlineMs = 60_000;

export interface PrivateNode {
  readonly folder: string;
  /** Stands for `/etc/pve`. */
  readonly pveDir: string;
  readonly ovs: PrivateSwitch;
  readonly bus: BusConnection;
  readonly devices: GuestDevices;
  /** For the hookscript and the command: they find this node and no other. */
  readonly env: NodeJS.ProcessEnv;
  /** Starts the service, stopping the one before. */
  startService(): Promise<RunningService>;
  /**
   * Gives the node containers with these numbers: configuration, device, row. A running service sees them come as
   * Proxmox VE starts them, a few at a time, and is not waited for.
   */
  addGuests(vmids: readonly number[]): Promise<void>;
  /** Resolves when the service lists so many ports. */
  untilListed(count: number): Promise<void>;
  call(member: string, signature?: string, body?: readonly unknown[]): Promise<readonly unknown[]>;
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
  /** Service and guests share the benchmark's own network namespace, or have one to themselves. */
  readonly devices: 'shared' | 'own';
  /** false: a database alone, where nothing has to be applied. */
  readonly hasVswitchd?: boolean;
  /** Words before the service's own file. */
  readonly nodeArguments?: readonly string[];
}

export async function startPrivateNode({
  later,
  devices: where,
  hasVswitchd = true,
  nodeArguments = [],
}: PrivateNodeOptions): Promise<PrivateNode> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const pveDir = join(folder, 'pve');
  const ovs = await startPrivateSwitch({ vswitchd: hasVswitchd });
  later(() => ovs.stop());
  const privateBus = await PrivateBus.start();
  later(() => privateBus.stop());
  await ovs.vsctl(...(hasVswitchd ? [] : ['--no-wait']), 'add-br', bridge);
  await writeNodeFiles(folder, ovs.endpoint, privateBus.address);
  const bus = await BusConnection.connect(privateBus.address, { deadlineMs: callDeadlineMs });
  later(() => {
    bus.close();
    return undefined;
  });
  const inside = where === 'shared' ? null : await newNetworkNamespace(later);
  const devices = new GuestDevices(later, inside, await newNetworkNamespace(later));
  let service: ChildProcess | null = null;
  const stopService = async (): Promise<void> => {
    if (service !== null) await endProcess(service);
    service = null;
  };
  later(stopService);

  const call: PrivateNode['call'] = (member, signature = '', body = []) =>
    bus.call(
      { destination: busName, path: objectPath, interface: busName, member, signature, body, autoStart: false },
      { deadlineMs: callDeadlineMs },
    );
  const untilListed = (count: number): Promise<void> =>
    waitFor(`${count} ports`, async () => ((await call('list_ports'))[0] as string[]).length === count, listDeadlineMs);

  const startGuests = async (vmids: readonly number[]): Promise<void> => {
    await writeConfigurations(pveDir, vmids);
    await devices.add(vmids);
    await plug(ovs, vmids);
  };

  return {
    folder,
    pveDir,
    ovs,
    bus,
    devices,
    env: {
      ...process.env,
      DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
      OVS_PORT_AGENT_RUN: join(folder, 'run'),
      OVS_PORT_AGENT_SPOOL: join(folder, 'state/spool'),
      OVS_PORT_AGENT_OVSDB: ovs.endpoint,
    },
    async startService() {
      await stopService();
      const startedMs = performance.now();
      const child = spawnService(folder, inside, nodeArguments);
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
      // The agent plugs by itself what stays unplugged for a second.
      const together = service === null ? pluggedTogether : startedTogether;
      for (let at = 0; at < vmids.length; at += together) await startGuests(vmids.slice(at, at + together));
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

/** Rows as Proxmox VE plugs them. `isAwaited`: until `ovs-vswitchd` has made the ports. */
export async function plug(ovs: PrivateSwitch, vmids: readonly number[], isAwaited = false): Promise<void> {
  const commands = vmids.flatMap((vmid) => ['--', 'add-port', bridge, netdevOf(vmid), `tag=${vlanTag}`]);
  await ovs.vsctl(...(isAwaited ? [] : ['--no-wait']), ...commands);
}

async function writeNodeFiles(folder: string, ovsdb: string, busAddress: string): Promise<void> {
  await makePveFolders(join(folder, 'pve'));
  for (const part of ['network', 'state']) await mkdir(join(folder, part), { recursive: true });
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

function spawnService(folder: string, inside: NetworkNamespace | null, nodeArguments: readonly string[]): ChildProcess {
  const serve = [...nodeArguments, command, 'serve', '--config', join(folder, 'config.toml')];
  const [file, ...args] = [...enter(inside), process.execPath, ...serve] as [string, ...string[]];
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
