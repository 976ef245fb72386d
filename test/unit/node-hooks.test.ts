/** Our hookscript in guests: attached, chained with another, detached; never one that Proxmox VE would not find. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AgentError } from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import { GuestHooks } from '../../src/node/hooks/guest-hooks.ts';
import type { HookRequest } from '../../src/node/hooks/guest-hooks.ts';
import { chaining, ownHook, parseHookVolume, renderHookVolume } from '../../src/node/hooks/volume.ts';
import { current, foreign, ProxmoxHost } from '../support/proxmox-host.ts';
import { refusedWith } from '../support/refused.ts';

const vmid = parseVmid(100);
const plain = '/var/lib/vz/snippets/ovs-port-agent';
const other = '/var/lib/vz/snippets/gpu.pl';
const chain = '/var/lib/vz/snippets/ovs-port-agent+gpu.pl';
const really: HookRequest = { dryRun: false };
const refused = (code: ErrorCode, words: RegExp, action: () => Promise<unknown>): Promise<void> =>
  assert.rejects(action, refusedWith(code, words));

class World extends ProxmoxHost {
  readonly recorded: unknown[] = [];
  isLocked = false;
  readonly hooks = new GuestHooks({
    files: this.files,
    snippets: this.snippets,
    programs: this,
    locks: { isLocked: () => Promise.resolve(this.isLocked) },
    pveDir: '/etc/pve',
    node: 'pve1',
    recorded: ({ action, data }, change) => {
      this.recorded.push([action, data['from'], data['to']]);
      return change();
    },
  });
}

describe('a hookscript', () => {
  let world: World;

  beforeEach(() => {
    world = new World();
    world.guest(100, 'arch: amd64\nhostname: web01\n\n[before]\nhookscript: local:snippets/gpu.pl\n');
    world.scripts.set(other, foreign);
  });

  const hookOf = async (): Promise<string | null> => (await world.hooks.status(vmid)).hookscript;

  describe('when it is attached', () => {
    it('lies on the storage as a file before the guest names it', async () => {
      const change = await world.hooks.attach(vmid, really);
      assert.deepEqual(change.steps, [
        `put the snippet to ${plain}`,
        'pct set 100 --hookscript local:snippets/ovs-port-agent',
      ]);
      assert.deepEqual(world.scripts.get(plain), current);
      assert.equal(await hookOf(), 'local:snippets/ovs-port-agent');
      assert.deepEqual(world.recorded, [['attach-hook', null, 'local:snippets/ovs-port-agent']]);
    });

    it('leaves snapshots and everything else as they are', async () => {
      await world.hooks.attach(vmid, really);
      assert.equal(
        await world.guestText(100),
        'arch: amd64\nhookscript: local:snippets/ovs-port-agent\nhostname: web01\n\n[before]\nhookscript: local:snippets/gpu.pl\n',
      );
    });

    it('is attached once, and a snippet that went missing or old is put again', async () => {
      await world.hooks.attach(vmid, really);
      assert.deepEqual((await world.hooks.attach(vmid, really)).steps, []);
      world.scripts.delete(plain);
      assert.equal((await world.hooks.status(vmid)).state, 'dangling');
      const repaired = await world.hooks.attach(vmid, really);
      assert.deepEqual([repaired.changed, repaired.steps.length], [false, 1]);
      assert.equal((await world.hooks.status(vmid)).state, 'attached');
      world.scripts.set(plain, { ...current, isCurrent: false });
      await world.hooks.attach(vmid, really);
      assert.deepEqual(world.scripts.get(plain), current);
    });

    it('goes to machines through qm', async () => {
      world.guest(101, 'name: win\n', 'qemu-server');
      await world.hooks.attach(parseVmid(101), really);
      assert.equal(world.ran.at(-1), 'qm set 101 --hookscript local:snippets/ovs-port-agent');
    });

    it('changes nothing in a dry run', async () => {
      const { steps } = await world.hooks.attach(vmid, { dryRun: true });
      assert.equal(steps.length, 2);
      assert.deepEqual([world.ran, await hookOf(), world.scripts.has(plain)], [[], null, false]);
    });
  });

  describe('when the guest has another', () => {
    beforeEach(() => {
      world.guest(100, 'hookscript: local:snippets/gpu.pl\nhostname: web01\n');
    });

    it('is called before that one, which the name beside it keeps', async () => {
      await world.hooks.attach(vmid, really);
      assert.equal(await hookOf(), 'local:snippets/ovs-port-agent+gpu.pl');
      assert.deepEqual(world.scripts.get(chain), current);
      const { state, other: chained } = await world.hooks.status(vmid);
      assert.deepEqual([state, chained], ['chained', 'local:snippets/gpu.pl']);
      assert.deepEqual((await world.hooks.attach(vmid, really)).steps, []);
    });

    it('stands on the storage of that one, whatever storage was asked for', async () => {
      world.files.write('/etc/pve/storage.cfg', 'dir: nas\n\tpath /mnt/nas\n\tcontent snippets\n\tshared 1\n');
      world.guest(100, 'hookscript: nas:snippets/gpu.pl\n');
      world.scripts.set('/mnt/nas/snippets/gpu.pl', foreign);
      await world.hooks.attach(vmid, { ...really, storage: 'local' });
      assert.equal(await hookOf(), 'nas:snippets/ovs-port-agent+gpu.pl');
    });

    it('gives that one back exactly, and leaves no file', async () => {
      const before = await world.guestText(100);
      await world.hooks.attach(vmid, really);
      await world.hooks.detach(vmid, really);
      assert.equal(await world.guestText(100), before);
      assert.ok(!world.scripts.has(chain));
    });

    it('leaves the file while another guest or a snapshot anywhere names it', async () => {
      await world.hooks.attach(vmid, really);
      world.files.write('/etc/pve/nodes/pve2/lxc/200.conf', '[s]\nhookscript: local:snippets/ovs-port-agent+gpu.pl\n');
      await world.hooks.detach(vmid, really);
      assert.ok(world.scripts.has(chain));
    });

    it('is refused when that one is missing or may not be executed, with the command that mends it', async () => {
      for (const broken of [undefined, { ...foreign, isRunnable: false }]) {
        if (broken === undefined) world.scripts.delete(other);
        else world.scripts.set(other, broken);
        await refused('Conflict', /gpu\.pl is missing.*`pct set 100 --delete hookscript`/, () =>
          world.hooks.attach(vmid, really),
        );
      }
      assert.equal(await hookOf(), 'local:snippets/gpu.pl');
    });

    it('is dangling when the one it calls is gone, and does not give back what is not there', async () => {
      await world.hooks.attach(vmid, really);
      world.scripts.delete(other);
      const { state, problem } = await world.hooks.status(vmid);
      assert.deepEqual([state, problem], ['dangling', `${other} does not exist`]);
      await refused('Conflict', /put it back/, () => world.hooks.detach(vmid, really));
    });

    it('is refused for names that would not survive the way through files and commands', async () => {
      for (const name of ['two words', 'h\u00c3\u00a9', 'x'.repeat(241)]) {
        world.guest(100, `hookscript: local:snippets/${name}\n`);
        world.scripts.set(`/var/lib/vz/snippets/${name}`, foreign);
        await assert.rejects(world.hooks.attach(vmid, really), AgentError);
        assert.equal((await world.guestText(100)).includes('ovs-port-agent'), false);
      }
    });
  });

  describe('is refused', () => {
    const refusals: readonly (readonly [string, string, 'Busy' | 'Conflict' | 'NotFound', RegExp])[] = [
      ['while the guest is locked', 'lock: backup\n', 'Busy', /locked \(backup\).*`pct unlock 100`/],
      ['for a template', 'template: 1\n', 'Conflict', /is a template/],
      ['while a change of it waits', '[pve:pending]\nhookscript: local:snippets/x\n', 'Conflict', /`pct pending 100`/],
      ['while its removal waits', '[pve:pending]\ndelete: memory,hookscript\n', 'Conflict', /`pct pending 100`/],
      ['for a volume that is none', 'hookscript: /root/x.sh\n', 'Conflict', /./],
    ];
    for (const [what, text, code, message] of refusals) {
      it(what, async () => {
        world.guest(100, text);
        await assert.rejects(world.hooks.attach(vmid, really), (error) => {
          assert.ok(error instanceof AgentError && (error.code === code || text.startsWith('hookscript')));
          assert.match(error.message, message);
          return true;
        });
        assert.deepEqual(world.ran, []);
      });
    }

    it('while Proxmox VE works on the guest', async () => {
      world.isLocked = true;
      await refused('Busy', /being worked on/, () => world.hooks.attach(vmid, really));
      assert.deepEqual([world.ran, world.scripts.has(plain)], [[], false]);
    });

    it('for a guest that is not here, or is two', async () => {
      await refused('NotFound', /no configuration on node pve1/, () => world.hooks.attach(parseVmid(999), really));
      world.guest(100, '', 'qemu-server');
      await refused('Conflict', /a container and a machine/, () => world.hooks.attach(vmid, really));
    });

    it("when somebody else's file has the snippet's name", async () => {
      world.scripts.set(plain, foreign);
      await refused('NotOwner', /was left alone/, () => world.hooks.attach(vmid, really));
      assert.deepEqual(world.scripts.get(plain), foreign);
    });

    it('where no storage allows snippets, with the command that makes one', async () => {
      world.files.write('/etc/pve/storage.cfg', 'dir: local\n\tcontent iso,vztmpl\n');
      await refused('Conflict', /`pvesm set local --content iso,vztmpl,snippets`/, () =>
        world.hooks.attach(vmid, really),
      );
      await refused('Conflict', /the storage nas does not allow snippets/, () =>
        world.hooks.attach(vmid, { ...really, storage: 'nas' }),
      );
    });

    it('when the tool says no, or says yes and does not', async () => {
      world.answers.set('pct set', { exitStatus: 255, output: '', complaint: 'no quorum\n' });
      await refused('NotApplied', /no quorum/, () => world.hooks.attach(vmid, really));
      world.answers.set('pct set', { exitStatus: 0, output: '', complaint: '' });
      await refused('NotApplied', /says otherwise/, () => world.hooks.attach(vmid, really));
      assert.equal(world.recorded.length, 2, 'written before it was tried');
    });

    it('without Proxmox VE', async () => {
      const bare = new World();
      bare.files.remove('/etc/pve/storage.cfg');
      await refused('NotFound', /there is no Proxmox VE here/, () => bare.hooks.statusAll());
    });
  });

  describe('in a cluster', () => {
    const members = (online: 0 | 1): string =>
      JSON.stringify({
        nodename: 'pve1',
        cluster: { quorate: 1 },
        nodelist: { pve1: { online: 1 }, pve2: { online } },
      });

    beforeEach(() => {
      world.files.write('/etc/pve/.members', members(1));
    });

    it('is attached when every node has the snippet', async () => {
      world.elsewhere.set('pve2', ['local:snippets/ovs-port-agent']);
      await world.hooks.attach(vmid, really);
      assert.equal(await hookOf(), 'local:snippets/ovs-port-agent');
    });

    it('is refused when one has not, is offline or does not say, with the remedy', async () => {
      await refused('Conflict', /node pve2, which does not have .*: install the package there/, () =>
        world.hooks.attach(vmid, really),
      );
      world.guest(100, 'hookscript: local:snippets/gpu.pl\n');
      await refused('Conflict', /`cp \/usr\/lib\/ovs-port-agent\/snippet .*ovs-port-agent\+gpu\.pl`/, () =>
        world.hooks.attach(vmid, { dryRun: true }),
      );
      world.answers.set('pvesh get', { exitStatus: 0, output: 'nonsense', complaint: '' });
      await refused('Unavailable', /node pve2 does not say/, () => world.hooks.attach(vmid, really));
      world.files.write('/etc/pve/.members', members(0));
      await refused('Conflict', /pve2, which is offline/, () => world.hooks.attach(vmid, really));
      assert.ok(!world.ran.some((line) => line.startsWith('pct')));
    });

    it('asks nobody about a storage that all see, and refuses one that a node lacks', async () => {
      const nas = 'dir: nas\n\tpath /mnt/nas\n\tcontent snippets\n\tshared 1\n';
      world.files.write('/etc/pve/storage.cfg', `dir: local\n\tcontent iso\n\n${nas}`);
      await world.hooks.attach(vmid, { dryRun: true });
      assert.deepEqual(world.ran, []);
      world.files.write('/etc/pve/storage.cfg', `dir: local\n\tcontent iso\n\n${nas}\tnodes pve1\n`);
      await refused('Conflict', /pve2, which does not have the storage nas/, () => world.hooks.attach(vmid, really));
    });
  });

  it('of somebody else is not detached, and none needs no detaching', async () => {
    assert.deepEqual((await world.hooks.detach(vmid, really)).steps, []);
    world.guest(100, 'hookscript: local:snippets/gpu.pl\n');
    assert.equal((await world.hooks.detach(vmid, really)).changed, false);
    assert.deepEqual(world.ran, []);
  });

  it('is known of every guest, with what snapshots would bring back', async () => {
    world.scripts.delete(other);
    world.guest(101, 'hookscript: gone:snippets/x\n', 'qemu-server');
    const [container, machine] = await world.hooks.statusAll();
    assert.deepEqual(container?.danglingSnapshots, [['before', `${other} does not exist`]]);
    assert.deepEqual([machine?.state, machine?.problem], ['dangling', 'there is no storage gone']);
  });
});

describe('hostile files', () => {
  const lines = fc.constantFrom(
    'hookscript: local:snippets/ovs-port-agent+../../etc/passwd',
    'hookscript: local:snippets/ovs-port-agent+',
    'hookscript: local:snippets/..',
    'hookscript: local:snippets/ovs-port-agent+..',
    'hookscript: nas:snippets/$(reboot)',
    'hookscript: \u0000',
    'hookscript: local:iso/x.iso',
    'hookscript:',
    '[pve:pending]',
    '[s1]',
    'delete: hookscript',
    'lock: backup',
    'template: 1',
    'dir: local',
    '\tpath /',
    '\tcontent snippets',
    'nfs: nas',
    '\tnodes',
    'caf\u00e9: \u00ff',
  );
  const texts = fc.array(fc.oneof(lines, fc.string())).map((parts) => parts.join('\n'));

  it('are looked at without failing, and lead to no command and no file outside of a folder of snippets', async () => {
    await fc.assert(
      fc.asyncProperty(texts, texts, async (guest, storages) => {
        const world = new World();
        world.files.write('/etc/pve/storage.cfg', storages);
        world.guest(100, guest);
        assert.equal((await world.hooks.statusAll()).length, 1);
        await world.hooks.attach(vmid, really).catch((error: unknown) => {
          assert.ok(error instanceof AgentError, String(error));
        });
        for (const path of world.scripts.keys()) assert.match(path, /\/ovs-port-agent(\+[^/]+)?$/);
        for (const line of world.ran)
          assert.match(line, /^(pct set 100 --hookscript \S+:snippets\/ovs-port-agent|pvesh get)/);
      }),
    );
  });
});

describe('the volume of a hookscript', () => {
  const names = fc.stringMatching(/^[\x21-\x7e]{1,60}$/).filter((name) => !name.includes('/') && !/^\.\.?$/.test(name));
  const storages = fc.stringMatching(/^[a-z][a-z0-9._-]{0,10}[a-z0-9]$/);

  it('that chains another tells which, and nothing else does', () => {
    fc.assert(
      fc.property(storages, names, (storage, name) => {
        fc.pre(ownHook(`${storage}:snippets/${name}`) === null);
        const own = chaining(parseHookVolume(`${storage}:snippets/${name}`));
        assert.deepEqual(ownHook(renderHookVolume(own)), { storage, name: `ovs-port-agent+${name}`, chained: name });
      }),
    );
  });

  it('never leads out of its folder, whatever the configuration says', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('', 'local:', 'local:snippets/', 'local:iso/'), (text, beginning) => {
        let parsed;
        try {
          parsed = parseHookVolume(beginning + text);
        } catch (error) {
          assert.ok(error instanceof AgentError && error.code === 'InvalidArgument');
          return;
        }
        assert.doesNotMatch(parsed.name, /[/\0\r\n]|^\.\.?$/);
        assert.equal(renderHookVolume(parsed), beginning + text);
      }),
    );
  });
});
