import assert from 'node:assert/strict';
import { parseGuestUnit, guestUnitNames } from '../../src/model/guest.ts';
import { parseVmid } from '../../src/model/names.ts';
import { followUpsMs, UnitHints } from '../../src/ports/unit-hints.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('hints of units', () => {
  const guest = parseVmid(100);
  let clock: FakeClock;
  let looks: number[];
  let hints: UnitHints;

  beforeEach(() => {
    clock = new FakeClock();
    looks = [];
    hints = new UnitHints(clock, () => looks.push(clock.nowMs()));
  });

  it('have a guest looked at at once, and again when its devices may have come', async () => {
    const startedMs = clock.nowMs();
    hints.changed(guest);
    await clock.advance(60_000);
    assert.deepEqual(
      looks,
      [0, ...followUpsMs].map((afterMs) => startedMs + afterMs),
    );
  });

  it('begin anew with each change, and end when stopped', async () => {
    hints.changed(guest);
    await clock.advance(500);
    hints.changed(guest);
    assert.equal(looks.length, 3);
    await clock.advance(500);
    assert.equal(looks.length, 4);
    hints.stop();
    await clock.advance(60_000);
    assert.equal(looks.length, 4);
  });

  it('come from the units that run guests, and from no others', () => {
    for (const [kind, units] of [
      ['lxc', guestUnitNames({ kind: 'lxc', vmid: guest })],
      ['lxc', ['lxc@100.service']],
      ['qemu', guestUnitNames({ kind: 'qemu', vmid: guest })],
    ] as const) {
      for (const unit of units) assert.deepEqual(parseGuestUnit(unit), { kind, vmid: guest });
    }
    for (const unit of [
      'pve-container@.service',
      'pve-container@99.service',
      '100.service',
      'lxc@web.service',
      '0100.scope',
    ]) {
      assert.equal(parseGuestUnit(unit), null);
    }
  });
});
