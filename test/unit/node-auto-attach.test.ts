/** `auto_attach`: which guests are new, and what becomes of them. */
import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import { AutoAttach } from '../../src/node/hooks/auto-attach.ts';
import { GuestHooks } from '../../src/node/hooks/guest-hooks.ts';
import { taskPrograms } from '../../src/node/task-programs.ts';
import { current, ProxmoxHost } from '../support/proxmox-host.ts';

class World extends ProxmoxHost {
  stored: unknown = null;
  saves = 0;
  isLocked = false;
  readonly stop = new AbortController();
  readonly hooks = new GuestHooks({
    files: this.files,
    snippets: this.snippets,
    programs: this,
    locks: { isLocked: () => Promise.resolve(this.isLocked) },
    pveDir: '/etc/pve',
    node: 'pve1',
    recorded: (_draft, action) => action(),
  });

  /** A service that was just started. */
  start(): AutoAttach {
    return new AutoAttach({
      host: { files: this.files, snippets: this.snippets, pveDir: '/etc/pve' },
      hooks: this.hooks,
      known: {
        load: () => Promise.resolve(this.stored),
        save: (vmids) => {
          this.saves++;
          this.stored = JSON.parse(JSON.stringify(vmids)) as unknown;
          return Promise.resolve();
        },
      },
      signal: this.stop.signal,
    });
  }

  elsewhereGuest(vmid: number): void {
    const ids = { [vmid]: { node: 'pve2', type: 'lxc', version: 1 } };
    this.files.write('/etc/pve/.vmlist', JSON.stringify({ version: 1, ids }));
  }

  async has(vmid: number): Promise<boolean> {
    return (await this.guestText(vmid)).includes('hookscript: local:snippets/ovs-port-agent');
  }
}

describe('auto_attach', () => {
  let world: World;
  let attaching: AutoAttach;

  beforeEach(async () => {
    world = new World();
    world.scripts.set('/var/lib/vz/snippets/ovs-port-agent', current);
    world.guest(100, 'hostname: old\n');
    attaching = world.start();
    await attaching.look();
  });

  it('leaves guests alone that are there when it begins', async () => {
    assert.deepEqual([await world.has(100), world.stored, world.ran], [false, [100], []]);
  });

  it('gives a new guest the hookscript, once', async () => {
    world.guest(101, 'hostname: new\n');
    await attaching.look();
    await attaching.look();
    assert.deepEqual([await world.has(101), world.ran.length, world.stored], [true, 1, [100, 101]]);
  });

  it('gives it to a guest that was made while the service was away', async () => {
    world.guest(101, '');
    await world.start().look();
    assert.equal(await world.has(101), true);
  });

  it('waits for the lock of a guest that is being made, and for its configuration lock', async () => {
    world.guest(101, 'lock: create\n');
    await attaching.look();
    world.isLocked = true;
    world.guest(101, 'hostname: new\n');
    await attaching.look();
    assert.deepEqual([world.ran, world.stored], [[], [100]]);
    world.isLocked = false;
    await attaching.look();
    assert.equal(await world.has(101), true);
  });

  it('leaves a guest detached from which somebody took it off, also after a new start', async () => {
    world.guest(101, '');
    await attaching.look();
    await world.hooks.detach(parseVmid(101), { dryRun: false });
    await attaching.look();
    await world.start().look();
    assert.equal(await world.has(101), false);
  });

  it('leaves a template alone, and a guest that came with another hookscript', async () => {
    world.guest(101, 'template: 1\n');
    world.guest(102, 'hookscript: local:snippets/own.sh\n');
    await attaching.look();
    assert.deepEqual([world.ran, world.stored], [[], [100, 101, 102]]);
  });

  it('takes no guest for new that moves here', async () => {
    world.elsewhereGuest(200);
    await attaching.look();
    world.guest(200, '');
    await attaching.look();
    assert.equal(await world.has(200), false);
  });

  it('takes a vmid for new that was given to another guest', async () => {
    world.files.remove('/etc/pve/lxc/100.conf');
    world.files.write('/etc/pve/.vmlist', '{"version":1}');
    await attaching.look();
    assert.deepEqual(world.stored, []);
    world.guest(100, 'hostname: other\n');
    await attaching.look();
    assert.equal(await world.has(100), true);
  });

  it('forgets no guest while the cluster file system is not mounted', async () => {
    world.files.remove('/etc/pve/lxc/100.conf');
    await attaching.look();
    world.guest(100, '');
    await attaching.look();
    assert.deepEqual([await world.has(100), world.stored], [false, [100]]);
  });

  it('says what it could not do, tries that no more until a new start, and goes on with others', async () => {
    world.answers.set('pct set 101', { exitStatus: 255, output: 'no quorum', complaint: '' });
    world.guest(101, '');
    world.guest(102, '');
    await attaching.look();
    await attaching.look();
    assert.deepEqual([await world.has(102), world.ran.length], [true, 2]);
    assert.match(attaching.problems().join(), /^guest 101 did not get our hookscript: .*no quorum/);
    world.answers.clear();
    await world.start().look();
    assert.equal(await world.has(101), true);
    world.files.remove('/etc/pve/lxc/101.conf');
    await attaching.look();
    assert.deepEqual(attaching.problems(), []);
  });

  it('writes nothing when nothing changed, and takes a file that is no list for a beginning', async () => {
    await attaching.look();
    assert.equal(world.saves, 1);
    world.stored = { nonsense: true };
    world.guest(101, '');
    await world.start().look();
    assert.deepEqual([await world.has(101), world.stored], [false, [100, 101]]);
  });

  it('does nothing without Proxmox VE, and begins nothing when the service ends', async () => {
    world.guest(101, '');
    world.stop.abort();
    await attaching.look();
    assert.deepEqual(world.ran, []);
    const bare = new World();
    bare.files.remove('/etc/pve/storage.cfg');
    await bare.start().look();
    assert.equal(bare.saves, 0);
  });

  it('runs programs as units, each under a name of its own and with a block', async () => {
    const seen: string[] = [];
    const programs = taskPrograms({
      prefix: 'test',
      recorded: ({ action, data }, change) => {
        seen.push(`${action} ${JSON.stringify(data['unit'])}`);
        return change();
      },
      tasks: {
        run: (task) => {
          if (seen.length > 1) return Promise.reject(new AgentError('Timeout', 'too long'));
          assert.deepEqual(task.command, ['/usr/sbin/pct', 'set']);
          return Promise.resolve({ exitStatus: 2, result: 'exit-code', lines: ['one', 'two'] });
        },
      },
    });
    const wait = { deadlineMs: 1000 };
    const result = await programs.run(['/usr/sbin/pct', 'set'], wait);
    assert.deepEqual(result, { exitStatus: 2, output: 'one\ntwo', complaint: '' });
    await assert.rejects(programs.run(['/usr/sbin/pct', 'set'], wait), /too long/);
    assert.match(seen.join(' '), /^run "test-\d+-1\.service" run "test-\d+-2\.service"$/);
  });
});
