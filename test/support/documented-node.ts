/**
 * The node that the documents show: three containers on two bridges. Command line, resource table, handlers, D-Bus
 * methods and ledger are the real ones; the switch is this fixture. So the outputs that a document shows can be compared.
 */
import { authoriseByUid } from '../../src/api/dbus/authorise.ts';
import { portAgentObject } from '../../src/api/port-agent-object.ts';
import type { Environment } from '../../src/cli/environment.ts';
import { run } from '../../src/cli/program.ts';
import type { ListedPort } from '../../src/interfaces/managed-block.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { AgentError } from '../../src/model/errors.ts';
import type { Guest } from '../../src/model/guest.ts';
import type { BridgeName, ContainerName, Vmid } from '../../src/model/names.ts';
import { nicNameOf } from '../../src/model/names.ts';
import { guestPortName, templatePortName } from '../../src/model/naming.ts';
import type { GuestDirectory } from '../../src/node/guest-directory.ts';
import type { ObservedPort, WantedPort } from '../../src/model/port.ts';
import type { GuestControl } from '../../src/node/guest-control.ts';
import type { GuestFacts } from '../../src/node/guest-facts.ts';
import type { NodeFacts } from '../../src/node/doctor/facts.ts';
import { examine } from '../../src/node/doctor/report.ts';
import { GuestHooks } from '../../src/node/hooks/guest-hooks.ts';
import { whyNotByUnit } from '../../src/node/ways.ts';
import type { Cause, Link } from '../../src/ports/contracts.ts';
import { desiredPorts } from '../../src/ports/desired.ts';
import type { PortEngine, PortView } from '../../src/ports/engine.ts';
import { ContainerCreation } from '../../src/node/container-creation.ts';
import { draftOf } from '../../src/ports/journal.ts';
import { listedPorts } from '../../src/ports/listing.ts';
import { interfaceMarks, portMarks } from '../../src/ports/marks.ts';
import { phaseDraft, plannedChange } from '../../src/ports/record.ts';
import { parseGuestConfig } from '../../src/proxmox/guest-config.ts';
import { guestDirectory } from './guest-directory.ts';
import { openLedger } from './ledger-fixtures.ts';
import { attached, healthyNode } from './node-facts.ts';
import { foreign, ProxmoxHost } from './proxmox-host.ts';
import { MemoryLedgerStore } from './memory-ledger-store.ts';
import { MemoryHost } from './memory-host.ts';
import { NicHost } from './nic-host.ts';
import { nodeKeys, policyText, proofFileOf } from './signed-logs.ts';

const host = 'pve1';
const bridges = ['ovsbr0', 'ovsbr1'] as BridgeName[];
const configurations: readonly (readonly [vmid: number, text: string])[] = [
  [100, 'hostname: web01\nnet0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,tag=10\n'],
  [101, 'hostname: db01\nnet0: name=eth0,bridge=ovsbr1,hwaddr=BC:24:11:00:01:01\n'],
  [102, 'hostname: web02\nnet0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:02,tag=10\n'],
];

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

export interface DocumentedNode {
  /** Runs `ovs-port-agent` with these arguments, as in a pipe, in a UTF-8 locale. */
  command(...args: string[]): Promise<CommandResult>;
  /** What the managed block lists. */
  readonly listed: readonly ListedPort[];
  /** The ledger's file. */
  readonly ledgerBytes: Buffer;
  /** The proof of block 6, cosigned by the two other nodes of the cluster, and a policy that asks for one of them. */
  readonly proof: Buffer;
  readonly policy: string;
}

export async function documentedNode(): Promise<DocumentedNode> {
  const [key, ...witnesses] = nodeKeys;
  const guests = configurations.map(([vmid, text]) => parseGuestConfig('lxc', vmid as Vmid, text).guest);
  const views = guests.map((guest) => viewOf(guest));
  const store = new MemoryLedgerStore();
  const ledger = await openLedger(store, { key });
  await record(ledger, views);

  const guestOf = (vmid: Vmid): Guest | null => guests.find((guest) => guest.vmid === vmid) ?? null;
  const service = {
    version: '0.1.0',
    node: host,
    engine: fixedEngine(
      views.map(({ view }) => view),
      guestOf,
    ),
    ledger,
    ledgerKey: key,
    directory: documentedGuests(),
    witnesses: null,
    processOf: () => Promise.resolve(null),
    notices: () => [],
    guests: { control: controlled },
    nics: new NicHost(Object.fromEntries(configurations)).nics,
    creation: new ContainerCreation({
      files: new MemoryHost(),
      pveDir: '/etc/pve',
      api: { create: () => Promise.resolve() },
      recorder: { writeAheadAll: (_drafts, action) => action([]) },
      node: host,
      onProgress: () => undefined,
    }),
  };
  const caller = { sender: ':1.1', uid: 0 };
  const { handlers } = portAgentObject(service, authoriseByUid(0));
  const call: Environment['call'] = (member, _signature, body) => {
    const handler = handlers.get(member);
    if (handler === undefined) throw new Error(`the service has no method ${member}`);
    return handler(body, caller, new AbortController().signal);
  };
  return {
    command: (...args) => runCommand(call, args),
    listed: listedPorts(
      views.map(({ view }) => view.row),
      guestOf,
    ),
    ledgerBytes: store.disk,
    proof: proofFileOf(linesIn(store.disk), 6, key, witnesses),
    policy: policyText(key, witnesses, 'any'),
  };
}

function linesIn(ledger: Buffer): Buffer[] {
  return ledger
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => Buffer.from(line));
}

/** The three containers run; the files are the configurations above. */
function documentedGuests(): GuestDirectory {
  const unixSockets = configurations
    .map(([vmid]) => `0: 00000002 00000000 00010000 0001 01 1 @/var/lib/lxc/${vmid}/command`)
    .join('\n');
  return guestDirectory(Object.fromEntries(configurations), {
    runFacts: () => Promise.resolve({ unixSockets, lxcDir: '/var/lib/lxc', units: [] }),
    poolsOfGuests: () => Promise.resolve(new Map([[100 as Vmid, 'web']])),
  });
}

/** All is well; a guest has another hookscript than ours. */
const documentedFacts: NodeFacts = {
  ...healthyNode,
  proxmox: {
    ...healthyNode.proxmox,
    hooks: [attached, { ...attached, vmid: 102 as Vmid, state: 'other', hookscript: 'local:snippets/gpu.pl' }],
  },
};

/** No guest has a hookscript but 102, which has its own. Each command finds it so. */
const documentedHooks: Environment['openHooks'] = () => {
  const proxmox = new ProxmoxHost();
  for (const [vmid, text] of configurations) {
    proxmox.guest(vmid, vmid === 102 ? `hookscript: local:snippets/gpu.pl\n${text}` : text);
  }
  proxmox.scripts.set('/var/lib/vz/snippets/gpu.pl', foreign);
  const hooks = new GuestHooks({
    files: proxmox.files,
    snippets: proxmox.snippets,
    programs: proxmox,
    locks: { isLocked: () => Promise.resolve(false) },
    pveDir: '/etc/pve',
    node: host,
    recorded: (_draft, change) => change(),
  });
  return Promise.resolve(hooks);
};

async function runCommand(call: Environment['call'], args: readonly string[]): Promise<CommandResult> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const exitCode = await run(
    {
      call,
      onInterrupt: () => () => undefined,
      listen: () => Promise.resolve(),
      serve: () => Promise.reject(new Error('no document runs the service')),
      unlist: () => Promise.resolve(0),
      acknowledge: () => Promise.resolve(0),
      openHooks: documentedHooks,
      diagnose: () => Promise.resolve(examine(documentedFacts)),
      setUp: ({ dialogue }) => {
        dialogue.say('nothing to do');
        return Promise.resolve();
      },
      ask: () => Promise.resolve(false),
      canAsk: true,
      readLedger: () => {
        throw new Error('reading a file is for the real command');
      },
      readSwitchLog: () => Promise.reject(new Error('reading a file is for the real command')),
      write: () => Promise.reject(new Error('only what reads files writes bytes')),
      readFile: () => Promise.reject(new Error('reading a file is for the real command')),
      print: (text) => stdout.push(...text.split('\n')),
      complain: (text) => stderr.push(...text.split('\n')),
      isTerminal: false,
      showsProgress: false,
      unicode: true,
      colors: false,
      node: host,
      version: '0.1.0',
    },
    args,
  );
  return { exitCode, stdout, stderr };
}

/** All that is shown runs; 101 is where nothing stands in the way of systemd. */
const controlled: GuestControl['control'] = (vmid, { action }) => {
  const guest = `CT ${vmid}`;
  if (action === 'start' && vmid !== 101) {
    return Promise.resolve({ guest, action, state: 'running', changed: false, way: null, reasons: [], ports: null });
  }
  const state = action === 'start' || action === 'reboot' ? 'running' : 'stopped';
  const ports =
    state === 'running' ? `${guest}: net0 is vi${vmid} on ovsbr${vmid % 2}` : `${guest}: no ports left behind`;
  return Promise.resolve({
    guest,
    action,
    state,
    changed: true,
    way: action === 'start' ? 'systemd' : 'pct',
    reasons: whyNotByUnit(plainFacts(vmid), action),
    ports,
  });
};

function plainFacts(vmid: Vmid): GuestFacts {
  return {
    kind: 'lxc',
    vmid,
    manager: 'proxmox',
    settings: { isTemplate: false, lock: null, hasPending: false, hookscript: null, isDebug: false },
    isHaManaged: false,
    configuredAtMs: 0,
    lxcConfiguredAtMs: 10_000,
  };
}

interface Plugged {
  readonly wanted: WantedPort;
  readonly view: PortView;
}

function viewOf(guest: Guest): Plugged {
  const netdev = `veth${guest.vmid}i0`;
  const links = new Map<string, Link>([
    [netdev, { name: netdev, master: null, altnames: [], originalName: null, mtu: 1500, peerElsewhere: true }],
  ]);
  const wanted = desiredPorts(guest, links, new Set(bridges), 'auto')[0]?.wanted;
  if (wanted === undefined || wanted === null) throw new Error(`guest ${guest.vmid} wants no port`);
  const row: ObservedPort = {
    portUuid: `00000000-0000-4000-8000-000000000${guest.vmid}`,
    interfaceUuid: `00000000-0000-4000-9000-000000000${guest.vmid}`,
    rowName: wanted.rowName,
    netdev,
    bridge: wanted.bridge,
    tag: wanted.tag,
    trunks: wanted.trunks,
    vlanMode: null,
    portIds: portMarks(wanted),
    interfaceIds: interfaceMarks(wanted, host),
    foreignColumns: [],
    unwrittenColumns: [],
    ofport: guest.vmid === 102 ? 2 : 1,
    error: null,
  };
  return { wanted, view: { port: wanted.port, row, problem: null } };
}

/** 100 and 102 were plugged by Proxmox VE and adopted, 101 was attached. */
async function record(ledger: Ledger, plugged: readonly Plugged[]): Promise<void> {
  const cause = (text: string): Cause => ({ cause: text, user: 'root', uid: 0 });
  const phase = (vmid: number, name: 'pre-start' | 'post-start'): Promise<unknown> =>
    ledger.append(phaseDraft(vmid as Vmid, name, cause(`hook ${name}`), host));
  const change = (vmid: number, kind: 'adopt' | 'attach', why: string): Promise<void> => {
    const found = plugged.find(({ wanted }) => wanted.owner.vmid === vmid);
    if (found === undefined) throw new Error(`no port of guest ${vmid}`);
    const { wanted, view } = found;
    const planned = plannedChange(
      kind === 'adopt' ? { kind, wanted, row: view.row } : { kind, wanted, after: [] },
      cause(why),
      'a1',
    );
    return ledger.writeAhead(draftOf(planned, host), () => Promise.resolve());
  };
  await ledger.append({
    category: 'settings',
    action: 'start',
    metadata: { ...cause('start'), host, plugin: 'agent' },
    data: { version: '0.1.0', bridges },
  });
  await phase(100, 'pre-start');
  await phase(101, 'pre-start');
  await change(100, 'adopt', 'reconcile: switch changed');
  await change(102, 'adopt', 'reconcile: switch changed');
  await phase(100, 'post-start');
  await change(101, 'attach', 'hook post-start');
  await phase(101, 'post-start');
}

function fixedEngine(views: readonly PortView[], guestOf: (vmid: Vmid) => Guest | null): PortEngine {
  const find = (name: string): PortView => {
    const found = views.find(({ port, row }) => port === name || row.netdev === name);
    if (found === undefined) throw new AgentError('NotFound', `no port ${name}`);
    return found;
  };
  const portOfDevice = (name: string) =>
    name.startsWith('vi')
      ? (name as PortView['port'])
      : templatePortName('vi_{container}', { container: name as ContainerName, index: 0 });
  const engine: Partial<PortEngine> = {
    ports: () => [...views],
    port: find,
    guest: guestOf,
    bridges: () =>
      bridges.map((name) => ({
        name,
        managed: true,
        ports: views.filter(({ row }) => row.bridge === name).length + 1,
        datapathType: 'system',
      })),
    status: () => ({
      switchProblem: null,
      ovsVersion: '3.5.0',
      trouble: null,
      ledgerGap: null,
      listing: { state: 'present', foreign: [], error: null },
      problems: [],
      unreadable: [],
      policies: [],
    }),
    reconcile: () =>
      Promise.resolve({
        verdicts: new Map(),
        unreadable: new Map(),
        changes: [],
        problems: new Map(),
        drift: [],
        mirrors: { changes: [], problems: [], drift: [], nextCfg: null },
        committed: { nextCfg: null },
      }),
    addPort: (netdev) => Promise.resolve(portOfDevice(netdev)),
    createContainerInterface: (_netdev, _container, vmid) => Promise.resolve(guestPortName(vmid, nicNameOf(0))),
    removePort: (name) => Promise.resolve(portOfDevice(name)),
  };
  // Only what documents call; anything else is a TypeError that fails the test.
  return engine as PortEngine;
}
