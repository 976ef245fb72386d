import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseVmid } from '../../src/model/names.ts';
import { locateGuest, readGuestSettings, refuseUntouchable, runStateOf } from '../../src/node/guest-facts.ts';
import type { GuestFacts } from '../../src/node/guest-facts.ts';
import { parseUnitName } from '../../src/systemd1/unit-name.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { refusedWith } from '../support/refused.ts';

const vmid = parseVmid(100);
const paths = { pveDir: '/etc/pve', lxcDir: '/var/lib/lxc' };
const nothing = { isTemplate: false, lock: null, hasPending: false, hookscript: null, isDebug: false };

describe("a guest's settings", () => {
  it('are those before the first section', () => {
    const text = 'hookscript: local:snippets/x\nlock:  backup \ntemplate: 1\n#debug: 1\n[snap1]\ndebug: 1\nlock: x\n';
    assert.deepEqual(readGuestSettings('lxc', vmid, text), {
      ...nothing,
      isTemplate: true,
      lock: 'backup',
      hookscript: 'local:snippets/x',
    });
  });

  it('are pending in the section of their kind, when there is anything in it', () => {
    const rows: readonly (readonly ['lxc' | 'qemu', string, boolean])[] = [
      ['lxc', 'memory: 512\n[pve:pending]\nmemory: 1024\n', true],
      ['lxc', '[pve:pending]\r\ndelete: net1\r\n', true],
      ['lxc', '[pve:pending]\n\n# a note\n[snap]\nmemory: 1\n', false],
      ['qemu', '[PENDING]\nmemory: 1024\n', true],
      ['qemu', '[pve:pending]\nmemory: 1024\n', false],
      ['lxc', '[PENDING]\nmemory: 1024\n', false],
    ];
    for (const [kind, text, hasPending] of rows) {
      assert.equal(readGuestSettings(kind, vmid, text).hasPending, hasPending, JSON.stringify(text));
    }
  });

  it('are read from any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        readGuestSettings('lxc', vmid, text);
      }),
    );
    assert.deepEqual(readGuestSettings('qemu', vmid, '\0[[\n:::\nlock:\ntemplate: 0\n'), nothing);
  });
});

describe('a guest', () => {
  let host: MemoryHost;
  beforeEach(() => {
    host = new MemoryHost();
  });
  const locate = () => locateGuest(host, paths, 'pve1', vmid);

  it('is found here with what counts for its control', async () => {
    host.write('/etc/pve/lxc/100.conf', 'debug: 1\n', 5_000);
    host.write('/var/lib/lxc/100/config', 'lxc.arch = amd64\n', 6_500);
    host.write('/etc/pve/ha/resources.cfg', 'vm: 100\n\nct: 100\n\tstate started\n');
    assert.deepEqual(await locate(), {
      at: 'here',
      facts: {
        kind: 'lxc',
        vmid,
        manager: 'proxmox',
        settings: { ...nothing, isDebug: true },
        isHaManaged: true,
        configuredAtMs: 5_000,
        lxcConfiguredAtMs: 6_500,
      },
    });
  });

  it('is not managed by high availability because another is', async () => {
    host.write('/etc/pve/qemu-server/100.conf', '');
    host.write('/etc/pve/ha/resources.cfg', 'ct: 100\nvm: 1001\nvm: 10\n');
    const place = await locate();
    assert.equal(place.at === 'here' && place.facts.isHaManaged, false);
  });

  it('is found on another node, or nowhere', async () => {
    host.write('/etc/pve/.vmlist', '{"version":3,"ids":{"100":{"node":"pve2","type":"qemu","version":9}}}');
    assert.deepEqual(await locate(), { at: 'elsewhere', kind: 'qemu', node: 'pve2' });
    for (const list of [
      '{"version":1,"ids":{"100":{"node":"pve1","type":"qemu","version":1}}}',
      '{"version":1}',
      '{}',
      '[]',
      'null',
      'no JSON',
    ]) {
      host.write('/etc/pve/.vmlist', list);
      await assert.rejects(locate(), refusedWith('NotFound', /guest 100 does not exist/));
    }
  });

  it('that is both kinds is nobody to be started', async () => {
    host.write('/etc/pve/lxc/100.conf', '');
    host.write('/etc/pve/qemu-server/100.conf', '');
    await assert.rejects(locate(), refusedWith('Conflict', /a container and a machine/));
  });

  it("is LXC's own on a host without Proxmox VE", async () => {
    await assert.rejects(locate(), refusedWith('NotFound', /neither Proxmox VE nor/));
    host.write('/var/lib/lxc/100/config', '');
    const place = await locate();
    assert.equal(place.at === 'here' && place.facts.manager, 'lxc');
  });

  it('that was migrated away is not here because LXC still has a file', async () => {
    host.write('/var/lib/lxc/100/config', '');
    host.write('/etc/pve/.vmlist', '{"version":1,"ids":{"100":{"node":"pve2","type":"lxc","version":1}}}');
    assert.equal((await locate()).at, 'elsewhere');
  });

  it('is left alone when it is a template or locked, and the message says what to do', () => {
    const facts = (settings: Partial<GuestFacts['settings']>): GuestFacts => ({
      kind: 'qemu',
      vmid,
      manager: 'proxmox',
      settings: { ...nothing, ...settings },
      isHaManaged: false,
      configuredAtMs: 0,
      lxcConfiguredAtMs: null,
    });
    const refuse = (settings: Partial<GuestFacts['settings']>) => () => {
      refuseUntouchable(facts(settings), 'start');
    };
    assert.throws(refuse({ isTemplate: true }), refusedWith('Conflict', /VM 100 is a template.*qm clone 100/));
    assert.throws(refuse({ lock: 'migrate' }), refusedWith('Busy', /VM 100 is locked \(migrate\).*qm unlock 100/));
    assert.doesNotThrow(refuse({ isDebug: true }));
  });
});

describe('whether a guest runs', () => {
  const header = 'Num       RefCount Protocol Flags    Type St Inode Path\n';
  const socket = (name: string): string => `0000000000000000: 00000002 00000000 00010000 0001 01 26512 ${name}\n`;
  const facts = (kind: 'lxc' | 'qemu'): GuestFacts => ({
    kind,
    vmid,
    manager: 'proxmox',
    settings: nothing,
    isHaManaged: false,
    configuredAtMs: 0,
    lxcConfiguredAtMs: null,
  });
  const stateOf = (kind: 'lxc' | 'qemu', activeState: string | null, sockets = '') => {
    const host = new MemoryHost();
    host.write('/proc/net/unix', header + sockets);
    const asked: string[] = [];
    const listUnits = (patterns: readonly string[]) => {
      asked.push(...patterns);
      const name = parseUnitName(kind === 'lxc' ? 'pve-container@100.service' : '100.scope');
      return Promise.resolve(activeState === null ? [] : [{ name, loadState: 'loaded', activeState, subState: '' }]);
    };
    return runStateOf(host, { listUnits }, '/var/lib/lxc', facts(kind)).then((state) => ({ state, asked }));
  };

  it('is what LXC listens to, and for a machine its scope', async () => {
    const command = socket('@/var/lib/lxc/100/command');
    assert.equal((await stateOf('lxc', 'active', command)).state, 'running');
    assert.equal((await stateOf('lxc', null, command)).state, 'running');
    assert.equal((await stateOf('lxc', 'active')).state, 'changing');
    assert.equal((await stateOf('lxc', 'deactivating')).state, 'changing');
    assert.equal((await stateOf('lxc', 'failed')).state, 'stopped');
    assert.equal((await stateOf('lxc', null)).state, 'stopped');
    assert.equal((await stateOf('qemu', 'active')).state, 'running');
    assert.equal((await stateOf('qemu', null)).state, 'stopped');
  });

  it('is not what other sockets and guests do', async () => {
    const others = ['@/var/lib/lxc/1001/command', '@/var/lib/lxc/100/commander', '/tmp/@/var/lib/lxc/100/command', ''];
    assert.equal((await stateOf('lxc', null, others.map(socket).join(''))).state, 'stopped');
  });

  it('looks at the unit for debugging too', async () => {
    const { asked } = await stateOf('lxc', null);
    assert.ok(asked.includes('pve-container-debug@100.service'));
  });
});
