/** What holds for systemd itself and for what stands in for it: tiers `node` and `bus`. */
import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import type { Systemd } from '../../src/systemd1/systemd.ts';
import type { TaskRunner } from '../../src/systemd1/task.ts';
import { parseUnitName } from '../../src/systemd1/unit-name.ts';
import type { UnitName } from '../../src/systemd1/unit-name.ts';
import type { Behaviour } from './mock-systemd.ts';
import { waitFor } from './wait-for.ts';

export interface SystemdUnderTest {
  readonly systemd: Systemd;
  readonly tasks: TaskRunner;
  /** A service that behaves so. */
  makeUnit(name: string, behaviour: Behaviour): Promise<UnitName>;
}

const wait = { deadlineMs: 20_000 };

export function systemdSuite(open: () => SystemdUnderTest): void {
  let made = 0;
  const make = (behaviour: Behaviour): Promise<UnitName> =>
    open().makeUnit(`suite-${behaviour}-${++made}.service`, behaviour);
  const hasCode =
    (code: string) =>
    (error: unknown): boolean =>
      error instanceof AgentError && error.code === code;

  describe('units', () => {
    it('are read with their states, and are another run after each start', async () => {
      const { systemd } = open();
      const name = await make('runs');
      const before = await systemd.unit(name);
      assert.deepEqual([before?.name, before?.loadState, before?.activeState], [name, 'loaded', 'inactive']);
      assert.equal(await systemd.startUnit(name, wait), 'done');
      const first = await systemd.unit(name);
      assert.deepEqual([first?.activeState, first?.subState, first?.result], ['active', 'running', 'success']);
      assert.ok(first !== null && (first.mainPid ?? 0) > 0);
      assert.ok(first.controlGroup?.includes(name));
      assert.match(first.invocationId ?? '', /^[0-9a-f]{32}$/);
      assert.equal(await systemd.restartUnit(name, wait), 'done');
      assert.notEqual((await systemd.unit(name))?.invocationId, first.invocationId);
      assert.equal(await systemd.stopUnit(name, wait), 'done');
      const after = await systemd.unit(name);
      assert.deepEqual([after?.activeState, after?.mainPid], ['inactive', null]);
    });

    it('are told apart from those that do not exist', async () => {
      const { systemd } = open();
      const nowhere = parseUnitName('suite-nowhere.service');
      assert.equal((await systemd.unit(nowhere))?.loadState, 'not-found');
      await assert.rejects(systemd.startUnit(nowhere, wait), hasCode('NotFound'));
    });

    it('are listed by pattern', async () => {
      const { systemd } = open();
      const name = await make('runs');
      await systemd.startUnit(name, wait);
      const listed = await systemd.listUnits([name, 'nothing-*.service']);
      assert.deepEqual(listed, [{ name, loadState: 'loaded', activeState: 'active', subState: 'running' }]);
      await systemd.stopUnit(name, wait);
    });

    it('that change are told to listeners', async () => {
      const { systemd } = open();
      const name = await make('runs');
      const heard: (UnitName | null)[] = [];
      await systemd.listen();
      const stop = systemd.onUnitChanged((unit) => heard.push(unit));
      await systemd.startUnit(name, wait);
      await waitFor('a signal of the start', () => heard.includes(name));
      heard.length = 0;
      await systemd.stopUnit(name, wait);
      await waitFor('a signal of the stop', () => heard.includes(name));
      stop();
    });

    it('are waited for', async () => {
      const { systemd } = open();
      const name = await make('runs');
      await systemd.startUnit(name, wait);
      const ended = systemd.untilUnit(name, ({ activeState }) => activeState === 'failed', 'has not failed', wait);
      await systemd.killUnit(name, 'main', 9);
      assert.equal((await ended).result, 'signal');
      await assert.rejects(
        systemd.untilUnit(name, ({ activeState }) => activeState === 'active', 'did not run', { deadlineMs: 50 }),
        (error: unknown) =>
          hasCode('Timeout')(error) && (error as Error).message.includes(`${name} did not run after 50 ms`),
      );
    });
  });

  describe('jobs', () => {
    it('fail with the program', async () => {
      const { systemd } = open();
      const name = await make('fails');
      assert.equal(await systemd.startUnit(name, wait), 'failed');
      const unit = await systemd.unit(name);
      assert.deepEqual([unit?.activeState, unit?.result, unit?.execMainStatus], ['failed', 'exit-code', 3]);
    });

    it('fail with what they need', async () => {
      assert.equal(await open().systemd.startUnit(await make('needs'), wait), 'dependency');
    });

    it('are refused for a masked unit', async () => {
      const name = await make('masked');
      await assert.rejects(open().systemd.startUnit(name, wait), hasCode('Conflict'));
      assert.equal((await open().systemd.unit(name))?.loadState, 'masked');
    });

    it('are canceled by their contrary', async () => {
      const { systemd } = open();
      const name = await make('hangs');
      const start = systemd.startUnit(name, wait);
      await systemd.untilUnit(name, ({ activeState }) => activeState === 'activating', 'did not begin', wait);
      assert.equal(await systemd.stopUnit(name, wait), 'done');
      assert.equal(await start, 'canceled');
    });

    it('stay queued when nobody waits any longer', async () => {
      const { systemd } = open();
      const name = await make('hangs');
      await assert.rejects(systemd.startUnit(name, { deadlineMs: 300 }), hasCode('Timeout'));
      const unit = await systemd.unit(name);
      assert.equal(unit?.activeState, 'activating');
      assert.notEqual(unit.job, null);
      const gaveUp = new AbortController();
      const second = systemd.startUnit(name, { ...wait, signal: gaveUp.signal });
      gaveUp.abort(new AgentError('Unavailable', 'the caller has left'));
      await assert.rejects(second, /the caller has left/);
      await systemd.stopUnit(name, wait);
    });
  });

  describe('tasks', () => {
    let ran = 0;
    const run = (
      command: readonly [string, ...string[]],
      onLine?: (line: string) => void,
      deadlineMs = wait.deadlineMs,
    ) =>
      open().tasks.run(
        {
          unit: parseUnitName(`suite-task-${++ran}.service`),
          description: 'a task of a test',
          command,
          ...(onLine === undefined ? {} : { onLine }),
        },
        { deadlineMs },
      );

    it('give what they print, both streams, and their exit status', async () => {
      const result = await run([
        '/bin/sh',
        '-c',
        'echo one; echo two >&2; printf "three %s" "$0"; exit 7',
        'a b $HOME %n',
      ]);
      assert.deepEqual(result, { exitStatus: 7, result: 'exit-code', lines: ['one', 'two', 'three a b $HOME %n'] });
      assert.deepEqual(await run(['/bin/true']), { exitStatus: 0, result: 'success', lines: [] });
    });

    it('are heard while they run', async () => {
      const heard: string[] = [];
      const task = run(['/bin/sh', '-c', 'echo begun; sleep 1; echo ended'], (line) => heard.push(line));
      await waitFor('the first line', () => heard.length > 0);
      assert.deepEqual(heard, ['begun']);
      assert.deepEqual((await task).lines, ['begun', 'ended']);
    });

    it('end by a signal, or cannot be run at all', async () => {
      const killed = await run(['/bin/sh', '-c', 'kill -9 $$']);
      assert.deepEqual([killed.exitStatus, killed.result], [null, 'signal']);
      const { exitStatus, result } = await run(['/nowhere/at-all']);
      assert.deepEqual([exitStatus, result], [203, 'exit-code']);
    });

    it('leave no unit behind', async () => {
      await run(['/bin/false']);
      await waitFor('no unit', async () => (await open().systemd.listUnits(['suite-task-*.service'])).length === 0);
    });

    it('go on when nobody waits any longer', async () => {
      await assert.rejects(run(['/bin/sleep', '2'], undefined, 300), hasCode('Timeout'));
    });

    it('say when they printed more than is kept', async () => {
      const { lines } = await run(['/bin/sh', '-c', 'yes 0123456789 | head -n 40000']);
      assert.ok(lines.length < 30_000);
      assert.match(lines.at(-1) ?? '', /dropped/);
    });
  });
}
