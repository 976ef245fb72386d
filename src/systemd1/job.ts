/**
 * One job of systemd from the call that queued it to its end, as a pure machine (org.freedesktop.systemd1(5), "Jobs").
 *
 * A job has ended when `JobRemoved` names its path, and that signal may arrive before the method's reply that tells the
 * path. Both may be lost. Then the unit's property `Job` says whether one is still queued; how a job ended that
 * nobody saw end cannot be asked: the result is `unknown`, and whoever waits looks at the unit.
 */
import type { UnitName } from './unit-name.ts';

export const jobResults = [
  'done',
  'canceled',
  'timeout',
  'failed',
  'dependency',
  'skipped',
  'invalid',
  'assert',
  'unsupported',
  'collected',
  'once',
  'frozen',
  'concurrency',
] as const;
/** `unknown`: it ended, or was never queued, and nobody said how. */
export type JobResult = (typeof jobResults)[number] | 'unknown';

declare const brand: unique symbol;
export type JobPath = string & { readonly [brand]: 'JobPath' };

export interface JobRemoval {
  readonly job: string;
  readonly unit: string;
  readonly result: JobResult;
}

export type JobState =
  /** The reply is under way; jobs that ended meanwhile may be ours. */
  | { readonly kind: 'asked'; readonly unit: UnitName; readonly early: readonly JobRemoval[] }
  /** No reply will come: the job may be queued, ended, or never have been. */
  | { readonly kind: 'unanswered'; readonly unit: UnitName }
  | { readonly kind: 'queued'; readonly unit: UnitName; readonly job: JobPath }
  | { readonly kind: 'ended'; readonly result: JobResult };

export type JobEvent =
  | { readonly kind: 'replied'; readonly job: JobPath }
  | { readonly kind: 'reply-lost' }
  | { readonly kind: 'removed'; readonly removal: JobRemoval }
  /** What the unit's property `Job` says now; null: none, or no such unit. */
  | { readonly kind: 'looked'; readonly job: JobPath | null };

export function askedJob(unit: UnitName): JobState {
  return { kind: 'asked', unit, early: [] };
}

export function stepJob(state: JobState, event: JobEvent, earlyMax: number): JobState {
  switch (state.kind) {
    case 'asked':
      return stepAsked(state, event, earlyMax);
    case 'unanswered':
      if (event.kind === 'removed' && event.removal.unit === state.unit) return ended(event.removal.result);
      if (event.kind !== 'looked') return state;
      return event.job === null ? ended('unknown') : { kind: 'queued', unit: state.unit, job: event.job };
    case 'queued':
      if (event.kind === 'removed' && event.removal.job === state.job) return ended(event.removal.result);
      // One sender's messages keep their order: had it been announced, we would have heard before this answer.
      if (event.kind === 'looked' && event.job !== state.job) return ended('unknown');
      return state;
    case 'ended':
      return state;
    default:
      return state satisfies never;
  }
}

function stepAsked(state: JobState & { kind: 'asked' }, event: JobEvent, earlyMax: number): JobState {
  const { unit, early } = state;
  switch (event.kind) {
    case 'removed':
      return { ...state, early: [...early, event.removal].slice(-earlyMax) };
    case 'replied': {
      const removal = early.find(({ job }) => job === event.job);
      return removal === undefined ? { kind: 'queued', unit, job: event.job } : ended(removal.result);
    }
    case 'reply-lost': {
      const removal = early.findLast((known) => known.unit === unit);
      return removal === undefined ? { kind: 'unanswered', unit } : ended(removal.result);
    }
    case 'looked':
      return state;
    default:
      return event satisfies never;
  }
}

function ended(result: JobResult): JobState {
  return { kind: 'ended', result };
}

/** null for what is not the path of a job. `/` is what systemd writes where there is none. */
export function parseJobPath(value: unknown): JobPath | null {
  return typeof value === 'string' && /^\/org\/freedesktop\/systemd1\/job\/[0-9]+$/.test(value)
    ? (value as JobPath)
    : null;
}

/** The arguments of `JobRemoved`; null when they are not. A result of a later systemd counts as `failed`. */
export function parseRemoval(body: readonly unknown[]): JobRemoval | null {
  const [, job, unit, result] = body;
  if (typeof job !== 'string' || typeof unit !== 'string' || typeof result !== 'string') return null;
  return { job, unit, result: jobResults.find((known) => known === result) ?? 'failed' };
}
