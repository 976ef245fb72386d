/**
 * The real service in a world of its own: a network namespace with real devices, a private Open vSwitch with the
 * userspace datapath in it, a private bus, temporary folders. Needs root and a built `dist/`.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { busName, objectPath } from '../../src/api/dbus/port-agent-interface.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import { PrivateBus } from './private-bus.ts';
import { startPrivateSwitch } from './private-switch.ts';
import type { PrivateSwitch } from './private-switch.ts';
import { waitFor } from './wait-for.ts';

const command = resolve('dist/ovs-port-agent.mjs');
const hookscript = resolve('hooks/ovs-port-agent');
const stepDeadlineMs = 10_000;

export interface AgentWorldOptions {
  /** Content of the interfaces file; a loopback stanza otherwise. */
  readonly interfaces?: string | Buffer;
  /** Appended to the configuration file. */
  readonly config?: string;
  /** Before the service starts for the first time. */
  readonly prepare?: (world: AgentWorld) => Promise<void>;
  /** Whether the service starts at all; true when not given. */
  readonly isStarted?: boolean;
  /** Whether ovs-vswitchd runs; true when not given. */
  readonly hasVswitchd?: boolean;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

let worlds = 0;

export class AgentWorld {
  readonly folder: string;
  readonly namespace: string;
  readonly bus: PrivateBus;
  readonly ovs: PrivateSwitch;
  /** What the services wrote to their error output, all runs together. */
  log = '';
  readonly #spaces: string[];
  #service: ChildProcess | null = null;
  #client: BusConnection | null = null;

  static async start(options: AgentWorldOptions = {}): Promise<AgentWorld> {
    if (!existsSync(command)) throw new Error(`${command} is missing: npm run build`);
    const namespace = `opa-test-${process.pid}-${++worlds}`;
    const folder = await mkdtemp(join(tmpdir(), 'agent-world-'));
    await execa('ip', ['netns', 'add', namespace]);
    let bus: PrivateBus | null = null;
    let ovs: PrivateSwitch | null = null;
    try {
      await execa('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
      bus = await PrivateBus.start();
      ovs = await startPrivateSwitch({ vswitchd: options.hasVswitchd !== false, namespace });
    } catch (error) {
      await ovs?.stop();
      await bus?.stop();
      await execa('ip', ['netns', 'delete', namespace]);
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    const world = new AgentWorld(folder, namespace, bus, ovs);
    try {
      await world.#fill(options);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  private constructor(folder: string, namespace: string, bus: PrivateBus, ovs: PrivateSwitch) {
    this.folder = folder;
    this.namespace = namespace;
    this.bus = bus;
    this.ovs = ovs;
    this.#spaces = [namespace];
  }

  get ledgerPath(): string {
    return join(this.folder, 'state/ledger.jsonl');
  }

  get interfacesPath(): string {
    return join(this.folder, 'network/interfaces');
  }

  get spoolPath(): string {
    return join(this.folder, 'state/spool');
  }

  get configPath(): string {
    return join(this.folder, 'config.toml');
  }

  /** Where Proxmox VE's locks of guests are. */
  get lockPath(): string {
    return join(this.folder, 'lock');
  }

  get servicePid(): number {
    const pid = this.#service?.pid;
    if (pid === undefined) throw new Error('the service is not running');
    return pid;
  }

  /** What every program here needs to find this bus, this switch and these folders. */
  get env(): Record<string, string> {
    return {
      DBUS_SYSTEM_BUS_ADDRESS: this.bus.address,
      OVS_PORT_AGENT_RUN: join(this.folder, 'run'),
      OVS_PORT_AGENT_SPOOL: this.spoolPath,
      OVS_PORT_AGENT_OVSDB: this.ovs.endpoint,
    };
  }

  async #fill({
    interfaces,
    config = '',
    prepare,
    isStarted = true,
    hasVswitchd = true,
  }: AgentWorldOptions): Promise<void> {
    for (const path of ['pve/lxc', 'pve/qemu-server', 'network', 'state', 'lock/lxc', 'lock/qemu-server']) {
      await mkdir(join(this.folder, path), { recursive: true });
    }
    await writeFile(this.interfacesPath, interfaces ?? 'auto lo\niface lo inet loopback\n');
    await writeFile(
      this.configPath,
      [
        `ovsdb = "${this.ovs.endpoint}"`,
        `interfaces_path = "${this.interfacesPath}"`,
        `pve_dir = "${join(this.folder, 'pve')}"`,
        `state_dir = "${join(this.folder, 'state')}"`,
        `lock_dir = "${this.lockPath}"`,
        'debounce_ms = 50',
        config,
        '',
      ].join('\n'),
    );
    await this.addBridges(hasVswitchd);
    await prepare?.(this);
    if (isStarted) await this.startService();
  }

  /** `ovsbr0` and `ovsbr1`, as ifupdown2 makes them after a boot. */
  async addBridges(isWaitedFor = true): Promise<void> {
    const wait = isWaitedFor ? [] : ['--no-wait'];
    const add = (name: string): string[] => ['--', 'add-br', name, '--', 'set', 'bridge', name, 'datapath_type=netdev'];
    await this.ovs.vsctl(...wait, ...add('ovsbr0'), ...add('ovsbr1'));
  }

  /** Starts the service and waits until it answers. */
  async startService(): Promise<void> {
    const child = this.#spawn();
    this.#service = child;
    child.stderr?.on('data', (text: string) => {
      this.log += text;
    });
    const ended = once(child, 'exit').then(([code]: unknown[]) => {
      throw new Error(`the service ended with ${String(code)}: ${this.log}`);
    });
    ended.catch(() => undefined);
    await Promise.race([
      waitFor('the service', async () => (await this.call('ping'))[0] === 'pong', stepDeadlineMs),
      ended,
    ]);
  }

  /** Replaces a line of the configuration file, or adds it, and starts the service anew with it. */
  async reconfigure(key: string, value: string): Promise<void> {
    await this.killService();
    const lines = (await readFile(this.configPath, 'utf8')).split('\n').filter((line) => !line.startsWith(`${key} =`));
    await writeFile(this.configPath, [`${key} = ${value}`, ...lines].join('\n'));
    await this.startService();
  }

  /** Starts a service that is expected to end by itself; resolves with its exit code and what it said. */
  async failToStart(): Promise<{ exitCode: number | null; said: string }> {
    const child = this.#spawn();
    let said = '';
    child.stderr?.on('data', (text: string) => {
      said += text;
    });
    try {
      await once(child, 'close', { signal: AbortSignal.timeout(stepDeadlineMs) });
    } catch (cause) {
      child.kill('SIGKILL');
      throw new Error(`a second service did not end within ${stepDeadlineMs} ms; it said: ${said}`, { cause });
    }
    return { exitCode: child.exitCode, said };
  }

  #spawn(): ChildProcess {
    const child = spawn(
      'ip',
      ['netns', 'exec', this.namespace, process.execPath, command, 'serve', '--config', this.configPath],
      { env: { PATH: process.env['PATH'], ...this.env }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr.setEncoding('utf8');
    return child;
  }

  /** Resolves with the exit code, null after a signal, when the service is gone. */
  async killService(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#service;
    this.#service = null;
    if (child === null) return null;
    const gone = child.exitCode !== null || child.signalCode !== null ? null : once(child, 'exit');
    child.kill(signal);
    await gone;
    return child.exitCode;
  }

  /** A method of the service. */
  async call(member: string, signature = '', body: readonly unknown[] = []): Promise<readonly unknown[]> {
    this.#client ??= await BusConnection.connect(this.bus.address, { deadlineMs: stepDeadlineMs });
    return this.#client.call(
      { destination: busName, path: objectPath, interface: busName, member, signature, body },
      { deadlineMs: stepDeadlineMs },
    );
  }

  async ports(): Promise<string[]> {
    return (await this.call('list_ports'))[0] as string[];
  }

  async status(): Promise<{ state: string; problems: string[] } & Record<string, unknown>> {
    const [json] = await this.call('Call', 'sss', ['get', '/status', '']);
    return JSON.parse(String(json)) as { state: string; problems: string[] };
  }

  /** The hookscript as Proxmox VE calls it. */
  hook(...args: string[]): Promise<RunResult> {
    return this.inside(hookscript, ...args);
  }

  /** The command line, as an administrator types it. */
  cli(...args: string[]): Promise<RunResult> {
    return this.inside(process.execPath, command, ...args);
  }

  /** Any command in this world's network namespace. */
  inside(file: string, ...args: string[]): Promise<RunResult> {
    return run('ip', ['netns', 'exec', this.namespace, file, ...args], this.env);
  }

  /** Writes a guest's configuration; the kind follows from its nics' devices. */
  async addGuest(vmid: number, config: string | Buffer, kind: 'lxc' | 'qemu-server' = 'lxc'): Promise<void> {
    await writeFile(join(this.folder, 'pve', kind, `${vmid}.conf`), config);
  }

  /** What LXC makes when a container starts: a veth pair. The other end stays in the namespace, as `p<name>`. */
  async addDevice(name: string): Promise<void> {
    await this.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `p${name}`.slice(0, 15));
    await this.ip('link', 'set', name, 'up');
  }

  async removeDevice(name: string): Promise<void> {
    await this.ip('link', 'delete', name);
  }

  /** A container's own network namespace with the other end of `netdev` as its eth0; answers its name. */
  async addContainer(netdev: string, address: string): Promise<string> {
    const space = `${this.namespace}-${this.#spaces.length}`;
    await execa('ip', ['netns', 'add', space]);
    this.#spaces.push(space);
    // Up from the first: the agent may rename the device as soon as it is there.
    await this.ip('link', 'add', netdev, 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    await execa('ip', ['-n', space, 'link', 'set', 'eth0', 'up']);
    await execa('ip', ['-n', space, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
    // The userspace datapath forwards packets as they are: no card would fill in checksums that were left to it.
    await execa('ip', ['netns', 'exec', space, 'ethtool', '-K', 'eth0', 'tx', 'off']);
    return space;
  }

  /** Whether a packet sent from the container's namespace to the address is answered within a second. */
  async reaches(space: string, address: string): Promise<boolean> {
    const { exitCode } = await run('ip', ['netns', 'exec', space, 'ping', '-c', '1', '-W', '1', address], {});
    return exitCode === 0;
  }

  async ip(...args: string[]): Promise<string> {
    return (await execa('ip', ['-n', this.namespace, ...args])).stdout;
  }

  /** What Proxmox VE does to plug a device. */
  async plug(bridge: string, netdev: string, ...options: string[]): Promise<void> {
    await this.ovs.vsctl('--', 'add-port', bridge, netdev, ...options);
  }

  /** Names of all Port rows of a bridge. */
  async rows(bridge: string): Promise<string[]> {
    return (await this.ovs.vsctl('list-ports', bridge)).split('\n').filter((row) => row !== '');
  }

  /** Every answer waited for: these ports and no others, on the bus and on the switch. */
  async waitForPorts(...expected: string[]): Promise<void> {
    await waitFor(
      `ports ${expected.join(' ')}`,
      async () => {
        const ports = await this.ports();
        if (ports.join() === expected.join()) return true;
        throw new Error(`ports are ${ports.join(' ')}`);
      },
      stepDeadlineMs,
    );
  }

  /** What an auditor says who has nothing but the file. */
  async ledgerVerdict(): Promise<string> {
    return (await this.cli('ledger', 'verify', this.ledgerPath)).stdout;
  }

  /** Blocks as `category action`, oldest first. */
  async blocks(): Promise<string[]> {
    const text = await readFile(this.ledgerPath, 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { category: string; action: string })
      .map(({ category, action }) => `${category} ${action}`);
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.killService('SIGKILL');
    await this.ovs.stop();
    await this.bus.stop();
    for (const space of this.#spaces) await execa('ip', ['netns', 'delete', space], { reject: false });
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function run(file: string, args: readonly string[], env: Record<string, string>): Promise<RunResult> {
  const startedAt = performance.now();
  const { exitCode, stdout, stderr, code, timedOut } = await execa(file, args, {
    env,
    reject: false,
    stdin: 'ignore',
    timeout: stepDeadlineMs,
  });
  if (code === 'ENOENT') throw new Error(`${file} is missing`);
  if (timedOut) throw new Error(`${file} ${args.join(' ')} did not end within ${stepDeadlineMs} ms`);
  return { exitCode: exitCode ?? -1, stdout, stderr, elapsedMs: performance.now() - startedAt };
}
