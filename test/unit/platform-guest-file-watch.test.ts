import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterRegistry } from '../../src/platform/cluster-registry.ts';
import { watchGuestFiles } from '../../src/platform/guest-file-watch.ts';
import { clusterCodec } from '../../src/proxmox/cluster-codec.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

type Entry = readonly [node: string, type: string, version: number];

describe("the watch on guests' files", () => {
  const folder = temporaryFolder();
  let versions: { starttime: number; vmlist: number; clinfo: number };
  let told: number[][];
  let looks: number;
  let unwatch: () => void;
  let files: Map<string, () => void>;

  beforeEach(() => {
    versions = { starttime: 1_760_000_000, vmlist: 1, clinfo: 1 };
    told = [];
    files = new Map();
    put('.members', JSON.stringify({ nodename: 'pve1' }));
  });
  afterEach(() => {
    unwatch();
  });

  const put = (name: string, text: string): void => {
    writeFileSync(join(folder(), name), text);
  };
  const publish = (ids: Record<number, Entry>): void => {
    versions.vmlist++;
    const entries = Object.entries(ids).map(([vmid, [node, type, version]]) => [vmid, { node, type, version }]);
    put('.vmlist', JSON.stringify({ version: versions.vmlist, ids: Object.fromEntries(entries) as unknown }));
    put('.version', JSON.stringify(versions));
  };

  /** Resolves when the files were read twice more: what was there before the call was then looked at. */
  async function looked(): Promise<void> {
    const enough = looks + 2;
    await waitFor('two looks', () => looks >= enough);
  }

  async function begin(heard: unknown[] = told): Promise<void> {
    looks = 0;
    const registry = new ClusterRegistry(folder(), clusterCodec);
    unwatch = watchGuestFiles(
      {
        current: () => registry.current().finally(() => looks++),
      },
      (vmids) => heard.push([...vmids]),
      { intervalMs: 2, files },
    );
    await looked();
  }

  it('tells of no guest as long as nothing is written', async () => {
    publish({ 100: ['pve1', 'lxc', 1] });
    await begin();
    versions.clinfo++;
    publish({ 100: ['pve1', 'lxc', 1] });
    await looked();
    assert.deepEqual(told, []);
  });

  it('tells of what was written, made, removed, moved here and moved away, and of no other', async () => {
    publish({ 100: ['pve1', 'lxc', 1], 101: ['pve1', 'qemu', 2], 102: ['pve1', 'lxc', 3], 200: ['pve2', 'lxc', 4] });
    await begin();
    publish({ 100: ['pve1', 'lxc', 5], 101: ['pve2', 'qemu', 6], 200: ['pve1', 'lxc', 7], 103: ['pve1', 'lxc', 8], 104: ['pve2', 'lxc', 9] }); // prettier-ignore
    await looked();
    assert.deepEqual(told.flat().sort(), [100, 101, 102, 103, 200]);
  });

  it('goes on without quorum', async () => {
    publish({ 100: ['pve1', 'lxc', 1] });
    await begin();
    versions.clinfo++;
    put('.members', JSON.stringify({ nodename: 'pve1', cluster: { quorate: 0 } }));
    publish({ 100: ['pve1', 'lxc', 2] });
    await looked();
    assert.deepEqual(told, [[100]]);
  });

  it('tells nothing while the file system is away or half written, and of every guest when it began anew', async () => {
    publish({ 100: ['pve1', 'lxc', 1], 101: ['pve1', 'qemu', 2] });
    await begin();
    for (const name of ['.version', '.vmlist']) rmSync(join(folder(), name));
    await looked();
    put('.version', '{"half');
    await looked();
    assert.deepEqual(told, []);
    versions.starttime++;
    publish({ 100: ['pve1', 'lxc', 1], 101: ['pve1', 'qemu', 2] });
    await looked();
    assert.deepEqual(told, [[100, 101]]);
  });

  it('tells of every guest of a file system that came later than the watch, and is quiet without one', async () => {
    await begin();
    mkdirSync(join(folder(), 'lxc'));
    put('lxc/100.conf', '');
    await looked();
    assert.deepEqual(told, []);
    publish({ 100: ['pve1', 'lxc', 1] });
    await looked();
    assert.deepEqual(told, [[100]]);
  });

  it('tells of a file of the cluster that was asked for, once for each write, and of no other', async () => {
    const heard: string[] = [];
    files.set('user.cfg', () => heard.push('user.cfg'));
    Object.assign(versions, { 'user.cfg': 1, 'storage.cfg': 1 });
    publish({ 100: ['pve1', 'lxc', 1] });
    await begin();
    for (const name of ['storage.cfg', 'user.cfg']) {
      Object.assign(versions, { [name]: 2 });
      publish({ 100: ['pve1', 'lxc', 1] });
      await looked();
    }
    assert.deepEqual([heard, told], [['user.cfg'], []]);
    versions.starttime++;
    publish({ 100: ['pve1', 'lxc', 1] });
    await looked();
    assert.deepEqual([heard, told], [['user.cfg', 'user.cfg'], [[100]]], 'of a file system that began anew');
  });

  it('looks no more when it is over', async () => {
    publish({ 100: ['pve1', 'lxc', 1] });
    await begin();
    unwatch();
    const toldByAnother: unknown[] = [];
    await begin(toldByAnother);
    publish({ 100: ['pve1', 'lxc', 2] });
    await looked();
    assert.equal(toldByAnother.length, 1);
    assert.deepEqual(told, []);
  });
});
