import assert from 'node:assert/strict';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import type { GuestAction, GuestApi, Tasks, Units } from '../../src/node/contracts.ts';
import { GuestControl } from '../../src/node/guest-control.ts';
import type { ControlResult } from '../../src/node/guest-control.ts';
import type { Wait } from '../../src/systemd1/contract.ts';
import type { JobResult } from '../../src/systemd1/job.ts';
import type { Task, TaskResult } from '../../src/systemd1/task.ts';
import { parseUnitName } from '../../src/systemd1/unit-name.ts';
import type { UnitState } from '../../src/systemd1/unit.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { refusedWith } from '../support/refused.ts';
import { waitFor } from '../support/wait-for.ts';

const vmid = parseVmid(100);
const cause = { cause: 'api create', user: 'root', uid: 0 };
const good: TaskResult = { exitStatus: 0, result: 'success', lines: [] };

/** A node with container 100, which systemd may start. What programs and systemd do is for each test to say. */
class World implements Units, Tasks {
  readonly host = new MemoryHost();
  readonly clock = new FakeClock();
  readonly ran: string[] = [];
  readonly applied: string[] = [];
  readonly gaps: string[] = [];
  readonly progress: string[] = [];
  readonly asked: string[] = [];
  ledger: Ledger;
  isLocked = false;
  activeState = 'inactive';
  loadState = 'loaded';
  invocationId = 'a'.repeat(32);
  result = 'success';
  execMainStatus = 0;
  /** Effects of a start job. */
  onStart: () => JobResult = () => {
    this.runs();
    return 'done';
  };
  /** What a program does, by its first words. */
  onTask: (task: Task) => TaskResult | Promise<TaskResult> = () => good;
  api: GuestApi | null = null;
  recorder: Pick<Ledger, 'writeAheadAll'>;

  private constructor(ledger: Ledger) {
    this.ledger = ledger;
    this.recorder = ledger;
    this.host.write('/etc/pve/lxc/100.conf', 'hostname: web01\n', 10_000);
    this.host.write('/var/lib/lxc/100/config', '', 11_000);
    this.ends();
  }

  static async make(): Promise<World> {
    return new World(await openLedger(new MemoryLedgerStore()));
  }

  runs(): void {
    this.activeState = 'active';
    this.host.write('/proc/net/unix', '0: 2 0 00010000 0001 01 26512 @/var/lib/lxc/100/command\n');
  }

  ends(activeState = 'inactive'): void {
    this.activeState = activeState;
    this.host.write('/proc/net/unix', '');
  }

  async control(
    action: GuestAction,
    timeoutMs = 60_000,
    signal = new AbortController().signal,
  ): Promise<ControlResult> {
    this.#control ??= new GuestControl({
      files: this.host,
      paths: { pveDir: '/etc/pve', lxcDir: '/var/lib/lxc' },
      units: this,
      tasks: this,
      api: this.api,
      locks: { isLocked: () => Promise.resolve(this.isLocked) },
      ports: {
        applyGuest: (ofVmid, phase) => {
          this.applied.push(`${ofVmid} ${phase}`);
          return Promise.resolve(`CT ${ofVmid}: ${phase}`);
        },
        noteLedgerGap: ({ message }) => this.gaps.push(message),
      },
      recorder: this.recorder,
      clock: this.clock,
      node: 'pve1',
      onProgress: (ofVmid, line) => this.progress.push(`${ofVmid} ${line}`),
    });
    return this.#control.control(vmid, { action, timeoutMs, cause, signal });
  }
  #control: GuestControl | null = null;

  unit(name: string): Promise<UnitState | null> {
    const { activeState, loadState, invocationId, result, execMainStatus } = this;
    const rest = { subState: '', job: null, mainPid: null, controlGroup: null };
    return Promise.resolve({
      name: parseUnitName(name),
      activeState,
      loadState,
      invocationId,
      result,
      execMainStatus,
      ...rest,
    });
  }

  listUnits(patterns: readonly string[]) {
    const name = parseUnitName(patterns[0] ?? '');
    return Promise.resolve([{ name, loadState: this.loadState, activeState: this.activeState, subState: '' }]);
  }

  startUnit(name: string): Promise<JobResult> {
    this.asked.push(`start ${name}`);
    return Promise.resolve(this.onStart());
  }

  async untilUnit(
    name: string,
    condition: (unit: UnitState) => boolean,
    _what: string,
    { signal }: { signal?: AbortSignal | undefined },
  ) {
    for (;;) {
      const unit = await this.unit(name);
      if (unit !== null && condition(unit)) return unit;
      if (signal?.aborted === true) throw new AgentError('Unavailable', 'given up');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  killUnit(name: string): Promise<void> {
    this.asked.push(`kill ${name}`);
    return Promise.resolve();
  }

  async run(task: Task, { signal }: Wait): Promise<TaskResult> {
    this.ran.push(task.command.join(' '));
    const givenUp = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => {
        reject(new AgentError('Unavailable', 'given up'));
      });
    });
    return Promise.race([this.onTask(task), givenUp]);
  }

  /** Category, action, and what tells them apart. */
  async blocks(): Promise<string[]> {
    const blocks = await this.ledger.query({ order: 'oldest', vmid });
    return blocks.map(({ category, action, data }) => {
      const what = data['unit'] ?? data['way'] ?? data['error'];
      return `${category} ${action} ${typeof what === 'string' ? what : ''}`;
    });
  }
}

describe('the control of a guest', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.make();
  });

  describe('through systemd', () => {
    it('starts the unit, waits until LXC says that it runs, and puts the ports right', async () => {
      assert.deepEqual(await world.control('start'), {
        guest: 'CT 100',
        action: 'start',
        state: 'running',
        changed: true,
        way: 'systemd',
        reasons: [],
        ports: 'CT 100: post-start',
      });
      assert.equal(world.asked[0], 'start pve-container@100.service');
      assert.deepEqual(world.ran, ['/usr/bin/lxc-wait --lxcpath /var/lib/lxc --name 100 --state RUNNING --timeout 60']);
      assert.deepEqual(world.applied, ['100 post-start']);
      assert.deepEqual(await world.blocks(), ['unit start pve-container@100.service']);
    });

    it('fails when lxc-start dies although its start job was done, and ends what waits for LXC', async () => {
      world.onTask = () => {
        world.ends('failed');
        Object.assign(world, { result: 'exit-code', execMainStatus: 1 });
        return new Promise(() => undefined);
      };
      await assert.rejects(
        world.control('start'),
        refusedWith('NotApplied', /lxc-start was executed and ended before it ran \(exit status 1\)/),
      );
      assert.equal(world.asked.at(-1), 'kill ovs-port-agent-wait-100-aaaaaaaa.service');
    });

    it('fails when it ended between the start job and the look at it', async () => {
      world.onStart = () => {
        Object.assign(world, { activeState: 'failed', result: 'exit-code', execMainStatus: 1 });
        return 'done';
      };
      await assert.rejects(
        world.control('start'),
        refusedWith('NotApplied', /lxc-start was executed/, /exit status 1/),
      );
      assert.deepEqual(await world.blocks(), ['unit start pve-container@100.service', 'unit failed NotApplied']);
      assert.deepEqual(world.applied, []);
    });

    it('fails when it ended right after it ran, or is another run already', async () => {
      world.onTask = () => {
        world.invocationId = 'b'.repeat(32);
        return good;
      };
      await assert.rejects(world.control('start'), refusedWith('NotApplied', /ended/));
    });

    it('takes a job that ended unseen for done when the unit is up', async () => {
      world.onStart = () => {
        world.runs();
        return 'unknown';
      };
      assert.equal((await world.control('start')).changed, true);
    });

    const results: readonly (readonly [JobResult, Parameters<typeof refusedWith>])[] = [
      ['failed', ['NotApplied', /pve-container@100\.service failed/]],
      ['dependency', ['NotApplied', /needs failed/]],
      ['skipped', ['NotApplied', /skipped/]],
      ['canceled', ['Conflict', /somebody else/]],
      ['timeout', ['Timeout', /systemd's own time/]],
      ['unknown', ['NotApplied', /nobody saw/]],
      ['invalid', ['NotApplied', /failed \(invalid/]],
    ];
    for (const [result, refusal] of results) {
      it(`says what the result ${result} means`, async () => {
        world.onStart = () => result;
        await assert.rejects(world.control('start'), refusedWith(...refusal));
      });
    }

    it('refuses a masked unit, and one that is not there', async () => {
      world.loadState = 'masked';
      await assert.rejects(world.control('start'), refusedWith('Conflict', /masked/, /systemctl unmask/));
      world.loadState = 'not-found';
      await assert.rejects(world.control('start'), refusedWith('NotFound', /no unit pve-container@100/));
      assert.deepEqual(world.asked, []);
    });

    it('gives up when LXC does not say RUNNING in time', async () => {
      world.onTask = () => ({ exitStatus: 1, result: 'exit-code', lines: [] });
      await assert.rejects(world.control('start', 5_000), refusedWith('Timeout', /did not run within 5 s/));
    });
  });

  describe('through a tool', () => {
    beforeEach(() => {
      world.host.write('/etc/pve/lxc/100.conf', '[pve:pending]\nmemory: 512\n', 10_000);
    });

    it('starts with pct where systemd would not do, and says why', async () => {
      world.onTask = ({ onLine }) => {
        onLine?.('mounting');
        world.runs();
        return good;
      };
      const { way, reasons, ports } = await world.control('start');
      assert.deepEqual([way, reasons, ports], ['pct', ['it has pending changes'], 'CT 100: post-start']);
      assert.deepEqual(world.ran, ['/usr/sbin/pct start 100']);
      assert.deepEqual(world.progress, ['100 mounting']);
      assert.deepEqual(await world.blocks(), ['guest start pct']);
    });

    it('hands on what the tool said when it failed', async () => {
      world.onTask = () => ({
        exitStatus: 255,
        result: 'exit-code',
        lines: ['first', '', 'a', 'b', 'storage is offline'],
      });
      await assert.rejects(
        world.control('start'),
        refusedWith('NotApplied', '`/usr/sbin/pct start 100` failed (exit status 255): a; b; storage is offline'),
      );
      world.onTask = () => ({ exitStatus: null, result: 'timeout', lines: [] });
      await assert.rejects(
        world.control('start'),
        refusedWith('NotApplied', '`/usr/sbin/pct start 100` failed (timeout)'),
      );
    });

    it('leaves a guest running that did not shut down in time', async () => {
      world.runs();
      world.onTask = async () => {
        await world.clock.advance(20_000);
        return { exitStatus: 255, result: 'exit-code', lines: ['got timeout'] };
      };
      await assert.rejects(world.control('shutdown', 20_000), refusedWith('Timeout', /within 20 s and still runs/));
      assert.deepEqual(world.ran, ['/usr/sbin/pct shutdown 100 --timeout 20']);
      assert.deepEqual(world.applied, []);
    });

    it('waits for the state to follow the tool, and says when it does not', async () => {
      const started = world.control('start');
      await waitFor('the tool', () => world.ran.length === 1);
      await world.clock.advance(1_000);
      world.runs();
      await passing(started);
      const stopped = assert.rejects(
        world.control('stop'),
        refusedWith('NotApplied', /reported as done.*it is running/),
      );
      await passing(stopped);
    });

    /** Lets time pass until it has settled. */
    async function passing(promise: Promise<unknown>): Promise<void> {
      let isSettled = false;
      void promise.finally(() => (isSettled = true)).catch(() => undefined);
      await waitFor('it to settle', async () => {
        await world.clock.advance(500);
        return isSettled;
      });
      await promise;
    }

    it('ends and puts the ports right', async () => {
      world.runs();
      world.onTask = () => {
        world.ends();
        return good;
      };
      const { state, reasons } = await world.control('stop');
      assert.deepEqual([state, reasons.length], ['stopped', 1]);
      assert.deepEqual(world.applied, ['100 post-stop']);
    });
  });

  describe('through the API', () => {
    it('is asked where it is there and systemd would not do', async () => {
      world.runs();
      const asked: unknown[] = [];
      world.api = {
        control: ({ node }, action, { timeoutMs, onLine }) => {
          asked.push([node, action, timeoutMs]);
          onLine('TASK OK');
          world.ends();
          return Promise.resolve();
        },
      };
      assert.equal((await world.control('shutdown')).way, 'api');
      assert.deepEqual(asked, [['pve1', 'shutdown', 60_000]]);
      assert.deepEqual(world.progress, ['100 TASK OK']);
      assert.deepEqual(world.ran, []);
    });

    it('reaches guests of other nodes', async () => {
      world.host.remove('/etc/pve/lxc/100.conf');
      world.host.write('/etc/pve/.vmlist', '{"version":1,"ids":{"100":{"node":"pve2","type":"qemu","version":1}}}');
      await assert.rejects(world.control('start'), refusedWith('NotFound', /VM 100 is on node pve2/));
      const other = await World.make();
      other.host.remove('/etc/pve/lxc/100.conf');
      other.host.write('/etc/pve/.vmlist', '{"version":1,"ids":{"100":{"node":"pve2","type":"qemu","version":1}}}');
      other.api = { control: ({ node }) => (node === 'pve2' ? Promise.resolve() : Promise.reject(new Error(node))) };
      assert.deepEqual((await other.control('start')).reasons, ['it is on node pve2']);
      assert.deepEqual(other.applied, []);
    });
  });

  describe('does nothing', () => {
    it('when it is so already', async () => {
      for (const action of ['stop', 'shutdown'] as const) {
        const { changed, state, way } = await world.control(action);
        assert.deepEqual([changed, state, way], [false, 'stopped', null]);
      }
      world.runs();
      const { changed, state } = await world.control('start');
      assert.deepEqual([changed, state], [false, 'running']);
      assert.deepEqual([world.ran, world.asked, await world.blocks()], [[], [], []]);
    });

    it('while the guest is locked, starting or ending', async () => {
      world.isLocked = true;
      await assert.rejects(world.control('start'), refusedWith('Busy', /Proxmox VE/));
      world.isLocked = false;
      world.activeState = 'activating';
      await assert.rejects(world.control('start'), refusedWith('Busy', /starting or ending/));
      assert.deepEqual([world.ran, world.asked, await world.blocks()], [[], [], []]);
    });

    it('when a lock came while the block was being written, and records that', async () => {
      const { ledger } = world;
      world.recorder = {
        writeAheadAll: (drafts, action) =>
          ledger.writeAheadAll(drafts, (blocks) => {
            world.isLocked = true;
            return action(blocks);
          }),
      };
      await assert.rejects(world.control('start'), refusedWith('Busy'));
      assert.deepEqual(world.asked, []);
      assert.deepEqual(await world.blocks(), ['unit start pve-container@100.service', 'unit failed Busy']);
    });

    it('to a reboot of what does not run', async () => {
      await assert.rejects(world.control('reboot'), refusedWith('Conflict', /does not run/));
    });

    it('twice at the same time to the same guest', async () => {
      const first = world.control('start');
      await assert.rejects(world.control('stop'), refusedWith('Busy', /already/));
      await first;
      assert.equal((await world.control('start')).changed, false);
    });
  });

  it('goes on without a block when the ledger is full, and the gap is counted', async () => {
    world.recorder = { writeAheadAll: () => Promise.reject(new AgentError('Unavailable', 'no space left')) };
    assert.equal((await world.control('start')).changed, true);
    assert.deepEqual(world.gaps, ['start of guest 100 is not in the ledger: no space left']);
  });

  it('ends with the reason of the one who gave up', async () => {
    world.host.write('/etc/pve/lxc/100.conf', '[pve:pending]\nmemory: 512\n', 10_000);
    const given = new AbortController();
    world.onTask = () => {
      given.abort(new AgentError('Unavailable', 'the bus is gone'));
      return good;
    };
    await assert.rejects(world.control('start', 60_000, given.signal), refusedWith('Unavailable', /the bus is gone/));
  });
});
