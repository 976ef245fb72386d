/** The command `ovs-port-agent`: hands the outside to the command line and exits with its code. */
import { hostname } from 'node:os';
import { createInterface } from 'node:readline/promises';
import type * as Agent from './agent.ts';
import { run } from './cli/program.ts';
import type { Environment } from './cli/environment.ts';
import { busName, objectPath } from './api/dbus/port-agent-interface.ts';
import { AgentError, toAgentError } from './model/errors.ts';
import { systemBusAddress } from './platform/dbus/address.ts';
import { BusConnection } from './platform/dbus/connection.ts';
import { readFileOrNull } from './platform/durable-file.ts';
import { readLedgerFile } from './platform/ledger-file.ts';
import { readSwitchLog } from './platform/switch-log.ts';

/** Beside this file in dist/; not named in the `import` itself, so that the bundler leaves it alone. */
const serviceBundle: string = './ovs-port-agentd.mjs';
/** From typing a command to giving up on a service that does not answer. */
const callDeadlineMs = 25_000;
const connectDeadlineMs = 5_000;
/** Of a shell's command that a signal 2 ended. */
const exitInterrupted = 130;

const open: { connection?: BusConnection } = {};

async function connect(): Promise<BusConnection> {
  open.connection ??= await BusConnection.connect(systemBusAddress(process.env), { deadlineMs: connectDeadlineMs });
  return open.connection;
}

const environment: Environment = {
  async call(member, signature, body, deadlineMs = callDeadlineMs) {
    try {
      const connection = await connect();
      return await connection.call(
        { destination: busName, path: objectPath, interface: busName, member, signature, body },
        { deadlineMs },
      );
    } catch (thrown) {
      const error = toAgentError(thrown);
      if (error.code !== 'Unavailable') throw error;
      throw new AgentError(
        'Unavailable',
        `${error.message}; is the service running? Start it with \`systemctl start ovs-port-agent\` or \`ovs-port-agent serve\``,
        { cause: error },
      );
    }
  },
  async listen(member, handler) {
    const connection = await connect();
    await connection.addMatch({ sender: busName, path: objectPath, interface: busName, member }, ({ body }) => {
      handler(body);
    });
  },
  async serve(options) {
    // The service makes much short-lived text and keeps little. Left alone, V8 lets its young generation and the garbage
    // in its old one grow to several times what lives; both flags take effect at run time.
    const { setFlagsFromString } = await import('node:v8');
    setFlagsFromString('--optimize-for-size');
    setFlagsFromString('--semi-space-growth-factor=1');
    // Its own file, so that this command stays small: only `serve` loads it.
    const { serve } = (await import(serviceBundle)) as typeof Agent;
    return serve(options);
  },
  async unlist(options) {
    const { unlist } = (await import(serviceBundle)) as typeof Agent;
    return unlist(options);
  },
  async acknowledge(options) {
    const { acknowledge } = (await import(serviceBundle)) as typeof Agent;
    return acknowledge(options);
  },
  async openHooks(options) {
    const { openHooks } = (await import(serviceBundle)) as typeof Agent;
    return openHooks(options);
  },
  async diagnose(options) {
    const { diagnose } = (await import(serviceBundle)) as typeof Agent;
    return diagnose(options);
  },
  async setUp(options) {
    const { setUpNode } = (await import(serviceBundle)) as typeof Agent;
    return setUpNode(options);
  },
  async ask(question) {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
    } finally {
      terminal.close();
    }
  },
  onInterrupt(say) {
    const onSignal = (): void => {
      console.error(say());
      process.exit(exitInterrupted);
    };
    process.once('SIGINT', onSignal);
    return () => {
      process.off('SIGINT', onSignal);
    };
  },
  canAsk: process.stdin.isTTY,
  readLedger: readLedgerFile,
  readSwitchLog,
  async readFile(path, bytesMax) {
    const bytes = await readFileOrNull(path, { bytesMax });
    if (bytes === null) throw new AgentError('NotFound', `${path} does not exist`);
    return bytes;
  },
  write(bytes) {
    return new Promise((resolve) => {
      // Called when the bytes have left, so that a slow reader is waited for.
      process.stdout.write(bytes, () => {
        resolve();
      });
    });
  },
  print(line) {
    process.stdout.write(`${line}\n`);
  },
  complain(line) {
    process.stderr.write(`${line}\n`);
  },
  isTerminal: process.stdout.isTTY,
  showsProgress: process.stderr.isTTY,
  unicode: /utf-?8/i.test(process.env['LC_ALL'] ?? process.env['LC_CTYPE'] ?? process.env['LANG'] ?? ''),
  colors: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  node: hostname().split('.')[0] ?? 'localhost',
  version: process.env['OVS_PORT_AGENT_VERSION'] ?? '0.0.0',
};

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
const exitCode = await run(environment, process.argv.slice(2));
open.connection?.close();
process.exitCode = exitCode;
