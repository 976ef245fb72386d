import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import { ClusterFiles } from '../../src/platform/cluster-files.ts';
import { ClusterRegistry } from '../../src/platform/cluster-registry.ts';
import { GuestFiles, readClusterName } from '../../src/platform/guest-files.ts';
import { clusterCodec } from '../../src/proxmox/cluster-codec.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('the files of guests', () => {
  const folder = temporaryFolder();
  let parsed = 0;
  let guests: GuestFiles;

  beforeEach(() => {
    for (const name of ['lxc', 'qemu-server']) mkdirSync(join(folder(), name));
    parsed = 0;
    const registry = new ClusterRegistry(folder(), clusterCodec);
    guests = new GuestFiles(folder(), registry, {
      ...clusterCodec,
      guestConfig: (...file) => {
        parsed++;
        return clusterCodec.guestConfig(...file);
      },
    });
  });
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder(), name), text);
  };
  const read = (vmid: number) => guests.read(parseVmid(vmid));

  it('tell containers from machines by their folder', async () => {
    put('lxc/100.conf', 'hostname: web\n');
    put('qemu-server/101.conf', 'name: db\n');
    assert.deepEqual([(await read(100))?.kind, (await read(100))?.name], ['lxc', 'web']);
    assert.deepEqual([(await read(101))?.kind, (await read(101))?.name], ['qemu', 'db']);
    assert.equal(await read(102), null);
  });

  it('are listed by number; what is no guest’s file is not', async () => {
    for (const name of [
      'lxc/1000.conf',
      'lxc/101.conf',
      'qemu-server/100.conf',
      'lxc/99.conf',
      'lxc/100.conf.tmp',
      'lxc/a.conf',
    ]) {
      put(name, '');
    }
    assert.deepEqual(await guests.list(), [100, 101, 1000]);
  });

  it('are none on a host without Proxmox VE', async () => {
    rmSync(join(folder(), 'lxc'), { recursive: true });
    rmSync(join(folder(), 'qemu-server'), { recursive: true });
    assert.deepEqual(await guests.list(), []);
    assert.equal(await read(100), null);
  });

  it('are not parsed again while they stay as they are', async () => {
    put('lxc/100.conf', 'hostname: web\n');
    for (let time = 0; time < 3; time++) await read(100);
    assert.equal(parsed, 1);
    put('lxc/100.conf', 'hostname: WEB\n');
    utimesSync(join(folder(), 'lxc/100.conf'), 1, 1);
    assert.equal((await read(100))?.name, 'WEB', 'also when size stays and the clock went back');
  });

  it('are forgotten with their problems when they go', async () => {
    put('lxc/100.conf', 'garbage\n');
    await read(100);
    assert.deepEqual(guests.problems(), [`${join(folder(), 'lxc/100.conf')}: line 1 is not "key: value": "garbage"`]);
    rmSync(join(folder(), 'lxc/100.conf'));
    assert.equal(await read(100), null);
    assert.deepEqual(guests.problems(), []);
  });

  it('that cannot be read, or are far too large, are an error and not an absent guest', async () => {
    mkdirSync(join(folder(), 'lxc/100.conf'));
    await assert.rejects(read(100), refusedWith('Unavailable', '100.conf', 'EISDIR'));
    put('lxc/101.conf', 'x'.repeat(1024 * 1024 + 1));
    await assert.rejects(read(101), refusedWith('Unavailable', '101.conf', 'more than 1048576 bytes'));
  });
});

describe('the cluster file system', () => {
  const folder = temporaryFolder();
  const started = 1_760_000_000;
  let counts: { starttime: number; vmlist: number; clinfo: number; 'user.cfg': number };
  let reads: string[];
  let registry: ClusterRegistry;
  let guests: GuestFiles;
  let files: ClusterFiles;

  beforeEach(() => {
    for (const name of ['lxc', 'qemu-server', 'ha']) mkdirSync(join(folder(), name));
    counts = { starttime: started, vmlist: 1, clinfo: 1, 'user.cfg': 1 };
    reads = [];
    const counted = <A extends unknown[], T>(name: string, parse: (...args: A) => T): ((...args: A) => T) => {
      return (...args) => {
        reads.push(name);
        return parse(...args);
      };
    };
    const codec = {
      ...clusterCodec,
      version: counted('.version', clusterCodec.version),
      vmlist: counted('.vmlist', clusterCodec.vmlist),
      members: counted('.members', clusterCodec.members),
      pools: counted('user.cfg', clusterCodec.pools),
      guestConfig: counted('guest', clusterCodec.guestConfig),
    };
    registry = new ClusterRegistry(folder(), codec);
    guests = new GuestFiles(folder(), registry, codec);
    files = new ClusterFiles(folder(), registry, codec);
    put('.members', JSON.stringify({ nodename: 'pve1', version: 1 }));
    publish({ 100: ['pve1', 'lxc', 1], 101: ['pve1', 'qemu', 2], 200: ['pve2', 'lxc', 3] });
    put('lxc/100.conf', 'hostname: web\n');
    put('qemu-server/101.conf', 'name: db\n');
  });
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder(), name), text);
  };
  const publish = (ids: Record<number, readonly [node: string, type: string, version: number]>): void => {
    const entries = Object.entries(ids).map(
      ([vmid, [node, type, version]]) => [vmid, { node, type, version }] as const,
    );
    put('.vmlist', JSON.stringify({ version: counts.vmlist, ids: Object.fromEntries(entries) }));
    put('.version', JSON.stringify(counts));
  };
  const names = async (): Promise<unknown[]> => {
    const vmids = await guests.list();
    return Promise.all(vmids.map(async (vmid) => [vmid, (await guests.read(vmid))?.name]));
  };
  const count = (name: string): number => reads.filter((read) => read === name).length;

  it("says which guests are this node's, and of which kind", async () => {
    put('lxc/101.conf', 'hostname: not-registered\n');
    put('lxc/300.conf', 'hostname: neither\n');
    assert.deepEqual(await names(), [
      [100, 'web'],
      [101, 'db'],
    ]);
    assert.equal(await guests.read(parseVmid(200)), null);
  });

  it('is asked once for all who ask at a time, and nothing unchanged is read again', async () => {
    await names();
    reads = [];
    await names();
    assert.deepEqual(reads, ['.version', '.version', '.version'], 'the list, the first guest, all other guests');
  });

  it('is asked once for many, and one whose file cannot be read costs the others nothing', async () => {
    mkdirSync(join(folder(), 'lxc/102.conf'));
    publish({ 100: ['pve1', 'lxc', 1], 101: ['pve1', 'qemu', 2], 102: ['pve1', 'lxc', 3], 200: ['pve2', 'lxc', 3] });
    const many = [100, 101, 102, 200].map(parseVmid);
    const namesOf = async (): Promise<unknown[]> =>
      [...(await guests.readMany(many)).values()].map((guest) => (guest instanceof AgentError ? guest.code : guest?.name)); // prettier-ignore
    assert.deepEqual((await namesOf()).sort(), ['Unavailable', 'db', 'web', undefined]);
    reads = [];
    assert.deepEqual((await namesOf()).sort(), ['Unavailable', 'db', 'web', undefined]);
    assert.deepEqual(reads, ['.version']);
    rmSync(join(folder(), '.version'));
    assert.deepEqual(await namesOf(), many.map(() => 'Unavailable')); // prettier-ignore
  });

  it('tells of one changed file, and that one alone is read', async () => {
    await names();
    put('lxc/100.conf', 'hostname: new\n');
    counts.vmlist++;
    publish({ 100: ['pve1', 'lxc', 4], 101: ['pve1', 'qemu', 2] });
    reads = [];
    assert.deepEqual(await names(), [
      [100, 'new'],
      [101, 'db'],
    ]);
    assert.deepEqual([count('.vmlist'), count('guest'), count('.members')], [1, 1, 0]);
  });

  it('began anew: every number may mean something else', async () => {
    await names();
    put('lxc/100.conf', 'hostname: new\n');
    counts.starttime++;
    publish({ 100: ['pve1', 'lxc', 1], 101: ['pve1', 'qemu', 2] });
    assert.deepEqual((await names())[0], [100, 'new']);
  });

  it('forgets a guest that was moved away, and its problems', async () => {
    put('lxc/100.conf', 'garbage\n');
    await names();
    assert.equal(guests.problems().length, 1);
    counts.vmlist++;
    publish({ 100: ['pve2', 'lxc', 5], 101: ['pve1', 'qemu', 2] });
    assert.deepEqual(await names(), [[101, 'db']]);
    assert.deepEqual(guests.problems(), []);
  });

  it('that is gone leaves nobody to think that its guests were removed', async () => {
    await names();
    for (const name of ['.version', '.vmlist', '.members']) rmSync(join(folder(), name));
    rmSync(join(folder(), 'lxc'), { recursive: true });
    await assert.rejects(guests.list(), refusedWith('Unavailable', '.version is gone', 'systemctl status pve-cluster'));
    await assert.rejects(guests.read(parseVmid(100)), refusedWith('Unavailable'));
  });

  it('without quorum is read all the same, and said to have none', async () => {
    assert.equal(registry.problem, null);
    counts.clinfo++;
    put('.members', JSON.stringify({ nodename: 'pve1', cluster: { quorate: 0 }, nodelist: { pve1: { online: 1 } } }));
    publish({ 100: ['pve1', 'lxc', 1] });
    assert.deepEqual(await names(), [[100, 'web']]);
    assert.match(String(registry.problem), /^the cluster has no quorum: /);
  });

  for (const name of ['.version', '.vmlist', '.members']) {
    it(`of a shape that is not understood in ${name} is read by its folders, and that is said`, async () => {
      put(name, '{"half');
      assert.deepEqual(await names(), [
        [100, 'web'],
        [101, 'db'],
      ]);
      assert.match(registry.problem ?? '', new RegExp(`\\${name} is not of a shape that is understood`));
      if (name === '.members') put(name, JSON.stringify({ nodename: 'pve1' }));
      publish({ 100: ['pve1', 'lxc', 1] });
      assert.deepEqual(await names(), [[100, 'web']]);
      assert.equal(registry.problem, null);
    });
  }

  it('holds the pools, which are read again when they were written to', async () => {
    assert.equal((await files.poolsOfGuests()).size, 0, 'no file, no pools');
    put('user.cfg', 'pool:web::100,101::\n');
    assert.equal((await files.poolsOfGuests()).size, 0, 'nothing was counted');
    counts['user.cfg']++;
    publish({});
    for (let time = 0; time < 2; time++) assert.equal((await files.poolsOfGuests()).get(parseVmid(101)), 'web');
    assert.equal(count('user.cfg'), 2);
  });

  it('holds what high availability manages', async () => {
    put('ha/resources.cfg', 'ct: 100\n\tstate started\n');
    assert.deepEqual(await files.haResources(), [{ kind: 'lxc', vmid: 100, state: 'started' }]);
    // Nothing counts writes to them here: they are read each time.
    put('ha/resources.cfg', '');
    assert.deepEqual(await files.haResources(), []);
  });

  it('gives a guest in full, as the file is now', async () => {
    const details = await guests.details(parseVmid(100));
    assert.equal(details?.settings.get('hostname'), 'web');
    assert.equal(await guests.details(parseVmid(300)), null);
  });
});

describe('a vmid that is both kinds', () => {
  const folder = temporaryFolder();

  it('is the container, and named as a problem until one is gone', async () => {
    for (const name of ['lxc', 'qemu-server']) {
      mkdirSync(join(folder(), name));
      writeFileSync(join(folder(), name, '100.conf'), '');
    }
    const guests = new GuestFiles(folder(), new ClusterRegistry(folder(), clusterCodec), clusterCodec);
    assert.deepEqual(await guests.list(), [100]);
    assert.equal((await guests.read(parseVmid(100)))?.kind, 'lxc');
    assert.match(guests.problems().join(), /qemu-server\/100\.conf: passed over, because .*lxc\/100\.conf/);
    rmSync(join(folder(), 'lxc/100.conf'));
    await guests.list();
    assert.deepEqual([guests.problems(), (await guests.read(parseVmid(100)))?.kind], [[], 'qemu']);
  });
});

describe('the name of the cluster', () => {
  const folder = temporaryFolder();

  it('is what corosync says, and otherwise the node’s', async () => {
    assert.equal(await readClusterName(folder(), 'pve1'), 'pve1');
    writeFileSync(join(folder(), 'corosync.conf'), 'totem {\n  cluster_name: prod-1\n  version: 2\n}\n');
    assert.equal(await readClusterName(folder(), 'pve1'), 'prod-1');
    writeFileSync(join(folder(), 'corosync.conf'), 'totem {\n  cluster_name: a b\n}\n');
    assert.equal(await readClusterName(folder(), 'pve1'), 'pve1');
  });
});
