import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Patience, patienceMs } from '../../src/ports/patience.ts';

const always = (): boolean => true;

describe('patience', () => {
  it('ripens what was reported for a second, and not before', () => {
    const patience = new Patience();
    assert.equal(patience.isRipe('attach veth100i0', 5000), false);
    assert.equal(patience.isRipe('attach veth100i0', 5000 + patienceMs - 1), false);
    assert.equal(patience.isRipe('attach veth100i0', 5000 + patienceMs), true);
    assert.equal(patience.isRipe('attach veth100i0', 5000 + patienceMs + 1), true, 'it stays ripe until it is gone');
  });

  it('starts anew when the trouble went away in between', () => {
    const patience = new Patience();
    patience.isRipe('a', 0);
    patience.retain(new Set(), always);
    assert.equal(patience.isRipe('a', 2000), false);
    assert.equal(patience.isRipe('a', 3000), true);
  });

  it('forgets only what the pass looked at', () => {
    const patience = new Patience();
    patience.isRipe('a', 0);
    patience.isRipe('b', 0);
    patience.retain(new Set(), (key) => key === 'a');
    assert.equal(patience.isRipe('b', 1000), true);
    assert.equal(patience.isRipe('a', 1000), false);
  });

  it('says when to come back: when the oldest is ripe', () => {
    const patience = new Patience();
    assert.equal(patience.nextRipeMs(), null);
    patience.isRipe('a', 300);
    patience.isRipe('b', 200);
    assert.equal(patience.nextRipeMs(), 200 + patienceMs);
    patience.retain(new Set(['a']), always);
    assert.equal(patience.nextRipeMs(), 300 + patienceMs);
  });

  it('never lets anything ripen that was not there in every look of a whole second', () => {
    const looks = fc.array(fc.record({ afterMs: fc.integer({ min: 1, max: 700 }), isThere: fc.boolean() }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(looks, (steps) => {
        const patience = new Patience();
        let nowMs = 0;
        let since: number | null = null;
        for (const { afterMs, isThere } of steps) {
          nowMs += afterMs;
          if (isThere) since ??= nowMs;
          else since = null;
          if (isThere) assert.equal(patience.isRipe('key', nowMs), since !== null && nowMs - since >= patienceMs);
          patience.retain(new Set(isThere ? ['key'] : []), always);
          assert.equal(patience.nextRipeMs(), since === null ? null : since + patienceMs);
        }
      }),
    );
  });
});
