/**
 * The service: wires the modules, takes the bus name, serves until a signal. Everything that can refuse to start does
 * so before the name is taken, so that "the name is there" means "it works".
 */
import { hash, randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { authoriseByUid } from './api/dbus/authorise.ts';
import { createDispatcher } from './api/dbus/dispatch.ts';
import { createEmitter } from './api/dbus/emitter.ts';
import type { Emitter } from './api/dbus/emitter.ts';
import { busName, objectPath } from './api/dbus/port-agent-interface.ts';
import type { portAgentInterface } from './api/dbus/port-agent-interface.ts';
import { portAgentObject } from './api/port-agent-object.ts';
import { RefusalRecord } from './api/refusal-record.ts';
import type { Service } from './api/service.ts';
import { planManagedBlock, portNamesOf } from './interfaces/managed-block.ts';
import type { BlockDraft, JsonObject } from './ledger/block.ts';
import type { BadLine } from './ledger/chain.ts';
import { Ledger } from './ledger/ledger.ts';
import { findAlteration } from './ledger/load.ts';
import { patrol } from './ledger/patrol.ts';
import { StoredTree } from './ledger/stored-tree.ts';
import { Witnesses } from './ledger/witnesses.ts';
import { SignerKey } from './ledger/tlog/key.ts';
import { AgentError, errorTable, toAgentError } from './model/errors.ts';
import type { Config } from './model/config.ts';
import { parsePhase } from './model/lifecycle.ts';
import { parseGuestUnit } from './model/guest.ts';
import { parseVmid } from './model/names.ts';
import type { Recorded } from './node/contracts.ts';
import { ConnectivityRecord } from './node/connectivity-record.ts';
import { containerApi } from './node/container-api.ts';
import { ContainerCreation } from './node/container-creation.ts';
import { guestApi } from './node/guest-api.ts';
import { nicApi } from './node/nic-api.ts';
import { GuestControl } from './node/guest-control.ts';
import { GuestDirectory } from './node/guest-directory.ts';
import { GuestNics } from './node/guest-nics.ts';
import { AutoAttach } from './node/hooks/auto-attach.ts';
import { GuestHooks } from './node/hooks/guest-hooks.ts';
import { taskPrograms } from './node/task-programs.ts';
import { OvsdbClient } from './ovsdb/client.ts';
import { BindingsFile } from './platform/bindings-file.ts';
import { ClusterFiles, poolsFile } from './platform/cluster-files.ts';
import { ClusterRegistry } from './platform/cluster-registry.ts';
import { readConfigFile } from './platform/config-file.ts';
import { ContainerNames } from './platform/container-names.ts';
import { Bus } from './platform/dbus/bus.ts';
import { systemBusAddress } from './platform/dbus/address.ts';
import { watchFiles } from './platform/file-watch.ts';
import { watchGuestFiles } from './platform/guest-file-watch.ts';
import { acquireFlock } from './platform/flock.ts';
import { GuestLocks } from './platform/guest-locks.ts';
import { GuestFiles, readClusterName } from './platform/guest-files.ts';
import { hostFiles } from './platform/host-files.ts';
import { GuestPools } from './platform/guest-pools.ts';
import { InterfacesFile } from './platform/interfaces-file.ts';
import { moveEvidence } from './platform/ledger-evidence.ts';
import { openLedgerFile } from './platform/ledger-file.ts';
import { ledgerIndexFiles } from './platform/ledger-index-files.ts';
import { loadOrCreateKey } from './platform/ledger-key-file.ts';
import { ledgerTreeFiles } from './platform/ledger-tree-files.ts';
import { LinkMonitor } from './platform/link-monitor.ts';
import { Links } from './platform/links.ts';
import { createLog, OnceLog } from './platform/log.ts';
import type { Log } from './platform/log.ts';
import { ovsdbRemotes, ovsdbTlsFiles } from './platform/ovsdb-socket.ts';
import { describeProcess } from './platform/process-name.ts';
import { readRunFacts } from './platform/run-facts.ts';
import { snippetFiles } from './platform/snippet-files.ts';
import { drainSpool } from './platform/spool.ts';
import { TaskOutputFiles } from './platform/task-outputs.ts';
import { systemTimers, wallClockMs } from './platform/timers.ts';
import { startWatchdog } from './platform/watchdog.ts';
import { witnessFolder } from './platform/witness-folder.ts';
import type { Recorder } from './ports/contracts.ts';
import { PortEngine } from './ports/engine.ts';
import { WriteAhead } from './ports/journal.ts';
import { switchTables } from './ports/switch-view.ts';
import { switchLock } from './ports/transaction.ts';
import { txnNames } from './ports/txn-name.ts';
import type { ProxmoxClient } from './proxmox/api-client.ts';
import { clusterCodec } from './proxmox/cluster-codec.ts';
import { Systemd } from './systemd1/systemd.ts';
import { TaskRunner } from './systemd1/task.ts';
import { nodeName, ownCause, proxmoxClient, snippetSource, underLedgerLock, withLedger } from './wiring.ts';

// The command loads one bundle for all that it does not do itself.
export { diagnose, openHooks, setUpNode } from './administration.ts';

export interface ServeOptions {
  /** Configuration file; null: the default one, if it is there. */
  readonly config: string | null;
  /** D-Bus address; null: what the configuration says, then the system bus. */
  readonly bus: string | null;
}

/** The older service may still be putting its last block on the disk. */
const ledgerLockDeadlineMs = 5000;
/** The first answer on the bus should know the ports; a node without a switch must not wait long. */
const switchWaitMs = 1000;
const busDeadlineMs = 10_000;
/** For the files of witnesses, at the start. */
const witnessWaitMs = 2000;
/** From a signal to the end of the process. systemd would wait 90 s. */
const stopDeadlineMs = 5000;
const spoolIntervalMs = 60_000;
const newGuestsIntervalMs = 5_000;
/** Where systemd writes what transient units print. */
const tasksFolder = '/run/ovs-port-agent/tasks';

/** Of the configuration in a block; of a longer one the block has the digest alone. */
const configCharsMax = 16_384;

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

/**
 * Takes the managed block out of interfaces and its pending changes; resolves with the exit code. For a host that the
 * agent leaves: a running service would write the block again, so that one is refused by its lock.
 */
export async function unlist(options: { readonly config: string | null }): Promise<number> {
  const log = createLog('info');
  try {
    const { config } = await readConfigFile(options.config);
    const { written } = await underLedgerLock(config, ledgerLockDeadlineMs, () =>
      withLedger(config, (ledger) => {
        const onLedgerGap = ({ message }: AgentError): void => {
          log('warning', `this is not in the ledger: ${message}`);
        };
        const settle = (): Promise<void> => Promise.resolve();
        const journal = new WriteAhead({ recorder: ledger, host: nodeName(), settle, onLedgerGap });
        return interfacesFile(config).update([], journal, ownCause('unlist'));
      }),
    );
    log('info', `${config.interfaces_path} ${written ? 'lists no port any more' : 'lists no port'}`);
    return 0;
  } catch (thrown) {
    const error = toAgentError(thrown);
    log('error', `the managed block was left in place: ${error.message}`);
    return errorTable[error.code].exit;
  }
}

/**
 * Moves an altered ledger aside, so that the next start begins a new one; resolves with the exit code. Refused while a
 * service runs, by its lock, and for a ledger with which nothing is wrong.
 */
export async function acknowledge(options: { readonly config: string | null }): Promise<number> {
  const log = createLog('info');
  try {
    const { config } = await readConfigFile(options.config);
    await underLedgerLock(config, ledgerLockDeadlineMs, async () => {
      const tree = new StoredTree(ledgerTreeFiles(dirname(config.ledger_path)));
      const store = await openLedgerFile(config.ledger_path);
      const found = await findAlteration(store, tree).finally(() => store.close());
      const bad = found ?? (await alterationSeenByWitnesses(config));
      if (bad === null) throw new AgentError('Conflict', `${config.ledger_path} was not altered: nothing was moved`);
      const folder = await moveEvidence(config.ledger_path);
      log('info', `block ${bad.height} at byte ${bad.offset}: ${bad.reason}`);
      await withLedger(config, (ledger) =>
        ledger.append({
          category: 'storage',
          action: 'acknowledge',
          metadata: { ...ownCause('ledger acknowledge'), host: nodeName(), plugin: 'agent' },
          data: { evidence: basename(folder), height: bad.height, offset: bad.offset, why: bad.reason },
        }),
      );
      log('info', `kept as ${folder}; a new ledger begins that commits to it, and the next start makes its key`);
    });
    return 0;
  } catch (thrown) {
    const error = toAgentError(thrown);
    log('error', `nothing was acknowledged: ${error.message}`);
    return errorTable[error.code].exit;
  }
}

/** A ledger that is whole in itself, but does not continue what witnesses have cosigned of it; null when it does. */
async function alterationSeenByWitnesses(config: Config): Promise<BadLine | null> {
  const { witness_dir, witness_seconds } = config.ledger;
  if (witness_dir === undefined) return null;
  const folder = dirname(config.ledger_path);
  const key = await loadOrCreateKey(join(folder, 'ledger.key'), () => {
    throw new AgentError('NotFound', 'without its key nobody can tell what witnesses have seen of this ledger');
  });
  return withLedger(config, async (ledger) => {
    const witnesses = new Witnesses({
      ledger,
      key: SignerKey.parse(key),
      folder: witnessFolder(witness_dir),
      files: ledgerTreeFiles(folder),
      nowMs: wallClockMs,
      clock: systemTimers,
      writeMs: witness_seconds * 1000,
      // The service records that.
      onRewritten: () => undefined,
    });
    await witnesses.open();
    await witnesses.close();
    return ledger.tamperedAt;
  });
}

/** What every part of the service is wired with. */
interface Context {
  readonly config: Config;
  readonly bus: string | null;
  readonly node: string;
  readonly log: Log;
  readonly troubles: OnceLog;
  readonly stopSignal: AbortSignal;
  /** Undoes what was opened; run backwards, however the service ends. */
  readonly closers: (() => unknown)[];
  /** null when no `[proxmox]` says how the API is reached. */
  readonly proxmox: ProxmoxClient | null;
  /** The name is ours and the engine works. */
  isRunning: boolean;
}

async function run(
  options: { config: Config; bus: string | null },
  log: Log,
  stopSignal: AbortSignal,
): Promise<number> {
  const node = nodeName();
  const closers: Context['closers'] = [];
  const context: Context = {
    ...options,
    node,
    log,
    troubles: new OnceLog(log),
    stopSignal,
    closers,
    proxmox: proxmoxClient(options.config, closers),
    isRunning: false,
  };
  try {
    const cluster = await readClusterName(options.config.pve_dir, node);
    const opened = await openLedger(context, cluster);
    const { ledger, ledgerLost } = opened;
    const face = new Face(ledger);
    const { engine, parts, connectSwitch, start } = wireEngine(context, cluster, opened, face);
    await connectSwitch();
    await serveOnBus(context, parts, opened, face);
    await start();
    keepWatch(context, engine, ledger);
    log('info', `ovs-port-agent ${version} serves ${busName}; managed bridges: ${options.config.bridges.join(', ')}`);
    log('info', `stopping on ${await untilStopped(stopSignal, ledgerLost)}`);
    return 0;
  } finally {
    // Unreferenced: it only matters when something below hangs.
    setTimeout(() => process.exit(errorTable.Timeout.exit), stopDeadlineMs).unref();
    for (const close of context.closers.reverse()) await close();
  }
}

interface OpenedLedger {
  readonly ledger: Ledger;
  readonly ledgerLost: Promise<Error>;
  readonly recorder: Recorder;
  readonly ledgerKey: SignerKey | null;
  /** Why there is no key. */
  readonly keyProblems: readonly string[];
  /** null when the configuration names no folder for them. */
  readonly witnesses: Witnesses | null;
  /** Whom the service loses and finds again. */
  readonly peers: ConnectivityRecord;
}

async function openLedger(context: Context, cluster: string): Promise<OpenedLedger> {
  const { config, node, log, troubles, stopSignal, closers } = context;
  await mkdir(config.state_dir, { recursive: true, mode: 0o750 });
  await mkdir(dirname(config.ledger_path), { recursive: true, mode: 0o750 });
  const lockPath = `${config.ledger_path}.lock`;
  const lock = await acquireFlock(lockPath, { deadlineMs: ledgerLockDeadlineMs, signal: stopSignal });
  closers.push(() => lock.release());
  const store = await openLedgerFile(config.ledger_path);
  const { ledgerKey, problems: keyProblems } = await openLedgerKey(context, cluster);
  const ledger = await Ledger.open(store, {
    nowMs: wallClockMs,
    host: node,
    tree: new StoredTree(ledgerTreeFiles(dirname(config.ledger_path))),
    segmentBytes: config.ledger.segment_megabytes * 1_000_000,
    index: { files: ledgerIndexFiles(join(dirname(config.ledger_path), 'index')) },
    key: ledgerKey,
    checkpointBlocks: config.ledger.checkpoint_blocks,
    checkpointMs: config.ledger.checkpoint_seconds * 1000,
    clock: systemTimers,
  });
  closers.push(async () => {
    // The last block, so that the next start knows that nothing was left half done or in doubt.
    if (context.isRunning) await recordRun(context, ledger, 'stop');
    await ledger.close();
  });
  const witnesses = openWitnesses(context, ledger, ledgerKey);
  // Before anything is appended, but a file system that hangs keeps no guest waiting: a later look tells as well.
  if (witnesses !== null) await Promise.race([witnesses.open(), delay(witnessWaitMs, undefined, { ref: false })]);
  if (ledger.tampered) {
    log('error', `the ledger ${config.ledger_path} was altered: ${ledger.tamperedAt?.reason ?? ''}; it is read-only`);
  }
  const endPatrol = patrol({
    ledger,
    clock: systemTimers,
    known: ledger.tamperedAt,
    onAltered: ({ height, offset, reason }) => {
      log(
        'error',
        `the ledger ${config.ledger_path} was altered at block ${height}, byte ${offset}: ${reason}; it is read-only`,
      );
    },
    onTrouble: ({ message }) => {
      log('warning', `the ledger ${config.ledger_path} could not be verified: ${message}`);
    },
  });
  closers.push(endPatrol);
  const lastStop = await heightOfLastStop(ledger);
  const recorder: Recorder = {
    append: (draft) => ledger.append(draft),
    writeAheadAll: (drafts, action) => ledger.writeAheadAll(drafts, action),
    abandon: (block, reason) => ledger.abandon(block, reason),
    treeHead: () => ledger.treeHead(),
    // A run that ended in order left nothing open. And what happened before the host started cannot be seen any more, but
    // in files: devices are new, and Proxmox VE deletes the switch's database at every boot.
    inDoubt: () =>
      ledger
        .inDoubt()
        .filter(
          ({ height, category, timestamp }) =>
            height > lastStop && (category === 'netcfg' || Date.parse(timestamp) > bootedAtMs()),
        ),
  };
  const peers = new ConnectivityRecord({
    append: (draft) => recorder.append(draft),
    onLedgerGap: (error) => {
      troubles.write(toAgentError(error).message);
    },
    clock: systemTimers,
    host: node,
    stopSignal,
  });
  closers.push(() => {
    peers.close();
  });
  return { ledger, ledgerLost: lock.lost, recorder, ledgerKey, keyProblems, witnesses, peers };
}

/** Other nodes of the cluster cosign this ledger's checkpoints, and this node theirs. */
function openWitnesses(
  { config, node, log, closers }: Context,
  ledger: Ledger,
  key: SignerKey | null,
): Witnesses | null {
  const { witness_dir, witness_seconds } = config.ledger;
  if (witness_dir === undefined || key === null) return null;
  const witnesses = new Witnesses({
    ledger,
    key,
    folder: witnessFolder(witness_dir),
    files: ledgerTreeFiles(dirname(config.ledger_path)),
    nowMs: wallClockMs,
    clock: systemTimers,
    writeMs: witness_seconds * 1000,
    onRewritten: (origin, why) => {
      log('error', `the log ${origin} of another node was rewritten: ${why}`);
      const draft: BlockDraft = {
        category: 'storage',
        action: 'witness-refused',
        metadata: { ...ownCause('witness'), host: node, plugin: 'agent' },
        data: { origin, why },
      };
      ledger.append(draft).catch((error: unknown) => {
        log('warning', `that is not in the ledger: ${toAgentError(error).message}`);
      });
    },
  });
  closers.push(() => witnesses.close());
  return witnesses;
}

/** The key is made once; a node that is renamed or joins a cluster keeps its ledger's name. Guests are served without it. */
async function openLedgerKey(
  { config, node, log }: Context,
  cluster: string,
): Promise<{ ledgerKey: SignerKey | null; problems: string[] }> {
  try {
    const path = join(dirname(config.ledger_path), 'ledger.key');
    const generate = (): string => SignerKey.generate(`${cluster}/${node}/ovs-port-agent`).render();
    return { ledgerKey: SignerKey.parse(await loadOrCreateKey(path, generate)), problems: [] };
  } catch (thrown) {
    const problem = `the ledger has no key: ${toAgentError(thrown).message}`;
    log('error', problem);
    return { ledgerKey: null, problems: [problem] };
  }
}

/** The configuration that a run has, when the last one had another: what it says decides about every port. */
async function recordConfig({ config, node, log }: Context, ledger: Ledger): Promise<void> {
  try {
    const effective = JSON.parse(JSON.stringify(config)) as JsonObject;
    const sha256 = hash('sha256', JSON.stringify(effective));
    const [last] = await ledger.query({ category: 'config', action: 'load', limit: 1 });
    const before = last?.data['sha256'] ?? null;
    if (before === sha256) return;
    const isShort = JSON.stringify(effective).length <= configCharsMax;
    await ledger.append({
      category: 'config',
      action: 'load',
      metadata: { ...ownCause('start'), host: node, plugin: 'agent' },
      data: {
        before: { height: last?.height ?? null, sha256: before },
        sha256,
        ...(isShort ? { config: effective } : {}),
      },
    });
  } catch (error) {
    log('warning', `the ledger has no record of this configuration: ${toAgentError(error).message}`);
  }
}

/** Only of a run that took the name, so that a second service that gives up leaves no trace of a run. */
async function recordRun({ config, node, log }: Context, ledger: Ledger, action: 'start' | 'stop'): Promise<void> {
  try {
    await ledger.append({
      category: 'settings',
      action,
      metadata: { user: 'root', uid: process.getuid?.() ?? 0, host: node, plugin: 'agent', cause: action },
      data: { version, bridges: [...config.bridges] },
    });
  } catch (error) {
    log('warning', `the ledger has no record of this ${action}: ${toAgentError(error).message}`);
  }
}

function wireEngine(
  context: Context,
  cluster: string,
  { ledger, recorder, ledgerKey, keyProblems, witnesses, peers }: OpenedLedger,
  face: Face,
): { engine: PortEngine; parts: OffBus; connectSwitch: () => Promise<void>; start: () => Promise<void> } {
  const { config, node, log, troubles, closers, proxmox } = context;
  const links = new Links();
  closers.push(() => {
    links.close();
  });
  const ovsdb = new OvsdbClient({
    remotes: ovsdbRemotes(config.ovsdb, ovsdbTlsFiles(config)),
    timers: systemTimers,
    leaderOnly: config.ovsdb_leader_only,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
    onListenerError: (error) => {
      log('error', `a change of the switch was not taken in: ${error.message}`);
      if (error.cause instanceof Error && error.cause.stack !== undefined) log('debug', error.cause.stack);
    },
  });
  closers.push(() => {
    ovsdb.stop();
    context.isRunning &&= engine.isOutcomeKnown;
  });
  const registry = new ClusterRegistry(config.pve_dir, clusterCodec);
  const guests = new GuestFiles(config.pve_dir, registry, clusterCodec);
  const clusterFiles = new ClusterFiles(config.pve_dir, registry, clusterCodec);
  const pools = new GuestPools(clusterFiles);
  const asksForPools = config.policy.some(({ match }) => match.pool !== null);
  const engine = new PortEngine({
    switch: ovsdb,
    replica: () => ovsdb.replica,
    links,
    guests: asksForPools ? pools.before(guests) : guests,
    guestLocks: new GuestLocks(config.lock_dir),
    recorder,
    listing: interfacesFile(config),
    bindingsStore: new BindingsFile(join(config.state_dir, 'bindings.json')),
    clock: systemTimers,
    host: node,
    cluster: () => cluster,
    newTxn: txnNames(randomBytes(6).toString('hex')),
    bridges: config.bridges,
    bridgeName: config.bridge_name,
    containerBridge: config.container_bridge,
    policies: config.policy,
    pools,
    namingTemplate: config.naming_template,
    namingMode: config.naming_mode,
    includePrefixes: config.include_prefixes,
    containerNames: new ContainerNames(config.container_name_cmd ?? null),
    debounceMs: config.debounce_ms,
    timerMs: config.sources.timer_seconds * 1000,
    switchWakes: config.sources.switch,
    drift: config.drift,
    events: {
      portAdded: (port, bridge) => face.emitter?.signal('PortAdded', [port, bridge]),
      portRemoved: (port) => face.emitter?.signal('PortRemoved', [port]),
      portChanged: (port, columns) => face.emitter?.signal('PortChanged', [port, columns]),
      drift: (port, text) => {
        log('warning', `drift of ${port}: ${text}`);
        face.emitter?.signal('Drift', [port, text]);
      },
      trouble: (error) => {
        // What breaks off because the service ends is no trouble.
        if (!context.stopSignal.aborted) troubles.write(error.message);
      },
    },
  });
  closers.push(() => engine.stop());
  ovsdb.listen({
    onChanges: (changes) => {
      engine.onSwitchChanges(changes);
    },
    onLock: (isHeld) => {
      engine.onSwitchLock(isHeld);
    },
    onState: (problem) => {
      if (problem === null) log('info', `connected to Open vSwitch at ${config.ovsdb}`);
      else log('warning', problem.message);
      engine.onSwitchState(problem);
      peers.note('switch', problem === null ? null : problem.message);
      face.emitter?.propertiesChanged(['OvsdbConnected']);
    },
  });
  const monitor = new LinkMonitor((names) => {
    engine.onLinkChanges(names);
  });
  closers.push(() => {
    monitor.close();
  });
  const parts: OffBus = {
    version,
    node,
    engine,
    ledger,
    ledgerKey,
    witnesses,
    directory: new GuestDirectory({
      node,
      local: guests,
      runFacts: () => readRunFacts(config.lxc_dir),
      poolsOfGuests: () => clusterFiles.poolsOfGuests(),
      cluster: proxmox,
    }),
    notices: () => [
      ...keyProblems,
      ...(witnesses?.problems() ?? []),
      ...(registry.problem === null ? [] : [registry.problem]),
      ...guests.problems(),
    ],
  };
  const connectSwitch = async (): Promise<void> => {
    await engine.load();
    ovsdb.start();
    await engine.switchReady(switchWaitMs).catch((error: unknown) => {
      const { message } = toAgentError(error);
      log('warning', `${message}; serving without it until it is there`);
      peers.note('switch', message);
    });
  };
  const start = async (): Promise<void> => {
    // Before the first pass, so that what comes after its look is told.
    if (config.sources.links) monitor.start();
    if (config.sources.cluster) {
      const onPools = (): void => {
        engine.wake('pools changed');
      };
      const unwatch = watchGuestFiles(
        registry,
        (vmids) => {
          engine.onGuestFilesChanged(vmids);
        },
        { files: asksForPools ? new Map([[poolsFile, onPools]]) : new Map() },
      );
      closers.push(unwatch);
    }
    await engine.start();
    witnesses?.start();
    context.isRunning = true;
    void recordConfig(context, ledger).then(() => recordRun(context, ledger, 'start'));
  };
  return { engine, parts, connectSwitch, start };
}

function interfacesFile(config: Config): InterfacesFile {
  return new InterfacesFile({
    path: config.interfaces_path,
    stateDir: config.state_dir,
    plan: (text, ports) => planManagedBlock(text, ports, config.managed_block_tag, portNamesOf(config.naming_template)),
  });
}

/** The service's signals, once there is a bus to send them on. */
class Face {
  emitter: Emitter<typeof portAgentInterface> | null = null;

  constructor(ledger: Ledger) {
    ledger.onAppended((block) =>
      this.emitter?.signal('BlockAppended', [BigInt(block.height), block.category, block.hash]),
    );
  }
}

/** The service without what needs the bus. */
type OffBus = Omit<Service, 'guests' | 'nics' | 'creation' | 'processOf'>;

async function serveOnBus(
  context: Context,
  parts: OffBus,
  { recorder, peers }: Pick<OpenedLedger, 'recorder' | 'peers'>,
  face: Face,
): Promise<void> {
  const { config, bus: address, log, troubles, stopSignal, closers } = context;
  const bus = await Bus.connect(
    {
      address: address ?? config.bus ?? systemBusAddress(process.env),
      onState: (state) => {
        if (state.kind === 'disconnected') {
          log('warning', `the bus is gone: ${state.reason}`);
          peers.note('bus', state.reason);
        } else if (state.kind === 'connected') {
          log('info', 'connected to the bus again');
          peers.note('bus', null);
          systemd.onBusConnected();
        }
      },
    },
    { deadlineMs: busDeadlineMs, signal: stopSignal },
  );
  closers.push(() => {
    bus.close();
  });
  const systemd = new Systemd({ bus, clock: systemTimers, onState: systemdState(log, peers) });
  if (config.sources.units) hearUnits(systemd, parts.engine, log);
  const tasks = new TaskRunner(systemd, new TaskOutputFiles(tasksFolder), systemTimers);
  const attaching = config.auto_attach ? attachToNewGuests(context, recorder, tasks) : null;
  const service: Service = {
    ...parts,
    notices: () => [...parts.notices(), ...(attaching?.problems() ?? [])],
    processOf: (sender) => bus.senderPid(sender).then(describeProcess, () => null),
    guests: wireGuestControl(context, parts, recorder, tasks, systemd, face),
    nics: wireGuestNics(context, recorder, tasks),
    creation: wireCreation(context, recorder, face),
  };
  const checks = {
    authorise: authoriseByUid(process.getuid?.() ?? 0),
    senderUid: (sender: string) => bus.senderUid(sender),
  };
  const refusals = new RefusalRecord(checks, {
    append: (draft) => recorder.append(draft),
    onLedgerGap: (error) => {
      troubles.write(toAgentError(error).message);
    },
    clock: systemTimers,
    host: context.node,
  });
  closers.push(() => {
    refusals.close();
  });
  const { authorise, senderUid } = refusals;
  const served = portAgentObject(service, authorise);
  bus.serve(
    createDispatcher({
      objects: new Map([[objectPath, [served]]]),
      authorise,
      senderUid,
      machineId: await readMachineId(),
      onInternalError: (error, call) => {
        log('error', `${call.member}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      },
    }),
  );
  await bus.ownName(busName);
  face.emitter = createEmitter(bus, objectPath, served);
}

function wireGuestControl(
  { config, node, proxmox }: Context,
  { engine }: OffBus,
  recorder: Recorder,
  tasks: TaskRunner,
  systemd: Systemd,
  face: Face,
): GuestControl {
  return new GuestControl({
    files: hostFiles,
    paths: { pveDir: config.pve_dir, lxcDir: config.lxc_dir },
    units: systemd,
    tasks,
    api: proxmox === null ? null : guestApi(proxmox, systemTimers),
    locks: new GuestLocks(config.lock_dir),
    ports: engine,
    recorder,
    clock: systemTimers,
    node,
    onProgress: (vmid, line) => face.emitter?.signal('GuestProgress', [vmid, line]),
  });
}

function wireGuestNics({ config, node, proxmox }: Context, recorder: Recorder, tasks: TaskRunner): GuestNics {
  return new GuestNics({
    files: hostFiles,
    paths: { pveDir: config.pve_dir, lxcDir: config.lxc_dir },
    tasks,
    api: proxmox === null ? null : nicApi(proxmox),
    locks: new GuestLocks(config.lock_dir),
    recorder,
    node,
  });
}

function wireCreation({ config, node, proxmox }: Context, recorder: Recorder, face: Face): ContainerCreation {
  return new ContainerCreation({
    files: hostFiles,
    pveDir: config.pve_dir,
    api: proxmox === null ? null : containerApi(proxmox, systemTimers),
    recorder,
    node,
    onProgress: (vmid, line) => face.emitter?.signal('GuestProgress', [vmid, line]),
  });
}

/** `pct` and `qm` run outside of the service's sandbox, so that they can write. */
function attachToNewGuests(
  { config, node, stopSignal, troubles, closers }: Context,
  recorder: Recorder,
  tasks: TaskRunner,
): AutoAttach {
  const snippets = snippetFiles(snippetSource);
  const host = { files: hostFiles, snippets, pveDir: config.pve_dir };
  const metadata = { ...ownCause('auto_attach'), host: node, plugin: 'node' };
  const recorded: Recorded = (draft, action) => recorder.writeAheadAll([{ ...draft, metadata }], () => action());
  const hooks = new GuestHooks({
    ...host,
    snippets,
    programs: taskPrograms({ tasks, recorded, prefix: 'ovs-port-agent-attach' }),
    locks: new GuestLocks(config.lock_dir),
    node,
    recorded,
  });
  const file = new BindingsFile(join(config.state_dir, 'auto-attach.json'));
  const known = { load: () => file.load(), save: (vmids: readonly number[]) => file.save(vmids) };
  const attaching = new AutoAttach({ host, hooks, known, signal: stopSignal });
  const look = (): void => {
    attaching.look().catch((error: unknown) => {
      troubles.write(`auto_attach: ${toAgentError(error).message}`);
    });
  };
  look();
  const timer = setInterval(look, newGuestsIntervalMs);
  closers.push(() => {
    clearInterval(timer);
  });
  return attaching;
}

/** Changes of guests' units wake the reconciler. Nothing waits for it: without systemd the other events remain. */
function hearUnits(systemd: Systemd, engine: PortEngine, log: Log): void {
  systemd.onUnitChanged((unit) => {
    if (unit === null) {
      engine.wake('systemd connected');
      return;
    }
    const guest = parseGuestUnit(unit);
    if (guest !== null) engine.onUnitChange(guest.vmid);
  });
  systemd.listen().catch((error: unknown) => {
    log('warning', `units are not heard: ${toAgentError(error).message}`);
  });
}

/** Each change of state once: on a bus without systemd it is asked only when it comes. */
function systemdState(log: Log, peers: ConnectivityRecord): (problem: AgentError | null) => void {
  let last = '';
  return (problem) => {
    peers.note('systemd', problem === null ? null : problem.message);
    const line = problem === null ? 'units are heard' : `units are not heard: ${problem.message}`;
    if (line !== last) log('info', line);
    last = line;
  };
}

/** What goes on beside the calls: the spool, SIGHUP, the interfaces file, the watchdog. */
function keepWatch(
  { config, node, log, troubles, stopSignal, closers }: Context,
  engine: PortEngine,
  ledger: Ledger,
): void {
  const takeSpool = (): void => {
    void readSpool(join(config.state_dir, 'spool'), ledger, node, log, troubles);
  };
  takeSpool();
  const spoolTimer = setInterval(takeSpool, spoolIntervalMs);
  const onHangup = (): void => {
    engine.wake('SIGHUP');
  };
  process.on('SIGHUP', onHangup);
  // `interfaces.new` holds Proxmox VE's changes that nobody applied yet.
  const unwatch = watchFiles([config.interfaces_path, `${config.interfaces_path}.new`], () => {
    engine.onInterfacesChanged();
  });
  closers.push(() => {
    unwatch();
    clearInterval(spoolTimer);
    process.off('SIGHUP', onHangup);
  });
  startWatchdog({
    env: process.env,
    healthy: () => engine.isHealthy,
    onMissedBeat: (error) => {
      log('warning', error.message);
    },
    signal: stopSignal,
  });
}

/** -1 when the last run did not end in order. What commands wrote since may follow. */
async function heightOfLastStop(ledger: Ledger): Promise<number> {
  const runs = await ledger.query({ category: 'settings' });
  const last = runs.find(({ metadata }) => metadata['plugin'] === 'agent');
  return last?.action === 'stop' ? last.height : -1;
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

/** Resolves with the signal; rejects when going on would be wrong. */
async function untilStopped(stopSignal: AbortSignal, ledgerLost: Promise<Error>): Promise<string> {
  const lost = ledgerLost.then((error) => {
    throw new AgentError('Internal', `the lock on the ledger is gone: ${error.message}`, { cause: error });
  });
  const stopped = new Promise<string>((resolve) => {
    const settle = (): void => {
      resolve(String(stopSignal.reason));
    };
    if (stopSignal.aborted) settle();
    else stopSignal.addEventListener('abort', settle, { once: true });
  });
  return Promise.race([stopped, lost]);
}

async function readMachineId(): Promise<string> {
  return (await readFile('/etc/machine-id', 'utf8').catch(() => '')).trim();
}
