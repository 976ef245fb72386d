import assert from 'node:assert/strict';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import { containerApi } from '../../src/node/container-api.ts';
import { ContainerCreation } from '../../src/node/container-creation.ts';
import type { ContainerWishes, Creation } from '../../src/node/container-creation.ts';
import type { ContainerApi } from '../../src/node/contracts.ts';
import { ProxmoxClient } from '../../src/proxmox/api-client.ts';
import { hastyTimers } from '../support/hasty-timers.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { refusedWith } from '../support/refused.ts';

const cause = { cause: 'api create', user: 'root', uid: 0 };
const template = 'local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst';
const upid = 'UPID:pve1:00000001:0099AABB:68AE1234:vzcreate:102:agent@pve!test:';

describe('a container made from a template', () => {
  let ledger: Ledger;
  let progress: string[];
  let asked: unknown[];
  const api: ContainerApi = {
    create(container, { onTask, onLine, deadlineMs }) {
      asked.push([container, deadlineMs]);
      onTask(upid);
      onLine('extracting archive');
      return Promise.resolve();
    },
  };
  beforeEach(async () => {
    ledger = await openLedger(new MemoryLedgerStore());
    progress = [];
    asked = [];
  });

  function create(
    wishes: Partial<ContainerWishes>,
    { by = api, isDryRun = false, vmid = 102 }: { by?: ContainerApi | null; isDryRun?: boolean; vmid?: number } = {},
  ): Promise<Creation> {
    const files = new MemoryHost();
    files.write('/etc/pve/.vmlist', '{"version":1,"ids":{"200":{"node":"pve2","type":"qemu","version":2}}}');
    const onProgress = (ofVmid: number, line: string): number => progress.push(`${ofVmid} ${line}`);
    const creation = new ContainerCreation({ files, pveDir: '/etc/pve', api: by, recorder: ledger, node: 'pve1', onProgress }); // prettier-ignore
    const wait = { deadlineMs: 60_000, signal: new AbortController().signal };
    return creation.create(parseVmid(vmid), { wishes: { template, start: false, ...wishes }, isDryRun, wait, cause });
  }
  const actions = async (): Promise<string[]> =>
    (await ledger.query({ order: 'oldest' })).map(({ category, action }) => `${category} ${action}`);

  const plain = `pvesh create /nodes/pve1/lxc --vmid 102 --ostemplate ${template} --rootfs local:4 --memory 512 --unprivileged 1 --start 0`;

  it('is asked for with what was given, its progress told, and written ahead', async () => {
    const wishes = { hostname: 'web', storage: 'local-lvm', sizeGib: 8, memoryMib: 1024, net0: 'bridge=ovsbr0,tag=10', node: 'pve2', start: true }; // prettier-ignore
    const { guest, node, changed, call } = await create(wishes);
    assert.deepEqual([guest, node, changed], ['CT 102', 'pve2', true]);
    assert.equal(
      call,
      `pvesh create /nodes/pve2/lxc --vmid 102 --ostemplate ${template} --hostname web --rootfs local-lvm:8 --memory 1024 --unprivileged 1 --start 1 --net0 name=eth0,bridge=ovsbr0,tag=10`,
    );
    assert.deepEqual(progress, [`102 task ${upid}`, '102 extracting archive']);
    assert.equal(asked.length, 1);
    const [block] = await ledger.query({});
    assert.deepEqual([block?.category, block?.action, block?.data['vmid'], block?.data['node']], ['guest', 'create', 102, 'pve2']); // prettier-ignore
    assert.deepEqual((block?.data['parameters'] as Record<string, unknown>)['net0'], 'name=eth0,bridge=ovsbr0,tag=10');
  });

  it('is as pct would make it where nothing is given, and a dry run asks for nothing', async () => {
    assert.deepEqual(await create({}, { isDryRun: true, by: null }), {
      guest: 'CT 102',
      node: 'pve1',
      call: plain,
      changed: false,
    });
    assert.deepEqual([asked, await actions()], [[], []]);
  });

  it('has tags, a pool and cores when they are given', async () => {
    const { call } = await create({ tags: 'web, prod;x-1', pool: 'shop/front', cores: 2 });
    assert.equal(call, `${plain} --cores 2 --tags 'web;prod;x-1' --pool shop/front`);
  });

  it('takes no vmid that another guest has, on whatever node', async () => {
    for (const isDryRun of [true, false]) {
      await assert.rejects(
        create({}, { vmid: 200, isDryRun }),
        refusedWith('Conflict', 'vmid 200 is taken: VM 200 is on node pve2'),
      );
    }
    assert.deepEqual([asked, await actions()], [[], []]);
  });

  it('needs the API', async () => {
    await assert.rejects(create({}, { by: null }), refusedWith('Unavailable', 'no [proxmox]', 'setup --api manage'));
  });

  it('is refused where Proxmox VE could not read it', async () => {
    const bad: Partial<ContainerWishes>[] = [
      { template: 'debian' },
      { template: 'local:iso/x.iso' },
      { template: 'local:vztmpl/../x y' },
      { storage: 'a:b' },
      { tags: 'a,b/c' },
      { tags: '-a' },
      { pool: 'a b' },
      { pool: '' },
      { node: '../x' },
      { net0: 'tag=10' },
      { net0: 'bridge=b,tag=0' },
      { net0: 'bridge=b,bridge=c' },
    ];
    for (const wishes of bad)
      await assert.rejects(create(wishes), refusedWith('InvalidArgument'), JSON.stringify(wishes));
    assert.deepEqual([asked, await actions()], [[], []]);
  });

  it('that fails leaves a block that says so', async () => {
    const by: ContainerApi = {
      create: () => Promise.reject(new AgentError('NotApplied', 'task vzcreate failed: no space left')),
    };
    await assert.rejects(create({}, { by }), refusedWith('NotApplied', 'no space left'));
    assert.deepEqual(await actions(), ['guest create', 'guest failed']);
  });

  it('is refused with the privileges that the token lacks', async () => {
    const client = new ProxmoxClient({
      exchange: () =>
        Promise.resolve({
          kind: 'answered',
          status: 403,
          reason: 'Permission check failed',
          location: null,
          text: '{"data":null}',
        }),
    });
    await assert.rejects(
      create({}, { by: containerApi(client, hastyTimers(20)) }),
      refusedWith('AccessDenied', 'Permission check failed', 'VM.Allocate', 'setup --api manage'),
    );
  });
});
