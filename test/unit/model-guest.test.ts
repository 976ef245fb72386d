import assert from 'node:assert/strict';
import fc from 'fast-check';
import { guestUnitNames, parseGuestUnit } from '../../src/model/guest.ts';
import { parseVmid } from '../../src/model/names.ts';

describe('the unit of a guest', () => {
  it('is a service for a container, with another for its debugging, and a scope for a machine', () => {
    const vmid = parseVmid(100);
    assert.deepEqual(guestUnitNames({ kind: 'lxc', vmid }), ['pve-container@100.service', 'pve-container-debug@100.service']); // prettier-ignore
    assert.deepEqual(guestUnitNames({ kind: 'qemu', vmid }), ['100.scope']);
  });

  it('tells the guest again', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('lxc', 'qemu'),
        fc.integer({ min: 100, max: 999_999_999 }).map(parseVmid),
        (kind, vmid) => {
          for (const name of guestUnitNames({ kind, vmid })) assert.deepEqual(parseGuestUnit(name), { kind, vmid });
        },
      ),
    );
    assert.deepEqual(parseGuestUnit('lxc@100.service'), { kind: 'lxc', vmid: 100 });
  });

  const others = [
    ...['pve-container@99.service', 'pve-container@0100.service', 'pve-container@1000000000.service', '99.scope'],
    ...['pve-container@100.scope', '100.service', 'lxc-debug@100.service', 'pve-container@.service', '.scope'],
    ...['xpve-container@100.service', 'pve-container@100.service.d', 'x100.scope', '100.scope.d', '100x.scope'],
    ...['pve-container@10a.service', 'session-100.scope', 'pve-container@*.service', '012.scope', ''],
  ];
  for (const name of others) {
    it(`is not ${JSON.stringify(name)}`, () => {
      assert.equal(parseGuestUnit(name), null);
    });
  }
});
