/** `setup`: which steps a node needs, that each is said before it is done, and that all of it can be taken back. */
import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import type { ChangeDraft } from '../../src/node/contracts.ts';
import type { NodeFacts } from '../../src/node/doctor/facts.ts';
import { shippedFiles } from '../../src/node/doctor/shipped.ts';
import { GuestHooks } from '../../src/node/hooks/guest-hooks.ts';
import { readStorages } from '../../src/node/hooks/survey.ts';
import { showChange } from '../../src/node/setup/change.ts';
import { Performer } from '../../src/node/setup/performer.ts';
import { planSetup } from '../../src/node/setup/plan.ts';
import type { Places, SetupRequest } from '../../src/node/setup/plan.ts';
import { setUp, undoSetup } from '../../src/node/setup/setup.ts';
import type { Step } from '../../src/node/setup/step.ts';
import { healthyInterfaces, healthyNode } from '../support/node-facts.ts';
import { foreign, ProxmoxHost } from '../support/proxmox-host.ts';
import { refusedWith } from '../support/refused.ts';

const nothing: SetupRequest = { bridges: [], guests: [], api: null };
const places: Places = {
  configFile: '/etc/ovs-port-agent/config.toml',
  tokenFile: '/etc/ovs-port-agent/token',
  asideFolder: '/var/lib/ovs-port-agent/older-tool',
  hasIfup: true,
};
const interfacesPath = '/etc/network/interfaces';
const uncondoned = healthyInterfaces.replace(/\tovs-ports-condone-regex .*\n/, '');
const dropIn = shippedFiles[0] ?? assert.fail();
const plain = '/var/lib/vz/snippets/ovs-port-agent';

/** Everything that `setup` may touch, and what it says. */
class World extends ProxmoxHost {
  readonly said: string[] = [];
  readonly recorded: unknown[] = [];
  readonly modes = new Map<string, number>();
  journal: readonly Step[] = [];
  answer = true;
  /** Which call of a change fails; none when null. */
  failsAt: number | null = null;
  #changes = 0;

  readonly hooks = new GuestHooks({
    files: this.files,
    snippets: this.snippets,
    programs: this,
    locks: { isLocked: () => Promise.resolve(false) },
    pveDir: '/etc/pve',
    node: 'pve1',
    recorded: (_draft, change) => change(),
  });

  constructor() {
    super();
    this.files.write(interfacesPath, uncondoned);
    this.files.write(places.configFile, 'bridge_name = "ovsbr0"\n');
    this.files.write('/usr/local/bin/ovs-port-agent', 'older');
    this.files.write(dropIn.source, 'ours\n');
    this.files.write(dropIn.path, 'altered\n');
    this.guest(100, 'hostname: web01\n');
    this.guest(101, 'hookscript: local:snippets/gpu.pl\nhostname: db01\n');
    this.scripts.set('/var/lib/vz/snippets/gpu.pl', foreign);
    for (const program of ['systemctl', 'ifup', 'ovs-vsctl']) {
      this.answers.set(program, { exitStatus: 0, output: '', complaint: '' });
    }
  }

  readonly #change = (): void => {
    this.#changes++;
    if (this.#changes === this.failsAt) throw new AgentError('Unavailable', 'the power is gone');
  };

  readonly performer = new Performer({
    files: this.files,
    snippets: {
      ...this.snippets,
      put: (path) => {
        this.#change();
        return this.snippets.put(path);
      },
    },
    programs: this,
    hooks: this.hooks,
    pveDir: '/etc/pve',
    writes: {
      write: (path, text, mode) => {
        this.#change();
        this.files.write(path, text);
        this.modes.set(path, mode);
        return Promise.resolve();
      },
      remove: (path) => {
        this.#change();
        this.files.remove(path);
        return Promise.resolve();
      },
      move: async (from, to) => {
        this.#change();
        this.files.write(to, (await this.files.read(from))?.text ?? '');
        this.files.remove(from);
      },
    },
    editInterfaces: async (edit) => {
      this.#change();
      this.files.write(interfacesPath, edit((await this.files.read(interfacesPath))?.text ?? ''));
    },
  });

  readonly options = {
    performer: this.performer,
    journal: {
      read: () => Promise.resolve(this.journal),
      write: (steps: readonly Step[]) => {
        this.journal = JSON.parse(JSON.stringify(steps)) as Step[];
        return Promise.resolve();
      },
    },
    dialogue: {
      say: (line: string) => this.said.push(line),
      confirm: () => Promise.resolve(this.answer),
    },
    recorded: <T>({ action, data }: ChangeDraft, change: () => Promise<T>): Promise<T> => {
      this.recorded.push([action, data['step']]);
      return change();
    },
  };

  /** As `doctor` would see it now. */
  async facts(): Promise<NodeFacts> {
    const look = async (path: string) => (await this.files.read(path))?.text ?? null;
    const [installed, source] = [await look(dropIn.path), await look(dropIn.source)];
    const snippet = await this.hooks.plainVolume().then(
      async ({ path }) => {
        const state = (await this.snippets.look(path))?.isCurrent === true ? 'current' : 'missing';
        return { kind: 'place', path, state } as const;
      },
      (error: unknown) => ({ kind: 'none', problem: (error as Error).message, remedy: '' }) as const,
    );
    return {
      ...healthyNode,
      interfaces: { ...healthyNode.interfaces, text: await look(interfacesPath) },
      leftovers: (await this.files.exists('/usr/local/bin/ovs-port-agent')) ? ['/usr/local/bin/ovs-port-agent'] : [],
      shipped: [{ ...dropIn, state: installed === source ? 'current' : 'altered' }],
      proxmox: { ...healthyNode.proxmox, hooks: await this.hooks.statusAll(), snippet },
      api: null,
    };
  }

  async plan(request: SetupRequest = nothing): Promise<Step[]> {
    const { folders } = await readStorages({ files: this.files, pveDir: '/etc/pve' });
    const local = folders.find(({ storage }) => storage === 'local');
    return planSetup(await this.facts(), request, places, local?.allowsSnippets === false ? local : null);
  }

  async setUp(request: SetupRequest = nothing, isDryRun = false): Promise<void> {
    await setUp(this.options, await this.plan(request), isDryRun);
  }

  undo(isDryRun = false): Promise<void> {
    return undoSetup(this.options, isDryRun);
  }

  /** All that could have changed. */
  async picture(): Promise<unknown> {
    const paths = [interfacesPath, places.configFile, places.tokenFile, dropIn.path, '/usr/local/bin/ovs-port-agent'];
    const texts = await Promise.all(
      [...paths, '/etc/pve/storage.cfg', '/etc/pve/lxc/100.conf', '/etc/pve/lxc/101.conf'].map((path) =>
        this.files.read(path).then((file) => file?.text ?? null),
      ),
    );
    const { roles, users, tokens } = this.access;
    return [texts, [...this.scripts.keys()].sort(), [...roles.keys()], [...users], [...tokens]];
  }
}

const everything: SetupRequest = { bridges: ['ovsbr9'], guests: 'all', api: 'control' };

describe('setup', () => {
  let world: World;

  beforeEach(() => {
    world = new World();
  });

  it('needs only what is not there: what fights first, what guests name last', async () => {
    const kinds = (await world.plan(everything)).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['move-aside', 'bridge', 'condone', 'file', 'snippet', 'api', 'hookscript', 'hookscript']);
    assert.deepEqual(
      (await world.plan()).map(({ kind }) => kind),
      ['move-aside', 'condone', 'file', 'snippet'],
      'bridges, hookscripts and the API only when asked for',
    );
  });

  it('shows the change of each file and every step, and then says each again before it does it', async () => {
    await world.setUp();
    const text = world.said.join('\n');
    assert.match(text, /^This will be done:\n {2}- move \/usr\/local\/bin\/ovs-port-agent of the older tool to /);
    assert.match(text, /^ {6}\+\tovs-ports-condone-regex \^\(tap\|veth\|fwln\|vi\[0-9_\]\)$/m);
    assert.match(text, /^ {6}-altered\n {6}\+ours$/m);
    assert.equal(world.said.filter((line) => line.includes(`put the snippet to ${plain}`)).length, 2);
    assert.equal(world.recorded.length, 4);
    assert.match(text, /setup --undo.*doctor/);
  });

  it('does nothing in a dry run, and nothing without a yes', async () => {
    const before = await world.picture();
    await world.setUp(everything, true);
    world.answer = false;
    await assert.rejects(world.setUp(everything), refusedWith('Conflict', 'nothing was done'));
    assert.deepEqual([await world.picture(), world.journal, world.recorded], [before, [], []]);
  });

  it('leaves nothing to do', async () => {
    await world.setUp({ ...everything, bridges: [], api: null });
    assert.deepEqual(await world.plan({ ...nothing, guests: 'all' }), []);
    world.said.length = 0;
    await world.setUp();
    assert.deepEqual(world.said, ['nothing to do']);
  });

  it('takes everything back', async () => {
    const before = await world.picture();
    await world.setUp(everything);
    assert.notDeepEqual(await world.picture(), before);
    await world.undo(true);
    assert.notDeepEqual(await world.picture(), before, 'a dry run takes nothing back');
    await world.undo();
    assert.deepEqual([await world.picture(), world.journal], [before, []]);
    world.said.length = 0;
    await world.undo();
    assert.deepEqual(world.said, ['nothing to take back']);
  });

  it('takes everything back also when it broke off at any step', async () => {
    for (let at = 1; at <= 7; at++) {
      const broken = new World();
      const before = await broken.picture();
      broken.failsAt = at;
      await assert.rejects(broken.setUp(everything), refusedWith('Unavailable', 'the power is gone', 'setup --undo'));
      broken.failsAt = null;
      await broken.undo();
      assert.deepEqual([await broken.picture(), broken.journal], [before, []], `broken off at change ${at}`);
    }
  });

  it('goes on with the rest when a step cannot be taken back, and remembers that one', async () => {
    await world.setUp({ ...nothing, guests: [parseVmid(100)] });
    world.guest(100, 'lock: backup\nhookscript: local:snippets/ovs-port-agent\n');
    await assert.rejects(world.undo(), refusedWith('Busy', /1 of the steps could not be taken back/));
    assert.deepEqual(
      world.journal.map(({ kind }) => kind),
      ['hookscript'],
    );
    assert.equal((await world.files.read(interfacesPath))?.text, uncondoned);
    world.guest(100, 'hookscript: local:snippets/ovs-port-agent\n');
    await world.undo();
    assert.deepEqual([world.journal, await world.guestText(100)], [[], '']);
  });

  it('leaves alone what somebody changed since, and says so', async () => {
    await world.setUp(everything);
    world.files.write(dropIn.path, 'edited by hand\n');
    world.guest(102, 'hookscript: local:snippets/ovs-port-agent\n');
    const condoned = (await world.files.read(interfacesPath))?.text ?? '';
    world.files.write(interfacesPath, condoned.replace('vi[0-9_])', 'vi[0-9_]|wg)'));
    world.answers.set('ovs-vsctl --timeout=10 list-ports', { exitStatus: 0, output: 'veth100i0\n', complaint: '' });
    await world.undo();
    const text = world.said.join('\n');
    assert.match(text, /left as it is: .*50-ovs-port-agent\.conf was changed since/);
    assert.match(text, /left as it is: a guest or a snapshot names local:snippets\/ovs-port-agent/);
    assert.equal((await world.files.read(dropIn.path))?.text, 'edited by hand\n');
    assert.ok(world.scripts.has(plain));
    assert.match((await world.files.read(interfacesPath))?.text ?? '', /vi\[0-9_\]\|wg\)/);
  });

  it('keeps a bridge that has ports, with its stanza', async () => {
    const facts = { ...(await world.facts()), switch: { problem: null, bridges: [] } };
    const steps = planSetup(facts, { ...nothing, bridges: ['ovsbr9'] }, places, null);
    await setUp(world.options, steps, false);
    assert.ok(world.ran.includes('/usr/sbin/ifup ovsbr9'.replace('/usr/sbin/', '')));
    world.answers.set('ovs-vsctl --timeout=10 list-ports', { exitStatus: 0, output: 'veth100i0\n', complaint: '' });
    world.answers.delete('ovs-vsctl');
    await world.undo();
    assert.match(world.said.join('\n'), /left as it is: ovsbr9 has ports: veth100i0/);
    assert.match((await world.files.read(interfacesPath))?.text ?? '', /^iface ovsbr9 inet manual$/m);
  });

  it('disables and stops a unit of the older tool before it moves it, and starts ours when it had the name', async () => {
    const path = '/etc/systemd/system/ovs-port-agent.service';
    world.files.write(path, '[Service]\nExecStart=/usr/local/bin/ovs-port-agent run\n');
    const steps = planSetup({ ...(await world.facts()), leftovers: [path] }, nothing, places, null).slice(0, 1);
    await setUp(world.options, steps, false);
    assert.deepEqual(world.ran, [
      'systemctl disable --now ovs-port-agent.service',
      'systemctl daemon-reload',
      'systemctl enable --now ovs-port-agent.service',
    ]);
    assert.ok(await world.files.exists(`${places.asideFolder}${path}`));
  });

  it('lets local hold snippets where no storage does, and takes that back', async () => {
    world.files.write('/etc/pve/storage.cfg', 'dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl\n');
    const before = await world.picture();
    await world.setUp();
    assert.match((await world.files.read('/etc/pve/storage.cfg'))?.text ?? '', /content iso,vztmpl,snippets$/m);
    assert.ok(world.scripts.has(plain));
    await world.undo();
    assert.deepEqual(await world.picture(), before);
  });

  it('enables a service that is disabled, and leaves one that is masked', async () => {
    const stepsWith = async (unit: Partial<NonNullable<NodeFacts['service']['unit']>>): Promise<string[]> => {
      const facts = await world.facts();
      const service = { ...facts.service, unit: { ...(facts.service.unit ?? assert.fail()), ...unit } };
      return planSetup({ ...facts, service }, nothing, places, null).map(({ kind }) => kind);
    };
    assert.ok((await stepsWith({ unitFileState: 'disabled' })).includes('enable'));
    assert.ok(!(await stepsWith({ unitFileState: 'masked', loadState: 'masked' })).includes('enable'));
  });

  describe('with --api', () => {
    const request: SetupRequest = { ...nothing, api: 'control' };

    it('makes a user with no more rights than needed, and a token that root alone can read', async () => {
      await world.setUp(request);
      assert.deepEqual([...world.access.roles], [['OvsPortAgent', 'VM.Audit,VM.PowerMgmt']]);
      assert.equal(
        (await world.files.read(places.tokenFile))?.text,
        'ovs-port-agent@pve!pve1=01234567-89ab-cdef-0123-456789abcdef\n',
      );
      assert.equal(world.modes.get(places.tokenFile), 0o600);
      assert.match(
        (await world.files.read(places.configFile))?.text ?? '',
        /\n\[proxmox\]\ntoken_file = "[^"]+token"\n$/,
      );
      assert.doesNotMatch([...world.said, JSON.stringify([world.recorded, world.journal])].join('\n'), /01234567/);
    });

    it('may change network cards and create containers when that is asked for, and says so', async () => {
      await world.setUp({ ...nothing, api: 'manage' });
      assert.deepEqual(
        [...world.access.roles.values()],
        [
          'VM.Audit,VM.PowerMgmt,VM.Config.Network,SDN.Use,VM.Allocate,VM.Config.Disk,VM.Config.Memory,VM.Config.Options,Datastore.AllocateSpace',
        ],
      );
      assert.match(world.said.join('\n'), /role OvsPortAgent, which may change network cards and create containers,/);
    });

    it('replaces a token whose secret was lost, and leaves user and role while another node has one', async () => {
      world.access.users.add('ovs-port-agent@pve');
      world.access.roles.set('OvsPortAgent', 'VM.Audit');
      world.access.tokens.add('pve1').add('pve2');
      await world.setUp(request);
      assert.equal(world.access.roles.get('OvsPortAgent'), 'VM.Audit,VM.PowerMgmt');
      await world.undo();
      assert.deepEqual([[...world.access.tokens], world.access.users.size, world.access.roles.size], [['pve2'], 1, 1]);
    });

    it('says what pveum said, and never a secret', async () => {
      world.answers.set('pveum user token add', { exitStatus: 2, output: 'secret-words', complaint: 'no quorum' });
      await assert.rejects(world.setUp(request), (error) => {
        assert.ok(error instanceof AgentError);
        assert.match(error.message, /no quorum/);
        assert.doesNotMatch(error.message, /secret-words/);
        return true;
      });
    });
  });
});

describe('a change that is shown', () => {
  it('has the lines that differ, with some around them', () => {
    assert.deepEqual(showChange('a\nb\nc\nd\ne\n', 'a\nb\nc\nX\nd\ne\n'), [
      '@@ line 2 @@',
      ' b',
      ' c',
      '+X',
      ' d',
      ' e',
    ]);
    assert.deepEqual(showChange('a\n', 'a\n'), []);
    assert.deepEqual(showChange('', 'a'), ['@@ line 1 @@', '-', '+a']);
  });
});
