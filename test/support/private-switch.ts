/** A private Open vSwitch in a temporary folder: the real `ovsdb-server` and, with the dummy datapath, `ovs-vswitchd`. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
const switchSchemaPath = '/usr/share/openvswitch/vswitch.ovsschema';
const startDeadlineMs = 5_000;
const endDeadlineMs = 5_000;
const toolDeadlineMs = 10_000;

export interface PrivateSwitchOptions {
  readonly vswitchd?: boolean;
  /** Another database than Open vSwitch's own: a schema as of RFC 7047 section 3.2. There is no `vsctl` then. */
  readonly schema?: object;
  /** More arguments of `ovsdb-server`, for example another `--remote`. */
  readonly serverArguments?: readonly string[];
  /** Network namespace in which `ovs-vswitchd` opens real devices with its userspace datapath, instead of dummies. */
  readonly namespace?: string;
  /** `ovs-vswitchd` in a network namespace of its own, in which nothing ever happens to a device. */
  readonly apart?: boolean;
}

export interface PrivateSwitch {
  readonly folder: string;
  readonly socketPath: string;
  /** Spelled as the configuration key `ovsdb` wants it. */
  readonly endpoint: string;
  /** Runs `ovs-vsctl` against this switch and returns its output. */
  vsctl(...args: string[]): Promise<string>;
  startServer(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  signalServer(signal: NodeJS.Signals): void;
  /** Resolves when the server has ended; a server that a signal does not end within the deadline is an error. */
  killServer(signal?: NodeJS.Signals): Promise<void>;
  startVswitchd(): Promise<void>;
  killVswitchd(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  signalVswitchd(signal: NodeJS.Signals): void;
  /** Stops the server and deletes its database, as Proxmox VE does at every boot. */
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPrivateSwitch(options: PrivateSwitchOptions = {}): Promise<PrivateSwitch> {
  const { vswitchd = options.schema === undefined, schema, namespace, apart = false, serverArguments = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), 'ovs-'));
  const socketPath = join(folder, 'db.sock');
  const database = join(folder, 'conf.db');
  const server = new Daemon('ovsdb-server', folder);
  // `ip netns exec` and `unshare` become the command, so that the process started is the one to be ended.
  const inNewOne = apart ? ['unshare', '--net'] : [];
  const inside = namespace === undefined ? inNewOne : ['ip', 'netns', 'exec', namespace];
  const daemon = new Daemon('ovs-vswitchd', folder, inside);

  const self: PrivateSwitch = {
    folder,
    socketPath,
    endpoint: `unix:${socketPath}`,
    vsctl: (...args) => runTool(folder, 'ovs-vsctl', `--db=unix:${socketPath}`, '--timeout=10', ...args),
    async startServer() {
      if (!existsSync(database)) {
        const schemaPath = schema === undefined ? switchSchemaPath : join(folder, 'schema');
        if (schema !== undefined) await writeFile(schemaPath, JSON.stringify(schema));
        await runTool(folder, 'ovsdb-tool', 'create', database, schemaPath);
      }
      await rm(socketPath, { force: true });
      server.start(database, `--remote=punix:${socketPath}`, ...serverArguments);
      await server.waitUntil('its socket', () => existsSync(socketPath));
      if (schema === undefined) await self.vsctl('--no-wait', 'init');
    },
    signalServer(signal) {
      server.signal(signal);
    },
    killServer: (signal = 'SIGTERM') => server.end(signal),
    async startVswitchd() {
      const dummy = namespace === undefined ? ['--enable-dummy=override'] : [];
      daemon.start(`unix:${socketPath}`, ...dummy, '--disable-system');
      await daemon.waitUntil('its first answer', () => daemon.answers());
    },
    killVswitchd: (signal = 'SIGTERM') => daemon.end(signal),
    signalVswitchd(signal) {
      daemon.signal(signal);
    },
    async wipe() {
      await server.end('SIGTERM');
      await rm(database, { force: true });
    },
    async stop() {
      await Promise.all([daemon.end('SIGKILL'), server.end('SIGKILL')]);
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await self.startServer();
    if (vswitchd) await self.startVswitchd();
    return self;
  } catch (error) {
    await self.stop();
    throw error;
  }
}

function environment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder };
}

export async function runTool(folder: string, command: string, ...args: string[]): Promise<string> {
  try {
    const options = { env: environment(folder), timeout: toolDeadlineMs, killSignal: 'SIGKILL' } as const;
    return (await run(command, args, options)).stdout.trim();
  } catch (cause) {
    const { code, killed, stderr } = cause as { code?: unknown; killed?: boolean; stderr?: string };
    const words = [command, ...args].join(' ');
    if (code === 'ENOENT')
      throw new Error(`${command} is missing: install the Debian package openvswitch-switch`, { cause });
    if (killed === true) throw new Error(`${words} did not end within ${toolDeadlineMs} ms`, { cause });
    throw new Error(`${words} failed: ${stderr ?? ''}`, { cause });
  }
}

/** The port on which `ovsdb-server` listens for `ptcp:0:ADDRESS` or `pssl:0:ADDRESS`, by its log. */
export async function portOf({ folder }: { readonly folder: string }): Promise<number> {
  let port = 0;
  await waitFor('the port', async () => {
    const log = await readFile(join(folder, 'ovsdb-server.log'), 'utf8');
    port = Number(/listening on port (\d+)/.exec(log)?.[1] ?? 0);
    return port > 0;
  });
  return port;
}

/** One daemon of Open vSwitch. It never outlives this process, unless that is killed with SIGKILL. */
export class Daemon {
  readonly #name: string;
  readonly #prefix: readonly string[];
  readonly #folder: string;
  readonly #controlPath: string;
  readonly #logPath: string;
  /** What the running daemon wrote to its error output: of a start that fails, the reason. */
  #errors = '';
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  #failure: Error | null = null;

  /** `prefix` are words before the command. */
  constructor(name: string, folder: string, prefix: readonly string[] = []) {
    this.#prefix = prefix;
    this.#name = name;
    this.#folder = folder;
    this.#controlPath = join(folder, `${name}.ctl`);
    this.#logPath = join(folder, `${name}.log`);
  }

  start(...args: string[]): void {
    if (this.#child !== null) throw new Error(`${this.#name} runs already`);
    const options = [`--unixctl=${this.#controlPath}`, `--log-file=${this.#logPath}`, '-vconsole:off'];
    const [file = this.#name, ...words] = [...this.#prefix, this.#name, ...args, ...options];
    const child = spawn(file, words, { env: environment(this.#folder), stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    this.#failure = null;
    this.#errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    const endNow = (): void => {
      child.kill('SIGKILL');
    };
    process.once('exit', endNow);
    this.#exited = new Promise((resolve) => {
      const onGone = (): void => {
        process.off('exit', endNow);
        if (this.#child === child) this.#child = null;
        resolve();
      };
      child.once('error', (cause) => {
        this.#failure = new Error(`${this.#name} cannot be run (Debian package openvswitch-switch)`, { cause });
        onGone();
      });
      child.once('close', onGone);
    });
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child === null) throw new Error(`${this.#name} does not run: no ${signal}`);
    this.#child.kill(signal);
  }

  async waitUntil(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await waitFor(
      `${what} from ${this.#name}, or its end,`,
      async () => this.#child === null || (await condition()),
      startDeadlineMs,
    );
    if (this.#child !== null) return;
    throw this.#failure ?? new Error(`${this.#name} ended before ${what}: ${this.#errors}`);
  }

  async answers(): Promise<boolean> {
    return (await runTool(this.#folder, 'ovs-appctl', `--target=${this.#controlPath}`, 'version')) !== '';
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill(signal);
    // A daemon that is stopped by SIGSTOP, or hangs, takes no other signal.
    const force = setTimeout(() => {
      this.#failure = new Error(`${this.#name} did not end within ${endDeadlineMs} ms of ${signal}; it was killed`);
      child.kill('SIGKILL');
    }, endDeadlineMs);
    await this.#exited;
    clearTimeout(force);
    if (this.#failure !== null) throw this.#failure;
  }
}
