import assert from 'node:assert/strict';
import { parseGuestUnit, guestUnitNames } from '../../src/model/guest.ts';
import { parseVmid } from '../../src/model/names.ts';
import { followUpsMs, FollowedGuests } from '../../src/ports/followed-guests.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('guests that an event told of', () => {
  const guest = parseVmid(100);
  let clock: FakeClock;
  let looks: unknown[];
  let followed: FollowedGuests;

  beforeEach(() => {
    clock = new FakeClock();
    looks = [];
    followed = new FollowedGuests(clock, (...told) => looks.push([clock.nowMs(), ...told]));
  });

  it('are looked at again when their devices may have come', async () => {
    const toldMs = clock.nowMs();
    followed.follow(guest, 'unit changed');
    await clock.advance(60_000);
    assert.deepEqual(
      looks,
      followUpsMs.map((afterMs) => [toldMs + afterMs, guest, 'unit changed']),
    );
  });

  it('are followed anew after each event, and no more when stopped', async () => {
    followed.follow(guest, 'unit changed');
    await clock.advance(500);
    followed.follow(guest, 'unit changed');
    assert.equal(looks.length, 1);
    await clock.advance(500);
    assert.equal(looks.length, 2);
    followed.stop();
    await clock.advance(60_000);
    assert.equal(looks.length, 2);
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
