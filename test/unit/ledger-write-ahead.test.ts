import assert from 'node:assert/strict';
import { aheadRunningMax } from '../../src/ledger/limits.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { AgentError } from '../../src/model/errors.ts';
import { attach, openLedger } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';

describe('a change written ahead', () => {
  let store: MemoryLedgerStore;
  let ledger: Ledger;
  beforeEach(async () => {
    store = new MemoryLedgerStore();
    ledger = await openLedger(store);
  });

  const actions = async (): Promise<string[]> => (await ledger.query({ order: 'oldest' })).map(({ action }) => action);
  const doubtsAfterRestart = async (): Promise<unknown[]> =>
    (await openLedger(store.restarted())).inDoubt().map(({ data }) => data['vmid']);
  const fail = (): Promise<never> => Promise.reject(new AgentError('SwitchError', 'no row Bridge "ovsbr0"'));
  const never = new Promise<never>(() => undefined);

  it('is durable before it is made', async () => {
    const result = await ledger.writeAhead(attach(100), (block) => {
      assert.ok(store.disk.includes(block.hash));
      assert.equal(store.syncs, 1);
      return Promise.resolve('done');
    });
    assert.equal(result, 'done');
    assert.deepEqual(await actions(), ['attach'], 'success needs no second block');
  });

  it('is followed by "failed", which names its height and what it was about, and throws the own error', async () => {
    await ledger.append(attach(99));
    await assert.rejects(ledger.writeAhead(attach(100), fail), /no row Bridge/);
    const failed = await ledger.blockAt(2);
    assert.deepEqual([failed?.category, failed?.action], ['port', 'failed']);
    assert.deepEqual(failed?.metadata, attach(100).metadata);
    assert.deepEqual(failed.data, {
      height: 1,
      action: 'attach',
      vmid: 100,
      nic: 'net0',
      port: 'vi100',
      netdev: 'veth100i0',
      bridge: 'ovsbr0',
      error: 'SwitchError',
      message: 'no row Bridge "ovsbr0"',
    });
    assert.deepEqual(await doubtsAfterRestart(), []);
  });

  it('is not made when it cannot be recorded', async () => {
    store.faults.push('full');
    let ran = false;
    const action = (): Promise<void> => {
      ran = true;
      return Promise.resolve();
    };
    await assert.rejects(ledger.writeAhead(attach(100), action), hasCode('Unavailable'));
    assert.equal(ran, false);
  });

  it('has its own error thrown also when "failed" finds no room; that follows with the next block', async () => {
    store.faults.push(null, 'full', 'full');
    await assert.rejects(ledger.writeAhead(attach(100), fail), hasCode('SwitchError'));
    assert.deepEqual(await actions(), ['attach']);
    assert.deepEqual(await doubtsAfterRestart(), [100], 'until then it is in doubt');
    await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
    await ledger.append(attach(102));
    assert.deepEqual(await actions(), ['attach', 'failed', 'attach']);
    assert.deepEqual(await doubtsAfterRestart(), []);
  });

  it('has "failed" written at close when it is owed', async () => {
    store.faults.push(null, 'full');
    await assert.rejects(ledger.writeAhead(attach(100), fail), hasCode('SwitchError'));
    await ledger.close();
    assert.deepEqual(await doubtsAfterRestart(), []);
  });

  it('keeps an error of any length and shape within a line', async () => {
    const draft = attach(100, { data: { text: 'x'.repeat(64_000) } });
    await assert.rejects(
      ledger.writeAhead(draft, () => Promise.reject(new Error(`\ud800${'y'.repeat(100_000)}`))),
      /y{100}/,
    );
    const failed = await ledger.blockAt(1);
    assert.deepEqual([failed?.action, failed?.data['height'], failed?.data['error']], ['failed', 0, 'Internal']);
  });

  it('leaves out what leaves no room for the height', async () => {
    const draft = attach(100, { metadata: { text: 'x'.repeat(64_900) }, data: {} });
    await assert.rejects(ledger.writeAhead(draft, () => Promise.reject(new Error('z'.repeat(1_000)))));
    assert.deepEqual((await ledger.blockAt(1))?.metadata, {});
  });

  it('may be many blocks with one action and one sync', async () => {
    const drafts = Array.from({ length: 100 }, (_, index) => attach(100 + index));
    const heights = await ledger.writeAheadAll(drafts, (blocks) => Promise.resolve(blocks.map(({ height }) => height)));
    assert.deepEqual(heights, [...Array(100).keys()]);
    assert.equal(store.syncs, 1);
    assert.equal((await doubtsAfterRestart()).length, 100);
    await assert.rejects(ledger.writeAheadAll(drafts.slice(0, 2), fail), hasCode('SwitchError'));
    assert.deepEqual(
      (await ledger.query({ action: 'failed' })).map(({ data }) => data['height']),
      [101, 100],
    );
  });

  it('is all recorded or said to have failed', async () => {
    const large = { text: 'x'.repeat(60_000) };
    const drafts = Array.from({ length: 20 }, () => attach(100, { data: large }));
    store.faults.push(null, 'full');
    await assert.rejects(
      ledger.writeAheadAll(drafts, () => assert.fail('must not run')),
      hasCode('Unavailable'),
    );
    const recorded = (await ledger.query({ action: 'attach' })).length;
    assert.ok(recorded > 0 && recorded < 20);
    assert.equal((await ledger.query({ action: 'failed' })).length, recorded);
    assert.deepEqual(await doubtsAfterRestart(), []);
  });

  it('is in doubt at the next start when it was the last, and only then', async () => {
    await ledger.writeAhead(attach(100), () => Promise.resolve());
    await ledger.writeAhead(attach(101), () => Promise.resolve());
    await ledger.append(attach(102));
    assert.deepEqual(await doubtsAfterRestart(), [101]);
    assert.deepEqual(ledger.inDoubt(), [], 'but not to the process that made it');
  });

  it('is in doubt as long as it runs, whatever is written beside it', async () => {
    void ledger.writeAhead(attach(100), () => never);
    await ledger.writeAhead(attach(101), () => Promise.resolve());
    await ledger.writeAhead(attach(102), () => Promise.resolve());
    assert.ok((await doubtsAfterRestart()).includes(100));
  });

  it('stays in doubt beside what a process writes ahead that cannot look for it', async () => {
    await ledger.writeAhead(attach(100), () => Promise.resolve());
    const disk = store.restarted();
    const command = await openLedger(disk, { keepsDoubts: true });
    await command.writeAhead(attach(101), () => Promise.resolve());
    await command.writeAhead(attach(102), () => Promise.resolve());
    const doubts = (await openLedger(disk.restarted())).inDoubt();
    assert.deepEqual(
      doubts.map(({ height }) => height),
      [0, 1, 2],
    );
  });

  it('is out of doubt once it is abandoned', async () => {
    void ledger.writeAhead(attach(100), () => never);
    await ledger.append(attach(200));
    const next = await openLedger(store.restarted());
    const [doubt] = next.inDoubt();
    const abandoned = await next.abandon(doubt!, 'no row Port vi100 after the restart');
    assert.deepEqual([abandoned.action, abandoned.data['height'], abandoned.data['vmid']], ['abandoned', 0, 100]);
    assert.deepEqual(next.inDoubt(), []);
  });

  it('stays in doubt whatever a caller adds about it', async () => {
    void ledger.writeAhead(attach(100), () => never);
    await ledger.append(attach(1, { action: 'abandoned', metadata: { plugin: 'external' }, data: { height: 0 } }));
    assert.deepEqual(await doubtsAfterRestart(), [100]);
  });

  it('is refused when too many are under way', async () => {
    const drafts = Array.from({ length: aheadRunningMax }, () => attach(100));
    await ledger.writeAheadAll(drafts, async () => {
      await assert.rejects(ledger.writeAhead(attach(1), fail), hasCode('Busy'));
    });
    await ledger.writeAhead(attach(1), () => Promise.resolve());
  });
});
