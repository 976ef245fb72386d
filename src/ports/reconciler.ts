/**
 * One pass of the reconciler: observe, plan, commit, name, for some guests or for all. Level-triggered: whatever woke
 * it, it reads the world again and does only what is missing.
 */
import { AgentError, isRetryable, toAgentError } from '../model/errors.ts';
import { firewallBridgeName, guestNetdevName, parseGuestNetdev } from '../model/guest.ts';
import type { Guest } from '../model/guest.ts';
import { nicIndex } from '../model/names.ts';
import type { BridgeName, NetdevName, PortName, Vmid } from '../model/names.ts';
import { guestPortName } from '../model/naming.ts';
import type { NamingMode } from '../model/naming.ts';
import type { ObservedPort, WantedPort } from '../model/port.ts';
import { wantedOfBinding } from './bindings.ts';
import type { Binding, Bindings } from './bindings.ts';
import { candidatePorts } from './candidates.ts';
import type { CandidateOptions } from './candidates.ts';
import type { Change } from './change.ts';
import type { Committed, Committer } from './committer.ts';
import type { Cause, Clock, GuestLocks, Guests, Link } from './contracts.ts';
import type { Devices } from './devices.ts';
import { desiredPorts, netdevsOf } from './desired.ts';
import type { NicVerdict } from './desired.ts';
import { Patience } from './patience.ts';
import { isOurs } from './marks.ts';
import type { MirrorResult, Mirrors } from './mirrors.ts';
import { isMarked, planPorts } from './plan.ts';
import type { Drift, PortChange, PortPlan } from './plan.ts';
import type { Policies } from './policies.ts';
import { Refusals } from './refusals.ts';
import { giveBackNames, linkOfBinding, renameDevices } from './renaming.ts';
import type { Scope, Subject } from './scope.ts';
import type { SwitchView } from './switch-view.ts';

/** Which kinds of change do not wait for patience; marks never do. */
export interface Urgency {
  /** Somebody waits for the answer: what the switch has refused before is tried again. */
  readonly isAsked: boolean;
  readonly attach: boolean;
  readonly set: boolean;
  readonly replace: boolean;
  readonly detach: boolean;
}
/** Events and the timer: Proxmox may be about to put right itself what looks wrong. */
export const patiently: Urgency = { isAsked: false, attach: false, set: false, replace: false, detach: false };
/** Before a start and after a stop: what is left of the guest goes, but nothing is plugged behind Proxmox's back. */
export const detachNow: Urgency = { isAsked: true, attach: false, set: false, replace: false, detach: true };
/** After a start, or when a person asks: Proxmox has done its part. */
export const everythingNow: Urgency = { isAsked: true, attach: true, set: true, replace: true, detach: true };

/** How often a pass looks again because somebody else changed a row meanwhile. */
const attemptsMax = 3;
/** `ovs-vswitchd` makes the device of an internal port while it applies the row. */
const internalPortDeadlineMs = 1000;

export interface ReconcilerOptions {
  readonly view: SwitchView;
  readonly links: Devices;
  readonly guests: Guests;
  readonly guestLocks: GuestLocks;
  readonly bindings: Bindings;
  readonly committer: Committer;
  readonly clock: Clock;
  readonly managed: ReadonlySet<BridgeName>;
  readonly cluster: () => string;
  readonly drift: 'repair' | 'report';
  readonly namingMode: NamingMode;
  readonly policies: Policies;
  readonly mirrors: Mirrors;
  readonly candidates: CandidateOptions;
  /** A pass has changed something on the switch. */
  readonly onChanged: () => void;
  /** What each pass found, whoever asked for it. */
  readonly onResult: (scope: Scope, result: PassResult) => void;
}

export interface PassResult {
  readonly verdicts: ReadonlyMap<Vmid, readonly NicVerdict[]>;
  /** Guests whose configuration could not be read, with the reason; their ports stay as they are. */
  readonly unreadable: ReadonlyMap<Vmid, string>;
  readonly changes: readonly Change[];
  readonly problems: ReadonlyMap<PortName, string>;
  readonly drift: readonly Drift[];
  /** Of all guests, whatever the scope. */
  readonly mirrors: MirrorResult;
  readonly committed: Committed;
}

/** What became of the changes of a pass. */
interface CarriedOut {
  readonly plan: PortPlan;
  readonly committed: Committed;
  readonly made: readonly PortChange[];
  readonly refused: ReadonlyMap<PortName, string>;
}

interface Outcome {
  readonly committed: Committed;
  readonly made: readonly PortChange[];
  readonly failed: readonly (readonly [PortChange, AgentError])[];
}

interface Seen {
  readonly read: readonly (readonly [Vmid, Guest | null])[];
  readonly rows: readonly ObservedPort[];
  readonly observed: ReadonlyMap<string, Link>;
}

/** A plan, and the rows it was made of: it is the same as long as they are. */
interface PlanAt {
  readonly generation: number;
  readonly plan: PortPlan;
}

interface Observation {
  readonly verdicts: Map<Vmid, NicVerdict[]>;
  readonly unreadable: Map<Vmid, string>;
  readonly unnamed: ReadonlyMap<string, string>;
  readonly wanted: readonly WantedPort[];
  /** Port rows in scope. */
  readonly rows: readonly string[];
  readonly links: ReadonlyMap<string, Link>;
  /** When the devices were looked at (`Devices.moment`). */
  readonly moment: number;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #patience = new Patience();
  /** What waits because its bridge was made anew: patience for it, but not for the guest's lock. */
  readonly #swept = new Set<string>();
  readonly #refusals = new Refusals();
  /** Firewall ports outside their bridge. */
  readonly #loose = new Patience();
  /** Bridge row last seen under each name; another one means that the database was wiped or networking restarted. */
  readonly #bridgeRows = new Map<string, string>();
  /** Guests as last read, for what is printed about their ports. */
  readonly #known = new Map<Vmid, Guest>();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  guest(vmid: Vmid): Guest | null {
    return this.#known.get(vmid) ?? null;
  }

  /** Rejects when the switch cannot be written. What has to wait is left out; `nextRipeMs` says when to come back. */
  async pass(scope: Scope, cause: Cause, urgency: Urgency): Promise<PassResult> {
    const observation = await this.#observe(scope, cause);
    const first: PlanAt = { generation: this.#options.view.generation, plan: this.#plan(observation) };
    const allowed = await this.#ripen(first.plan.changes, scope, urgency);
    const { plan, committed, made, refused } = await this.#carryOut(observation, first, allowed, cause, urgency);
    this.#patience.forget(allowed);
    const problems = new Map(plan.problems.map(({ port, problem }) => [port, problem]));
    for (const [vmid, verdicts] of observation.verdicts) {
      for (const verdict of verdicts) {
        if (verdict.wanted === null && verdict.isHopeless)
          problems.set(guestPortName(vmid, verdict.nic), `${verdict.nic} ${verdict.reason}`);
      }
    }
    for (const [netdev, problem] of observation.unnamed) problems.set(netdev as PortName, problem);
    for (const [port, problem] of refused) problems.set(port, problem);
    if (scope === 'all') this.#refusals.retain(plan.changes);
    await this.#join(observation, made, committed, scope, problems, cause);
    await this.#name(observation, problems, cause);
    const { verdicts, unreadable, wanted } = observation;
    const { mirrors } = this.#options;
    mirrors.note(scope, wanted, unreadable);
    const mirrored = await mirrors.pass(cause);
    const result: PassResult = {
      verdicts,
      unreadable,
      changes: [...made, ...mirrored.changes],
      problems,
      drift: plan.drift,
      mirrors: mirrored,
      committed: later(committed, mirrored),
    };
    this.#options.onResult(scope, result);
    return result;
  }

  /**
   * Plans at the last moment (while locks were looked up, another pass may have done the same) and commits. Where the
   * switch refuses because somebody else was quicker, it is looked at again.
   */
  async #carryOut(
    observation: Observation,
    first: PlanAt,
    allowed: ReadonlySet<string>,
    cause: Cause,
    urgency: Urgency,
  ): Promise<CarriedOut> {
    const made: PortChange[] = [];
    let committed: Committed = { nextCfg: null };
    for (let attempt = 1; ; attempt++) {
      const { generation } = this.#options.view;
      const plan = first.generation === generation ? first.plan : this.#plan(observation);
      const refused = new Map<PortName, string>();
      const isFirstAsked = urgency.isAsked && attempt === 1;
      const hopeful = plan.changes.filter((change) => {
        const reason = isFirstAsked ? null : this.#refusals.reasonAgainst(change, generation);
        if (reason !== null) note(refused, change, reason);
        return reason === null;
      });
      const changes = this.#withMarks(inOrder(hopeful, allowed), hopeful);
      const outcome = await this.#commit(changes, cause);
      if (changes.length > 0) this.#options.onChanged();
      made.push(...outcome.made);
      committed = later(committed, outcome.committed);
      let isOutdated = false;
      for (const [change, error] of outcome.failed) {
        note(refused, change, error.message);
        // The rows that stand in its way may be the very thing that was to be done, by Proxmox VE's own hand.
        if (error.code === 'Conflict' || this.#options.view.generation !== generation) isOutdated = true;
        if (error.code !== 'Conflict') this.#refusals.note(change, error.message, generation);
      }
      if (!isOutdated || attempt === attemptsMax) return { plan, committed, made, refused };
    }
  }

  /** Each change is a request of its own: they share a transaction, not a failure. Rejects when it may work later. */
  async #commit(changes: readonly PortChange[], cause: Cause): Promise<Outcome> {
    const { committer } = this.#options;
    const made: PortChange[] = [];
    const failed: [PortChange, AgentError][] = [];
    let committed: Committed = { nextCfg: null };
    const outcomes = await Promise.allSettled(changes.map((change) => committer.commit([change], cause)));
    for (const [index, change] of changes.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') {
        made.push(change);
        committed = later(committed, outcome.value);
        continue;
      }
      const error = toAgentError(outcome?.reason);
      if (isRetryable(error)) throw error;
      failed.push([change, error]);
    }
    return { committed, made, failed };
  }

  /** The time of whatever waits begins anew. */
  restartPatience(): void {
    this.#patience.clear();
  }

  /** When a change that was left alone so far becomes ripe; null when none waits. */
  nextRipeMs(): number | null {
    const times = [this.#patience.nextRipeMs(), this.#loose.nextRipeMs()].filter((time) => time !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  async #observe(scope: Scope, cause: Cause): Promise<Observation> {
    const { links, view, bindings, managed, namingMode, policies, candidates } = this.#options;
    const unreadable = new Map<Vmid, string>();
    const bound = bindings
      .all()
      .filter(({ vmid, port }) => scope === 'all' || scope.has(port) || (vmid !== null && scope.has(vmid)));
    const { moment } = links;
    const { read, rows, observed } = await this.#look(scope, bound, unreadable);
    const found = namingMode === 'rename' ? observed : await giveBackNames(observed, [], this.#options, cause);
    const verdicts = new Map<Vmid, NicVerdict[]>();
    const wanted: WantedPort[] = [];
    if (scope === 'all') this.#known.clear();
    for (const [vmid, guest] of read) {
      this.#known.delete(vmid);
      if (guest === null) continue;
      this.#known.set(vmid, guest);
      const judged = desiredPorts(guest, found, managed, namingMode, (...nic) => policies.mirrorOf(...nic));
      verdicts.set(vmid, judged);
      for (const verdict of judged) if (verdict.wanted !== null) wanted.push(verdict.wanted);
    }
    // A guest's configuration decides about its devices, whatever was handed over before.
    const claimed = new Set(wanted.map(({ netdev }) => netdev));
    for (const binding of bound) {
      const { netdev, vmid } = binding;
      const link = linkOfBinding(binding, found);
      // Without its guest's configuration nobody knows which policy is its own: it stays as it is.
      if (link === null || claimed.has(netdev) || (vmid !== null && unreadable.has(vmid))) continue;
      const guest = vmid === null ? null : this.guest(vmid);
      const bridged = wantedOfBinding(binding, policies.place({ ...binding, guest }), namingMode);
      wanted.push({ ...bridged, netdev: link.name as NetdevName });
    }
    const offered =
      scope === 'all' && candidates.prefixes.length > 0
        ? await candidatePorts(found, new Set(wanted.map(({ netdev }) => netdev)), view, links, candidates)
        : null;
    wanted.push(...(offered?.wanted ?? []));
    const renamed = await renameDevices(wanted, found, this.#options, cause);
    const unnamed = new Map<string, string>([...(offered?.problems ?? []), ...renamed.problems]);
    return {
      verdicts,
      unreadable,
      unnamed,
      wanted: renamed.wanted,
      rows: rows.map(({ portUuid }) => portUuid),
      links: scope === 'all' ? await giveBackNames(renamed.links, renamed.wanted, this.#options, cause) : renamed.links,
      moment,
    };
  }

  async #look(scope: Scope, bound: readonly Binding[], unreadable: Map<Vmid, string>): Promise<Seen> {
    const { guests, links, view, managed } = this.#options;
    if (scope === 'all') {
      // Rows before devices: one that is plugged meanwhile must not look as if its device were gone.
      const rows = view.onBridges(managed);
      const reading = guests.list().then((vmids) => readGuests(guests, vmids, unreadable));
      const [read, observed] = await Promise.all([reading, links.observeAll()]);
      return { read, rows, observed };
    }
    const vmids = [...scope].filter((subject) => typeof subject === 'number');
    const read = await readGuests(guests, vmids, unreadable);
    const handedOver = bound.flatMap(({ netdev, port }) => [netdev, port]);
    const rows = uniqueRows([
      ...vmids.flatMap((vmid) => view.ofVmid(vmid)),
      ...handedOver.flatMap((name) => view.byNetdev(name) ?? []),
    ]);
    const observed = await links.observe([
      ...read.flatMap(([, guest]) => (guest === null ? [] : netdevsOf(guest))),
      ...rows.flatMap((row) => netdevsBehind(row)),
      ...handedOver,
      // Their mtu is what Proxmox VE asks for.
      ...managed,
    ]);
    return { read, rows, observed };
  }

  #plan({ wanted, rows, links }: Observation): PortPlan {
    const { view, managed, cluster, drift } = this.#options;
    const wantedNetdevs = new Set<string>(wanted.map(({ netdev }) => netdev));
    return planPorts({
      wanted,
      rows: rows.flatMap((uuid) => view.byUuid(uuid) ?? []),
      rowOfNetdev: (netdev) => view.byNetdev(netdev),
      isRowNameTaken: (name) => view.hasRowName(name),
      bondOf: (netdev) => view.bondOf(netdev),
      netdevExists: (row) =>
        netdevsBehind(row).some(
          (name) => links.has(name) && (wantedNetdevs.has(row.netdev) || !isPluggedOtherwise(name, row, links, view)),
        ),
      managed,
      bridgeExists: (bridge) => view.bridgeUuid(bridge) !== null,
      cluster: cluster(),
      drift,
    });
  }

  /**
   * What may be done now. Marks never wait; a row that Proxmox VE may be about to plug or change waits, and as long as
   * Proxmox VE holds the guest's lock. On a bridge that is itself new it waits only when the lock is held, and then for
   * patience alone.
   */
  async #ripen(changes: readonly PortChange[], scope: Scope, urgency: Urgency): Promise<Set<string>> {
    const nowMs = this.#options.clock.nowMs();
    const freshBridges = this.#noteBridges(scope);
    const reported = new Set<string>();
    const ripe = new Set<string>();
    for (const change of changes) {
      if (!urgency.isAsked && this.#refusals.reasonAgainst(change, this.#options.view.generation) !== null) continue;
      const key = patienceKey(change);
      if (change.kind === 'adopt' || urgency[change.kind] || isNobodyElses(change)) {
        ripe.add(key);
        continue;
      }
      reported.add(key);
      const isRipe = this.#patience.isRipe(key, nowMs);
      const isOnFreshBridge = change.kind === 'attach' && freshBridges.has(change.wanted.bridge);
      if (isOnFreshBridge) this.#swept.add(key);
      if (!isRipe && !isOnFreshBridge) continue;
      // A plug of Proxmox VE that is under way is let through; for a task of minutes no guest stays without its port.
      if (!(await this.#isProxmoxAtWork(change)) || (isRipe && this.#swept.has(key))) ripe.add(key);
      else if (isRipe) this.#patience.postpone(key, nowMs);
    }
    for (const key of this.#swept) {
      if (!reported.has(key) && (scope === 'all' || belongsTo(scope, key))) this.#swept.delete(key);
    }
    this.#patience.retain(reported, (key) => scope === 'all' || belongsTo(scope, key));
    return ripe;
  }

  /** A row that waits for another name is marked meanwhile: it answers to its port name at once. */
  #withMarks(changes: readonly PortChange[], planned: readonly PortChange[]): PortChange[] {
    const cluster = this.#options.cluster();
    const marked = planned.flatMap((change): PortChange[] => {
      if (change.kind !== 'replace' || change.after.length > 0 || changes.includes(change)) return [];
      const { wanted, row } = change;
      return isMarked(wanted, row, cluster) ? [] : [{ kind: 'adopt', wanted, row }];
    });
    return [...changes, ...marked];
  }

  /** Names of bridges whose row is another than before. */
  #noteBridges(scope: Scope): Set<string> {
    const fresh = new Set<string>();
    for (const { name, uuid } of this.#options.view.bridges()) {
      const known = this.#bridgeRows.get(name);
      if (known !== undefined && known !== uuid) fresh.add(name);
      if (scope === 'all' || known === undefined) this.#bridgeRows.set(name, uuid);
    }
    return fresh;
  }

  async #isProxmoxAtWork(change: PortChange): Promise<boolean> {
    if (change.kind === 'detach' || change.wanted.owner.kind === 'binding') return false;
    return this.#options.guestLocks.isLocked({ kind: change.wanted.owner.kind, vmid: change.wanted.owner.vmid });
  }

  /**
   * A firewall port whose row was lost lost its device with it: the new one goes back into the firewall's bridge. One
   * that Proxmox has just made is left to Proxmox for as long as a lost row is.
   */
  async #join(
    { wanted, links }: Observation,
    changes: readonly PortChange[],
    committed: Committed,
    scope: Scope,
    problems: Map<PortName, string>,
    cause: Cause,
  ): Promise<void> {
    const made = new Set(changes.flatMap((change) => (change.kind === 'attach' ? [change.wanted.netdev] : [])));
    const loose = wanted.filter(({ netdev, firewallBridge }) => {
      const row = firewallBridge === null ? null : this.#options.view.byNetdev(netdev);
      return row !== null && isOurs(row) && links.get(netdev)?.master === null;
    });
    this.#loose.retain(new Set(loose.map(({ netdev }) => netdev)), (key) => scope === 'all' || belongsTo(scope, key));
    const nowMs = this.#options.clock.nowMs();
    const ripe = loose.filter(({ netdev }) => this.#loose.isRipe(netdev, nowMs));
    const apart = [
      ...ripe,
      ...wanted.filter(({ netdev, firewallBridge }) => firewallBridge !== null && made.has(netdev)),
    ];
    if (apart.length === 0) return;
    await this.#options.committer.waitApplied(committed, internalPortDeadlineMs);
    const joined = await this.#options.links.joinBridges(
      new Map(
        apart.flatMap(({ netdev, firewallBridge }) => (firewallBridge === null ? [] : [[netdev, firewallBridge]])),
      ),
      cause,
    );
    this.#loose.forget(apart.map(({ netdev }) => netdev));
    for (const { netdev, port, firewallBridge } of apart) {
      if (joined.has(netdev)) continue;
      problems.set(port, `${netdev} could not be put into ${firewallBridge ?? ''}`);
      this.#loose.postpone(netdev, nowMs);
    }
  }

  /** Altnames go onto every wanted device that is plugged; Proxmox's next plug takes them away again. */
  async #name({ wanted, links, moment }: Observation, problems: Map<PortName, string>, cause: Cause): Promise<void> {
    const missing = new Map<NetdevName, PortName>();
    for (const wantedPort of wanted) {
      const { netdev, port } = wantedPort;
      const link = links.get(netdev);
      if (link === undefined || link.altnames.includes(port) || link.name === port) continue;
      // Not plugged, or not ours because the name is taken.
      const row = this.#options.view.byNetdev(netdev);
      if (row === null || !isOurs(row)) continue;
      const before = deviceBehind(wantedPort);
      // Proxmox VE was told to put a running guest behind its firewall.
      if (before !== null && links.get(before)?.altnames.includes(port) === true) {
        await this.#options.links.removeAltname(before, port, cause);
      }
      missing.set(netdev, port);
    }
    if (missing.size === 0) return;
    const named = await this.#options.links.addAltnames(missing, { links, moment }, cause);
    for (const [netdev, port] of missing) {
      if (!named.has(netdev))
        problems.set(port, `${netdev} could not be given the altname ${port}; does another device have it?`);
    }
  }
}

/** Guests, null without a configuration here; why one could not be read goes into `unreadable`. */
async function readGuests(
  guests: Guests,
  vmids: readonly Vmid[],
  unreadable: Map<Vmid, string>,
): Promise<(readonly [Vmid, Guest | null])[]> {
  return [...(await guests.readMany(vmids))].map(([vmid, guest]) => {
    if (!(guest instanceof AgentError)) return [vmid, guest];
    // One bad file must not cost the other guests their ports.
    unreadable.set(vmid, guest.message);
    return [vmid, null];
  });
}

/** What may be done now, what removes first; a port whose name a stale row still holds waits for that row to go. */
function inOrder(changes: readonly PortChange[], allowed: ReadonlySet<string>): PortChange[] {
  const ready = changes.filter((change) => change.kind === 'adopt' || allowed.has(patienceKey(change)));
  const detached = ready.filter((change) => change.kind === 'detach');
  const freed = new Set(detached.map(({ row }) => row.portUuid));
  const others = ready.filter((change) => {
    if (change.kind === 'detach') return false;
    return !('after' in change) || change.after.every((uuid) => freed.has(uuid));
  });
  return [...detached, ...others];
}

function later(one: Committed, other: Committed): Committed {
  if (one.nextCfg === null || other.nextCfg === null) return one.nextCfg === null ? other : one;
  return { nextCfg: Math.max(one.nextCfg, other.nextCfg) };
}

/** A refused change is the problem of its port. */
function note(refused: Map<PortName, string>, change: PortChange, reason: string): void {
  const port = change.kind === 'detach' ? change.port : change.wanted.port;
  if (port !== null) refused.set(port, reason);
}

function uniqueRows(rows: readonly ObservedPort[]): ObservedPort[] {
  return [...new Map(rows.map((row) => [row.portUuid, row])).values()];
}

/** `<kind> <netdev>` */
function patienceKey(change: PortChange): string {
  return `${change.kind} ${change.kind === 'detach' ? change.row.netdev : change.wanted.netdev}`;
}

/** The plug or the repair of a device that Proxmox VE does not plug. */
function isNobodyElses(change: PortChange): boolean {
  return change.kind !== 'detach' && parseGuestNetdev(change.wanted.netdev) === null;
}

/** The guest's own device when its port is a firewall's; null for every other port. */
function deviceBehind({ owner, firewallBridge }: WantedPort): NetdevName | null {
  if (firewallBridge === null || owner.kind === 'binding') return null;
  return guestNetdevName({ kind: owner.kind, vmid: owner.vmid }, nicIndex(owner.nic), false);
}

/** The netdevs whose existence keeps a row: for the firewall's internal port, the guest's own device behind it. */
function netdevsBehind(row: ObservedPort): string[] {
  const guest = parseGuestNetdev(row.netdev);
  if (guest?.kind !== 'fwln') return [row.netdev];
  return (['lxc', 'qemu'] as const).map((kind) => guestNetdevName({ kind, vmid: guest.vmid }, guest.index, false));
}

/**
 * A nic whose firewall was switched on or off while nobody took its old row away: its netdev is in its firewall bridge,
 * where that row would let it bypass the firewall, or it is plugged itself, and the firewall port leads nowhere.
 */
function isPluggedOtherwise(
  netdev: string,
  row: ObservedPort,
  links: ReadonlyMap<string, Link>,
  view: SwitchView,
): boolean {
  const guest = parseGuestNetdev(netdev);
  if (guest === null) return false;
  return netdev === row.netdev
    ? links.get(netdev)?.master === firewallBridgeName(guest.vmid, guest.index)
    : view.byNetdev(netdev) !== null;
}

function belongsTo(scope: ReadonlySet<Subject>, key: string): boolean {
  const guest = parseGuestNetdev(key.slice(key.indexOf(' ') + 1));
  return guest !== null && scope.has(guest.vmid);
}
