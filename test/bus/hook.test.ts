import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { spawn } from 'node:child_process';
import type { CallReply, IncomingCall } from '../../src/api/dbus/contract.ts';
import { busName, objectPath } from '../../src/api/dbus/port-agent-interface.ts';
import { Bus } from '../../src/platform/dbus/bus.ts';
import { PrivateBus } from '../support/private-bus.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';

const hook = resolve('hooks/ovs-port-agent');

/** What the slowest machine may add to a deadline. */
const slackMs = 500;

interface HookRun {
  exitCode: number | null;
  stdout: string;
  stderr: string;
  elapsedMs: number;
  /** From the end of the hook to the moment when nobody could write to its output any more. */
  heldOpenMs: number;
}

describe('the hookscript', () => {
  let folder: string;
  let bus: PrivateBus;
  let service: Bus | null = null;
  let env: Record<string, string>;

  before(async () => {
    bus = await PrivateBus.start();
  });
  after(() => bus.stop());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hook-'));
    env = {
      DBUS_SYSTEM_BUS_ADDRESS: bus.address,
      OVS_PORT_AGENT_RUN: join(folder, 'run'),
      OVS_PORT_AGENT_SPOOL: join(folder, 'spool'),
      OVS_PORT_AGENT_OVSDB: `unix:${join(folder, 'no-switch.sock')}`,
    };
  });
  afterEach(async () => {
    service?.close();
    service = null;
    await rm(folder, { recursive: true, force: true });
  });

  async function serve(handler: (call: IncomingCall) => Promise<CallReply>): Promise<void> {
    service = await Bus.connect({ address: bus.address }, { deadlineMs: 5_000 });
    service.serve(handler);
    await service.ownName(busName);
  }

  const answer = (text: string) => (): Promise<CallReply> =>
    Promise.resolve({ kind: 'return', signature: 's', body: [text] });
  const never = (): Promise<CallReply> => new Promise(() => undefined);

  async function run(args: readonly string[], extra: Record<string, string> = {}): Promise<HookRun> {
    const startedAt = performance.now();
    const child = spawn(hook, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...env, ...extra },
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    }
    const closed = once(child, 'close').then(() => performance.now());
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    const exitedAt = performance.now();
    return { exitCode, ...output, elapsedMs: exitedAt - startedAt, heldOpenMs: (await closed) - exitedAt };
  }

  async function spooled(): Promise<string[]> {
    return readdir(join(folder, 'spool')).catch(() => []);
  }

  describe('when the service answers', () => {
    it('hands vmid and phase over and prints the answer as its one line', async () => {
      let seen: IncomingCall | null = null;
      await serve((call) => {
        seen = call;
        return answer('CT 100: net0 is vi100 on ovsbr0, tag 10')();
      });
      const { exitCode, stdout, stderr } = await run(['100', 'post-start']);
      assert.deepEqual(
        { exitCode, stdout, stderr },
        {
          exitCode: 0,
          stdout: 'CT 100: net0 is vi100 on ovsbr0, tag 10\n',
          stderr: '',
        },
      );
      assert.ok(seen);
      const { path, interface: face, member, signature, body } = seen as IncomingCall;
      assert.deepEqual(
        [path, face, member, signature, body],
        [objectPath, busName, 'NotifyLifecycle', 'us', [100, 'post-start']],
      );
      assert.deepEqual(await spooled(), []);
    });

    it('keeps quotes, and makes one line of what has several', async () => {
      await serve(answer('VM 101: bridge "ovs\\br9" does not exist\nroot: x'));
      assert.equal((await run(['101', 'post-start'])).stdout, 'VM 101: bridge "ovs\\\\br9" does not exist\\nroot: x\n');
    });

    it('prints nothing when there is nothing to say', async () => {
      await serve(answer(''));
      const { exitCode, stdout, stderr } = await run(['100', 'pre-stop']);
      assert.deepEqual([exitCode, stdout, stderr], [0, '', '']);
    });
  });

  describe('with bad arguments', () => {
    for (const [title, args, said] of [
      ['a shell in the vmid', ['100; rm -rf /', 'pre-start'], /^ovs-port-agent: vmid "100; rm -rf \/" is not valid/],
      ['an empty vmid', ['', 'pre-start'], /^ovs-port-agent: vmid "" is not valid/],
      ['a vmid of 10^9', ['1000000000', 'pre-start'], /^ovs-port-agent: vmid "1000000000" is not valid/],
      ['a vmid below 100', ['99', 'pre-start'], /^ovs-port-agent: vmid "99" is not valid/],
      ['a leading zero', ['0100', 'pre-start'], /^ovs-port-agent: vmid "0100" is not valid/],
      ['an endless vmid', ['1'.repeat(100_000), 'pre-start'], /^ovs-port-agent: vmid "1{64}" is not valid/],
      ['a vmid of two lines', ['100\n101', 'pre-start'], /^ovs-port-agent: vmid \(unprintable\) is not valid/],
      [
        'an unknown phase',
        ['100', 'post-mortem'],
        /^ovs-port-agent: phase "post-mortem" is not valid: expected pre-start/,
      ],
      ['an empty phase', ['100', ''], /^ovs-port-agent: phase "" is not valid/],
      ['no phase', ['100'], /^ovs-port-agent: expected two arguments, <vmid> <phase>, got 1/],
      ['nothing', [], /^ovs-port-agent: expected two arguments, <vmid> <phase>, got 0/],
      ['too much', ['100', 'pre-start', 'now'], /^ovs-port-agent: expected two arguments, <vmid> <phase>, got 3/],
    ] as const) {
      it(`says so in one line for ${title}, calls nobody and lets the guest start`, async () => {
        const { exitCode, stdout, stderr } = await run(args);
        assert.deepEqual([exitCode, stdout, stderr.split('\n').length], [0, '', 2]);
        assert.match(stderr, said);
        assert.deepEqual(await spooled(), []);
      });
    }
  });

  describe('when the service is absent', () => {
    it('lets the guest start at once and leaves the event in the spool', async () => {
      const { exitCode, stdout, stderr, elapsedMs } = await run(['100', 'post-start']);
      assert.deepEqual([exitCode, stdout], [0, '']);
      assert.match(stderr, /^guest 100 post-start: no answer from ovs-port-agent \(.+\); going on without it\n$/);
      assert.ok(elapsedMs < slackMs, `took ${elapsedMs} ms`);
      const [name = '', ...others] = await spooled();
      assert.deepEqual(others, []);
      assert.match(name, /^[0-9]{10}-[0-9]+-100-post-start$/);
      const lines = (await readFile(join(folder, 'spool', name), 'utf8')).split('\n');
      assert.deepEqual(lines.slice(0, 2), ['vmid=100', 'phase=post-start']);
      const time = /^time=([0-9-]{10}T[0-9:]{8}Z)$/.exec(lines[2] ?? '')?.[1] ?? '';
      assert.equal(Math.floor(Date.parse(time) / 1000), Number(name.split('-')[0]));
      assert.match(lines[3] ?? '', /^reason=.+$/);
    });

    it('lets the guest start when there is no bus, no busctl, no place to write', async () => {
      await writeFile(join(folder, 'file'), '');
      const { exitCode } = await run(['100', 'pre-start'], {
        PATH: join(folder, 'empty'),
        DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${folder}/nothing`,
        OVS_PORT_AGENT_RUN: join(folder, 'file/run'),
        OVS_PORT_AGENT_SPOOL: join(folder, 'file/spool'),
      });
      assert.equal(exitCode, 0);
    });

    it('keeps at most 1,000 events', async () => {
      await mkdir(join(folder, 'spool'));
      await Promise.all(
        Array.from({ length: 1000 }, (_, n) => writeFile(join(folder, 'spool', `${n}-1-100-pre-stop`), '')),
      );
      const { exitCode, stderr } = await run(['100', 'pre-stop']);
      assert.equal(exitCode, 0);
      assert.match(stderr, /spool is full, event dropped/);
      assert.equal((await spooled()).length, 1000);
    });
  });

  describe('when nobody answers', () => {
    for (const [phase, budgetMs] of [
      ['pre-start', 1_000],
      ['post-start', 1_500],
      ['pre-stop', 1_000],
      ['post-stop', 1_000],
    ] as const) {
      it(`gives ${phase} up within ${budgetMs} ms and keeps the event`, async () => {
        await serve(never);
        const { exitCode, elapsedMs } = await run(['100', phase]);
        assert.equal(exitCode, 0);
        assert.ok(elapsedMs < budgetMs + slackMs, `took ${elapsedMs} ms`);
        assert.equal((await spooled()).length, 1);
      });
    }

    it('waits once for a guest start: its next call returns at once, while other guests are asked', async () => {
      await serve(never);
      await run(['100', 'pre-start']);
      const second = await run(['100', 'post-start']);
      assert.ok(second.elapsedMs < slackMs, `took ${second.elapsedMs} ms`);
      assert.match(second.stderr, /an earlier call of this guest failed/);
      assert.equal((await spooled()).length, 2);
      service?.serve(answer('CT 101: net0 is vi101 on ovsbr1'));
      assert.equal((await run(['101', 'post-start'])).stdout, 'CT 101: net0 is vi101 on ovsbr1\n');
    });

    it('asks again when the failure is old, or its mark makes no sense', async () => {
      await serve(answer('CT 100: no nics'));
      await mkdir(join(folder, 'run'));
      const uptime = Number.parseInt(await readFile('/proc/uptime', 'utf8'), 10);
      for (const mark of [`${uptime - 6}\n`, `${uptime + 60}\n`, '', 'soon\n', `${'9'.repeat(30)}\n`]) {
        await writeFile(join(folder, 'run/unreachable-100'), mark);
        assert.equal((await run(['100', 'pre-start'])).stdout, 'CT 100: no nics\n', JSON.stringify(mark));
      }
    });

    it('is not held up by a bus that accepts and then says nothing', async () => {
      const path = join(folder, 'mute');
      const mute = createServer();
      await once(mute.listen(path), 'listening');
      try {
        const { exitCode, elapsedMs } = await run(['100', 'pre-start'], {
          DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${path}`,
        });
        assert.equal(exitCode, 0);
        assert.ok(elapsedMs < 1_000 + slackMs, `took ${elapsedMs} ms`);
      } finally {
        mute.close();
      }
    });

    it('is not held up by a busctl that ignores SIGTERM, and leaves no process with the task log open', async () => {
      const bin = join(folder, 'bin');
      await mkdir(bin);
      await writeFile(join(bin, 'busctl'), '#!/bin/sh\ntrap "" TERM\nexec sleep 20\n');
      await chmod(join(bin, 'busctl'), 0o755);
      const { exitCode, elapsedMs, heldOpenMs } = await run(['100', 'pre-start'], {
        PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      });
      assert.equal(exitCode, 0);
      assert.ok(elapsedMs < 1_100 + slackMs, `took ${elapsedMs} ms`);
      assert.ok(heldOpenMs < slackMs, `output stayed open for ${heldOpenMs} ms`);
    });
  });

  describe('called by a drop-in', () => {
    const phasesHeard = async (...calls: readonly (readonly string[])[]): Promise<string[]> => {
      const heard: string[] = [];
      await serve((call) => {
        heard.push(String(call.body[1]));
        return answer('CT 100: no nics')();
      });
      for (const args of calls) assert.equal((await run(args)).exitCode, 0);
      return heard;
    };

    it('tells of a phase that no hookscript was called at', async () => {
      assert.deepEqual(await phasesHeard(['100', 'pre-start', 'drop-in'], ['100', 'post-start', 'drop-in']), [
        'pre-start',
        'post-start',
      ]);
    });

    it('keeps still when the hookscript was just heard at that phase; the hookscript itself always speaks', async () => {
      const heard = await phasesHeard(
        ['100', 'pre-start'],
        ['100', 'pre-start', 'drop-in'],
        ['100', 'post-start', 'drop-in'],
        ['100', 'post-start'],
        ['101', 'post-start', 'drop-in'],
      );
      assert.deepEqual(heard, ['pre-start', 'post-start', 'post-start', 'post-start']);
    });

    it('tells of every reboot from inside, however soon after a start', async () => {
      const heard = await phasesHeard(
        ['100', 'post-start', 'drop-in'],
        ['100', 'post-start'],
        ['100', 'post-start', 'drop-in'],
        ['100', 'post-start', 'drop-in'],
      );
      assert.deepEqual(heard, ['post-start', 'post-start', 'post-start', 'post-start']);
    });

    it('speaks when the answer is old, or its mark makes no sense', async () => {
      await mkdir(join(folder, 'run'));
      const uptime = Number.parseInt(await readFile('/proc/uptime', 'utf8'), 10);
      for (const mark of [`${uptime - 6} pre-start\n`, `${uptime + 60} pre-start\n`, '', 'pre-start\n']) {
        await writeFile(join(folder, 'run/answered-100'), mark);
        assert.deepEqual(await phasesHeard(['100', 'pre-start', 'drop-in']), ['pre-start'], JSON.stringify(mark));
        service?.close();
      }
    });

    it('takes 300 ms of a start at most, and nothing when a call of that start has failed', async () => {
      await serve(never);
      const first = await run(['100', 'pre-start', 'drop-in']);
      const second = await run(['100', 'post-start', 'drop-in']);
      assert.deepEqual([first.exitCode, second.exitCode], [0, 0]);
      assert.ok(first.elapsedMs < 300 + slackMs, `took ${first.elapsedMs} ms`);
      assert.deepEqual([second.stdout, second.stderr], ['', '']);
      assert.equal((await spooled()).length, 1);
    });
  });

  describe('at pre-start without the service', () => {
    it('removes the rows that carry our owner and this vm-id, and no others', async () => {
      const ovs = await startPrivateSwitch({ vswitchd: false });
      try {
        const add = (name: string, marks: readonly string[]): string[] => [
          ...['--', 'add-port', 'ovsbr0', name, '--', 'set', 'Port', name, 'external_ids:x=y', ...marks],
          ...['--', 'set', 'Interface', name, 'external_ids:vm-id=100'],
        ];
        const owner = 'external_ids:owner=dev.ovs.PortAgent1';
        await ovs.vsctl(
          ...['--no-wait', 'add-br', 'ovsbr0'],
          ...add('veth100i0', [owner, 'external_ids:vm-id=100']),
          ...add('vi100i1', [owner, 'external_ids:vm-id=100']),
          ...add('fwln100o2', [owner, 'external_ids:vm-id=100']),
          ...add('veth100i3', ['external_ids:vm-id=100']),
          ...add('veth1000i0', [owner, 'external_ids:vm-id=1000']),
          ...add('other', ['external_ids:owner=somebody', 'external_ids:vm-id=100']),
        );
        const { exitCode, stdout } = await run(['100', 'pre-start'], { OVS_PORT_AGENT_OVSDB: ovs.endpoint });
        assert.deepEqual([exitCode, stdout], [0, 'guest 100: removed what an earlier run left on the switch\n']);
        assert.equal(await ovs.vsctl('list-ports', 'ovsbr0'), 'other\nveth1000i0\nveth100i3');
      } finally {
        await ovs.stop();
      }
    });

    it('removes nothing while a netdev of the guest exists', async () => {
      const ovs = await startPrivateSwitch({ vswitchd: false });
      try {
        const marks = ['external_ids:owner=dev.ovs.PortAgent1', 'external_ids:vm-id=100'];
        await ovs.vsctl(
          ...[
            '--no-wait',
            'add-br',
            'ovsbr0',
            '--',
            'add-port',
            'ovsbr0',
            'vi100',
            '--',
            'set',
            'Port',
            'vi100',
            ...marks,
          ],
          // `lo` stands for the guest's netdev: it exists everywhere.
          ...['--', 'set', 'Interface', 'vi100', 'name=lo', 'external_ids:vm-id=100'],
        );
        await run(['100', 'pre-start'], { OVS_PORT_AGENT_OVSDB: ovs.endpoint });
        assert.equal(await ovs.vsctl('list-ports', 'ovsbr0'), 'vi100');
      } finally {
        await ovs.stop();
      }
    });
  });
});
