/**
 * Starts a container by its unit. The unit is `Type=simple`: its finished job only says that `lxc-start` was executed. So LXC is
 * asked when the container runs, and the unit is watched meanwhile for an `lxc-start` that dies.
 */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { ErrorCode } from '../model/errors.ts';
import { guestLabel } from '../model/guest.ts';
import { parseUnitName } from '../systemd1/unit-name.ts';
import type { UnitName } from '../systemd1/unit-name.ts';
import type { JobResult } from '../systemd1/job.ts';
import type { UnitState } from '../systemd1/unit.ts';
import type { Tasks, Units } from './contracts.ts';
import type { GuestFacts } from './guest-facts.ts';

export interface UnitStartOptions {
  readonly units: Units;
  readonly tasks: Tasks;
  readonly lxcDir: string;
  /** Milliseconds that are left. */
  readonly leftMs: () => number;
  readonly signal: AbortSignal;
}

/** A run of a unit: another one has another invocation. */
export interface UnitRun {
  readonly unit: UnitName;
  readonly invocationId: string | null;
}

const SIGTERM = 15;

/** Resolves when LXC says that the container runs. */
export async function startByUnit(facts: GuestFacts, unit: UnitName, options: UnitStartOptions): Promise<UnitRun> {
  const { units, leftMs, signal } = options;
  const before = await units.unit(unit);
  if (before === null || before.loadState === 'not-found') {
    throw new AgentError(
      'NotFound',
      `${guestLabel(facts)}: systemd has no unit ${unit}; is the package that brings it installed?`,
    );
  }
  if (before.loadState === 'masked') {
    throw new AgentError(
      'Conflict',
      `${guestLabel(facts)}: ${unit} is masked; \`systemctl unmask ${unit}\` allows it to be started`,
    );
  }
  const result = await units.startUnit(unit, { deadlineMs: leftMs(), signal });
  const started = await units.unit(unit);
  if (result !== 'done' && !(result === 'unknown' && started !== null && isUp(started))) {
    throw jobError(facts, unit, result, started);
  }
  if (started === null || !isUp(started)) throw diedError(facts, unit, started, 'before it ran');
  const run = { unit, invocationId: started.invocationId };
  await untilRunning(facts, run, options);
  return run;
}

/** Throws when that run has ended: whoever calls found the container running before. */
export async function checkStillRuns(facts: GuestFacts, { unit, invocationId }: UnitRun, units: Units): Promise<void> {
  const now = await units.unit(unit);
  if (now === null || !isUp(now) || now.invocationId !== invocationId) {
    throw diedError(facts, unit, now, 'right after its start');
  }
}

async function untilRunning(facts: GuestFacts, run: UnitRun, options: UnitStartOptions): Promise<void> {
  const { units, tasks, lxcDir, leftMs, signal } = options;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const deadlineMs = leftMs();
  // Not the name of one that an earlier run of this service left waiting.
  const waiter = parseUnitName(`ovs-port-agent-wait-${facts.vmid}-${(run.invocationId ?? '').slice(0, 8)}.service`);
  const name = String(facts.vmid);
  const seconds = String(Math.max(1, Math.ceil(deadlineMs / 1000)));
  const running = tasks.run(
    {
      unit: waiter,
      description: `Waiting for ${guestLabel(facts)} to run`,
      command: ['/usr/bin/lxc-wait', '--lxcpath', lxcDir, '--name', name, '--state', 'RUNNING', '--timeout', seconds],
    },
    { deadlineMs: deadlineMs + 1_000, signal: either },
  );
  const died = units
    .untilUnit(run.unit, (unit) => !isUp(unit) || unit.invocationId !== run.invocationId, 'has not ended', {
      deadlineMs: deadlineMs + 2_000,
      signal: either,
    })
    .then((unit) => {
      throw diedError(facts, run.unit, unit, 'before it ran');
    });
  try {
    const { exitStatus, lines } = await Promise.race([running, died]);
    if (exitStatus !== 0) {
      throw new AgentError(
        'Timeout',
        `${guestLabel(facts)} did not run within ${Math.round(deadlineMs / 1000)} s: ${run.unit} is active, LXC does not say RUNNING${lines.length === 0 ? '' : ` (${lines.join('; ')})`}`,
      );
    }
  } finally {
    over.abort(new AgentError('Unavailable', 'nobody waits any longer'));
    await Promise.allSettled([running, died]);
    // It waits until its own time-out otherwise. Gone already when it was it that answered.
    await units.killUnit(waiter, 'main', SIGTERM).catch(() => undefined);
  }
}

function isUp({ activeState }: UnitState): boolean {
  return activeState === 'active' || activeState === 'activating' || activeState === 'reloading';
}

function diedError(facts: GuestFacts, unit: UnitName, state: UnitState | null, when: string): AgentError {
  const how =
    state === null
      ? 'its unit is gone'
      : state.result === 'exit-code'
        ? `exit status ${state.execMainStatus ?? 'unknown'}`
        : state.result === 'signal'
          ? `signal ${state.execMainStatus ?? 'unknown'}`
          : `${unit} is ${state.activeState}`;
  return new AgentError(
    'NotApplied',
    `${guestLabel(facts)} did not start: lxc-start was executed and ended ${when} (${how}). \`journalctl --unit ${unit}\` says why`,
  );
}

/** What each result of a start job means; those that are not here mean that the unit itself failed. */
const jobFailures: Readonly<
  Partial<Record<JobResult, readonly [ErrorCode, (unit: UnitName, state: string) => string]>>
> = {
  timeout: ['Timeout', (unit) => `systemd's own time for ${unit} ran out`],
  canceled: ['Conflict', (unit) => `somebody else had ${unit} stopped meanwhile`],
  dependency: [
    'NotApplied',
    (unit) => `a unit that ${unit} needs failed; \`systemctl list-dependencies ${unit}\` shows which`,
  ],
  skipped: ['NotApplied', (unit, state) => `systemd skipped ${unit}: a start does not apply while it is ${state}`],
  unknown: ['NotApplied', (unit, state) => `nobody saw the job of ${unit} end, and it is ${state}`],
};

function jobError(facts: GuestFacts, unit: UnitName, result: JobResult, state: UnitState | null): AgentError {
  const known = jobFailures[result];
  const [code, why] = known ?? [
    'NotApplied' as const,
    () =>
      `${unit} failed (${[result, state?.result].filter(Boolean).join(', ')}). \`journalctl --unit ${unit}\` says why`,
  ];
  return new AgentError(code, `${guestLabel(facts)} did not start: ${why(unit, state?.activeState ?? 'gone')}`);
}

/** For the one who asked: systemd's refusal in words that name the guest. */
export function unitStartError(facts: GuestFacts, thrown: unknown): AgentError {
  const error = toAgentError(thrown);
  const guest = guestLabel(facts);
  return error.message.startsWith(guest)
    ? error
    : new AgentError(error.code, `${guest}: ${error.message}`, { cause: error });
}
