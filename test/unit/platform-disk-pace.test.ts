import assert from 'node:assert/strict';
import { DiskPace } from '../../src/platform/disk-pace.ts';

describe('a disk', () => {
  function proven(): DiskPace {
    const pace = new DiskPace();
    for (let time = 0; time < 8; time++) pace.note(0.3);
    return pace;
  }

  it('is waited for by another thread until it was quick eight times in a row', () => {
    const pace = new DiskPace();
    const answers = [];
    for (const tookMs of [1, 1, 1, 9, 2, 2, 2, 2, 2, 2, 2, 2, 2]) {
      answers.push(pace.mayWait(500));
      pace.note(tookMs);
    }
    assert.deepEqual(
      answers,
      answers.map((_, index) => index === 12),
    );
  });

  it('has to prove itself anew after one slow wait, or a failure', () => {
    for (const tookMs of [2.1, Infinity]) {
      const pace = proven();
      assert.equal(pace.mayWait(500), true);
      pace.note(tookMs);
      for (let time = 0; time < 8; time++) {
        assert.equal(pace.mayWait(500), false);
        pace.note(0.3);
      }
      assert.equal(pace.mayWait(500), true);
    }
  });

  it('lets others have their turn after sixteen waits', () => {
    const pace = proven();
    const answers = Array.from({ length: 40 }, () => pace.mayWait(500));
    const threads = answers.flatMap((atOnce, index) => (atOnce ? [] : [index]));
    assert.deepEqual(threads, [16, 33]);
  });

  it('gets much at a time from another thread, however quick it is', () => {
    const pace = proven();
    assert.deepEqual([65_536, 65_537].map((bytes) => pace.mayWait(bytes)), [true, false]); // prettier-ignore
  });
});
