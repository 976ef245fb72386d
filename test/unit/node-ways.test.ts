import assert from 'node:assert/strict';
import { parseVmid } from '../../src/model/names.ts';
import { guestActions } from '../../src/node/contracts.ts';
import type { GuestFacts } from '../../src/node/guest-facts.ts';
import { toolCommand, whyNotByUnit } from '../../src/node/ways.ts';

type Change = Partial<Omit<GuestFacts, 'settings'>> & { settings?: Partial<GuestFacts['settings']> };

/** A container that systemd may start, but for what is changed. */
function factsWith({ settings = {}, ...change }: Change = {}): GuestFacts {
  return {
    kind: 'lxc',
    vmid: parseVmid(100),
    manager: 'proxmox',
    isHaManaged: false,
    configuredAtMs: 10_000,
    lxcConfiguredAtMs: 11_000,
    ...change,
    settings: { isTemplate: false, lock: null, hasPending: false, hookscript: null, isDebug: false, ...settings },
  };
}

describe('the way to start a container', () => {
  it('is its unit when nothing else is left for pct to do', () => {
    assert.deepEqual(whyNotByUnit(factsWith(), 'start'), []);
    const ours = { hookscript: 'local:snippets/ovs-port-agent' };
    assert.deepEqual(whyNotByUnit(factsWith({ settings: ours }), 'start'), []);
    assert.deepEqual(whyNotByUnit(factsWith({ manager: 'lxc' }), 'start'), []);
  });

  const rows: readonly (readonly [RegExp, Change])[] = [
    [/no LXC configuration/, { lxcConfiguredAtMs: null }],
    [/changed after LXC got it/, { lxcConfiguredAtMs: 9_000 }],
    [/changed after LXC got it/, { lxcConfiguredAtMs: 10_000 }],
    [/changed after LXC got it/, { configuredAtMs: 10_000, lxcConfiguredAtMs: 10_999 }],
    [/pending changes/, { settings: { hasPending: true } }],
    [/high availability/, { isHaManaged: true }],
    [/local:snippets\/backup\.sh/, { settings: { hookscript: 'local:snippets/backup.sh' } }],
    [/hookscript/, { settings: { hookscript: 'local:snippets/ovs-port-agent-chain' } }],
    [/hookscript/, { settings: { hookscript: '/snippets/ovs-port-agent' } }],
    [/pve-container-debug@100/, { settings: { isDebug: true } }],
    [/scope/, { kind: 'qemu' }],
  ];
  for (const [reason, change] of rows) {
    it(`is not its unit with ${JSON.stringify(change)}`, () => {
      const reasons = whyNotByUnit(factsWith(change), 'start');
      assert.equal(reasons.length, 1);
      assert.match(reasons[0] ?? '', reason);
    });
  }

  it('is told with every reason there is', () => {
    const change = { isHaManaged: true, lxcConfiguredAtMs: null, settings: { hasPending: true, isDebug: true } };
    assert.equal(whyNotByUnit(factsWith(change), 'start').length, 4);
  });
});

describe('the way to end a guest', () => {
  it('is never its unit', () => {
    for (const action of ['stop', 'shutdown', 'reboot'] as const) {
      for (const change of [{}, { kind: 'qemu' }, { manager: 'lxc' }] as const) {
        assert.equal(whyNotByUnit(factsWith(change), action).length, 1);
      }
    }
  });
});

describe('the tool', () => {
  it('is that of the kind, and is given the time only where it takes one', () => {
    const lines = guestActions.map((action) => [
      toolCommand(factsWith(), action, 90).join(' '),
      toolCommand(factsWith({ kind: 'qemu' }), action, 90).join(' '),
    ]);
    assert.deepEqual(lines, [
      ['/usr/sbin/pct start 100', '/usr/sbin/qm start 100'],
      ['/usr/sbin/pct stop 100', '/usr/sbin/qm stop 100'],
      ['/usr/sbin/pct shutdown 100 --timeout 90', '/usr/sbin/qm shutdown 100 --timeout 90'],
      ['/usr/sbin/pct reboot 100 --timeout 90', '/usr/sbin/qm reboot 100 --timeout 90'],
    ]);
  });

  it("is LXC's own without Proxmox VE, and ends nothing by force that was asked to shut down", () => {
    const lines = (['stop', 'shutdown', 'reboot'] as const).map((action) =>
      toolCommand(factsWith({ manager: 'lxc' }), action, 90).join(' '),
    );
    assert.deepEqual(lines, [
      '/usr/bin/lxc-stop --name 100 --kill',
      '/usr/bin/lxc-stop --name 100 --nokill --timeout 90',
      '/usr/bin/lxc-stop --name 100 --reboot --timeout 90',
    ]);
  });
});
