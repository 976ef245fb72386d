/** Looks at the node. What cannot be seen is said in the facts, and keeps nothing else from being looked at. */
import type { Config } from '../../model/config.ts';
import { toAgentError } from '../../model/errors.ts';
import { parseMembers } from '../../proxmox/cluster-state.ts';
import { parseGuestConfig } from '../../proxmox/guest-config.ts';
import { readLine } from '../../proxmox/guest-document.ts';
import type { HostFiles, HostFolders, Programs, SnippetFiles } from '../contracts.ts';
import type { GuestHooks } from '../hooks/guest-hooks.ts';
import { listGuestFiles, pathOf, readStorages } from '../hooks/survey.ts';
import { ownHook, renderHookVolume } from '../hooks/volume.ts';
import type { Step } from '../setup/step.ts';
import type {
  ApiFacts,
  ConfigFacts,
  DiskFacts,
  InterfacesFacts,
  LedgerFacts,
  NodeFacts,
  ProxmoxFacts,
  ServiceFacts,
  ShippedFile,
  SnippetPlace,
  SwitchFacts,
} from './facts.ts';
import { olderPaths, shippedFiles } from './shipped.ts';
import type { Shipped } from './shipped.ts';

export interface Observer {
  readonly files: HostFiles & HostFolders;
  readonly snippets: Pick<SnippetFiles, 'look'>;
  readonly programs: Programs;
  readonly hooks: Pick<GuestHooks, 'statusAll' | 'plainVolume'>;
  readonly node: string;
  readonly nowMs: () => number;
  /** Never rejects. */
  readonly readSwitch: () => Promise<SwitchFacts>;
  /** Never rejects. */
  readonly askService: () => Promise<Omit<ServiceFacts, 'unit'>>;
  /** Never rejects. */
  readonly verifyLedger: () => Promise<LedgerFacts>;
  /** Privileges of the token; rejects when the API does not say. Not called without a section `[proxmox]`. */
  readonly readPrivileges: () => Promise<readonly string[]>;
  /** What `setup` did here and was not taken back. */
  readonly setupSteps: () => Promise<readonly Step[]>;
  /** null when there is no such file. */
  readonly modeOf: (path: string) => Promise<number | null>;
  /** null when there is no such folder. */
  readonly diskOf: (path: string) => Promise<DiskFacts | null>;
}

const unitName = 'ovs-port-agent.service';
const programDeadlineMs = 10_000;

export async function observe(observer: Observer, config: ConfigFacts): Promise<NodeFacts> {
  const { node, nowMs, readSwitch, askService, verifyLedger } = observer;
  const [observedSwitch, asked, ledger] = await Promise.all([readSwitch(), askService(), verifyLedger()]);
  return {
    node,
    nowMs: nowMs(),
    config,
    switch: observedSwitch,
    service: { unit: await readUnit(observer), ...asked },
    ledger,
    interfaces: await readInterfaces(observer, config.config.interfaces_path),
    shipped: await Promise.all(shippedFiles.map((file) => stateOfShipped(observer, file))),
    proxmox: await observeProxmox(observer, config.config),
    api: await observeApi(observer, config.config),
    leftovers: await findLeftovers(observer),
    disks: await readDisks(observer, config.config),
    clockSynchronized: await readClock(observer),
  };
}

async function readUnit({ programs }: Observer): Promise<ServiceFacts['unit']> {
  const names = ['LoadState', 'UnitFileState', 'ActiveState', 'FragmentPath', 'NeedDaemonReload'];
  const text = await outputOf(programs, ['/usr/bin/systemctl', 'show', unitName, `--property=${names.join(',')}`]);
  if (text === null) return null;
  const values = new Map(text.split('\n').map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]));
  const valueOf = (name: string): string => values.get(name) ?? '';
  return {
    loadState: valueOf('LoadState'),
    unitFileState: valueOf('UnitFileState'),
    activeState: valueOf('ActiveState'),
    fragmentPath: valueOf('FragmentPath'),
    needsReload: valueOf('NeedDaemonReload') === 'yes',
  };
}

async function readClock({ programs }: Observer): Promise<boolean | null> {
  const text = await outputOf(programs, ['/usr/bin/timedatectl', 'show', '--property=NTPSynchronized', '--value']);
  return text === 'yes' ? true : text === 'no' ? false : null;
}

/** null when there is no such program, or it fails. */
async function outputOf(programs: Programs, command: readonly [string, ...string[]]): Promise<string | null> {
  try {
    const { exitStatus, output } = await programs.run(command, { deadlineMs: programDeadlineMs });
    return exitStatus === 0 ? output.trim() : null;
  } catch {
    return null;
  }
}

async function readInterfaces({ files }: Observer, path: string): Promise<InterfacesFacts> {
  const hasIfupdown2 = await files.exists('/usr/share/ifupdown2');
  try {
    const [current, pending] = await Promise.all([files.read(path), files.read(`${path}.new`)]);
    return { path, text: current?.text ?? null, pending: pending?.text ?? null, problem: null, hasIfupdown2 };
  } catch (error) {
    return { path, text: null, pending: null, problem: toAgentError(error).message, hasIfupdown2 };
  }
}

async function stateOfShipped({ files }: Observer, { path, source, override }: Shipped): Promise<ShippedFile> {
  const [original, installed] = await Promise.all([files.read(source), files.read(path)]);
  if (override !== null && (await files.exists(override))) return { path, source, state: 'overridden' };
  if (original === null) return { path, source, state: 'unknown' };
  if (installed === null) return { path, source, state: 'missing' };
  return { path, source, state: installed.text === original.text ? 'current' : 'altered' };
}

async function findLeftovers({ files }: Observer): Promise<string[]> {
  const found: string[] = [];
  for (const path of olderPaths) {
    const isThere = await files.exists(path);
    if (!isThere) continue;
    // A mask is a link to /dev/null; a copy that somebody made of our unit is theirs to keep.
    const text = path.endsWith('.service') ? ((await files.read(path).catch(() => null))?.text ?? '') : 'older';
    if (text !== '' && !text.includes('/usr/bin/ovs-port-agent serve')) found.push(path);
  }
  return found;
}

async function readDisks({ diskOf }: Observer, config: Config): Promise<DiskFacts[]> {
  const folders = [config.state_dir, config.ledger_path, config.interfaces_path].map((path, index) =>
    index === 0 ? path : path.slice(0, path.lastIndexOf('/')),
  );
  const disks: DiskFacts[] = [];
  for (const folder of new Set(folders)) {
    const disk = await diskOf(folder).catch(() => null);
    if (disk !== null) disks.push(disk);
  }
  return disks;
}

async function observeApi(observer: Observer, { proxmox }: Config): Promise<ApiFacts | null> {
  if (proxmox === undefined) return null;
  const tokenFile = proxmox.token_file;
  const tokenMode = await observer.modeOf(tokenFile).catch(() => null);
  const steps = await observer.setupSteps().catch(() => []);
  const rights = steps.flatMap((step) => (step.kind === 'api' ? [step.rights] : [])).at(-1) ?? null;
  if (tokenMode === null) return { tokenFile, tokenMode, privileges: null, problem: null, rights };
  try {
    return { tokenFile, tokenMode, privileges: await observer.readPrivileges(), problem: null, rights };
  } catch (error) {
    return { tokenFile, tokenMode, privileges: null, problem: toAgentError(error).message, rights };
  }
}

async function observeProxmox(observer: Observer, config: Config): Promise<ProxmoxFacts | null> {
  const { files, snippets, hooks } = observer;
  const pveDir = config.pve_dir;
  if (!(await files.exists(pveDir))) return null;
  const host = { files, snippets, pveDir };
  const snippet = await findSnippet(observer);
  try {
    const members = parseMembers((await files.read(`${pveDir}/.members`))?.text ?? '');
    return {
      nodeName: members?.node ?? null,
      quorate: members?.quorate ?? true,
      hooks: await hooks.statusAll(),
      hooksProblem: null,
      snippet,
      missingForOthers: await findMissingForOthers(observer, pveDir),
      guestBridges: await bridgesOfGuests(host),
    };
  } catch (error) {
    const hooksProblem = toAgentError(error).message;
    const nothing = { hooks: [], missingForOthers: [], guestBridges: [] };
    return { nodeName: null, quorate: true, ...nothing, hooksProblem, snippet };
  }
}

async function findSnippet({ hooks, snippets }: Observer): Promise<SnippetPlace> {
  try {
    const { path } = await hooks.plainVolume();
    const file = await snippets.look(path);
    if (file === null) return { kind: 'place', path, state: 'missing' };
    const state = file.isCurrent ? 'current' : file.isOurs ? 'outdated' : 'foreign';
    return { kind: 'place', path, state };
  } catch (error) {
    const { message } = toAgentError(error);
    // Says the command itself, as messages of that kind do.
    const [, remedy = 'pvesm status --content snippets'] = /`([^`]+)`/.exec(message) ?? [];
    return { kind: 'none', problem: message.split(':')[0] ?? message, remedy };
  }
}

async function bridgesOfGuests(
  host: Parameters<typeof listGuestFiles>[0],
): Promise<ProxmoxFacts['guestBridges'][number][]> {
  const found: ProxmoxFacts['guestBridges'][number][] = [];
  for (const { kind, vmid } of await listGuestFiles(host)) {
    const folder = kind === 'lxc' ? 'lxc' : 'qemu-server';
    const file = await host.files.read(`${host.pveDir}/${folder}/${vmid}.conf`);
    for (const { bridge } of parseGuestConfig(kind, vmid, file?.text ?? '').guest.nics) {
      if (bridge !== null) found.push({ bridge, vmid, kind });
    }
  }
  return found;
}

async function findMissingForOthers(
  { files, snippets, node }: Observer,
  pveDir: string,
): Promise<ProxmoxFacts['missingForOthers']> {
  const storages = await readStorages({ files, pveDir });
  const missing = new Map<string, string>();
  for (const other of await files.list(`${pveDir}/nodes`)) {
    if (other === node) continue;
    for (const folder of ['lxc', 'qemu-server'].map((name) => `${pveDir}/nodes/${other}/${name}`)) {
      for (const name of await files.list(folder)) {
        for (const volume of ownVolumesIn((await files.read(`${folder}/${name}`))?.text ?? '')) {
          const path = pathOf(volume, storages);
          if (path !== null && (await snippets.look(path)) === null) missing.set(renderHookVolume(volume), path);
        }
      }
    }
  }
  return [...missing].map(([volume, path]) => ({ volume, path }));
}

function ownVolumesIn(text: string): NonNullable<ReturnType<typeof ownHook>>[] {
  return text.split('\n').flatMap((raw) => {
    const line = readLine(raw);
    return line.kind === 'setting' && line.key === 'hookscript' ? (ownHook(line.value) ?? []) : [];
  });
}
