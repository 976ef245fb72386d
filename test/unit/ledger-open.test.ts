import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { sha256Hex } from '../../src/ledger/block.ts';
import { attach, fileOf, ledgerBytes, linesOf, openLedger, verifyBytes } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';

describe('opening a ledger', () => {
  const bytes = ledgerBytes(3);

  it('finds what was written', async () => {
    const ledger = await openLedger(new MemoryLedgerStore(bytes));
    assert.deepEqual(ledger.stats(), {
      total_blocks: 3,
      earliest: '2025-10-14T12:00:00.000Z',
      latest: '2025-10-14T12:00:02.000Z',
      categories: { port: 3 },
      size_bytes: bytes.length,
      archived_blocks: 0,
      checkpoint: 0,
      tampered: false,
    });
    assert.equal((await ledger.append(attach(103))).height, 3);
    assert.equal((await ledger.verify()).valid, true);
  });

  it('finds nothing in a new one', async () => {
    const ledger = await openLedger(new MemoryLedgerStore());
    assert.deepEqual(ledger.stats(), {
      total_blocks: 0,
      earliest: null,
      latest: null,
      categories: {},
      size_bytes: 0,
      archived_blocks: 0,
      checkpoint: 0,
      tampered: false,
    });
  });

  it('moves a torn tail of every length aside, records it, and is valid', async () => {
    const lastStart = bytes.lastIndexOf('\n', -2) + 1;
    for (let length = 1; length < bytes.length; length++) {
      const store = new MemoryLedgerStore(bytes.subarray(0, length));
      const ledger = await openLedger(store);
      const whole = Math.max(0, bytes.subarray(0, length).lastIndexOf('\n') + 1);
      const tail = bytes.subarray(whole, length);
      assert.deepEqual(store.sides.get('ledger.torn') ?? Buffer.alloc(0), tail);
      assert.ok(store.disk.subarray(0, whole).equals(bytes.subarray(0, whole)));
      const report = await verifyBytes(store.disk);
      assert.equal(report.valid, true);
      const kept = whole === 0 ? 0 : whole < lastStart ? 1 : 2;
      assert.equal(report.blocks, tail.length === 0 ? kept : kept + 1);
      if (tail.length > 0) {
        const block = await ledger.blockAt(kept);
        assert.deepEqual([block?.category, block?.action], ['storage', 'torn']);
        assert.deepEqual(block?.data, { file: 'ledger.torn', offset: 0, length: tail.length, sha256: sha256Hex(tail) });
        assert.deepEqual(block.metadata, { plugin: 'ledger', host: 'pve1' });
      }
      assert.equal(ledger.tampered, false);
    }
  });

  it('adds a second torn tail to the side file and names its part', async () => {
    const store = new MemoryLedgerStore(Buffer.concat([bytes, Buffer.from('first')]));
    await openLedger(store);
    const second = new MemoryLedgerStore(Buffer.concat([store.disk, Buffer.from('{"sec')]), store.sides);
    const ledger = await openLedger(second);
    assert.equal(second.sides.get('ledger.torn')?.toString(), 'first{"sec');
    assert.deepEqual((await ledger.blockAt(4))?.data, {
      file: 'ledger.torn',
      offset: 5,
      length: 5,
      sha256: sha256Hex('{"sec'),
    });
    const third = second.restarted();
    assert.equal((await openLedger(third)).blocks, 5, 'what is recorded is not recorded again');
  });

  it('records a tail that a crash moved without recording it', async () => {
    const store = new MemoryLedgerStore(bytes, [['ledger.torn', Buffer.from('lost')]]);
    const ledger = await openLedger(store);
    assert.deepEqual((await ledger.blockAt(3))?.data['length'], 4);
  });

  it('records both copies of a tail when a crash came between copying and cutting it', async () => {
    const store = new MemoryLedgerStore(Buffer.concat([bytes, Buffer.from('torn')]), [
      ['ledger.torn', Buffer.from('tor')],
    ]);
    const ledger = await openLedger(store);
    assert.equal(store.sides.get('ledger.torn')?.toString(), 'tortorn');
    assert.deepEqual((await ledger.blockAt(3))?.data['sha256'], sha256Hex('tortorn'));
  });

  it('does not take the word of a caller for what lies beside it', async () => {
    const said = ['torn', 'imported', 'evidence'].map((action, at) => ({
      category: 'storage' as const,
      action,
      metadata: { plugin: at === 0 ? 'external' : 'ports' },
      data: { file: 'ledger.imported-01234567.jsonl', offset: 0, length: 4 },
    }));
    const store = new MemoryLedgerStore(fileOf(linesOf([attach(100), ...said])), [
      ['ledger.torn', Buffer.from('lost')],
      ['ledger.imported-01234567.jsonl', Buffer.from('{}\n')],
    ]);
    const ledger = await openLedger(store);
    const added = await ledger.query({ from: 4, order: 'oldest' });
    assert.deepEqual(added.map(({ action, metadata }) => [action, metadata['plugin']]).sort(), [
      ['imported', 'ledger'],
      ['torn', 'ledger'],
    ]);
    assert.equal((await openLedger(store.restarted())).blocks, 6, 'but that of its own blocks');
  });

  it('moves garbage at the end aside, but not when whole blocks follow it', async () => {
    const lines = linesOf([attach(100), attach(101), attach(102)]);
    const garbage = Buffer.from('\0\0\0\n{"height":\n\n');
    const atEnd = new MemoryLedgerStore(Buffer.concat([bytes, garbage]));
    assert.equal((await openLedger(atEnd)).tampered, false);
    assert.deepEqual(atEnd.sides.get('ledger.torn'), garbage);

    const within = Buffer.concat([fileOf(lines.slice(0, 1)), garbage, fileOf(lines.slice(1))]);
    const store = new MemoryLedgerStore(within);
    const ledger = await openLedger(store);
    assert.equal(ledger.tampered, true);
    assert.deepEqual([store.disk.equals(within), store.sides.size], [true, 0], 'evidence stays as it is');
  });

  it('is read-only after any flipped bit but one in the last line', async () => {
    const lastStart = bytes.lastIndexOf('\n', -2) + 1;
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 0x10;
      const store = new MemoryLedgerStore(flipped);
      const ledger = await openLedger(store);
      // A newline lost joins the last two lines, and then nothing whole follows.
      const isTail = at >= lastStart - 1;
      assert.equal(ledger.tampered, !isTail, `byte ${at}`);
      if (isTail) continue;
      assert.equal(ledger.stats().tampered, true);
      assert.ok(store.disk.equals(flipped));
      await assert.rejects(ledger.append(attach(200)), hasCode('Tampered'));
      assert.equal((await ledger.verify()).valid, false);
    }
  });

  it('says where a ledger was tampered with, and still answers from before', async () => {
    const lines = linesOf([attach(100), attach(101), attach(102)]);
    const ledger = await openLedger(new MemoryLedgerStore(fileOf([lines[0]!, lines[2]!])));
    assert.deepEqual([ledger.tamperedAt?.height, ledger.tamperedAt?.offset], [1, lines[0]!.length + 1]);
    await assert.rejects(ledger.append(attach(200)), /block 1 at byte \d+ .*height is 2, expected 1.*evidence/);
    assert.equal((await ledger.query({})).length, 1);
  });

  it('opens with a tail that cannot be moved yet, and appends once it can', async () => {
    const store = new MemoryLedgerStore(Buffer.concat([bytes, Buffer.from('torn')]));
    store.tailIsStuck = true;
    const ledger = await openLedger(store);
    assert.equal(ledger.blocks, 3);
    await assert.rejects(ledger.append(attach(103)), hasCode('Unavailable'));
    store.tailIsStuck = false;
    assert.equal((await ledger.append(attach(103))).height, 4);
    assert.equal(store.sides.get('ledger.torn')?.toString(), 'torn');
    assert.equal((await verifyBytes(store.disk)).blocks, 5);
  });

  it('opens without room for the record of a torn tail, which follows with the next append', async () => {
    const store = new MemoryLedgerStore(Buffer.concat([bytes, Buffer.from('torn')]));
    store.faults.push('full');
    const ledger = await openLedger(store);
    assert.equal(ledger.blocks, 3);
    assert.equal((await ledger.append(attach(103))).height, 4);
    assert.equal((await ledger.blockAt(3))?.action, 'torn');
  });
});

describe('a ledger of the older tool', () => {
  const older = Buffer.from(
    [1, 2]
      .map((height) =>
        JSON.stringify({
          timestamp: 1_760_000_000 + height,
          height,
          prev_hash: '',
          hash: String(height).repeat(64),
          producer: 'network-plugin',
          category: 'port',
          action: 'created',
          user: 'system',
          hostname: 'pve1',
          pid: 7,
          data: { vmid: 100 },
          metadata: {},
          signature: null,
        }),
      )
      .join('\n') + '\n',
  );
  const sha256 = createHash('sha256').update(older).digest('hex');
  const name = `ledger.imported-${sha256.slice(0, 8)}.jsonl`;

  it('is set aside whole, and the first block commits to it', async () => {
    const store = new MemoryLedgerStore(older);
    const ledger = await openLedger(store);
    assert.deepEqual(store.sides.get(name), older);
    const block = await ledger.blockAt(0);
    assert.deepEqual([block?.category, block?.action], ['storage', 'imported']);
    assert.deepEqual(block?.data, { file: name, offset: 0, length: older.length, sha256 });
    assert.equal((await openLedger(store.restarted())).blocks, 1, 'once');
  });

  it('is committed to by the next start when a crash came in between', async () => {
    const store = new MemoryLedgerStore(Buffer.alloc(0), [[name, older]]);
    const ledger = await openLedger(store);
    assert.equal((await ledger.blockAt(0))?.data['sha256'], sha256);
  });

  it('is not what a line of ours with a flipped bit is taken for', async () => {
    const flipped = ledgerBytes(1);
    flipped[100]! ^= 1;
    const store = new MemoryLedgerStore(flipped);
    await openLedger(store);
    assert.deepEqual([...store.sides.keys()], ['ledger.torn']);
  });
});
