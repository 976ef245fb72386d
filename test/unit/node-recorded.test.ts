import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import type { ErrorCode } from '../../src/model/errors.ts';
import type { ChangeDraft } from '../../src/node/contracts.ts';
import { recordedBy } from '../../src/node/recorded.ts';
import type { DraftWriter } from '../../src/node/recorded.ts';

describe("the record of an administrator's command", () => {
  const draft: ChangeDraft = { category: 'settings', action: 'setup', data: { step: 'x' } };

  /** Writers by name, each with the error it has, or none; what they wrote and what was complained of. */
  function world(...writers: (ErrorCode | null)[]) {
    const events: string[] = [];
    const drafts: ChangeDraft[] = [];
    const recorded = recordedBy({
      writers: writers.map((code, index): DraftWriter => (written) => {
        events.push(`${index} asked`);
        if (code !== null) return Promise.reject(new AgentError(code, `not by ${index}`));
        drafts.push(written);
        return Promise.resolve();
      }),
      onUnrecorded: ({ message }) => events.push(`complained: ${message}`),
    });
    return { events, drafts, recorded };
  }

  it('is there before the change is made', async () => {
    const { events, drafts, recorded } = world(null, null);
    const result = await recorded(draft, () => {
      events.push('made');
      return Promise.resolve('done');
    });
    assert.deepEqual([result, events, drafts], ['done', ['0 asked', 'made'], [draft]]);
  });

  it('is written by the next when one cannot', async () => {
    const { events, drafts, recorded } = world('Unavailable', 'Busy', null);
    await recorded(draft, () => Promise.resolve());
    assert.deepEqual([events, drafts], [['0 asked', '1 asked', '2 asked'], [draft]]);
  });

  it('is missed aloud when nobody can, and the change is made', async () => {
    const { events, recorded } = world('Unavailable', 'Busy');
    assert.equal(await recorded(draft, () => Promise.resolve(7)), 7);
    assert.deepEqual(events, ['0 asked', '1 asked', 'complained: not by 1']);
  });

  it('is not tried elsewhere when the ledger itself does not take it', async () => {
    for (const code of ['Tampered', 'InvalidArgument'] as const) {
      const { events, recorded } = world(code, null);
      await recorded(draft, () => Promise.resolve());
      assert.deepEqual(events, ['0 asked', 'complained: not by 0']);
    }
  });

  it('says that a change did not come about, and its error is thrown', async () => {
    const { drafts, recorded } = world(null);
    const failure = new AgentError('Conflict', 'no room');
    await assert.rejects(
      recorded(draft, () => Promise.reject(failure)),
      failure,
    );
    assert.deepEqual(drafts, [
      draft,
      { category: 'settings', action: 'failed', data: { step: 'x', of: 'setup', reason: 'no room' } },
    ]);
  });
});
