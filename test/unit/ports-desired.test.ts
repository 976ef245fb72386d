import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Guest } from '../../src/model/guest.ts';
import { desiredPorts, netdevsOf } from '../../src/ports/desired.ts';
import type { Link } from '../../src/ports/contracts.ts';
import { guestOf, linkOf, linksOf, managed } from '../support/ports-fixtures.ts';
import type { NicOptions } from '../support/ports-fixtures.ts';

/** The port of each nic, or why it has none. */
function verdicts(guest: Guest, ...links: (string | Link)[]): string[] {
  return desiredPorts(guest, linksOf(...links), managed, 'auto').map((verdict) =>
    verdict.wanted === null
      ? verdict.reason
      : `${verdict.wanted.port} ${verdict.wanted.netdev} ${verdict.wanted.bridge}`,
  );
}

describe('the ports a guest wants', () => {
  it('are one for each nic whose device exists', () => {
    const guest = guestOf(100, [{ tag: 10 }, { bridge: 'ovsbr1', trunks: [20, 30] }, {}]);
    assert.deepEqual(verdicts(guest, 'veth100i0', 'veth100i1', 'lo'), [
      'vi100 veth100i0 ovsbr0',
      'vi100i1 veth100i1 ovsbr1',
      'has no device veth100i2 yet',
    ]);
  });

  it('carry the VLANs, the owner and the row name that Proxmox VE would use', () => {
    const [verdict] = desiredPorts(
      guestOf(100, [{ tag: 10, trunks: [20] }], 'qemu'),
      linksOf('tap100i0'),
      managed,
      'auto',
    );
    assert.deepEqual(verdict?.wanted, {
      port: 'vi100',
      netdev: 'tap100i0',
      owner: { kind: 'qemu', vmid: 100, nic: 'net0', name: 'guest100' },
      bridge: 'ovsbr0',
      tag: 10,
      trunks: [20],
      mirrorTo: null,
      mtu: null,
      rowName: 'tap100i0',
      mac: null,
      firewallBridge: null,
    });
  });

  it('leave out a nic whose device would have a name that the kernel refuses, and say so', () => {
    const nics = (more: NicOptions): NicOptions[] => Array.from({ length: 11 }, () => more);
    const names = (guest: Guest): string[] => netdevsOf(guest).filter((name) => name.length <= 15);
    for (const [guest, tenth, isHopeless] of [
      [guestOf(999_999_999, nics({})), 'can have no device: veth999999999i10 has 16 bytes', true],
      [
        guestOf(999_999_999, nics({ firewall: true }), 'qemu'),
        'can have no device: fwln999999999o10 has 16 bytes',
        true,
      ],
      [guestOf(999_999_999, nics({}), 'qemu'), 'vi999999999i10 tap999999999i10 ovsbr0', false],
      [guestOf(99_999_999, nics({ firewall: true })), 'vi99999999i10 fwln99999999o10 ovsbr0', false],
      [guestOf(999_999_999, nics({ linkDown: true })), 'is set to link_down', false],
    ] as const) {
      const found = verdicts(guest, ...names(guest));
      assert.ok(found[10]?.startsWith(tenth), found[10]);
      assert.ok(!found.slice(0, 10).some((text) => text.includes('bytes')));
      const [last] = desiredPorts(guest, linksOf(...names(guest)), managed, 'auto').slice(10);
      assert.equal(last?.wanted === null && last.isHopeless, isHopeless);
    }
  });

  for (const [what, guest, links, reason] of [
    ['without a bridge', guestOf(100, [{ bridge: null }]), ['veth100i0'], 'has no bridge'],
    [
      'on a bridge that is not managed',
      guestOf(100, [{ bridge: 'vmbr0' }]),
      ['veth100i0'],
      'is on vmbr0, which is not a managed bridge',
    ],
    ['with link_down', guestOf(100, [{ linkDown: true }]), ['veth100i0'], 'is set to link_down'],
    ['without a device', guestOf(100), ['lo', 'veth1000i0', 'tap100i0'], 'has no device veth100i0 yet'],
    [
      'whose device is in a Linux bridge',
      guestOf(100),
      [linkOf('veth100i0', 'vmbr0')],
      'not attached: veth100i0 is held by vmbr0',
    ],
    [
      'whose device still sits behind the firewall',
      guestOf(100),
      [linkOf('veth100i0', 'fwbr100i0')],
      'not attached: veth100i0 is held by fwbr100i0',
    ],
    [
      "whose firewall port is in another guest's bridge",
      guestOf(100, [{ firewall: true }]),
      [linkOf('veth100i0', 'fwbr100i0'), linkOf('fwln100o0', 'fwbr101i0')],
      'not attached: fwln100o0 is held by fwbr101i0',
    ],
  ] as const) {
    it(`leave out a nic ${what}, and say so`, () => {
      assert.deepEqual(verdicts(guest, ...links), [reason]);
    });
  }

  it('count a device in the kernel datapath as free', () => {
    assert.deepEqual(verdicts(guestOf(100), linkOf('veth100i0', 'ovs-system')), ['vi100 veth100i0 ovsbr0']);
  });

  describe('behind the firewall', () => {
    const guest = guestOf(100, [{ firewall: true }]);

    it("are fwln ports, for as long as the guest's own device exists", () => {
      assert.deepEqual(verdicts(guest, linkOf('veth100i0', 'fwbr100i0'), linkOf('fwln100o0', 'fwbr100i0')), [
        'vi100 fwln100o0 ovsbr0',
      ]);
      assert.deepEqual(verdicts(guest, linkOf('veth100i0', 'fwbr100i0')), ['vi100 fwln100o0 ovsbr0']);
      assert.deepEqual(verdicts(guest, 'fwln100o0'), ['has no device veth100i0 yet']);
    });
  });

  it('never hold a device that something else holds, whatever the guest and the devices', () => {
    const masters = fc.constantFrom(null, 'ovs-system', 'vmbr0', 'fwbr100i0', 'fwbr100i1', 'bond0', 'fwbr101i0');
    const nics = fc.array(
      fc.record({ firewall: fc.boolean(), linkDown: fc.boolean(), bridge: fc.constantFrom('ovsbr0', 'vmbr0') }),
      { minLength: 1, maxLength: 2 },
    );
    const links = fc.array(
      fc
        .tuple(fc.constantFrom('veth100i0', 'veth100i1', 'fwln100o0', 'fwln100o1', 'tap100i0'), masters)
        .map(([name, master]) => linkOf(name, master)),
    );
    fc.assert(
      fc.property(nics, links, (options, devices) => {
        const known = linksOf(...devices);
        for (const { wanted } of desiredPorts(guestOf(100, options), known, managed, 'auto')) {
          if (wanted === null) continue;
          const master = known.get(wanted.netdev)?.master ?? null;
          assert.ok(master === null || master === 'ovs-system' || master === wanted.firewallBridge);
          assert.equal(wanted.firewallBridge === null, wanted.netdev.startsWith('veth'));
          assert.ok(managed.has(wanted.bridge));
        }
      }),
    );
  });
});

describe('the devices to look at for a guest', () => {
  it("are its own, and the firewall's where it is on", () => {
    assert.deepEqual(netdevsOf(guestOf(100, [{}, { firewall: true }])), ['veth100i0', 'veth100i1', 'fwln100o1']);
    assert.deepEqual(netdevsOf(guestOf(100, [{}], 'qemu')), ['tap100i0']);
  });
});
