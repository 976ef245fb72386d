/** A private Open vSwitch in a temporary folder: the real `ovsdb-server` and, with the dummy datapath, `ovs-vswitchd`. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
const schemaPath = '/usr/share/openvswitch/vswitch.ovsschema';

export interface PrivateSwitch {
  readonly folder: string;
  readonly socketPath: string;
  /** Spelled as the configuration key `ovsdb` wants it. */
  readonly endpoint: string;
  /** Runs `ovs-vsctl` against this switch and returns its output. */
  vsctl(...args: string[]): Promise<string>;
  startServer(): Promise<void>;
  killServer(signal?: NodeJS.Signals): Promise<void>;
  startVswitchd(): Promise<void>;
  killVswitchd(signal?: NodeJS.Signals): Promise<void>;
  /** Stops the server and deletes its database, as Proxmox VE does at every boot. */
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPrivateSwitch({ vswitchd = true }: { vswitchd?: boolean } = {}): Promise<PrivateSwitch> {
  const folder = await mkdtemp(join(tmpdir(), 'ovs-'));
  const socketPath = join(folder, 'db.sock');
  const database = join(folder, 'conf.db');
  const env = { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder };
  let server: ChildProcess | null = null;
  let daemon: ChildProcess | null = null;

  const self: PrivateSwitch = {
    folder,
    socketPath,
    endpoint: `unix:${socketPath}`,
    async vsctl(...args) {
      const { stdout } = await run('ovs-vsctl', [`--db=unix:${socketPath}`, '--timeout=10', ...args], { env });
      return stdout.trim();
    },
    async startServer() {
      if (!existsSync(database)) await run('ovsdb-tool', ['create', database, schemaPath], { env });
      await rm(socketPath, { force: true });
      server = spawn(
        'ovsdb-server',
        [database, `--remote=punix:${socketPath}`, `--unixctl=${folder}/server.ctl`, '-vconsole:off'],
        {
          env,
          stdio: 'ignore',
        },
      );
      await waitFor('the socket of ovsdb-server', () => existsSync(socketPath));
      await run('ovs-vsctl', [`--db=unix:${socketPath}`, '--no-wait', '--timeout=10', 'init'], { env });
    },
    async killServer(signal = 'SIGTERM') {
      await end(server, signal);
      server = null;
    },
    async startVswitchd() {
      daemon = spawn(
        'ovs-vswitchd',
        [
          `unix:${socketPath}`,
          '--enable-dummy=override',
          '--disable-system',
          `--unixctl=${folder}/vswitchd.ctl`,
          '-vconsole:off',
        ],
        { env, stdio: 'ignore' },
      );
      await waitFor(
        'ovs-vswitchd',
        async () => (await self.vsctl('--no-wait', 'get', 'Open_vSwitch', '.', 'cur_cfg')) !== '',
      );
    },
    async killVswitchd(signal = 'SIGTERM') {
      await end(daemon, signal);
      daemon = null;
    },
    async wipe() {
      await self.killServer();
      await rm(database, { force: true });
    },
    async stop() {
      await self.killVswitchd('SIGKILL');
      await self.killServer('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
  await self.startServer();
  if (vswitchd) await self.startVswitchd();
  return self;
}

async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
