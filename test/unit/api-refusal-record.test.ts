import assert from 'node:assert/strict';
import { authoriseByUid } from '../../src/api/dbus/authorise.ts';
import { RefusalRecord } from '../../src/api/refusal-record.ts';
import type { BlockDraft } from '../../src/ledger/block.ts';
import { AgentError } from '../../src/model/errors.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { refusedWith } from '../support/refused.ts';

describe('the record of refused callers', () => {
  function world(append?: () => Promise<unknown>) {
    const clock = new FakeClock();
    const drafts: BlockDraft[] = [];
    const gaps: unknown[] = [];
    const senderUid = (): Promise<number> => Promise.reject(new AgentError('Unavailable', ':1.9 has left'));
    const record = new RefusalRecord(
      { authorise: authoriseByUid(0), senderUid },
      {
        append: append ?? ((draft) => Promise.resolve(drafts.push(draft))),
        onLedgerGap: (error) => gaps.push(error),
        clock,
        host: 'pve1',
      },
    );
    const { authorise } = record;
    const refuse = (uid: number): Promise<void> =>
      assert.rejects(authorise({ sender: ':1.5', uid }, 'ports'), refusedWith('AccessDenied', `uid ${uid}`));
    const said = (): unknown[] => drafts.map(({ metadata, data }) => [metadata['uid'], data['count']]);
    return { clock, record, drafts, gaps, authorise, refuse, said };
  }

  it('has one block at once, and one for all that follow within a minute', async () => {
    const { clock, refuse, said, drafts } = world();
    await refuse(1000);
    assert.deepEqual(drafts, [
      {
        category: 'authorization',
        action: 'refused',
        metadata: { user: 'uid 1000', uid: 1000, host: 'pve1', plugin: 'api', cause: 'api' },
        data: { privilege: 'ports', count: 1 },
      },
    ]);
    for (let call = 0; call < 5; call++) await refuse(1000);
    await refuse(1001);
    await clock.advance(59_999);
    assert.deepEqual(said(), [[1000, 1], [1001, 1]]); // prettier-ignore
    await clock.advance(1);
    assert.deepEqual(said(), [[1000, 1], [1001, 1], [1000, 5]]); // prettier-ignore
    await clock.advance(60_000);
    await refuse(1000);
    assert.deepEqual(said().slice(3), [[1000, 1]]);
  });

  it('writes down at the end what was only counted, and waits for nothing more', async () => {
    const { clock, record, refuse, said } = world();
    for (let call = 0; call < 4; call++) await refuse(1000);
    await refuse(1001);
    record.close();
    assert.deepEqual(said(), [[1000, 1], [1001, 1], [1000, 3]]); // prettier-ignore
    await clock.advance(120_000);
    assert.equal(said().length, 3);
  });

  it('says nothing of who may', async () => {
    const { authorise, drafts } = world();
    await authorise({ sender: ':1.5', uid: 0 }, 'ports');
    assert.deepEqual(drafts, []);
  });

  it('stays small however many uids try', async () => {
    const { clock, refuse, said } = world();
    for (let uid = 1; uid <= 1100; uid++) await refuse(uid);
    assert.deepEqual(said().length, 1001);
    await clock.advance(60_000);
    assert.deepEqual(said().slice(1000), [[null, 1], [null, 99]]); // prettier-ignore
  });

  it('has one block a minute for callers of whom the bus does not say who they are', async () => {
    const { clock, record, refuse, drafts, said } = world();
    for (let call = 0; call < 3; call++)
      await assert.rejects(record.senderUid(':1.9'), refusedWith('Unavailable', 'has left'));
    await refuse(1000);
    assert.deepEqual(drafts[0], {
      category: 'authentication',
      action: 'refused',
      metadata: { user: 'unknown', uid: null, host: 'pve1', plugin: 'api', cause: 'api' },
      data: { sender: ':1.9', why: ':1.9 has left', count: 1 },
    });
    await clock.advance(60_000);
    assert.deepEqual(said(), [[null, 1], [1000, 1], [null, 2]]); // prettier-ignore
  });

  it('refuses all the same when the ledger takes no block', async () => {
    const { refuse, gaps } = world(() => Promise.reject(new AgentError('Unavailable', 'no space left')));
    await refuse(1000);
    assert.equal(gaps.length, 1);
  });
});
