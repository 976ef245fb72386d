import assert from 'node:assert/strict';
import fc from 'fast-check';
import { askedJob, jobResults, parseJobPath, parseRemoval, stepJob } from '../../src/systemd1/job.ts';
import type { JobEvent, JobPath, JobResult, JobState } from '../../src/systemd1/job.ts';
import { parseUnitName } from '../../src/systemd1/unit-name.ts';

const unit = parseUnitName('pve-container@100.service');
const job = (number: number): JobPath => `/org/freedesktop/systemd1/job/${number}` as JobPath;
const removed = (number: number, result: JobResult = 'done', name: string = unit): JobEvent => ({
  kind: 'removed',
  removal: { job: job(number), unit: name, result },
});
const replied = (number: number): JobEvent => ({ kind: 'replied', job: job(number) });
const looked = (number: number | null): JobEvent => ({ kind: 'looked', job: number === null ? null : job(number) });
const lost: JobEvent = { kind: 'reply-lost' };

function run(...events: readonly JobEvent[]): JobState {
  return events.reduce((state, event) => stepJob(state, event, 3), askedJob(unit));
}

describe('a job of systemd', () => {
  it('ends with the result that JobRemoved tells for its path', () => {
    for (const result of jobResults) {
      assert.deepEqual(run(replied(7), removed(7, result)), { kind: 'ended', result });
    }
  });

  it('ends when JobRemoved came before the reply', () => {
    assert.deepEqual(run(removed(6), removed(7, 'failed'), replied(7)), { kind: 'ended', result: 'failed' });
  });

  it('does not end with the job of another, of the same unit or not', () => {
    assert.equal(run(replied(7), removed(8)).kind, 'queued');
    assert.equal(run(removed(8), replied(7), removed(9, 'done', 'other.service')).kind, 'queued');
  });

  it('has ended unseen when the unit has no job any more, or another one', () => {
    assert.deepEqual(run(replied(7), looked(7), looked(null)), { kind: 'ended', result: 'unknown' });
    assert.deepEqual(run(replied(7), looked(8)), { kind: 'ended', result: 'unknown' });
  });

  it('is found by its unit when the reply was lost', () => {
    assert.deepEqual(run(removed(7, 'timeout'), lost), { kind: 'ended', result: 'timeout' });
    assert.deepEqual(run(lost, removed(7, 'failed')), { kind: 'ended', result: 'failed' });
    assert.deepEqual(run(lost, looked(7), removed(7)), { kind: 'ended', result: 'done' });
    assert.deepEqual(run(lost, looked(null)), { kind: 'ended', result: 'unknown' });
    assert.equal(run(removed(7, 'done', 'other.service'), lost).kind, 'unanswered');
  });

  it('remembers only so many early ends, the latest', () => {
    assert.equal(run(removed(1), removed(2), removed(3), removed(4), replied(1)).kind, 'queued');
    assert.deepEqual(run(removed(1), removed(2), removed(3), removed(4), replied(2)), {
      kind: 'ended',
      result: 'done',
    });
  });

  it('never leaves its end, and ends in every history in which it is looked for', () => {
    const number = fc.integer({ min: 1, max: 4 });
    const anyEvent = fc.oneof(
      number.map(replied),
      fc.constant(lost),
      fc.tuple(number, fc.constantFrom(...jobResults)).map(([n, result]) => removed(n, result)),
      fc.option(number).map(looked),
    );
    fc.assert(
      fc.property(fc.array(anyEvent), anyEvent, (events, more) => {
        const state = run(...events);
        if (state.kind === 'ended') assert.equal(stepJob(state, more, 3), state);
        assert.equal([lost, looked(null)].reduce((last, event) => stepJob(last, event, 3), state).kind, 'ended');
      }),
    );
  });
});

describe('what systemd says of jobs', () => {
  it('is a path with a number, or none', () => {
    assert.equal(parseJobPath('/org/freedesktop/systemd1/job/12'), job(12));
    for (const other of ['/', '/org/freedesktop/systemd1/job/', '/org/freedesktop/systemd1/unit/a', 12, null]) {
      assert.equal(parseJobPath(other), null);
    }
  });

  it('takes a result of a later version for a failure, and passes over what is no removal', () => {
    assert.equal(parseRemoval([1, job(1), unit, 'dissolved'])?.result, 'failed');
    assert.equal(parseRemoval([1, job(1), unit]), null);
  });
});
