import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseVmid } from '../../src/model/names.ts';
import { GuestFiles, readClusterName } from '../../src/platform/guest-files.ts';
import { parseGuestConfig } from '../../src/proxmox/guest-config.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('the files of guests', () => {
  const folder = temporaryFolder();
  let parsed = 0;
  let guests: GuestFiles;

  beforeEach(() => {
    for (const name of ['lxc', 'qemu-server']) mkdirSync(join(folder(), name));
    parsed = 0;
    guests = new GuestFiles(folder(), (kind, vmid, text) => {
      parsed++;
      return parseGuestConfig(kind, vmid, text);
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
    await assert.rejects(read(101), refusedWith('Unavailable', '101.conf', '1048577 bytes'));
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
