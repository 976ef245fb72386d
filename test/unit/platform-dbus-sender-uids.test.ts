import assert from 'node:assert/strict';
import { senderUidsMax } from '../../src/platform/dbus/limits.ts';
import { SenderUids } from '../../src/platform/dbus/sender-uids.ts';

describe("callers' uids", () => {
  it('are asked for once, also by a burst', async () => {
    let asked = 0;
    const uids = new SenderUids(() => Promise.resolve((asked += 1)));
    assert.deepEqual(await Promise.all([uids.get(':1.1'), uids.get(':1.1'), uids.get(':1.1')]), [1, 1, 1]);
    assert.equal(asked, 1);
  });

  it('are asked for again after a failure', async () => {
    let asked = 0;
    const uids = new SenderUids(() => {
      asked += 1;
      return asked === 1 ? Promise.reject(new Error('bus away')) : Promise.resolve(7);
    });
    await assert.rejects(uids.get(':1.1'), /bus away/);
    assert.equal(await uids.get(':1.1'), 7);
  });

  it('are remembered for a bounded number of senders, the oldest forgotten', async () => {
    let asked = 0;
    const uids = new SenderUids(() => Promise.resolve((asked += 1)));
    for (let n = 0; n <= senderUidsMax; n++) await uids.get(`:1.${n}`);
    const before = asked;
    await uids.get(`:1.${senderUidsMax}`);
    assert.equal(asked, before);
    await uids.get(':1.0');
    assert.equal(asked, before + 1);
  });
});
