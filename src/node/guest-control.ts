/**
 * Starts, stops, shuts down and reboots guests: through systemd where that is what Proxmox VE would do, otherwise through
 * its API or its own tools (docs/decisions/0025). Every action is written ahead, and is done only when the guest's own
 * state says so.
 */
import type { BlockDraft } from '../ledger/block.ts';
import { AgentError, toAgentError } from '../model/errors.ts';
import { guestLabel } from '../model/guest.ts';
import type { Vmid } from '../model/names.ts';
import type { Cause, Clock, GuestLocks, Recorder } from '../ports/contracts.ts';
import type { RunState } from '../proxmox/run-state.ts';
import { parseUnitName } from '../systemd1/unit-name.ts';
import type { GuestAction, GuestApi, GuestPorts, HostFiles, Tasks, Units } from './contracts.ts';
import { locateGuest, refuseUntouchable, runStateOf, unitOfGuest } from './guest-facts.ts';
import type { GuestFacts, GuestPaths } from './guest-facts.ts';
import { checkStillRuns, startByUnit, unitStartError } from './unit-start.ts';
import type { UnitRun } from './unit-start.ts';
import { toolCommand, whyNotByUnit } from './ways.ts';

export interface GuestControlOptions {
  readonly files: HostFiles;
  readonly paths: GuestPaths;
  readonly units: Units;
  readonly tasks: Tasks;
  /** null while the configuration has no `[proxmox]`. */
  readonly api: GuestApi | null;
  readonly locks: GuestLocks;
  readonly ports: GuestPorts;
  readonly recorder: Pick<Recorder, 'writeAheadAll'>;
  readonly clock: Clock;
  /** Name of this node. */
  readonly node: string;
  /** What a tool prints, or a task logs, while it runs. */
  readonly onProgress: (vmid: Vmid, line: string) => void;
}

export interface ControlRequest {
  readonly action: GuestAction;
  /** A shutdown or a reboot: how long the guest may take to end. A start: how long until it runs. */
  readonly timeoutMs: number;
  readonly cause: Cause;
  readonly signal: AbortSignal;
}

export interface ControlResult {
  /** `CT 100` */
  readonly guest: string;
  readonly action: GuestAction;
  readonly state: 'running' | 'stopped';
  /** False when it was so already. */
  readonly changed: boolean;
  /** `systemd`, `api`, `pct`, `qm`, `lxc-stop`; null when nothing was done. */
  readonly way: string | null;
  /** Why not through systemd, one sentence each. */
  readonly reasons: readonly string[];
  /** What the port engine says. */
  readonly ports: string | null;
}

/** Beyond the guest's own time: for the tool to begin, to clean up and to say so. */
const toolMarginMs = 30_000;
/** After the tool has ended, for the guest's state to follow: high availability acts within its own cycle. */
const stateMarginMs = 30_000;
const stateLookIntervalMs = 250;
/** Guests that are being controlled at the same time. */
const controlledMax = 64;

/** An action chosen and made ready, not yet begun. */
interface Plan {
  readonly way: string;
  readonly reasons: readonly string[];
  readonly draft: Pick<BlockDraft, 'category' | 'data'>;
  run(): Promise<UnitRun | null>;
}

export class GuestControl {
  readonly #options: GuestControlOptions;
  readonly #controlled = new Set<Vmid>();

  constructor(options: GuestControlOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the guest's own state is what was asked for, at once when it was so already. Throws `NotFound` (no such guest,
   * or on another node), `Busy` (locked, or being controlled), `Conflict` (a template, a masked unit, a reboot of what
   * does not run), `Timeout`, `NotApplied` with the reason when it failed.
   */
  async control(vmid: Vmid, request: ControlRequest): Promise<ControlResult> {
    if (this.#controlled.has(vmid))
      throw new AgentError('Busy', `guest ${vmid} is being controlled already; try again later`);
    if (this.#controlled.size >= controlledMax) {
      throw new AgentError('Busy', `${controlledMax} guests are being controlled already; try again later`);
    }
    this.#controlled.add(vmid);
    try {
      return await this.#control(vmid, request);
    } finally {
      this.#controlled.delete(vmid);
    }
  }

  async #control(vmid: Vmid, request: ControlRequest): Promise<ControlResult> {
    const { files, paths, node } = this.#options;
    const place = await locateGuest(files, paths, node, vmid);
    if (place.at === 'elsewhere') return this.#controlElsewhere(vmid, place, request);
    const { facts } = place;
    const { action } = request;
    refuseUntouchable(facts, action);
    const before = await this.#runState(facts);
    const wanted = action === 'start' || action === 'reboot' ? 'running' : 'stopped';
    const base = { guest: guestLabel(facts), action, state: wanted } as const;
    if (action === 'reboot' && before === 'stopped') {
      throw new AgentError(
        'Conflict',
        `${base.guest} does not run, so it cannot reboot; \`guest start ${vmid}\` starts it`,
      );
    }
    if (action !== 'reboot' && before === wanted) {
      return { ...base, changed: false, way: null, reasons: [], ports: null };
    }
    await this.#refuseLocked(facts);
    if (before === 'changing' && action !== 'stop') {
      throw new AgentError('Busy', `${base.guest} is starting or ending just now; try again in a moment`);
    }
    const plan = withStates(this.#plan(facts, request), before, wanted);
    const ports = await this.#recorded(vmid, plan, request, async () => {
      // Again, because the ledger's disk may have taken its time.
      await this.#refuseLocked(facts);
      const run = await plan.run();
      await this.#untilState(facts, request, wanted);
      const text = await this.#applyPorts(facts, wanted, request.cause);
      if (run !== null) await checkStillRuns(facts, run, this.#options.units);
      return text;
    });
    return { ...base, changed: true, way: plan.way, reasons: plan.reasons, ports };
  }

  #plan(facts: GuestFacts, request: ControlRequest): Plan {
    const { api, node } = this.#options;
    const { action } = request;
    const reasons = whyNotByUnit(facts, action);
    if (reasons.length === 0) {
      const unit = parseUnitName(unitOfGuest(facts));
      return {
        way: 'systemd',
        reasons,
        draft: { category: 'unit', data: { vmid: facts.vmid, unit } },
        run: () => this.#startByUnit(facts, request),
      };
    }
    if (api !== null && facts.manager === 'proxmox') {
      return {
        way: 'api',
        reasons,
        draft: { category: 'guest', data: { vmid: facts.vmid, way: 'api', reasons } },
        run: () => this.#askApi(api, { ...facts, node }, request),
      };
    }
    const command = toolCommand(facts, action, Math.max(1, Math.round(request.timeoutMs / 1000)));
    const way = command[0].slice(command[0].lastIndexOf('/') + 1);
    return {
      way,
      reasons,
      draft: { category: 'guest', data: { vmid: facts.vmid, way, command, reasons } },
      run: () => this.#runTool(facts, command, request),
    };
  }

  async #controlElsewhere(
    vmid: Vmid,
    { kind, node }: { kind: GuestFacts['kind']; node: string },
    request: ControlRequest,
  ): Promise<ControlResult> {
    const { api } = this.#options;
    const guest = guestLabel({ kind, vmid });
    if (api === null) {
      throw new AgentError('NotFound', `${guest} is on node ${node}, not here: run the command there`);
    }
    const { action } = request;
    const reasons = [`it is on node ${node}`];
    const plan: Plan = {
      way: 'api',
      reasons,
      draft: { category: 'guest', data: { vmid, node, way: 'api' } },
      run: () => this.#askApi(api, { kind, vmid, node }, request),
    };
    await this.#recorded(vmid, plan, request, () => plan.run());
    const state = action === 'start' || action === 'reboot' ? 'running' : 'stopped';
    return { guest, action, state, changed: true, way: plan.way, reasons, ports: null };
  }

  async #startByUnit(facts: GuestFacts, { timeoutMs, signal }: ControlRequest): Promise<UnitRun> {
    const { units, tasks, paths, clock } = this.#options;
    const endMs = clock.nowMs() + timeoutMs;
    const leftMs = (): number => Math.max(1, endMs - clock.nowMs());
    try {
      return await startByUnit(facts, parseUnitName(unitOfGuest(facts)), {
        units,
        tasks,
        lxcDir: paths.lxcDir,
        leftMs,
        signal,
      });
    } catch (error) {
      throw unitStartError(facts, error);
    }
  }

  async #askApi(
    api: GuestApi,
    guest: { kind: GuestFacts['kind']; vmid: Vmid; node: string },
    { action, timeoutMs, signal }: ControlRequest,
  ): Promise<null> {
    const onLine = (line: string): void => {
      this.#options.onProgress(guest.vmid, line);
    };
    await api.control(guest, action, { timeoutMs, deadlineMs: timeoutMs + toolMarginMs, signal, onLine });
    return null;
  }

  async #runTool(
    facts: GuestFacts,
    command: readonly [string, ...string[]],
    { action, timeoutMs, signal }: ControlRequest,
  ): Promise<null> {
    const { tasks, onProgress, clock } = this.#options;
    const startedMs = clock.nowMs();
    const { exitStatus, result, lines } = await tasks.run(
      {
        unit: parseUnitName(`ovs-port-agent-${action}-${facts.vmid}.service`),
        description: `${command.join(' ')} for ovs-port-agent`,
        command,
        environment: { LC_ALL: 'C' },
        onLine: (line) => {
          onProgress(facts.vmid, line);
        },
      },
      { deadlineMs: timeoutMs + toolMarginMs, signal },
    );
    if (exitStatus === 0) return null;
    const guest = guestLabel(facts);
    const tookMs = clock.nowMs() - startedMs;
    if (
      (action === 'shutdown' || action === 'reboot') &&
      tookMs >= timeoutMs &&
      (await this.#runState(facts)) === 'running'
    ) {
      throw new AgentError(
        'Timeout',
        `${guest} did not shut down within ${Math.round(timeoutMs / 1000)} s and still runs; \`guest stop ${facts.vmid}\` ends it at once`,
      );
    }
    const how = exitStatus === null ? result : `exit status ${exitStatus}`;
    const said = lines
      .filter((line) => line.trim() !== '')
      .slice(-saidLinesMax)
      .join('; ');
    throw new AgentError('NotApplied', `\`${command.join(' ')}\` failed (${how})${said === '' ? '' : `: ${said}`}`);
  }

  /** The tool has done its part; high availability and a reboot from inside take effect later. */
  async #untilState(facts: GuestFacts, { action, signal }: ControlRequest, wanted: RunState): Promise<void> {
    const { clock } = this.#options;
    const endMs = clock.nowMs() + stateMarginMs;
    for (;;) {
      const state = await this.#runState(facts);
      if (state === wanted) return;
      if (clock.nowMs() >= endMs) {
        throw new AgentError(
          'NotApplied',
          `${guestLabel(facts)}: the ${action} was reported as done, but after ${stateMarginMs / 1000} s it is ${state}`,
        );
      }
      await pause(clock, stateLookIntervalMs, signal);
    }
  }

  async #applyPorts(facts: GuestFacts, wanted: RunState, cause: Cause): Promise<string> {
    return this.#options.ports.applyGuest(facts.vmid, wanted === 'running' ? 'post-start' : 'post-stop', cause);
  }

  async #refuseLocked(facts: GuestFacts): Promise<void> {
    if (facts.manager === 'proxmox' && (await this.#options.locks.isLocked(facts))) {
      throw new AgentError(
        'Busy',
        `${guestLabel(facts)} is being worked on by Proxmox VE: try again when that has ended`,
      );
    }
  }

  #runState(facts: GuestFacts): Promise<RunState> {
    const { files, units, paths } = this.#options;
    return runStateOf(files, units, paths.lxcDir, facts);
  }

  /** A full or damaged disk must not keep a guest from starting or ending: then it is done without a block. */
  async #recorded<T>(vmid: Vmid, plan: Plan, { action, cause }: ControlRequest, run: () => Promise<T>): Promise<T> {
    const { recorder, ports, node } = this.#options;
    const draft: BlockDraft = { ...plan.draft, action, metadata: { ...cause, host: node, plugin: 'node' } };
    const progress = { isWritten: false };
    try {
      return await recorder.writeAheadAll([draft], () => {
        progress.isWritten = true;
        return run();
      });
    } catch (thrown) {
      const error = toAgentError(thrown);
      if (progress.isWritten) throw error;
      ports.noteLedgerGap(
        new AgentError(error.code, `${action} of guest ${vmid} is not in the ledger: ${error.message}`),
      );
      return run();
    }
  }
}

/** The block says what the guest was and what it is to be. */
function withStates(plan: Plan, before: RunState, after: RunState): Plan {
  return { ...plan, draft: { ...plan.draft, data: { ...plan.draft.data, before, after } } };
}

/** Of a tool's output, for an error message. */
const saidLinesMax = 3;

function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel();
      reject(toAgentError(signal.reason));
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
