/** The port engine: what the faces call, and what the events of the outside wake. */
import { AgentError, toAgentError } from '../model/errors.ts';
import { parseGuestNetdev } from '../model/guest.ts';
import type { Guest } from '../model/guest.ts';
import type { Phase } from '../model/lifecycle.ts';
import type { BridgeName, ContainerName, NetdevName, PortName, Vmid } from '../model/names.ts';
import { comparePortNames } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { Policy } from '../model/policy.ts';
import type { ObservedPort } from '../model/port.ts';
import { Announcer } from './announcer.ts';
import type { PortEvents } from './announcer.ts';
import { Bindings } from './bindings.ts';
import type { Binding } from './bindings.ts';
import { hasPrefix } from './candidates.ts';
import { Committer } from './committer.ts';
import type {
  BindingsStore,
  Cause,
  Clock,
  ContainerNames,
  GuestLocks,
  Guests,
  Links,
  Listing,
  Pools,
  Recorder,
  Switch,
} from './contracts.ts';
import { Devices } from './devices.ts';
import { Findings } from './findings.ts';
import type { FindingEvents } from './findings.ts';
import { FollowedGuests } from './followed-guests.ts';
import { Handover } from './handover.ts';
import { WriteAhead } from './journal.ts';
import { runPhase } from './lifecycle.ts';
import { listedPorts, ListingWriter } from './listing.ts';
import type { ListingOutcome } from './listing.ts';
import { isOurs } from './marks.ts';
import { Mirrors } from './mirrors.ts';
import { portNameOfRow } from './plan.ts';
import { Policies } from './policies.ts';
import { everythingNow, patiently, Reconciler } from './reconciler.ts';
import type { PassResult } from './reconciler.ts';
import type { Scope, Subject } from './scope.ts';
import { phaseDraft } from './record.ts';
import { Runner } from './runner.ts';
import { SwitchView } from './switch-view.ts';
import { within } from './within.ts';
import type { SwitchChange, SwitchTables, Touched } from './switch-view.ts';
import type { ReplicaReader } from '../ovsdb/replica.ts';

export interface PortEngineOptions {
  readonly switch: Switch;
  readonly replica: () => ReplicaReader<SwitchTables>;
  readonly links: Links;
  readonly guests: Guests;
  readonly guestLocks: GuestLocks;
  readonly recorder: Recorder;
  readonly listing: Listing;
  readonly bindingsStore: BindingsStore;
  readonly clock: Clock;
  readonly host: string;
  readonly cluster: () => string;
  readonly newTxn: () => string;
  readonly bridges: readonly BridgeName[];
  readonly bridgeName: BridgeName;
  readonly containerBridge: BridgeName;
  readonly policies: readonly Policy[];
  readonly pools: Pools;
  readonly namingTemplate: string;
  readonly namingMode: NamingMode;
  readonly includePrefixes: readonly string[];
  readonly containerNames: ContainerNames;
  readonly debounceMs: number;
  /** The longest time between two whole passes. */
  readonly timerMs: number;
  /** Whether changes of the replica start passes. They are taken in either way. */
  readonly switchWakes: boolean;
  readonly drift: 'repair' | 'report';
  readonly events: EngineEvents;
}

/** What the engine tells the outside. */
export interface EngineEvents extends PortEvents, FindingEvents {}

/** A port of ours, as the faces show it. */
export interface PortView {
  readonly port: PortName;
  readonly row: ObservedPort;
  readonly problem: string | null;
}

/** A call that arrives while the switch is (re)connecting waits this long; a hook gives up after 0.9 s. */
const switchDeadlineMs = 700;
/** The hook itself gives up after 0.9 s, and after 1.4 s at `post-start`; the answer comes before. */
const answerMs = 800;
const postStartAnswerMs = 1300;
/** A pass waits for the switch, for iproute2 and for the ledger, each with a deadline of a few seconds. */
const passAgeMsMax = 30_000;
const reconcileCause: Cause = { cause: 'reconcile', user: 'root', uid: 0 };

export class PortEngine {
  readonly #options: PortEngineOptions;
  readonly #view: SwitchView;
  readonly #bindings: Bindings;
  readonly #policies: Policies;
  readonly #journal: WriteAhead;
  readonly #devices: Devices;
  readonly #committer: Committer;
  readonly #mirrors: Mirrors;
  readonly #reconciler: Reconciler;
  readonly #handover: Handover;
  readonly #listing: ListingWriter;
  readonly #runner: Runner;
  readonly #followed: FollowedGuests;
  readonly #announcer: Announcer;
  readonly #findings: Findings;
  readonly #managed: ReadonlySet<BridgeName>;
  #lastTrouble: AgentError | null = null;

  constructor(options: PortEngineOptions) {
    this.#options = options;
    const { clock, guests } = options;
    this.#managed = new Set(options.bridges);
    this.#view = new SwitchView(options.replica);
    this.#bindings = new Bindings(options.bindingsStore);
    this.#policies = new Policies(options);
    this.#journal = new WriteAhead({
      ...options,
      settle: () => this.#settleInDoubt(),
      onLedgerGap: (error) => {
        options.events.trouble(error);
      },
    });
    this.#devices = new Devices({ ...options, journal: this.#journal });
    this.#committer = new Committer({
      ...options,
      journal: this.#journal,
      view: this.#view,
      onCommitted: (change) => {
        this.#findings.committed(change);
      },
    });
    const shared = {
      view: this.#view,
      links: this.#devices,
      guests,
      bindings: this.#bindings,
      committer: this.#committer,
      policies: this.#policies,
    };
    this.#mirrors = new Mirrors({
      ...shared,
      managed: this.#managed,
      drift: options.drift,
      findPort: (name) => this.#handover.find(name),
    });
    this.#reconciler = new Reconciler({
      ...shared,
      mirrors: this.#mirrors,
      clock,
      managed: this.#managed,
      guestLocks: options.guestLocks,
      cluster: options.cluster,
      drift: options.drift,
      namingMode: options.namingMode,
      candidates: { ...options, ...shared, prefixes: options.includePrefixes, names: options.containerNames },
      onChanged: () => {
        this.#listing.request();
      },
      onResult: (scope, result) => {
        this.#findings.keep(scope, result);
      },
    });
    this.#handover = new Handover({ ...options, ...shared, managed: this.#managed, reconciler: this.#reconciler });
    this.#listing = new ListingWriter({ listing: options.listing, journal: this.#journal, clock }, () =>
      options.switch.problem === null
        ? listedPorts(this.#view.onBridges(this.#managed), (vmid) => this.#reconciler.guest(vmid))
        : null,
    );
    this.#announcer = new Announcer(options.events);
    this.#findings = new Findings(options);
    this.#runner = new Runner({
      clock,
      debounceMs: options.debounceMs,
      timerMs: options.timerMs,
      pass: (scope, cause) => this.#backgroundPass(scope, cause),
      nextRipeMs: () => this.#reconciler.nextRipeMs(),
    });
    this.#followed = new FollowedGuests(clock, (vmid, cause) => {
      this.#runner.touch([vmid], cause);
    });
  }

  /** Reads the bindings. Rejects when their file is not what it should be. */
  load(): Promise<void> {
    return this.#bindings.load();
  }

  /** Begins to reconcile; passes fail and are tried again until the switch is there. */
  async start(): Promise<void> {
    await this.load();
    this.#runner.start();
  }

  async stop(): Promise<void> {
    this.#runner.stop();
    this.#followed.stop();
    this.#committer.stop();
    await this.#listing.settled();
  }

  /** Resolves when the replica is in step with the switch; rejects with the reason after the deadline. */
  switchReady(deadlineMs: number): Promise<void> {
    return this.#committer.waitForSwitch(deadlineMs);
  }

  /** False when one pass has been running for longer than all its deadlines together. */
  get isHealthy(): boolean {
    return this.#runner.passAgeMs() < passAgeMsMax;
  }

  /** Somebody asks for a whole pass soon (SIGHUP, a spool that was read). */
  wake(cause: string): void {
    this.#runner.wake(cause);
  }

  /** The replica changed. */
  onSwitchChanges(changes: readonly SwitchChange[]): void {
    const touched = this.#view.apply(changes);
    this.#committer.onSwitchChanged();
    // Losses first: a row that was replaced by another of the same port is no loss in the end.
    const views = [...touched.ports].map((uuid) => [uuid, this.#viewOf(this.#view.byUuid(uuid))] as const);
    for (const [uuid, view] of views) if (view === null) this.#announcer.note(uuid, view);
    for (const [uuid, view] of views) if (view !== null) this.#announcer.note(uuid, view);
    if (touched.ports.size > 0) this.#listing.request();
    if (this.#options.switchWakes) this.#wakeFor(changes, touched);
  }

  #wakeFor(changes: readonly SwitchChange[], { vmids, names }: Touched): void {
    const handedOver = [...names].flatMap((name) => this.#bindings.ofDevice(name) ?? []).flatMap(subjectsOf);
    this.#runner.touch([...vmids, ...handedOver], 'switch changed');
    if (changes.some(({ table, kind }) => table === 'Bridge' && kind !== 'modify'))
      this.#runner.wake('bridges changed');
    else if (this.#mirrors.areDue(changes)) this.#runner.wake('mirrors changed');
  }

  /** The connection to the switch came or went. */
  onSwitchState(problem: AgentError | null): void {
    this.#committer.onSwitchChanged();
    if (problem !== null) return;
    // What was missing before may have come and gone unseen.
    this.#reconciler.restartPatience();
    this.#runner.wake('switch connected');
  }

  /** The lock under which the agent writes came or went. */
  onSwitchLock(isHeld: boolean): void {
    this.#committer.onSwitchChanged();
    if (isHeld) this.#runner.wake('lock granted');
  }

  /** False while there are blocks in doubt, which the next run has to look for. */
  get isOutcomeKnown(): boolean {
    return !this.#committer.isInDoubt;
  }

  /** Devices of these names appeared, went or changed. */
  onLinkChanges(names: readonly string[]): void {
    const touched = new Set<Subject>();
    for (const name of names) {
      const guest = parseGuestNetdev(name);
      const binding = this.#bindings.ofDevice(name);
      if (guest !== null) touched.add(guest.vmid);
      if (binding !== null) for (const subject of subjectsOf(binding)) touched.add(subject);
      if (guest === null && binding === null && this.#isKnownDevice(name)) this.#runner.wake(`device ${name} changed`);
    }
    this.#runner.touch(touched, 'devices changed');
  }

  /** Somebody, perhaps this service, wrote the interfaces file. */
  onInterfacesChanged(): void {
    this.#listing.request();
  }

  /** The unit that runs this guest changed. */
  onUnitChange(vmid: Vmid): void {
    this.#lookAtAndFollow([vmid], 'unit changed');
  }

  /** The configurations of these guests were written, came to this node or went. */
  onGuestFilesChanged(vmids: readonly Vmid[]): void {
    this.#lookAtAndFollow(vmids, 'guest files changed');
  }

  /**
   * A call of the hookscript. Answers the line for the task log, also when something is in the way: a hook cannot do
   * anything about it, and what is missing now is put right when the world changes.
   */
  async notifyLifecycle(vmid: Vmid, phase: Phase, caller: Cause): Promise<string> {
    const cause = { ...caller, cause: `hook ${phase}` };
    const { recorder, host, events, clock } = this.#options;
    // At post-start the devices are there; what the others announce comes after them.
    if (phase !== 'post-start') this.#followed.follow(vmid, `after hook ${phase}`);
    // An event, not a change: nothing waits for it to be durable.
    recorder.append(phaseDraft(vmid, phase, cause, host)).catch((error: unknown) => {
      events.trouble(toAgentError(error));
    });
    try {
      const deadlineMs = phase === 'post-start' ? postStartAnswerMs : answerMs;
      return await within(deadlineMs, clock, `${phase} is still under way`, this.#runPhase(vmid, phase, cause));
    } catch (thrown) {
      const error = toAgentError(thrown);
      events.trouble(error);
      this.#runner.touch([vmid], `after hook ${phase}`);
      return `guest ${vmid}: ${error.message}; ovs-port-agent tries again by itself`;
    }
  }

  /** A guest has started or ended, as somebody saw who is no hookscript. Answers in words, whatever is in the way. */
  async applyGuest(vmid: Vmid, phase: 'post-start' | 'post-stop', cause: Cause): Promise<string> {
    try {
      return await this.#runPhase(vmid, phase, cause);
    } catch (error) {
      this.#lookAtAndFollow([vmid], `after ${phase}`);
      return `guest ${vmid}: ${toAgentError(error).message}; ovs-port-agent tries again by itself`;
    }
  }

  /** A change was made that the ledger could not take. */
  noteLedgerGap(error: AgentError): void {
    this.#journal.noteGap(1, error);
  }

  #lookAtAndFollow(vmids: readonly Vmid[], cause: string): void {
    this.#runner.touch(vmids, cause);
    for (const vmid of vmids) this.#followed.follow(vmid, cause);
  }

  async #runPhase(vmid: Vmid, phase: Phase, cause: Cause): Promise<string> {
    await this.#ready();
    return runPhase(
      {
        reconciler: this.#reconciler,
        committer: this.#committer,
        guests: this.#options.guests,
        view: this.#view,
        managed: this.#managed,
      },
      vmid,
      phase,
      cause,
    );
  }

  /** A whole pass now, nothing waits. Answers what it did. */
  async reconcile(caller: Cause): Promise<PassResult> {
    await this.#ready();
    const result = await this.#reconciler.pass('all', caller, everythingNow);
    await this.#committer.waitApplied(result.committed, 5000);
    this.#listing.request();
    return result;
  }

  async addPort(netdev: NetdevName, bridge: BridgeName | null, caller: Cause): Promise<PortName> {
    await this.#ready();
    return this.#listed(this.#handover.addPort(netdev, bridge, caller));
  }

  async createContainerInterface(
    netdev: NetdevName,
    container: ContainerName,
    vmid: Vmid,
    caller: Cause,
  ): Promise<PortName> {
    await this.#ready();
    return this.#listed(this.#handover.createContainerInterface(netdev, container, vmid, caller));
  }

  async removePort(name: string, caller: Cause): Promise<PortName> {
    await this.#ready();
    return this.#listed(this.#handover.remove(name, caller));
  }

  /** Ports that carry our mark, sorted by vmid and nic. */
  ports(): PortView[] {
    return this.#view
      .onBridges(this.#managed)
      .flatMap((row) => this.#viewOf(row) ?? [])
      .sort((a, b) => comparePortNames(a.port, b.port));
  }

  /** One of them, by port name, netdev or row. Throws `NotFound`. */
  port(name: string): PortView {
    const found = this.#viewOf(this.#handover.find(name));
    if (found === null) throw new AgentError('NotFound', `no port ${name}; \`ovs-port-agent list\` shows them`);
    return found;
  }

  /** One row for each port: which card, device, row and altname belong together. */
  interfaceBindings(): Record<string, unknown>[] {
    return this.ports().map(({ port, row }) => {
      const guest = parseGuestNetdev(row.netdev);
      const vmid = guest?.vmid ?? this.#bindings.byPort(port)?.vmid ?? null;
      return {
        vmid,
        nic: guest === null ? null : `net${guest.index}`,
        netdev: row.netdev,
        port,
        row: row.rowName,
        altname: row.netdev === port ? (this.#bindings.byPort(port)?.netdev ?? port) : port,
        stanza: port,
      };
    });
  }

  /** A guest as the last pass read it, for what is printed about its ports. */
  guest(vmid: Vmid): Guest | null {
    return this.#reconciler.guest(vmid);
  }

  bridges(): { name: BridgeName; managed: boolean; ports: number; datapathType: string }[] {
    return this.#view
      .bridges()
      .map(({ name, ports, datapathType }) => ({ name, ports, datapathType, managed: this.#managed.has(name) }));
  }

  status(): {
    switchProblem: AgentError | null;
    ovsVersion: string | null;
    trouble: AgentError | null;
    ledgerGap: string | null;
    listing: ListingOutcome;
    problems: [PortName, string][];
    unreadable: [Vmid, string][];
    policies: string[];
  } {
    return {
      switchProblem: this.#options.switch.problem,
      ovsVersion: this.#view.ovsVersion,
      trouble: this.#lastTrouble,
      ledgerGap: this.#journal.problem,
      listing: this.#listing.outcome,
      problems: [...this.#findings.problems],
      unreadable: [...this.#findings.unreadable],
      policies: [...this.#policies.problems(), ...this.#findings.mirrorProblems],
    };
  }

  /** Resolves when what the passes so far asked of the managed block is written, or has failed. */
  async listingSettled(): Promise<void> {
    await this.#listing.settled();
  }

  async #listed(done: Promise<PortName>): Promise<PortName> {
    const port = await done;
    this.#listing.request();
    // No guest's own pass would see it.
    if (this.#policies.haveMirrors) this.#runner.wake('a port was handed over');
    return port;
  }

  async #backgroundPass(scope: Scope, cause: string): Promise<boolean> {
    // Without a switch there is nothing to compare with; its return wakes the runner.
    if (this.#options.switch.problem !== null) return true;
    try {
      await this.#settleInDoubt();
      await this.#reconciler.pass(scope, { ...reconcileCause, cause: `reconcile: ${cause}` }, patiently);
      // Also without a change: somebody else may have edited the file.
      if (scope === 'all') this.#listing.request();
      this.#lastTrouble = null;
      return true;
    } catch (thrown) {
      this.#lastTrouble = toAgentError(thrown);
      this.#options.events.trouble(this.#lastTrouble);
      return false;
    }
  }

  /** A device that has a port of ours, or may be a container's. */
  #isKnownDevice(name: string): boolean {
    const row = this.#view.byNetdev(name);
    return hasPrefix(name, this.#options.includePrefixes) || (row !== null && this.#viewOf(row) !== null);
  }

  /** What the last run left in doubt; before anything else is written ahead, which would end the doubt in the ledger. */
  async #settleInDoubt(): Promise<void> {
    const { recorder } = this.#options;
    await this.#devices.settleInDoubt(recorder);
    await this.#listing.settleInDoubt(recorder);
    await this.#committer.settleInDoubt();
  }

  /** Nothing is done before it is known what was handed over: the first call may come as soon as the bus name is taken. */
  async #ready(): Promise<void> {
    await this.load();
    await this.#committer.waitForSwitch(switchDeadlineMs);
  }

  /** The row as a port of ours; null when it is none, or not on a managed bridge. */
  #viewOf(row: ObservedPort | null): PortView | null {
    const port = row === null ? null : portNameOfRow(row);
    if (row === null || port === null || !isOurs(row) || !this.#managed.has(row.bridge)) return null;
    return { port, row, problem: row.error ?? this.#findings.problems.get(port) ?? null };
  }
}

/** Whose guest is known is looked at with it. */
function subjectsOf({ port, vmid }: Binding): Subject[] {
  return vmid === null ? [port] : [port, vmid];
}
