/**
 * Client of `org.freedesktop.systemd1`: units, jobs and their signals. Signals are hints: every wait also looks for
 * itself, so that one that is lost costs a second and never the answer.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { BusCall, Clock, Signal, SignalRule, SystemdBus, Wait } from './contract.ts';
import { isGone, systemdError, systemdErrorName } from './errors.ts';
import { askedJob, parseJobPath, parseRemoval, stepJob } from './job.ts';
import type { JobEvent, JobPath, JobRemoval, JobResult, JobState } from './job.ts';
import { callDeadlineMs, earlyRemovalsMax, jobLookIntervalMs, jobsFollowedMax } from './limits.ts';
import { parseUnitName, unitOfPath, unitPath } from './unit-name.ts';
import type { UnitName } from './unit-name.ts';
import { readListedUnits, readUnitState } from './unit.ts';
import type { ListedUnit, UnitState } from './unit.ts';
import { Waiter } from './waiting.ts';

export interface SystemdOptions {
  readonly bus: SystemdBus;
  readonly clock: Clock;
  /** null when signals are heard; else why not. Called at every attempt to subscribe. Must not throw. */
  readonly onState?: (problem: AgentError | null) => void;
}

/** A unit changed, came or went; null: any may have, because signals were lost. */
export type UnitListener = (unit: UnitName | null) => void;

/** A method of the manager that queues a job. */
interface JobCall {
  readonly unit: UnitName;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

interface Follower {
  readonly step: (event: JobEvent) => void;
  readonly nudge: () => void;
}

const busName = 'org.freedesktop.systemd1';
const managerPath = '/org/freedesktop/systemd1';
const manager = 'org.freedesktop.systemd1.Manager';
const unitInterface = 'org.freedesktop.systemd1.Unit';
const propertiesInterface = 'org.freedesktop.DBus.Properties';
const driver = 'org.freedesktop.DBus';

export class Systemd {
  readonly #bus: SystemdBus;
  readonly #clock: Clock;
  readonly #onState: (problem: AgentError | null) => void;
  readonly #listeners = new Set<UnitListener>();
  readonly #followers = new Set<Follower>();
  readonly #unitWaits = new Map<Waiter<UnitState>, UnitName>();
  #listening: Promise<void> | null = null;

  constructor({ bus, clock, onState = () => undefined }: SystemdOptions) {
    this.#bus = bus;
    this.#clock = clock;
    this.#onState = onState;
  }

  /**
   * Begins to listen; a second call changes nothing. Resolves when the rules are set and systemd was asked to send its
   * signals, also when it is not there: it is asked again when it comes. Rejects when the bus does not take the rules.
   */
  listen(): Promise<void> {
    this.#listening ??= this.#listen().catch((error: unknown) => {
      this.#listening = null;
      throw error;
    });
    return this.#listening;
  }

  /** To be called after the connection to the bus came back: systemd knew us by our old unique name. */
  onBusConnected(): void {
    if (this.#listening !== null) void this.#subscribe();
  }

  /** Calls `listener` for every change of a unit until the returned function is called. */
  onUnitChanged(listener: UnitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Loads the unit and reads it. null when systemd has no such unit; one that is masked or not found has its state. */
  async unit(name: UnitName, wait: Wait = { deadlineMs: callDeadlineMs }): Promise<UnitState | null> {
    try {
      const [path] = await this.#manager('LoadUnit', 's', [name], wait);
      const all = (interfaceName: string): Promise<readonly unknown[]> =>
        this.#call(String(path), propertiesInterface, 'GetAll', 's', [interfaceName], wait);
      const [[unit], [ofItsKind]] = await Promise.all([all(unitInterface), this.#kindProperties(name, all)]);
      return readUnitState(name, unit, ofItsKind);
    } catch (error) {
      // It may also have gone between the two calls.
      if (isGone(error)) return null;
      throw systemdError(`reading ${name}`, error);
    }
  }

  /** Units that systemd has in memory whose names match one of the patterns (glob(7)); loads none. */
  async listUnits(patterns: readonly string[], wait: Wait = { deadlineMs: callDeadlineMs }): Promise<ListedUnit[]> {
    const [units] = await this.#manager('ListUnitsByPatterns', 'asas', [[], patterns], wait).catch((error: unknown) => {
      throw systemdError('listing units', error);
    });
    return readListedUnits(units);
  }

  /**
   * Queues a job and follows it to its end. The result `done` of a start says what the unit's type makes of it: of a
   * `Type=simple` unit only that its program was executed. Rejects when systemd refuses the job (`NotFound`, `Conflict`
   * for a masked unit), with `Timeout` when it is still queued at the deadline, where it then stays.
   */
  startUnit(unit: UnitName, wait: Wait): Promise<JobResult> {
    return this.runJob({ unit, member: 'StartUnit', signature: 'ss', body: [unit, 'replace'] }, wait);
  }

  stopUnit(unit: UnitName, wait: Wait): Promise<JobResult> {
    return this.runJob({ unit, member: 'StopUnit', signature: 'ss', body: [unit, 'replace'] }, wait);
  }

  /** Starts a unit that does not run. */
  restartUnit(unit: UnitName, wait: Wait): Promise<JobResult> {
    return this.runJob({ unit, member: 'RestartUnit', signature: 'ss', body: [unit, 'replace'] }, wait);
  }

  /** Sends a signal (a number) to the processes of a unit: `main`, `control` or `all`. */
  async killUnit(unit: UnitName, whom: 'main' | 'control' | 'all', signal: number): Promise<void> {
    const wait = { deadlineMs: callDeadlineMs };
    await this.#manager('KillUnit', 'ssi', [unit, whom, signal], wait).catch((error: unknown) => {
      throw systemdError(`sending signal ${signal} to ${unit}`, error);
    });
  }

  /** Lets go of a unit that was made with `AddRef`. One that is gone already is fine. */
  async unrefUnit(unit: UnitName): Promise<void> {
    await this.#manager('UnrefUnit', 's', [unit], { deadlineMs: callDeadlineMs }).catch((error: unknown) => {
      if (!isGone(error) && systemdErrorName(error) !== 'NotReferenced') throw systemdError(`releasing ${unit}`, error);
    });
  }

  /** As `startUnit`, for any method of the manager that answers with a job. */
  async runJob(call: JobCall, wait: Wait): Promise<JobResult> {
    const what = `${call.member} of ${call.unit}`;
    if (this.#followers.size >= jobsFollowedMax) {
      throw new AgentError('Busy', `${what}: ${jobsFollowedMax} jobs are being followed already; try again later`);
    }
    // Before the job is queued, or its end might be announced to nobody.
    await this.listen();
    let state: JobState = askedJob(call.unit);
    const waiter = new Waiter<JobResult>(
      {
        look: async () => {
          if (state.kind === 'asked') return null;
          step({ kind: 'looked', job: await this.#queuedJob(call.unit) });
          return null;
        },
        everyMs: jobLookIntervalMs,
        what: () =>
          `${what}: ${state.kind === 'queued' ? `the job ${state.job} is still queued` : 'systemd has not answered'}`,
      },
      this.#clock,
      wait,
    );
    const step = (event: JobEvent): void => {
      state = stepJob(state, event, earlyRemovalsMax);
      if (state.kind === 'ended') waiter.end(state.result);
    };
    const follower: Follower = {
      step,
      nudge: () => {
        waiter.nudge();
      },
    };
    this.#followers.add(follower);
    // From now on it looks by itself.
    waiter.nudge();
    try {
      void this.#queue(call, what, wait).then(
        (event) => {
          step(event);
          if (event.kind === 'reply-lost') waiter.nudge();
        },
        (error: unknown) => {
          waiter.fail(error);
        },
      );
      return await waiter.done;
    } finally {
      this.#followers.delete(follower);
    }
  }

  /** Resolves with the unit as soon as `condition` holds; a unit that is not there is never shown to it. */
  async untilUnit(
    name: UnitName,
    condition: (unit: UnitState) => boolean,
    what: string,
    wait: Wait,
  ): Promise<UnitState> {
    const waiter = new Waiter<UnitState>(
      {
        look: async () => {
          const unit = await this.unit(name);
          return unit !== null && condition(unit) ? unit : null;
        },
        everyMs: jobLookIntervalMs,
        what: () => `${name} ${what}`,
      },
      this.#clock,
      wait,
    );
    this.#unitWaits.set(waiter, name);
    waiter.nudge();
    try {
      return await waiter.done;
    } finally {
      this.#unitWaits.delete(waiter);
    }
  }

  async #listen(): Promise<void> {
    const fromManager = { sender: busName, path: managerPath, interface: manager };
    const rules: readonly (readonly [SignalRule, (signal: Signal) => void])[] = [
      [
        { ...fromManager, member: 'JobRemoved' },
        ({ body }) => {
          this.#onJobRemoved(parseRemoval(body));
        },
      ],
      [
        { ...fromManager, member: 'UnitNew' },
        ({ body }) => {
          this.#onUnit(nameIn(body));
        },
      ],
      [
        { ...fromManager, member: 'UnitRemoved' },
        ({ body }) => {
          this.#onUnit(nameIn(body));
        },
      ],
      [
        {
          sender: busName,
          pathNamespace: `${managerPath}/unit`,
          interface: propertiesInterface,
          member: 'PropertiesChanged',
          arg0: unitInterface,
        },
        ({ path }) => {
          this.#onUnit(unitOfPath(path));
        },
      ],
      [
        { sender: driver, interface: driver, member: 'NameOwnerChanged', arg0: busName },
        ({ body }) => {
          if (body[2] !== '') void this.#subscribe();
        },
      ],
    ];
    for (const [rule, handler] of rules) await this.#bus.addMatch(rule, handler);
    await this.#subscribe();
  }

  /** systemd sends most signals only while somebody is subscribed, and forgets who was when the bus loses us. */
  async #subscribe(): Promise<void> {
    try {
      await this.#manager('Subscribe', '', [], { deadlineMs: callDeadlineMs });
    } catch (error) {
      if (systemdErrorName(error) !== 'AlreadySubscribed') {
        this.#onState(toAgentError(error));
        return;
      }
    }
    this.#onState(null);
    for (const follower of this.#followers) follower.nudge();
    for (const waiter of this.#unitWaits.keys()) waiter.nudge();
    for (const listener of this.#listeners) listener(null);
  }

  #onJobRemoved(removal: JobRemoval | null): void {
    if (removal === null) return;
    for (const { step } of this.#followers) step({ kind: 'removed', removal });
  }

  #onUnit(name: UnitName | null): void {
    if (name === null) return;
    for (const [waiter, awaited] of this.#unitWaits) if (awaited === name) waiter.nudge();
    for (const listener of this.#listeners) listener(name);
  }

  /** What became of the call. Rejects only when it is certain that no job was queued. */
  async #queue({ member, signature, body }: JobCall, what: string, wait: Wait): Promise<JobEvent> {
    const deadlineMs = Math.min(callDeadlineMs, wait.deadlineMs);
    try {
      const [reply] = await this.#manager(member, signature, body, { deadlineMs, signal: wait.signal });
      const job = parseJobPath(reply);
      return job === null ? { kind: 'reply-lost' } : { kind: 'replied', job };
    } catch (error) {
      if (wait.signal?.aborted === true || isRefusal(error)) throw systemdError(what, error);
      return { kind: 'reply-lost' };
    }
  }

  async #queuedJob(unit: UnitName): Promise<JobPath | null> {
    try {
      const body = [unitInterface, 'Job'];
      const wait = { deadlineMs: callDeadlineMs };
      const [variant] = await this.#call(unitPath(unit), propertiesInterface, 'Get', 'ss', body, wait);
      const value = (variant as { value?: unknown } | undefined)?.value;
      return Array.isArray(value) ? parseJobPath(value[1]) : null;
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  /** Only services and scopes have properties of interest here. */
  #kindProperties(
    name: UnitName,
    all: (interfaceName: string) => Promise<readonly unknown[]>,
  ): Promise<readonly unknown[]> {
    if (name.endsWith('.service')) return all('org.freedesktop.systemd1.Service');
    if (name.endsWith('.scope')) return all('org.freedesktop.systemd1.Scope');
    return Promise.resolve([]);
  }

  #manager(member: string, signature: string, body: readonly unknown[], wait: Wait): Promise<readonly unknown[]> {
    return this.#call(managerPath, manager, member, signature, body, wait);
  }

  #call(
    path: string,
    interfaceName: string,
    member: string,
    signature: string,
    body: readonly unknown[],
    wait: Wait,
  ): Promise<readonly unknown[]> {
    const request: BusCall = {
      destination: busName,
      path,
      interface: interfaceName,
      member,
      signature,
      body,
      autoStart: false,
    };
    return this.#bus.call(request, wait);
  }
}

function nameIn([name]: readonly unknown[]): UnitName | null {
  try {
    return typeof name === 'string' ? parseUnitName(name) : null;
  } catch {
    return null;
  }
}

/** An error reply is an answer, but for the one by which the bus says that the callee left without any. */
function isRefusal(error: unknown): boolean {
  if (error instanceof Error && 'errorName' in error) {
    return error.errorName !== 'org.freedesktop.DBus.Error.NoReply';
  }
  const { code } = toAgentError(error);
  return code !== 'Timeout' && code !== 'Unavailable';
}
