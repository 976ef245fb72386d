/**
 * The service: wires the modules, takes the bus name, serves until a signal. Everything that can refuse to start does
 * so before the name is taken, so that "the name is there" means "it works".
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { hostname, uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { authoriseByUid } from './api/dbus/authorise.ts';
import { createDispatcher } from './api/dbus/dispatch.ts';
import { createEmitter } from './api/dbus/emitter.ts';
import { busName, objectPath } from './api/dbus/port-agent-interface.ts';
import { portAgentObject } from './api/port-agent-object.ts';
import type { Service } from './api/service.ts';
import { planManagedBlock, portNamesOf } from './interfaces/managed-block.ts';
import type { Block } from './ledger/block.ts';
import { Ledger } from './ledger/ledger.ts';
import { AgentError, errorTable, toAgentError } from './model/errors.ts';
import { parsePhase } from './model/lifecycle.ts';
import { parseVmid } from './model/names.ts';
import { OvsdbClient } from './ovsdb/client.ts';
import { BindingsFile } from './platform/bindings-file.ts';
import { readConfigFile } from './platform/config-file.ts';
import { Bus } from './platform/dbus/bus.ts';
import { systemBusAddress } from './platform/dbus/address.ts';
import { acquireFlock } from './platform/flock.ts';
import { GuestFiles, readClusterName } from './platform/guest-files.ts';
import { InterfacesFile } from './platform/interfaces-file.ts';
import { openLedgerFile } from './platform/ledger-file.ts';
import { LinkMonitor, Links } from './platform/links.ts';
import { createLog } from './platform/log.ts';
import type { Log } from './platform/log.ts';
import { ovsdbDialer } from './platform/ovsdb-socket.ts';
import { drainSpool } from './platform/spool.ts';
import { systemTimers, wallClockMs } from './platform/timers.ts';
import { startWatchdog } from './platform/watchdog.ts';
import { PortEngine } from './ports/engine.ts';
import { switchTables } from './ports/switch-view.ts';
import { switchLock } from './ports/transaction.ts';
import { parseGuestConfig } from './proxmox/guest-config.ts';

export interface ServeOptions {
  /** Configuration file; null: the default one, if it is there. */
  readonly config: string | null;
  /** D-Bus address; null: what the configuration says, then the system bus. */
  readonly bus: string | null;
}

/** The older service may still be putting its last block on the disk. */
const ledgerLockDeadlineMs = 5000;
const busDeadlineMs = 10_000;
/** From a signal to the end of the process. systemd would wait 90 s. */
const stopDeadlineMs = 5000;
const spoolIntervalMs = 60_000;

const version = process.env['OVS_PORT_AGENT_VERSION'] ?? '0.0.0';

/** Runs until SIGTERM or SIGINT; resolves with the exit code. Whatever keeps the service from starting is logged once. */
export async function serve(options: ServeOptions): Promise<number> {
  let log = createLog('info');
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    stop.abort(signal);
  };
  // `on`, never `once`: the library that ends our children with us takes a signal nobody else listens to for deadly.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    const { config, warnings } = await readConfigFile(options.config);
    log = createLog(config.log_level);
    for (const warning of warnings) log('warning', warning);
    return await run({ ...options, config }, log, stop.signal);
  } catch (thrown) {
    const error = toAgentError(thrown);
    log('error', error.message);
    if (error.code === 'Internal' && error.stack !== undefined) log('debug', error.stack);
    return errorTable[error.code].exit;
  }
}

async function run(
  { config, bus: busOption }: { config: Awaited<ReturnType<typeof readConfigFile>>['config']; bus: string | null },
  log: Log,
  stopSignal: AbortSignal,
): Promise<number> {
  const node = hostname().split('.')[0] ?? 'localhost';
  await mkdir(config.state_dir, { recursive: true, mode: 0o750 });
  await mkdir(dirname(config.ledger_path), { recursive: true, mode: 0o750 });
  const ledgerLock = await acquireFlock(`${config.ledger_path}.lock`, {
    deadlineMs: ledgerLockDeadlineMs,
    signal: stopSignal,
  });
  const store = await openLedgerFile(config.ledger_path);
  const ledger = await Ledger.open(store, { nowMs: wallClockMs, host: node });
  if (ledger.tampered)
    log('error', `the ledger ${config.ledger_path} was altered: ${ledger.tamperedAt?.reason ?? ''}; it is read-only`);

  const endedInOrder = isStopBlock((await ledger.query({ limit: 1 }))[0]);
  const recordRun = (action: 'start' | 'stop'): Promise<unknown> =>
    ledger
      .append({
        category: 'settings',
        action,
        metadata: { user: 'root', uid: process.getuid?.() ?? 0, host: node, plugin: 'agent', cause: action },
        data: { version, bridges: [...config.bridges] },
      })
      .catch((error: unknown) => {
        log('warning', `the ledger has no record of this ${action}: ${toAgentError(error).message}`);
      });

  const links = new Links();
  const guests = new GuestFiles(config.pve_dir, parseGuestConfig);
  const ovsdb = new OvsdbClient({
    dial: ovsdbDialer(config.ovsdb),
    timers: systemTimers,
    endpoint: config.ovsdb,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
    onListenerError: (error) => {
      log('error', `a change of the switch was not taken in: ${error.message}`);
      if (error.cause instanceof Error && error.cause.stack !== undefined) log('debug', error.cause.stack);
    },
  });
  const interfacesFile = new InterfacesFile({
    path: config.interfaces_path,
    stateDir: config.state_dir,
    plan: (text, ports) => planManagedBlock(text, ports, config.managed_block_tag, portNamesOf(config.naming_template)),
  });
  const cluster = await readClusterName(config.pve_dir, node);
  const troubles = new OnceLog(log);

  const engine = new PortEngine({
    switch: ovsdb,
    replica: () => ovsdb.replica,
    links,
    guests,
    recorder: {
      append: (draft) => ledger.append(draft),
      writeAheadAll: (drafts, action) => ledger.writeAheadAll(drafts, action),
      abandon: (block, reason) => ledger.abandon(block, reason),
      // A run that ended in order left nothing open; and what happened before the host started cannot be seen any more,
      // because Proxmox VE deletes the switch's database at every boot.
      inDoubt: () =>
        endedInOrder ? [] : ledger.inDoubt().filter((block) => Date.parse(block.timestamp) > bootedAtMs()),
    },
    listing: interfacesFile,
    bindingsStore: new BindingsFile(join(config.state_dir, 'bindings.json')),
    clock: systemTimers,
    host: node,
    cluster: () => cluster,
    newTxn: () => randomBytes(8).toString('hex'),
    bridges: config.bridges,
    bridgeName: config.bridge_name,
    containerBridge: config.container_bridge,
    namingTemplate: config.naming_template,
    debounceMs: config.debounce_ms,
    events: {
      portAdded: (port, bridge) => {
        log('debug', `port ${port} is on ${bridge}`);
        emitter.signal('PortAdded', [port, bridge]);
      },
      portRemoved: (port) => {
        log('debug', `port ${port} is gone`);
        emitter.signal('PortRemoved', [port]);
      },
      portChanged: (port, columns) => {
        emitter.signal('PortChanged', [port, columns]);
      },
      trouble: (error) => {
        troubles.write(error.message);
      },
    },
  });
  ovsdb.listen({
    onChanges: (changes) => {
      engine.onSwitchChanges(changes);
    },
    onState: (problem) => {
      log(
        problem === null ? 'info' : 'warning',
        problem === null ? `connected to Open vSwitch at ${config.ovsdb}` : problem.message,
      );
      engine.onSwitchState(problem);
      emitter.propertiesChanged(['OvsdbConnected']);
    },
  });
  const monitor = new LinkMonitor((names) => {
    engine.onLinkChanges(names);
  });

  const bus = await Bus.connect(
    {
      address: busOption ?? config.bus ?? systemBusAddress(process.env),
      onState: (state) => {
        log(
          state.kind === 'connected' ? 'info' : 'warning',
          `bus ${state.kind}${'reason' in state ? `: ${state.reason}` : ''}`,
        );
      },
    },
    { deadlineMs: busDeadlineMs, signal: stopSignal },
  );
  const service: Service = { version, node, engine, ledger, notices: () => guests.problems() };
  const authorise = authoriseByUid(process.getuid?.() ?? 0);
  const served = portAgentObject(service, authorise);
  bus.serve(
    createDispatcher({
      objects: new Map([[objectPath, [served]]]),
      authorise,
      senderUid: (sender) => bus.senderUid(sender),
      machineId: await readMachineId(),
      onInternalError: (error, call) => {
        log('error', `${call.member}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      },
    }),
  );
  // Before the name: a service that answers while it cannot be called is no service.
  await bus.ownName(busName);
  const emitter = createEmitter(bus, objectPath, served);
  ledger.onAppended((block) => {
    emitter.signal('BlockAppended', [BigInt(block.height), block.category, block.hash]);
  });

  void recordRun('start');
  monitor.start();
  ovsdb.start();
  await engine.start();
  const takeSpool = (): void => {
    void readSpool(join(config.state_dir, 'spool'), ledger, node, log, troubles);
  };
  takeSpool();
  const spoolTimer = setInterval(takeSpool, spoolIntervalMs);
  const onHangup = (): void => {
    engine.wake('SIGHUP');
  };
  process.on('SIGHUP', onHangup);
  startWatchdog({
    env: process.env,
    healthy: () => engine.isHealthy,
    onMissedBeat: (error) => {
      log('warning', error.message);
    },
    signal: stopSignal,
  });
  log('info', `ovs-port-agent ${version} serves ${busName}; managed bridges: ${config.bridges.join(', ')}`);

  const reason = await untilStopped(stopSignal, ledgerLock.lost);
  log(reason instanceof Error ? 'error' : 'info', reason instanceof Error ? reason.message : `stopping on ${reason}`);
  // Unreferenced: it only matters when something below hangs.
  setTimeout(() => process.exit(errorTable.Timeout.exit), stopDeadlineMs).unref();
  clearInterval(spoolTimer);
  process.off('SIGHUP', onHangup);
  bus.close();
  monitor.close();
  await engine.stop();
  ovsdb.stop();
  links.close();
  await recordRun('stop');
  await ledger.close();
  await ledgerLock.release();
  return reason instanceof Error ? errorTable.Internal.exit : 0;
}

function isStopBlock(block: Block | undefined): boolean {
  return block?.category === 'settings' && block.action === 'stop' && block.metadata['plugin'] === 'agent';
}

function bootedAtMs(): number {
  return wallClockMs() - uptime() * 1000;
}

async function readSpool(folder: string, ledger: Ledger, host: string, log: Log, troubles: OnceLog): Promise<void> {
  try {
    const refused = await drainSpool(folder, async ({ vmid, phase, time, reason }) => {
      await ledger.append({
        category: 'guest',
        action: parsePhase(phase),
        metadata: { user: 'root', uid: 0, host, plugin: 'ports', cause: 'spool', request: reason },
        data: { vmid: parseVmid(vmid), time },
      });
    });
    for (const line of refused) log('warning', line);
  } catch (error) {
    troubles.write(`spool ${folder}: ${toAgentError(error).message}`);
  }
}

/** The signal, or the error that makes going on wrong. */
function untilStopped(stopSignal: AbortSignal, lockLost: Promise<Error>): Promise<string | Error> {
  return Promise.race([
    new Promise<string>((resolve) => {
      const stopped = (): void => {
        resolve(String(stopSignal.reason));
      };
      if (stopSignal.aborted) stopped();
      else stopSignal.addEventListener('abort', stopped, { once: true });
    }),
    lockLost.then(
      (error) => new AgentError('Internal', `the lock on the ledger is gone: ${error.message}`, { cause: error }),
    ),
  ]);
}

async function readMachineId(): Promise<string> {
  return (await readFile('/etc/machine-id', 'utf8').catch(() => '')).trim();
}

/** The same trouble, again and again, is one line. */
class OnceLog {
  readonly #log: Log;
  #last = '';

  constructor(log: Log) {
    this.#log = log;
  }

  write(message: string): void {
    if (message === this.#last) return;
    this.#last = message;
    this.#log('warning', message);
  }
}
