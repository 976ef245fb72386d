/**
 * The port engine in this process, wired as `agent.ts` wires it: the real client, ledger, devices and files, without
 * the bus and without the kernel's link events, which only say where to look.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planManagedBlock, portNamesOf } from '../src/interfaces/managed-block.ts';
import { Ledger } from '../src/ledger/ledger.ts';
import { StoredTree } from '../src/ledger/stored-tree.ts';
import { SignerKey } from '../src/ledger/tlog/key.ts';
import { parseConfig } from '../src/model/config.ts';
import { OvsdbClient } from '../src/ovsdb/client.ts';
import { BindingsFile } from '../src/platform/bindings-file.ts';
import { ContainerNames } from '../src/platform/container-names.ts';
import { ClusterRegistry } from '../src/platform/cluster-registry.ts';
import { GuestFiles } from '../src/platform/guest-files.ts';
import { GuestLocks } from '../src/platform/guest-locks.ts';
import { InterfacesFile } from '../src/platform/interfaces-file.ts';
import { openLedgerFile } from '../src/platform/ledger-file.ts';
import { ledgerIndexFiles } from '../src/platform/ledger-index-files.ts';
import { ledgerTreeFiles } from '../src/platform/ledger-tree-files.ts';
import { Links } from '../src/platform/links.ts';
import { ovsdbRemotes } from '../src/platform/ovsdb-socket.ts';
import { systemTimers, wallClockMs } from '../src/platform/timers.ts';
import { PortEngine } from '../src/ports/engine.ts';
import { switchTables } from '../src/ports/switch-view.ts';
import { switchLock } from '../src/ports/transaction.ts';
import { txnNames } from '../src/ports/txn-name.ts';
import { clusterCodec } from '../src/proxmox/cluster-codec.ts';
import type { Later } from './cleanup.ts';
import { bridge, makePveFolders } from './guests.ts';
import { messageOf } from './message.ts';

export interface PrivateEngine {
  readonly engine: PortEngine;
  /** Stands for `/etc/pve`. */
  readonly pveDir: string;
}

/** One that has made its first pass. `endpoint` as the configuration key `ovsdb` wants it. */
export async function startPrivateEngine(later: Later, endpoint: string): Promise<PrivateEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-engine-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const pveDir = join(folder, 'pve');
  await makePveFolders(pveDir);
  const { config } = parseConfig({
    bridges: [bridge],
    ovsdb: endpoint,
    pve_dir: pveDir,
    state_dir: folder,
    lock_dir: join(folder, 'lock'),
    interfaces_path: join(folder, 'interfaces'),
  });
  await mkdir(config.lock_dir);
  await writeFile(config.interfaces_path, 'auto lo\niface lo inet loopback\n');
  const ledger = await Ledger.open(await openLedgerFile(config.ledger_path), {
    nowMs: wallClockMs,
    host: 'bench',
    tree: new StoredTree(ledgerTreeFiles(folder)),
    segmentBytes: config.ledger.segment_megabytes * 1_000_000,
    index: { files: ledgerIndexFiles(join(folder, 'index')) },
    key: SignerKey.generate('bench/bench/ovs-port-agent'),
    checkpointBlocks: config.ledger.checkpoint_blocks,
    checkpointMs: config.ledger.checkpoint_seconds * 1000,
    clock: systemTimers,
  });
  later(() => ledger.close());
  const links = new Links();
  later(() => {
    links.close();
    return undefined;
  });
  const client = new OvsdbClient({
    remotes: ovsdbRemotes(config.ovsdb),
    timers: systemTimers,
    database: 'Open_vSwitch',
    tables: switchTables,
    lock: switchLock,
  });
  const told = new Set<string>();
  const engine = new PortEngine({
    switch: client,
    replica: () => client.replica,
    links,
    guests: new GuestFiles(config.pve_dir, new ClusterRegistry(config.pve_dir, clusterCodec), clusterCodec),
    guestLocks: new GuestLocks(config.lock_dir),
    recorder: ledger,
    listing: new InterfacesFile({
      path: config.interfaces_path,
      stateDir: config.state_dir,
      plan: (text, ports) =>
        planManagedBlock(text, ports, config.managed_block_tag, portNamesOf(config.naming_template)),
    }),
    bindingsStore: new BindingsFile(join(config.state_dir, 'bindings.json')),
    clock: systemTimers,
    host: 'bench',
    cluster: () => 'bench',
    newTxn: txnNames(randomBytes(6).toString('hex')),
    bridges: config.bridges,
    bridgeName: config.bridge_name,
    containerBridge: config.container_bridge,
    namingTemplate: config.naming_template,
    namingMode: config.naming_mode,
    includePrefixes: config.include_prefixes,
    containerNames: new ContainerNames(null),
    debounceMs: config.debounce_ms,
    timerMs: config.sources.timer_seconds * 1000,
    switchWakes: config.sources.switch,
    drift: config.drift,
    policies: config.policy,
    pools: { problem: 'not asked for', poolOf: () => null },
    events: {
      portAdded: () => undefined,
      portRemoved: () => undefined,
      portChanged: () => undefined,
      drift: () => undefined,
      trouble: (error) => {
        // Of an engine in trouble a figure says little; that it is, once is enough to say.
        if (!told.has(error.message)) process.stderr.write(`bench: the engine: ${messageOf(error)}\n`);
        told.add(error.message);
      },
    },
  });
  later(() => engine.stop());
  client.listen({
    onChanges: (changes) => {
      engine.onSwitchChanges(changes);
    },
    onState: (problem) => {
      engine.onSwitchState(problem);
    },
  });
  client.start();
  later(() => {
    client.stop();
    return undefined;
  });
  await engine.switchReady(switchDeadlineMs);
  await engine.start();
  await engine.reconcile(benchCause);
  return { engine, pveDir };
}

export const benchCause = { cause: 'bench', user: 'root', uid: 0 };
const switchDeadlineMs = 5000;
