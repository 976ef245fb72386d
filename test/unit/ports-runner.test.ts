import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseVmid } from '../../src/model/names.ts';
import { Runner } from '../../src/ports/runner.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';

const debounceMs = 500;

interface Pass {
  readonly atMs: number;
  readonly scope: string;
  readonly cause: string;
}

/** A runner whose passes last until they are let go (`hold`) or end at once. */
function start() {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  const passes: Pass[] = [];
  const state = { ok: true, ripeMs: null as number | null, running: 0, most: 0 };
  let gate: Promise<void> | null = null;
  const runner = new Runner({
    clock,
    debounceMs,
    timerMs: 60_000,
    nextRipeMs: () => (state.ripeMs === null ? null : startMs + state.ripeMs),
    pass: async (scope, cause) => {
      state.most = Math.max(state.most, ++state.running);
      passes.push({ atMs: clock.nowMs() - startMs, scope: scope === 'all' ? 'all' : [...scope].join(' '), cause });
      await gate;
      state.running--;
      return state.ok;
    },
  });
  const hold = (): (() => void) => {
    let open!: () => void;
    gate = new Promise((resolve) => {
      open = () => {
        gate = null;
        resolve();
      };
    });
    return () => {
      open();
    };
  };
  return { clock, passes, state, runner, hold, elapsedMs: () => clock.nowMs() - startMs };
}

const vmids = (...numbers: number[]) => numbers.map(parseVmid);

describe('the runner of passes', () => {
  it('looks at everything at the start, and once a minute without any event', async () => {
    const { clock, passes, runner } = start();
    runner.start();
    await clock.advance(180_000);
    assert.deepEqual(passes, [
      { atMs: 0, scope: 'all', cause: 'start' },
      { atMs: 60_000, scope: 'all', cause: 'timer' },
      { atMs: 120_000, scope: 'all', cause: 'timer' },
      { atMs: 180_000, scope: 'all', cause: 'timer' },
    ]);
  });

  it('looks at touched guests at once, without waiting for the next full pass', async () => {
    const { clock, passes, runner } = start();
    runner.start();
    await clock.advance(10);
    runner.touch(vmids(100, 101), 'devices changed');
    await clock.advance(0);
    assert.deepEqual(passes.slice(1), [{ atMs: 10, scope: '100 101', cause: 'devices changed' }]);
  });

  it('does so also while a full pass waits for its debounce', async () => {
    const { clock, passes, runner } = start();
    runner.start();
    await clock.advance(10);
    runner.wake('bridges changed');
    await settled();
    runner.touch(vmids(100), 'devices changed');
    await clock.advance(debounceMs);
    assert.deepEqual(passes.slice(1), [
      { atMs: 10, scope: '100', cause: 'devices changed' },
      { atMs: debounceMs, scope: 'all', cause: 'bridges changed' },
    ]);
  });

  it('does so also in the very turn of that event', async () => {
    const { clock, passes, runner } = start();
    runner.start();
    await clock.advance(10);
    runner.wake('bridges changed');
    runner.touch(vmids(100), 'devices changed');
    await clock.advance(0);
    assert.deepEqual(passes.slice(1), [{ atMs: 10, scope: '100', cause: 'devices changed' }]);
  });

  it('makes one full pass of a storm, as soon as the debounce allows', async () => {
    const { clock, passes, runner } = start();
    runner.start();
    for (let event = 0; event < 100; event++) {
      await clock.advance(3);
      runner.wake(`event ${event}`);
    }
    await clock.advance(debounceMs);
    assert.deepEqual(passes.slice(1), [{ atMs: debounceMs, scope: 'all', cause: 'event 0' }]);
  });

  it('runs one pass at a time, and the next takes everything that came meanwhile', async () => {
    const { clock, passes, state, runner, hold } = start();
    const letGo = hold();
    runner.start();
    await settled();
    runner.touch(vmids(100), 'a');
    runner.touch(vmids(101, 100), 'b');
    await clock.advance(10);
    assert.equal(passes.length, 1);
    letGo();
    await clock.advance(0);
    assert.deepEqual(passes.slice(1), [{ atMs: 10, scope: '100 101', cause: 'a' }]);
    assert.equal(state.most, 1);
  });

  it('takes many touched guests for all', async () => {
    const { clock, passes, runner } = start();
    runner.start();
    await clock.advance(debounceMs);
    runner.touch(vmids(...Array.from({ length: 65 }, (_, index) => 100 + index)), 'storm');
    await clock.advance(0);
    assert.deepEqual(passes.slice(1), [{ atMs: debounceMs, scope: 'all', cause: 'storm' }]);
  });

  it('comes back when patience runs out', async () => {
    const { clock, passes, state, runner } = start();
    runner.start();
    await clock.advance(600);
    state.ripeMs = 1700;
    runner.touch(vmids(100), 'switch changed');
    await clock.advance(1099);
    assert.equal(passes.length, 2);
    state.ripeMs = null;
    await clock.advance(1);
    assert.deepEqual(passes[2], { atMs: 1700, scope: 'all', cause: 'patience' });
  });

  it('sleeps for its debounce when something is ripe already, and does not run round for it', async () => {
    const { clock, passes, state, runner } = start();
    state.ripeMs = 0;
    runner.start();
    await clock.advance(0);
    assert.deepEqual(clock.pendingMs, [debounceMs]);
    runner.touch(vmids(100), 'switch changed');
    await clock.advance(499);
    assert.deepEqual(
      passes.map(({ scope }) => scope),
      ['all', '100'],
    );
    await clock.advance(1);
    assert.equal(passes[2]?.scope, 'all');
  });

  it('tries a failed pass again, ever more rarely, at least once a minute, and soon again after a success', async () => {
    const { clock, passes, state, runner } = start();
    state.ok = false;
    runner.start();
    await clock.advance(250_000);
    assert.deepEqual(
      passes.slice(0, 9).map(({ atMs }) => atMs),
      [0, 500, 1500, 3500, 7500, 15_500, 31_500, 63_500, 123_500],
    );
    state.ok = true;
    await clock.advance(60_000);
    const count = passes.length;
    state.ok = false;
    runner.wake('again');
    await clock.advance(500);
    assert.equal(passes.length, count + 2);
  });

  it('does nothing after it was stopped, and leaves no timer', async () => {
    const { clock, passes, runner, hold } = start();
    const letGo = hold();
    runner.start();
    await settled();
    runner.touch(vmids(100), 'x');
    runner.stop();
    letGo();
    await clock.advance(200_000);
    runner.wake('y');
    runner.touch(vmids(101), 'z');
    await clock.advance(200_000);
    assert.equal(passes.length, 1);
    assert.deepEqual(clock.pendingMs, []);
  });

  it('knows how long the present pass has been running', async () => {
    const { clock, runner, hold } = start();
    assert.equal(runner.passAgeMs(), 0);
    const letGo = hold();
    runner.start();
    await clock.advance(31_000);
    assert.equal(runner.passAgeMs(), 31_000);
    letGo();
    await clock.advance(0);
    assert.equal(runner.passAgeMs(), 0);
  });

  it('misses no event and never overlaps, whatever comes when', async () => {
    const events = fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('touch' as const),
          vmid: fc.integer({ min: 100, max: 110 }),
          afterMs: fc.nat(300),
        }),
        fc.record({ kind: fc.constant('wake' as const), vmid: fc.constant(0), afterMs: fc.nat(300) }),
        fc.record({
          kind: fc.constantFrom('fail' as const, 'work' as const),
          vmid: fc.constant(0),
          afterMs: fc.nat(300),
        }),
      ),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(events, async (steps) => {
        const { clock, passes, state, runner, elapsedMs } = start();
        runner.start();
        const due: { scope: string; byMs: number; fromMs: number }[] = [];
        for (const { kind, vmid, afterMs } of steps) {
          await clock.advance(afterMs);
          const fromMs = elapsedMs();
          if (kind === 'touch') {
            runner.touch(vmids(vmid), 'event');
            due.push({ scope: String(vmid), fromMs, byMs: fromMs });
          } else if (kind === 'wake') {
            runner.wake('event');
            due.push({ scope: 'all', fromMs, byMs: fromMs + debounceMs });
          } else {
            state.ok = kind === 'work';
          }
        }
        state.ok = true;
        await clock.advance(61_000);
        for (const { scope, fromMs } of due) {
          assert.ok(
            passes.some(
              (pass) => pass.atMs >= fromMs && (pass.scope === 'all' || pass.scope.split(' ').includes(scope)),
            ),
            `${scope} at ${fromMs} was never looked at`,
          );
        }
        assert.equal(state.most, 1);
        const full = passes.filter(({ scope }) => scope === 'all').map(({ atMs }) => atMs);
        for (const [index, atMs] of full.entries()) {
          if (index > 0) assert.ok(atMs - full[index - 1]! >= debounceMs, 'the debounce was not kept');
        }
      }),
    );
  });
});
