import assert from 'node:assert/strict';
import type { BlockDraft } from '../../src/ledger/block.ts';
import { AgentError } from '../../src/model/errors.ts';
import { ConnectivityRecord } from '../../src/node/connectivity-record.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';

describe('the record of peers that come and go', () => {
  function world(append?: () => Promise<unknown>) {
    const clock = new FakeClock();
    const drafts: BlockDraft[] = [];
    const gaps: unknown[] = [];
    const stop = new AbortController();
    const record = new ConnectivityRecord({
      append: append ?? ((draft) => Promise.resolve(drafts.push(draft))),
      onLedgerGap: (error) => gaps.push(error),
      clock,
      host: 'pve1',
      stopSignal: stop.signal,
    });
    /** Loses the switch and finds it again. */
    const flap = (): void => {
      record.note('switch', 'gone');
      record.note('switch', null);
    };
    const said = (): unknown[] => drafts.map(({ action, data }) => [action, data['peer'], data['changes']]);
    return { clock, record, drafts, gaps, stop, flap, said };
  }

  it('has a block when one is lost and one when it is back, at once', () => {
    const { record, drafts } = world();
    record.note('switch', 'unix:/run/db.sock: ended');
    record.note('switch', null);
    const metadata = { user: 'root', uid: 0, host: 'pve1', plugin: 'agent', cause: 'connection' };
    const common = { category: 'connectivity', metadata };
    assert.deepEqual(drafts, [
      { ...common, action: 'lost', data: { peer: 'switch', changes: 1, why: 'unix:/run/db.sock: ended' } },
      { ...common, action: 'regained', data: { peer: 'switch', changes: 1 } },
    ]);
  });

  it('says nothing of what is as before, nor of one that is there to begin with', () => {
    const { record, said } = world();
    record.note('bus', null);
    record.note('bus', 'refused');
    record.note('bus', 'still refused');
    assert.deepEqual(said(), [['lost', 'bus', 1]]);
  });

  it('counts the changes of one that flaps, and tells peers apart', async () => {
    const { clock, record, flap, said } = world();
    for (let time = 0; time < 100; time++) flap();
    record.note('bus', 'gone');
    assert.equal(said().length, 11);
    await clock.advance(10 * 60_000);
    assert.deepEqual(said().slice(10), [['lost', 'bus', 1], ['regained', 'switch', 190]]); // prettier-ignore
    for (let time = 0; time < 100; time++) flap();
    assert.equal(said().length, 21, 'the summary is one of the ten of the new period');
    await clock.advance(20 * 60_000);
    flap();
    assert.deepEqual(said().slice(21), [['regained', 'switch', 191], ['lost', 'switch', 1], ['regained', 'switch', 1]]); // prettier-ignore
  });

  it('writes down at the end what was only counted, and waits for nothing more', async () => {
    const { clock, record, flap, said } = world();
    for (let time = 0; time < 7; time++) flap();
    record.close();
    flap();
    assert.deepEqual(said().slice(10), [['regained', 'switch', 4]]);
    await clock.advance(60 * 60_000);
    assert.equal(said().length, 11);
  });

  it('takes nothing for a loss that the service leaves at its end', () => {
    const { stop, flap, said } = world();
    stop.abort();
    flap();
    assert.deepEqual(said(), []);
  });

  it('is missed when the ledger takes no block, and nothing breaks', async () => {
    const { flap, gaps } = world(() => Promise.reject(new AgentError('Unavailable', 'no space left')));
    flap();
    await settled();
    assert.equal(gaps.length, 2);
  });
});
