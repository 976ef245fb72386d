import assert from 'node:assert/strict';
import { parseBlock } from '../../src/ledger/block.ts';
import type { Block } from '../../src/ledger/block.ts';
import { batchBytesMax, pendingBlocksMax } from '../../src/ledger/limits.ts';
import { attach, ledgerBytes, linesOf, openLedger, startMs, verifyBytes } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';

describe('appending', () => {
  it('answers with the block as it stands in the file', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    const block = await ledger.append(attach(100));
    assert.deepEqual(block, parseBlock(store.disk.subarray(0, -1)));
    assert.equal(ledger.lastHash, block.hash);
    assert.equal(block.timestamp, new Date(startMs + 1_000).toISOString());
  });

  it('takes the draft as it was when append was called', async () => {
    const ledger = await openLedger(new MemoryLedgerStore());
    const data = { vmid: 100 };
    const appended = ledger.append(attach(100, { data }));
    data.vmid = 666;
    assert.equal((await appended).data['vmid'], 100);
  });

  it('shares one sync between 100 appends of one moment, in their order', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    const blocks = await Promise.all(Array.from({ length: 100 }, (_, index) => ledger.append(attach(100 + index))));
    assert.equal(store.syncs, 1);
    assert.deepEqual(
      blocks.map(({ height, data }) => [height, data['vmid']]),
      Array.from({ length: 100 }, (_, index) => [index, 100 + index]),
    );
    assert.equal((await verifyBytes(store.disk)).blocks, 100);
  });

  it('gathers what arrives during a sync into the next one', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    const first = ledger.append(attach(100));
    await new Promise((resolve) => {
      process.nextTick(resolve);
    });
    const later = Array.from({ length: 50 }, (_, index) => ledger.append(attach(101 + index)));
    assert.deepEqual(
      (await Promise.all([first, ...later])).map(({ height }) => height),
      [...Array(51).keys()],
    );
    assert.equal(store.syncs, 2);
  });

  it('waits for nothing when appends come one after the other', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    for (let index = 0; index < 20; index++) await ledger.append(attach(100 + index));
    assert.equal(store.syncs, 20);
  });

  it('writes what is too much for one write in several', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    const large = { text: 'x'.repeat(60_000) };
    const count = Math.ceil((2.5 * batchBytesMax) / 60_000);
    await Promise.all(Array.from({ length: count }, () => ledger.append(attach(100, { data: large }))));
    assert.equal(store.syncs, 3);
    assert.equal((await verifyBytes(store.disk)).blocks, count);
  });

  it('refuses more than may wait, and only those', async () => {
    const ledger = await openLedger(new MemoryLedgerStore());
    const draft = attach(100);
    const results = await Promise.allSettled(Array.from({ length: pendingBlocksMax + 1 }, () => ledger.append(draft)));
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 1);
    assert.ok(hasCode('Busy')(refused[0]!.reason));
    assert.equal(ledger.blocks, pendingBlocksMax);
  });

  it('refuses a draft that cannot be written, and leaves its neighbours alone', async () => {
    const ledger = await openLedger(new MemoryLedgerStore());
    const good = ledger.append(attach(100));
    await assert.rejects(ledger.append(attach(101, { action: 'no spaces' })), hasCode('InvalidArgument'));
    assert.equal((await good).height, 0);
    assert.equal(ledger.blocks, 1);
  });

  it('writes down a clock that goes back as it is', async () => {
    const times = [5_000, 1_000];
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store, { nowMs: () => times.shift() ?? 0 });
    await ledger.append(attach(100));
    await ledger.append(attach(101));
    assert.deepEqual(
      [ledger.stats().earliest, ledger.stats().latest],
      ['1970-01-01T00:00:05.000Z', '1970-01-01T00:00:01.000Z'],
    );
    assert.equal((await ledger.verify()).valid, true);
  });

  it('tells listeners of every durable block, in order, until they leave', async () => {
    const ledger = await openLedger(new MemoryLedgerStore());
    const heard: Block[] = [];
    const leave = ledger.onAppended((block) => heard.push(block));
    const blocks = await Promise.all([ledger.append(attach(100)), ledger.append(attach(101))]);
    leave();
    await ledger.append(attach(102));
    assert.deepEqual(heard, blocks);
  });

  it('accepts nothing after close, and loses nothing that was asked for before', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    const asked = ledger.append(attach(100));
    await ledger.close();
    assert.equal((await asked).height, 0);
    await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
    assert.equal((await verifyBytes(store.disk)).blocks, 1);
  });
});

describe('an append that fails', () => {
  for (const fault of ['lost', 'landed', 'torn'] as const) {
    it(`is not acknowledged when its write was ${fault}; the ledger is verified and goes on`, async () => {
      const store = new MemoryLedgerStore();
      const ledger = await openLedger(store);
      await ledger.append(attach(100));
      store.faults.push(fault);
      await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
      assert.equal(ledger.blocks, 1);
      assert.equal(store.reopens, 0);

      const next = await ledger.append(attach(102));
      assert.equal(store.reopens, 1);
      const blocks = await ledger.query({ order: 'oldest' });
      assert.deepEqual(
        blocks.map(({ action, data }) => [action, data['vmid']]),
        fault === 'lost'
          ? [
              ['attach', 100],
              ['attach', 102],
            ]
          : [
              ['attach', 100],
              ['torn', undefined],
              ['attach', 102],
            ],
      );
      assert.equal(next.height, blocks.length - 1);
      assert.equal((await ledger.verify()).valid, true);
      assert.equal((await verifyBytes(store.disk)).blocks, blocks.length);
    });

    it(`leaves a ledger that opens and is valid when the service ends after its write was ${fault}`, async () => {
      const store = new MemoryLedgerStore();
      const ledger = await openLedger(store);
      const kept = await ledger.append(attach(100));
      store.faults.push(fault);
      await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
      const reopened = await openLedger(store.restarted());
      assert.equal((await reopened.verify()).valid, true);
      assert.deepEqual(await reopened.blockAt(0), kept);
      // What nobody was told of: gone, whole, or in the side file; never a part of a line.
      const [, second] = await reopened.query({ order: 'oldest' });
      assert.equal(second?.action, { lost: undefined, landed: 'attach', torn: 'torn' }[fault]);
    });
  }

  it('takes its whole batch with it, and not what waits behind', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    store.faults.push('landed');
    const batch = [ledger.append(attach(100)), ledger.append(attach(101))];
    await new Promise((resolve) => {
      process.nextTick(resolve);
    });
    const behind = ledger.append(attach(102));
    for (const append of batch) await assert.rejects(append, hasCode('Unavailable'));
    assert.equal((await behind).height, 1);
    assert.deepEqual(await ledger.query({ vmid: 101 }), []);
    assert.equal((await ledger.verify()).valid, true);
  });

  it('for want of room costs no new verification, and the next one succeeds', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    store.faults.push('full', 'full');
    await assert.rejects(ledger.append(attach(100)), /no space left/);
    await assert.rejects(ledger.append(attach(100)), hasCode('Unavailable'));
    assert.equal((await ledger.append(attach(100))).height, 0);
    assert.equal(store.reopens, 0);
  });

  it('is answered at once while a caller repeats it in the same turn', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store);
    store.faults.push('full');
    const block = await ledger.append(attach(100)).catch(() => ledger.append(attach(100)));
    assert.equal(block.height, 0);
    assert.equal((await ledger.append(attach(101)).then(() => ledger.append(attach(102)))).height, 2);
  });
});

describe('a ledger that somebody changes while it is open', () => {
  it('finds acknowledged blocks missing at the next verification', async () => {
    const store = new MemoryLedgerStore(ledgerBytes(3));
    const ledger = await openLedger(store);
    store.disk = ledgerBytes(2);
    const report = await ledger.verify();
    assert.deepEqual([report.valid, report.firstBad?.height], [false, 2]);
    assert.match(report.firstBad!.reason, /2 of 3 acknowledged blocks/);
    assert.equal(ledger.tampered, true);
    await assert.rejects(ledger.append(attach(103)), hasCode('Tampered'));
  });

  it('finds a chain rewritten from its beginning', async () => {
    const store = new MemoryLedgerStore(ledgerBytes(2));
    const ledger = await openLedger(store);
    const rewritten = linesOf([attach(100), attach(999)]);
    store.disk = Buffer.concat(rewritten.flatMap((line) => [line, Buffer.from('\n')]));
    assert.match((await ledger.verify()).firstBad!.reason, /another block than the one acknowledged/);
  });

  it('finds acknowledged blocks missing when it has to look after a failed write', async () => {
    const store = new MemoryLedgerStore(ledgerBytes(3));
    const ledger = await openLedger(store);
    store.faults.push('lost');
    await assert.rejects(ledger.append(attach(103)), hasCode('Unavailable'));
    store.disk = ledgerBytes(1);
    await assert.rejects(ledger.append(attach(103)), hasCode('Tampered'));
    assert.equal(ledger.tampered, true);
  });

  it('says that the file is gone', async () => {
    const store = new MemoryLedgerStore(ledgerBytes(1));
    const ledger = await openLedger(store);
    store.gone = true;
    const report = await ledger.verify();
    assert.deepEqual([report.valid, report.blocks], [false, 0]);
    assert.match(report.firstBad!.reason, /not there/);
    await assert.rejects(ledger.append(attach(103)), hasCode('Tampered'));
  });

  it('moves aside what somebody else appended, and goes on', async () => {
    const store = new MemoryLedgerStore(ledgerBytes(1));
    const ledger = await openLedger(store);
    store.disk = Buffer.concat([store.disk, Buffer.from('foreign\n')]);
    await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
    await ledger.append(attach(101));
    assert.equal(store.sides.get('ledger.torn')?.toString(), 'foreign\n');
    assert.equal((await verifyBytes(store.disk)).valid, true);
  });
});
