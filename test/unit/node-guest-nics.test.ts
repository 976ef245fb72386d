import assert from 'node:assert/strict';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { AgentError } from '../../src/model/errors.ts';
import { nicNameOf, parseVmid } from '../../src/model/names.ts';
import type { NicName } from '../../src/model/names.ts';
import type { NicApi } from '../../src/node/contracts.ts';
import type { GuestNicsOptions, NicChange } from '../../src/node/guest-nics.ts';
import type { NicWishes } from '../../src/proxmox/nic-edit.ts';
import { nicSettingsOf } from '../../src/proxmox/nic-settings.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { NicHost } from '../support/nic-host.ts';
import { refusedWith } from '../support/refused.ts';

const vmid = parseVmid(100);
const cause = { cause: 'api set', user: 'root', uid: 0 };
const wait = { deadlineMs: 60_000 };
const [net0, net1, net7] = [nicNameOf(0), nicNameOf(1), nicNameOf(7)];
const web = `hostname: web01
net0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,future=x,tag=10,type=veth
net1: name=eth1,bridge=vmbr9,tag=9999
`;
const fileOf = async ({ host }: NicHost): Promise<string> => (await host.read('/etc/pve/lxc/100.conf'))?.text ?? '';

describe('network cards of guests', () => {
  let ledger: Ledger;
  beforeEach(async () => {
    ledger = await openLedger(new MemoryLedgerStore());
  });

  const start = (text = web, options: Partial<GuestNicsOptions> = {}): NicHost =>
    new NicHost({ 100: text }, { recorder: ledger, ...options });
  const change = ({ nics }: NicHost, wishes: NicWishes | null, nic = net0, ofVmid = vmid): Promise<NicChange> =>
    nics.change(ofVmid, nic, { wishes, isDryRun: false, wait, cause });
  const add = ({ nics }: NicHost, options: string, nic: NicName | null = null, ofVmid = vmid): Promise<NicChange> =>
    nics.add(ofVmid, { nic, options, isDryRun: false, wait, cause });
  const blocks = async (): Promise<unknown[]> =>
    (await ledger.query({ order: 'oldest' })).map(({ category, action, data }) => [category, action, data]);

  it('are listed by number, one that cannot be understood with the reason', async () => {
    const views = await start(`net10: name=eth10,bridge=b\n${web}`).nics.list(vmid, wait);
    assert.deepEqual(
      views.map(({ nic, options, problem }) => [nic, options?.bridge ?? problem]),
      [
        ['net0', 'ovsbr0'],
        ['net1', 'VLAN tag "9999" is not valid: expected a whole number from 1 to 4094'],
        ['net10', 'b'],
      ],
    );
    assert.equal((await start().nics.show(vmid, net1, wait)).value, 'name=eth1,bridge=vmbr9,tag=9999');
  });

  it('are those of the next start', async () => {
    const pending = `${web}\n[pve:pending]\ndelete: !net1,memory\nnet0: name=eth0,bridge=ovsbr1\n\n[old]\nnet7: name=e,bridge=b\n`;
    assert.deepEqual(
      (await start(pending).nics.list(vmid, wait)).map(({ nic, value }) => [nic, value]),
      [['net0', 'name=eth0,bridge=ovsbr1']],
    );
  });

  it('that are not there are refused with the names of those that are', async () => {
    const said = refusedWith('NotFound', 'CT 100 has no net7: it has net0, net1');
    await assert.rejects(start().nics.show(vmid, net7, wait), said);
    await assert.rejects(change(start(), { tag: '20' }, net7), said);
    await assert.rejects(
      start('hostname: a\n').nics.show(vmid, net0, wait),
      refusedWith('NotFound', 'no network card'),
    );
    await assert.rejects(
      change(start(), { tag: '20' }, net0, parseVmid(101)),
      refusedWith('NotFound', 'does not exist'),
    );
  });

  describe('changed by a tool', () => {
    it('keep every other byte, and the change is written ahead', async () => {
      const host = start();
      const before = 'name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,future=x,tag=10,type=veth';
      const after = 'name=eth0,bridge=ovsbr1,hwaddr=BC:24:11:00:01:00,future=x,tag=20,type=veth';
      const { digest } = nicSettingsOf('lxc', web);
      assert.deepEqual(await change(host, { bridge: 'ovsbr1', tag: '20' }), {
        guest: 'CT 100',
        nic: 'net0',
        changed: true,
        before,
        after,
        way: 'pct',
      });
      assert.equal(await fileOf(host), web.replace(before, after));
      assert.deepEqual(host.ran, [`/usr/sbin/pct set 100 --net0 ${after} --digest ${digest}`]);
      const data = { vmid: 100, node: 'pve1', way: 'pct', nic: 'net0', before, after };
      assert.deepEqual(await blocks(), [['guest', 'set-nic', data]]);
    });

    it('are taken away, once', async () => {
      const host = start();
      assert.equal((await change(host, null, net1)).after, null);
      assert.deepEqual(await change(host, null, net1), {
        guest: 'CT 100',
        nic: 'net1',
        changed: false,
        before: null,
        after: null,
        way: null,
      });
      assert.equal(host.ran.length, 1);
      assert.match(host.ran[0] ?? '', /^\/usr\/sbin\/pct set 100 --delete net1 --digest [0-9a-f]{40}$/);
      assert.equal((await blocks()).length, 1);
    });

    it('are left alone when they are so already', async () => {
      const host = start();
      const { changed, way } = await change(host, { tag: '10', firewall: false, linkDown: false, trunks: 'none' });
      assert.deepEqual([changed, way, host.ran, await blocks()], [false, null, [], []]);
    });

    it("are a machine's too", async () => {
      const host = start();
      host.host.write('/etc/pve/qemu-server/101.conf', 'net0: virtio=BC:24:11:00:01:01,bridge=ovsbr0\n');
      const { guest, after, way } = await change(host, { linkDown: true }, net0, parseVmid(101));
      assert.deepEqual([guest, way, after], ['VM 101', 'qm', 'virtio=BC:24:11:00:01:01,bridge=ovsbr0,link_down=1']);
    });

    it('stay as they are while the guest is locked, by its file or by a tool', async () => {
      const locked = start(`lock: backup\n${web}`);
      await assert.rejects(change(locked, { tag: '20' }), refusedWith('Busy', /locked \(backup\).*pct unlock 100/));
      const held = start();
      held.isLocked = true;
      await assert.rejects(change(held, { tag: '20' }), refusedWith('Busy', 'being worked on'));
      assert.deepEqual([...locked.ran, ...held.ran, ...(await blocks())], []);
    });

    it('stay as somebody else left them meanwhile, and the ledger says that it failed', async () => {
      const host: NicHost = start(web, {
        recorder: {
          writeAheadAll: (drafts, action) => {
            host.host.write('/etc/pve/lxc/100.conf', web.replace('web01', 'web02'));
            return ledger.writeAheadAll(drafts, action);
          },
        },
      });
      await assert.rejects(change(host, { tag: '20' }), refusedWith('Conflict', 'file changed by other user'));
      assert.equal(await fileOf(host), web.replace('web01', 'web02'));
      assert.deepEqual(
        (await ledger.query({ order: 'oldest' })).map(({ action }) => action),
        ['set-nic', 'failed'],
      );
    });

    it('that Proxmox VE refuses are refused in its words', async () => {
      await assert.rejects(
        change(start(), { bridge: 'none' }),
        refusedWith('NotApplied', "unable to hotplug net0: bridge 'none' does not exist"),
      );
    });

    it('are not changed without a block', async () => {
      const recorder = { writeAheadAll: () => Promise.reject(new AgentError('Unavailable', 'no space left')) };
      const host = start(web, { recorder });
      await assert.rejects(change(host, { tag: '20' }), refusedWith('Unavailable', 'no space left'));
      assert.deepEqual(host.ran, []);
    });
  });

  describe('added', () => {
    const net2 = nicNameOf(2);

    it('have the lowest number that is free, a name of it inside, and a block', async () => {
      const host = start();
      const after = 'name=eth2,bridge=ovsbr0,tag=20,ip=dhcp';
      const added = { guest: 'CT 100', nic: net2, changed: true, before: null, after, way: 'pct' };
      assert.deepEqual(await add(host, 'bridge=ovsbr0,tag=20,ip=dhcp'), added);
      assert.equal(await fileOf(host), `${web}net2: ${after}\n`);
      assert.match(host.ran[0] ?? '', /^\/usr\/sbin\/pct set 100 --net2 name=eth2,\S+ --digest [0-9a-f]{40}$/);
      const data = { vmid: 100, node: 'pve1', way: 'pct', nic: 'net2', before: null, after };
      assert.deepEqual(await blocks(), [['guest', 'add-nic', data]]);
      assert.equal((await add(host, 'name=lan,bridge=ovsbr0', net7)).after, 'name=lan,bridge=ovsbr0');
    });

    it('are virtio in a machine, unless they say otherwise', async () => {
      const host = start();
      host.host.write('/etc/pve/qemu-server/101.conf', 'name: vm\n');
      assert.equal((await add(host, 'bridge=ovsbr0', null, parseVmid(101))).after, 'virtio,bridge=ovsbr0');
      const e1000 = 'e1000=BC:24:11:00:01:01,bridge=ovsbr0';
      assert.deepEqual((await add(host, e1000, null, parseVmid(101))).nic, net1);
      assert.equal((await host.host.read('/etc/pve/qemu-server/101.conf'))?.text, `name: vm\nnet0: virtio,bridge=ovsbr0\nnet1: ${e1000}\n`); // prettier-ignore
    });

    it('take no place that is taken, and no name', async () => {
      const host = start();
      await assert.rejects(add(host, 'bridge=b', net1), refusedWith('Conflict', 'CT 100 has net1 already: name=eth1'));
      await assert.rejects(add(host, 'bridge=b,name=eth0'), refusedWith('Conflict', 'has a eth0 already, net0'));
      const full = Array.from({ length: 32 }, (_, n) => `net${n}: name=e${n},bridge=b\n`).join('');
      await assert.rejects(add(start(full), 'bridge=b'), refusedWith('Conflict', 'as many network cards as can be'));
      assert.deepEqual([host.ran, await blocks()], [[], []]);
    });

    it('have a bridge and nothing that Proxmox VE could not plug', async () => {
      const host = start();
      for (const bad of [
        '',
        'tag=20',
        'bridge=',
        'bridge=b,tag=4095',
        'bridge=b,firewall=maybe',
        'bridge=b,comment=ä',
      ]) {
        await assert.rejects(add(host, bad), refusedWith('InvalidArgument'), bad);
      }
      assert.deepEqual(host.ran, []);
    });
  });

  it('stay as they are in a dry run, which says what would be', async () => {
    const host = start();
    const dry = { isDryRun: true, wait, cause };
    const { nics } = host;
    const said = [
      await nics.add(vmid, { nic: null, options: 'bridge=ovsbr0', ...dry }),
      await nics.change(vmid, net1, { wishes: { tag: 'none' }, ...dry }),
      await nics.change(vmid, net0, { wishes: null, ...dry }),
    ];
    assert.deepEqual(
      said.map(({ nic, changed, after, way }) => [nic, changed, after, way]),
      [
        ['net2', false, 'name=eth2,bridge=ovsbr0', 'pct'],
        ['net1', false, 'name=eth1,bridge=vmbr9', 'pct'],
        ['net0', false, null, 'pct'],
      ],
    );
    assert.deepEqual([host.ran, await blocks(), await fileOf(host)], [[], [], web]);
    const locked = start(`lock: backup\n${web}`);
    await assert.rejects(locked.nics.change(vmid, net0, { wishes: null, ...dry }), refusedWith('Busy'));
  });

  describe('of another node', () => {
    const vmlist = '{"version":1,"ids":{"200":{"node":"pve2","type":"qemu","version":2}}}';
    const far = parseVmid(200);

    it('are out of reach without the API', async () => {
      const host = start();
      host.host.write('/etc/pve/.vmlist', vmlist);
      const said = refusedWith('NotFound', 'VM 200 is on node pve2, not here');
      await assert.rejects(host.nics.list(far, wait), said);
      await assert.rejects(change(host, { tag: '20' }, net0, far), said);
    });

    it('are read and changed by the API, locked ones left alone', async () => {
      const written: unknown[] = [];
      let lock: string | null = null;
      const api: NicApi = {
        read: () => Promise.resolve({ values: new Map([[net0, 'virtio,bridge=ovsbr0']]), lock, digest: 'd' }),
        write: ({ node }, change_) => {
          written.push([node, change_]);
          return Promise.resolve();
        },
      };
      const host = start(web, { api });
      host.host.write('/etc/pve/.vmlist', vmlist);
      assert.equal((await host.nics.list(far, wait))[0]?.options?.model, 'virtio');
      assert.equal((await change(host, { mtu: '1400' }, net0, far)).way, 'api');
      lock = 'migrate';
      await assert.rejects(change(host, { tag: '20' }, net0, far), refusedWith('Busy', 'locked (migrate)'));
      assert.deepEqual(written, [['pve2', { nic: net0, value: 'virtio,bridge=ovsbr0,mtu=1400', digest: 'd' }]]);
      assert.deepEqual(host.ran, []);
    });
  });

  it('of a container that LXC itself manages are not here', async () => {
    const host = new NicHost({});
    host.host.write('/var/lib/lxc/100/config', '');
    await assert.rejects(host.nics.list(vmid, wait), refusedWith('NotFound', '/var/lib/lxc/100/config'));
  });
});
