/** A dbus-daemon of one's own in a temporary folder. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface PrivateBusOptions {
  /** Names that the policy lets nobody own. */
  readonly deniedNames?: readonly string[];
  /** Limits of dbus-daemon(1), for example `max_match_rules_per_connection`. */
  readonly limits?: Readonly<Record<string, number>>;
}

const startDeadlineMs = 10_000;

/**
 * A bus on which everybody may do everything but own `deniedNames`; even replies that nobody asked for are delivered,
 * so that tests can see them. Every user of the machine can connect.
 */
export class PrivateBus {
  readonly folder: string;
  #daemon: ChildProcess | null = null;
  /** What to connect to, for example `unix:path=/tmp/bus-x/socket`. */
  readonly address: string;
  /** What the daemon wrote to its error output. */
  errors = '';

  static async start(options: PrivateBusOptions = {}): Promise<PrivateBus> {
    const folder = await mkdtemp(join(tmpdir(), 'bus-'));
    await chmod(folder, 0o755);
    const bus = new PrivateBus(folder);
    try {
      await bus.restart(options);
      return bus;
    } catch (error) {
      await bus.stop();
      throw error;
    }
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.address = `unix:path=${join(folder, 'socket')}`;
  }

  /** Writes the configuration for the next start, or for the bus's own method `ReloadConfig`. */
  async configure(options: PrivateBusOptions): Promise<void> {
    await writeFile(join(this.folder, 'bus.conf'), renderConfig(this.address, options));
  }

  /** Starts the daemon again on the same address, after `kill`. */
  async restart(options: PrivateBusOptions = {}): Promise<void> {
    await this.configure(options);
    await rm(join(this.folder, 'socket'), { force: true });
    const daemon = spawn(
      'dbus-daemon',
      [`--config-file=${join(this.folder, 'bus.conf')}`, '--nofork', '--nopidfile', '--nosyslog', '--print-address=1'],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#daemon = daemon;
    daemon.stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    const signal = AbortSignal.timeout(startDeadlineMs);
    const failed = once(daemon, 'error', { signal }).then(([error]: unknown[]) => {
      throw new Error(`dbus-daemon cannot be run (Debian package dbus-daemon): ${String(error)}`);
    });
    const exited = once(daemon, 'exit', { signal }).then(() => {
      throw new Error(`dbus-daemon ended at once: ${this.errors}`);
    });
    const printed = once(createInterface(daemon.stdout), 'line', { signal });
    for (const loser of [failed, exited]) loser.catch(() => undefined);
    await Promise.race([printed, failed, exited]);
  }

  /** Ends the daemon as a crash would. */
  async kill(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = null;
    if (daemon?.pid === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const gone = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function renderConfig(listen: string, { deniedNames = [], limits = {} }: PrivateBusOptions): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>${listen}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="false" send_type="method_return"/>
    <allow send_requested_reply="false" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="signal"/>
    <allow receive_requested_reply="false" receive_type="method_return"/>
    <allow receive_requested_reply="false" receive_type="error"/>
    ${deniedNames.map((name) => `<deny own="${name}"/>`).join('\n    ')}
  </policy>
  ${Object.entries(limits)
    .map(([name, value]) => `<limit name="${name}">${value}</limit>`)
    .join('\n  ')}
</busconfig>
`;
}
