import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { WantedPort } from '../../src/model/port.ts';
import { fieldsFingerprint, markKeys } from '../../src/ports/marks.ts';
import {
  describeDifferences,
  isForeignEdit,
  isReconfigured,
  isSetByUs,
  settingsDiffer,
} from '../../src/ports/settings.ts';
import { attachedRowOf, markedRowOf, rowOf, wantedOf } from '../support/ports-fixtures.ts';

const wanted = wantedOf(100, 0, { tag: 10, trunks: [20, 30], mtu: 9000 });

describe('the columns that the agent sets', () => {
  it('do not differ in the row that it made itself', () => {
    fc.assert(
      fc.property(ports(), (port) => {
        assert.deepEqual(settingsDiffer(port, attachedRowOf(port)), []);
      }),
    );
  });

  for (const [edit, difference, text] of [
    [{ tag: 20 }, { column: 'tag', wanted: '10', got: '20' }, 'tag: wanted 10, got 20'],
    [{ tag: null }, { column: 'tag', wanted: '10', got: 'none' }, 'tag: wanted 10, got none'],
    [{ trunks: [20, 31] }, { column: 'trunks', wanted: '20,30', got: '20,31' }, 'trunks: wanted 20,30, got 20,31'],
    [{ trunks: [] }, { column: 'trunks', wanted: '20,30', got: 'none' }, 'trunks: wanted 20,30, got none'],
    [
      { vlanMode: 'trunk' },
      { column: 'vlan_mode', wanted: 'native-untagged', got: 'trunk' },
      'vlan_mode: wanted native-untagged, got trunk',
    ],
  ] as const) {
    it(`differ where somebody else wrote ${JSON.stringify(edit)}`, () => {
      const differences = settingsDiffer(wanted, attachedRowOf(wanted, edit));
      assert.deepEqual(differences, [difference]);
      assert.equal(describeDifferences(differences), text);
    });
  }

  it('are named all together, in one order', () => {
    const differences = settingsDiffer(wanted, rowOf('veth100i0'));
    assert.equal(
      describeDifferences(differences),
      'tag: wanted 10, got none; trunks: wanted 20,30, got none; vlan_mode: wanted native-untagged, got none',
    );
  });

  it('tell VLAN 0 from none', () => {
    const zero = { ...wantedOf(100), tag: 0 } as unknown as WantedPort;
    assert.deepEqual(
      settingsDiffer(zero, rowOf('veth100i0')).map(({ column }) => column),
      ['tag'],
    );
  });
});

describe('the fingerprint of those columns', () => {
  it('changes with each of them, and with nothing else', () => {
    const prints = [
      {},
      { tag: 10 },
      { tag: 11 },
      { trunks: [10] },
      { trunks: [10, 11] },
      { tag: 10, trunks: [10] },
    ].map((options) => fieldsFingerprint(wantedOf(100, 0, options)));
    assert.equal(new Set(prints).size, prints.length);
    assert.equal(
      fieldsFingerprint(wantedOf(100, 0, { tag: 10, mode: 'port' })),
      fieldsFingerprint(wantedOf(101, 3, { tag: 10, bridge: 'ovsbr1', mtu: 9000 })),
    );
  });

  it('is on the rows that the agent set, and not on those that it only adopted', () => {
    assert.equal(isSetByUs(attachedRowOf(wanted)), true);
    assert.equal(isSetByUs(markedRowOf(wanted)), false);
    assert.equal(isSetByUs(rowOf('veth100i0')), false);
  });

  it('tells a foreign edit from a changed configuration, whatever the two are', () => {
    fc.assert(
      fc.property(ports(), ports(), (before, now) => {
        const isSame = settingsDiffer(now, attachedRowOf(before)).length === 0;
        for (const edit of [{}, { tag: 4000 }]) {
          const row = attachedRowOf(before, edit);
          assert.equal(isForeignEdit(row), 'tag' in edit);
          assert.equal(isReconfigured(now, row), !isSame);
        }
      }),
    );
  });

  it('takes a mark that somebody altered for a foreign edit, as it is one', () => {
    const row = attachedRowOf(wanted, { portIds: new Map([[markKeys.fields, 'altered']]) });
    assert.deepEqual([isSetByUs(row), isForeignEdit(row)], [true, true]);
  });

  it('of a row reads as that of what was wanted, also from the mark of an earlier version', () => {
    assert.equal(
      isForeignEdit(attachedRowOf(wanted, { portIds: new Map([[markKeys.fields, '340f0f139b8ae6cd']]) })),
      false,
    );
  });
});

function ports(): fc.Arbitrary<WantedPort> {
  return fc
    .record({
      tag: fc.option(fc.constantFrom(1, 10, 20), { nil: undefined }),
      trunks: fc.subarray([10, 20, 30]),
      mtu: fc.constantFrom(null, 1500, 9000),
    })
    .map(({ tag, trunks, mtu }) => wantedOf(100, 0, { trunks, mtu, ...(tag === undefined ? {} : { tag }) }));
}
