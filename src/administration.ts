/**
 * What an administrator's commands do on the node itself, in the command's own process and as root: with the service running,
 * stopped or absent. Part of the service's bundle, because it needs the same modules.
 */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { busName, objectPath } from './api/dbus/port-agent-interface.ts';
import type { ManagedBlockPlan } from './interfaces/managed-block.ts';
import { verifyLedger } from './ledger/verify.ts';
import { parseConfig } from './model/config.ts';
import type { Config } from './model/config.ts';
import { AgentError, toAgentError } from './model/errors.ts';
import type { ChangeDraft, Recorded } from './node/contracts.ts';
import { observe } from './node/doctor/observe.ts';
import type { Observer } from './node/doctor/observe.ts';
import type { ConfigFacts, LedgerFacts, NodeFacts, ServiceFacts, SwitchFacts } from './node/doctor/facts.ts';
import { examine } from './node/doctor/report.ts';
import type { Report } from './node/doctor/report.ts';
import { GuestHooks } from './node/hooks/guest-hooks.ts';
import { readStorages } from './node/hooks/survey.ts';
import { recordedBy } from './node/recorded.ts';
import { Performer } from './node/setup/performer.ts';
import { planSetup } from './node/setup/plan.ts';
import type { Places, SetupRequest } from './node/setup/plan.ts';
import { setUp, undoSetup } from './node/setup/setup.ts';
import type { Dialogue } from './node/setup/setup.ts';
import { OvsdbClient } from './ovsdb/client.ts';
import { readConfigFile } from './platform/config-file.ts';
import { BusConnection } from './platform/dbus/connection.ts';
import { systemBusAddress } from './platform/dbus/address.ts';
import { GuestLocks } from './platform/guest-locks.ts';
import { diskOf, modeOf } from './platform/host-facts.ts';
import { hostFiles } from './platform/host-files.ts';
import { InterfacesFile } from './platform/interfaces-file.ts';
import { readLedgerFile } from './platform/ledger-file.ts';
import { createLog } from './platform/log.ts';
import { ovsdbRemotes, ovsdbTlsFiles } from './platform/ovsdb-socket.ts';
import { hostPrograms } from './platform/programs.ts';
import { setupFiles, setupJournal } from './platform/setup-files.ts';
import { snippetFiles } from './platform/snippet-files.ts';
import { systemTimers, wallClockMs } from './platform/timers.ts';
import type { Journal } from './ports/contracts.ts';
import { ownerMark } from './ports/marks.ts';
import type { FolderStorage } from './proxmox/storages.ts';
import { nodeName, ownCause, proxmoxClient, snippetSource, underLedgerLock, withLedger } from './wiring.ts';

const busDeadlineMs = 5_000;
/** Verifying a long ledger takes its time. */
const serviceDeadlineMs = 25_000;
const switchDeadlineMs = 3_000;
const apiDeadlineMs = 10_000;
/** A service that runs keeps the ledger for itself; one that stops gives it up. */
const ledgerFreeMs = 2_000;

/** Hookscripts of this node's guests. */
export async function openHooks({ config: path }: { readonly config: string | null }): Promise<GuestHooks> {
  const { config } = await readConfigFile(path);
  return hooksOf(config);
}

/** What `doctor` finds. Needs nothing to run, not even a configuration that is right. */
export async function diagnose({ config: path }: { readonly config: string | null }): Promise<Report> {
  return examine(await observeNode(path));
}

export interface SetUpOptions {
  readonly config: string | null;
  readonly dryRun: boolean;
  readonly undo: boolean;
  readonly request: SetupRequest;
  readonly dialogue: Dialogue;
}

/** Makes this node ready, or takes back what an earlier call did. Throws `AccessDenied` unless root asks. */
export async function setUpNode({ config: path, dryRun, undo, request, dialogue }: SetUpOptions): Promise<void> {
  if (process.getuid?.() !== 0) throw new AgentError('AccessDenied', 'setup changes the host: run it as root');
  const { config } = await readConfigFile(path);
  const options = {
    performer: performerOf(config),
    journal: setupJournal(config.state_dir),
    dialogue,
    recorded: recordedFor(config, 'setup'),
  };
  if (undo) {
    await undoSetup(options, dryRun);
    return;
  }
  const facts = await observeNode(path);
  const steps = planSetup(facts, request, await placesOf(config, path), await localWithoutSnippets(config));
  await setUp(options, steps, dryRun);
}

function performerOf(config: Config): Performer {
  return new Performer({
    files: hostFiles,
    writes: setupFiles,
    snippets: snippetFiles(snippetSource),
    programs: hostPrograms,
    hooks: hooksOf(config),
    pveDir: config.pve_dir,
    async editInterfaces(edit) {
      await mkdir(config.state_dir, { recursive: true, mode: 0o750 });
      const plan = (text: string): ManagedBlockPlan => {
        const edited = edit(text);
        return { text: edited, changed: edited !== text, foreign: [], listed: [], listedBefore: [] };
      };
      // The step that edits has its block already.
      const journal: Pick<Journal, 'change'> = { change: (_changes, action) => action([]) };
      const file = new InterfacesFile({ path: config.interfaces_path, stateDir: config.state_dir, plan });
      await file.update([], journal, { cause: 'setup', user: 'root', uid: 0 });
    },
  });
}

async function placesOf(config: Config, path: string | null): Promise<Places> {
  const configFile = path ?? '/etc/ovs-port-agent/config.toml';
  return {
    configFile,
    tokenFile: join(dirname(configFile), 'token'),
    asideFolder: join(config.state_dir, 'older-tool'),
    hasIfup: await hostFiles.exists('/usr/sbin/ifup'),
  };
}

/** null when a storage of this node has room for snippets, or there is no Proxmox VE. */
async function localWithoutSnippets({ pve_dir: pveDir }: Config): Promise<FolderStorage | null> {
  if (!(await hostFiles.exists(pveDir))) return null;
  const { folders } = await readStorages({ files: hostFiles, pveDir });
  const local = folders.find(({ storage }) => storage === 'local');
  return local?.allowsSnippets === false ? local : null;
}

async function observeNode(path: string | null): Promise<NodeFacts> {
  const facts = await readConfig(path);
  return observe(observerOf(facts.config), facts);
}

async function readConfig(path: string | null): Promise<ConfigFacts> {
  try {
    return { ...(await readConfigFile(path)), problem: null };
  } catch (error) {
    return { config: parseConfig({}).config, problem: toAgentError(error).message, warnings: [] };
  }
}

function observerOf(config: Config): Observer {
  const closers: (() => unknown)[] = [];
  return {
    files: hostFiles,
    snippets: snippetFiles(snippetSource),
    programs: hostPrograms,
    hooks: hooksOf(config),
    node: nodeName(),
    nowMs: wallClockMs,
    readSwitch: () => readSwitch(config),
    askService: () => askService(config),
    verifyLedger: () => checkLedger(config),
    readPrivileges: async () => {
      try {
        const client = proxmoxClient(config, closers);
        if (client === null) return [];
        return privilegesIn(await client.api({ deadlineMs: apiDeadlineMs }).access.permissions.$get());
      } finally {
        for (const close of closers) close();
      }
    },
    setupSteps: () => setupJournal(config.state_dir).read(),
    modeOf,
    diskOf,
  };
}

function hooksOf(config: Config): GuestHooks {
  return new GuestHooks({
    files: hostFiles,
    snippets: snippetFiles(snippetSource),
    programs: hostPrograms,
    locks: new GuestLocks(config.lock_dir),
    pveDir: config.pve_dir,
    node: nodeName(),
    recorded: recordedFor(config, 'hook'),
  });
}

/** What is compared of the switch. */
const switchTables = {
  Bridge: { name: '', ports: new Set<string>() as ReadonlySet<string> },
  Port: { name: '', external_ids: new Map<string, string>() as ReadonlyMap<string, string> },
};

async function readSwitch(config: Config): Promise<SwitchFacts> {
  const client = new OvsdbClient({
    remotes: ovsdbRemotes(config.ovsdb, ovsdbTlsFiles(config)),
    timers: systemTimers,
    leaderOnly: config.ovsdb_leader_only,
    database: 'Open_vSwitch',
    tables: switchTables,
  });
  try {
    client.start();
    await client.ready({ deadlineMs: switchDeadlineMs });
    const { replica } = client;
    const bridges = [...replica.table('Bridge').values()].map(({ name, ports }) => ({
      name,
      ports: [...ports].flatMap((uuid) => {
        const row = replica.table('Port').get(uuid);
        // The bridge's own port is no port that anybody could lose.
        if (row === undefined || row.name === name) return [];
        return [{ name: row.name, isOurs: row.external_ids.get('owner') === ownerMark }];
      }),
    }));
    return { problem: null, bridges };
  } catch (error) {
    const { cause, message } = toAgentError(error);
    return { problem: cause instanceof AgentError ? cause.message : message, bridges: [] };
  } finally {
    client.stop();
  }
}

/** Without starting it: a service that an administrator stopped stays so. */
async function askService(config: Config): Promise<Omit<ServiceFacts, 'unit'>> {
  try {
    return await onBus(config, async (connection) => {
      const [hasName] = await connection.call(
        {
          destination: 'org.freedesktop.DBus',
          path: '/org/freedesktop/DBus',
          interface: 'org.freedesktop.DBus',
          member: 'NameHasOwner',
          signature: 's',
          body: [busName],
        },
        { deadlineMs: busDeadlineMs },
      );
      if (hasName !== true) return { hasName: false, status: null };
      const status = await callService(connection, 'Call', ['get', '/status', '']).then(
        ([json]) => JSON.parse(String(json)) as ServiceFacts['status'],
        () => null,
      );
      return { hasName: true, status };
    });
  } catch {
    return { hasName: null, status: null };
  }
}

/** By the running service, which knows its own last line; else the file itself. */
async function checkLedger(config: Config): Promise<LedgerFacts> {
  const path = config.ledger_path;
  const facts = { path, problem: null, unknown: null, lastBlockMs: null };
  try {
    const { verdict, stats } = await onBus(config, async (connection) => ({
      verdict: String((await callService(connection, 'verify_blockchain_integrity', []))[0]),
      stats: String((await callService(connection, 'get_blockchain_stats', []))[0]),
    }));
    const problem = verdict.startsWith('VALID') ? null : verdict.replace('INVALID: ', '');
    return { ...facts, problem, lastBlockMs: timeIn(stats, 'latest') };
  } catch {
    // It does not run, or is busy.
  }
  try {
    if ((await modeOf(path)) === null) return facts;
    const lines = new LastLine(readLedgerFile(path));
    const { firstBad, wholeFromBad } = await verifyLedger(lines, null);
    const lastBlockMs = timeIn(lines.text, 'timestamp');
    // A line without its end is what a crash leaves, and the next start moves it aside.
    if (firstBad === undefined || wholeFromBad === 0) return { ...facts, lastBlockMs };
    const { height, offset, reason } = firstBad;
    return { ...facts, lastBlockMs, problem: `block ${height} at byte ${offset}: ${reason}` };
  } catch (error) {
    return { ...facts, unknown: toAgentError(error).message };
  }
}

/** Hands chunks through and keeps the last whole line. */
class LastLine implements AsyncIterable<Uint8Array> {
  text = '';
  readonly #chunks: AsyncIterable<Uint8Array>;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let rest = '';
    for await (const chunk of this.#chunks) {
      const lines = (rest + Buffer.from(chunk).toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      this.text = lines.at(-1) ?? this.text;
      yield chunk;
    }
  }
}

function timeIn(json: string, key: 'latest' | 'timestamp'): number | null {
  const time = Date.parse(new RegExp(`"${key}":"([^"]+)"`).exec(json)?.[1] ?? '');
  return Number.isNaN(time) ? null : time;
}

/** `{"/": {"VM.Audit": 1}}`: what the token has anywhere. */
function privilegesIn(permissions: unknown): string[] {
  const paths = Object.values((permissions ?? {}) as Record<string, unknown>);
  return [...new Set(paths.flatMap((privileges) => Object.keys(privileges ?? {})))];
}

async function onBus<T>(config: Config, use: (connection: BusConnection) => Promise<T>): Promise<T> {
  const address = config.bus ?? systemBusAddress(process.env);
  const connection = await BusConnection.connect(address, { deadlineMs: busDeadlineMs });
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

function callService(connection: BusConnection, member: string, body: readonly string[]): Promise<readonly unknown[]> {
  const names = { destination: busName, path: objectPath, interface: busName, member };
  return connection.call(
    // A service that an administrator stopped stays so.
    { ...names, signature: 's'.repeat(body.length), body, autoStart: false },
    { deadlineMs: serviceDeadlineMs },
  );
}

/**
 * By the running service, as said from outside; without one by this process, under the ledger's lock, which it has for no longer
 * than a block takes: the change may be the start of the service. That may be under way, so it is asked once more.
 */
function recordedFor(config: Config, cause: string): Recorded {
  const byService = async ({ category, action, data }: ChangeDraft): Promise<void> => {
    const body = [category, action, JSON.stringify(data)];
    await onBus(config, (connection) => callService(connection, 'add_blockchain_data', body));
  };
  const byItself = async (draft: ChangeDraft): Promise<void> => {
    const metadata = { ...ownCause(cause), host: nodeName(), plugin: 'node' };
    await underLedgerLock(config, ledgerFreeMs, () =>
      withLedger(config, (ledger) => ledger.append({ ...draft, metadata })),
    );
  };
  return recordedBy({
    writers: [byService, byItself, byService],
    onUnrecorded: ({ message }) => {
      createLog('info')('warning', `the ledger has no block of this: ${message}`);
    },
  });
}
