import assert from 'node:assert/strict';
import { join } from 'node:path';
import { AgentError } from '../../src/model/errors.ts';
import { Bus } from '../../src/platform/dbus/bus.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';
import { TaskOutputFiles } from '../../src/platform/task-outputs.ts';
import { systemTimers } from '../../src/platform/timers.ts';
import { Systemd } from '../../src/systemd1/systemd.ts';
import { TaskRunner } from '../../src/systemd1/task.ts';
import type { UnitName } from '../../src/systemd1/unit-name.ts';
import { MockSystemd } from '../support/mock-systemd.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { systemdSuite } from '../support/systemd-suite.ts';
import { waitFor } from '../support/wait-for.ts';

const wait = { deadlineMs: 8_000 };

describe('the client of systemd', function () {
  this.timeout(20_000);
  let privateBus: PrivateBus;
  let mock: MockSystemd;
  let bus: Bus;
  let systemd: Systemd;
  let problems: (AgentError | null)[];

  beforeEach(async () => {
    privateBus = await PrivateBus.start();
    mock = await MockSystemd.start(privateBus.address);
    problems = [];
    bus = await Bus.connect(
      {
        address: privateBus.address,
        onState: ({ kind }) => {
          if (kind === 'connected') systemd.onBusConnected();
        },
      },
      { deadlineMs: 5000 },
    );
    systemd = new Systemd({ bus, clock: systemTimers, onState: (problem) => problems.push(problem) });
  });
  afterEach(async () => {
    bus.close();
    mock.stop();
    await privateBus.stop();
  });

  describe('and what stands in for systemd', () => {
    systemdSuite(() => ({
      systemd,
      tasks: new TaskRunner(systemd, new TaskOutputFiles(join(privateBus.folder, 'tasks')), systemTimers),
      makeUnit: (name, behaviour) => Promise.resolve(mock.makeUnit(name, behaviour)),
    }));
  });

  describe('when signals or replies are lost', () => {
    it('finds that a job has ended, though JobRemoved never came', async () => {
      mock.faults = { removedLost: true };
      assert.equal(await systemd.startUnit(mock.makeUnit('a.service', 'runs'), wait), 'unknown');
      assert.equal((await systemd.unit('a.service' as UnitName))?.activeState, 'active');
    });

    it('takes the result from JobRemoved when the reply never came', async () => {
      mock.faults = { replyLost: true };
      const unit = mock.makeUnit('a.service', 'fails');
      const started = systemd.startUnit(unit, wait);
      // Read over the same connection, so that the signal has been handled before.
      await waitFor('the job to fail', async () => (await systemd.unit(unit))?.activeState === 'failed');
      await privateBus.kill();
      assert.equal(await started, 'failed');
      await privateBus.restart();
    });

    it('says that nothing is known when the call itself was lost', async () => {
      mock.faults = { callLost: true };
      await assert.rejects(
        systemd.startUnit(mock.makeUnit('a.service', 'runs'), { deadlineMs: 300 }),
        /StartUnit of a\.service: systemd has not answered after 300 ms/,
      );
      assert.equal((await systemd.unit('a.service' as UnitName))?.activeState, 'inactive');
    });

    it('does not believe a reply that names no job, or another job', async () => {
      for (const [index, wrongJobPath] of ['/', '/org/freedesktop/systemd1/job/999'].entries()) {
        mock.faults = { wrongJobPath };
        const unit = mock.makeUnit(`a${index}.service`, 'runs');
        assert.match(await systemd.startUnit(unit, wait), /^(done|unknown)$/);
      }
    });

    it('ends the wait for a unit that vanished with its job', async () => {
      mock.faults = { vanishes: true, removedLost: true };
      assert.equal(await systemd.startUnit(mock.makeUnit('a.service', 'runs'), wait), 'unknown');
      assert.equal((await systemd.unit('a.service' as UnitName))?.loadState, 'not-found');
    });

    it('follows a job through a restart of systemd, and subscribes again', async () => {
      const unit = mock.makeUnit('a.service', 'hangs');
      const heard: (UnitName | null)[] = [];
      const start = systemd.startUnit(unit, wait);
      await waitFor('the job', async () => (await systemd.unit(unit))?.activeState === 'activating');
      systemd.onUnitChanged((name) => heard.push(name));
      mock.stop();
      mock = await MockSystemd.start(privateBus.address);
      mock.makeUnit(unit, 'runs');
      assert.equal(await start, 'unknown');
      await waitFor('the subscription', () => mock.subscribers.size === 1 && heard.includes(null));
    });

    it('subscribes again after the bus died, and hears units again', async () => {
      await systemd.listen();
      mock.stop();
      await privateBus.kill();
      await privateBus.restart();
      mock = await MockSystemd.start(privateBus.address);
      await waitFor('the subscription', () => mock.subscribers.size === 1);
      const heard: (UnitName | null)[] = [];
      systemd.onUnitChanged((name) => heard.push(name));
      const unit = mock.makeUnit('a.service', 'runs');
      await waitFor('the unit', () => heard.includes(unit));
    });
  });

  describe('on a bus without systemd', () => {
    it('says so, and works when systemd comes', async () => {
      mock.stop();
      await waitFor('it to be gone', () =>
        systemd.listUnits(['*']).then(
          () => false,
          () => true,
        ),
      );
      await systemd.listen();
      assert.equal(problems.at(-1)?.code, 'Unavailable');
      await assert.rejects(
        systemd.startUnit('a.service' as UnitName, wait),
        (error: unknown) => error instanceof AgentError && error.code === 'Unavailable',
      );
      mock = await MockSystemd.start(privateBus.address);
      await waitFor('the subscription', () => mock.subscribers.size === 1);
      assert.equal(problems.at(-1), null);
      assert.equal(await systemd.startUnit(mock.makeUnit('a.service', 'runs'), wait), 'done');
    });

    it('does not listen to signals of anybody else', async () => {
      await systemd.listen();
      const unit = mock.makeUnit('a.service', 'hangs');
      const start = systemd.startUnit(unit, { deadlineMs: 600 });
      const liar = await BusConnection.connect(privateBus.address, { deadlineMs: 5000 });
      liar.emitSignal({
        path: '/org/freedesktop/systemd1',
        interface: 'org.freedesktop.systemd1.Manager',
        member: 'JobRemoved',
        signature: 'uoss',
        body: [1, '/org/freedesktop/systemd1/job/1', unit, 'done'],
      });
      await assert.rejects(start, (error: unknown) => error instanceof AgentError && error.code === 'Timeout');
      liar.close();
    });
  });
});
