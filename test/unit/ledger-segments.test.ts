import assert from 'node:assert/strict';
import { copyFile, link, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkProof } from '../../src/ledger/check-proof.ts';
import type { ChainReport } from '../../src/ledger/chain.ts';
import { exportLedger } from '../../src/ledger/export.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { checkAgainstSwitch } from '../../src/ledger/switch-check.ts';
import { sayVerdict, verifyLedger } from '../../src/ledger/verify.ts';
import { moveEvidence } from '../../src/platform/ledger-evidence.ts';
import { openLedgerFile, readLedgerFile } from '../../src/platform/ledger-file.ts';
import { ledgerIndexFiles } from '../../src/platform/ledger-index-files.ts';
import { ledgerTreeFiles } from '../../src/platform/ledger-tree-files.ts';
import { attach, openLedger } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { refusedWith } from '../support/refused.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const [key] = nodeKeys;
/** Two blocks and a little: each segment has three. */
const segmentBytes = 1_000;
const emptyLog = { own: [], transactions: 0, fromMs: null, toMs: null, isCompacted: false };

describe('a ledger of several segments', () => {
  const folder = temporaryFolder();
  const path = (name = 'ledger.jsonl'): string => join(folder(), name);
  const open = async (more: object = {}): Promise<Ledger> =>
    openLedger(await openLedgerFile(path()), {
      tree: new StoredTree(ledgerTreeFiles(folder())),
      index: { files: ledgerIndexFiles(path('index')), runBlocks: 8 },
      key,
      segmentBytes,
      ...more,
    });
  const fill = async (blocks: number): Promise<void> => {
    const ledger = await open();
    while (ledger.blocks < blocks) await ledger.append(attach(100 + ledger.blocks));
    await ledger.close();
  };
  const segments = async (): Promise<string[]> =>
    (await readdir(folder())).filter((name) => /^ledger-/.test(name)).sort();
  const verify = async (name?: string): Promise<ChainReport> => verifyLedger(readLedgerFile(path(name)), null);

  it('begins a new one when one is full, and goes on in chain, tree and heights', async () => {
    await fill(20);
    const names = await segments();
    assert.ok(names.length >= 5, names.join());
    const ledger = await open();
    const { valid, blocks, unseen } = await verify();
    assert.deepEqual([valid, blocks, unseen], [true, ledger.blocks, undefined]);
    assert.equal((await ledger.verify()).valid, true);
    for (let height = 0; height < blocks; height++) {
      const block = await ledger.blockAt(height);
      assert.equal(block?.height, height);
      assert.deepEqual(checkProof(await ledger.prove(height), { key: key.verifierKey, policy: null }).block, block);
    }
    const begun = await ledger.query({ action: 'segment', order: 'oldest' });
    assert.deepEqual(
      begun.map(({ data }) => data['file']),
      names,
    );
    const sizes = await Promise.all(names.map(async (name) => (await readFile(path(name))).length));
    for (const [at, { data }] of begun.entries()) {
      assert.equal(
        data['offset'],
        sizes.slice(0, at + 1).reduce((sum, size) => sum + size),
      );
    }
    await ledger.close();
  });

  it('is verified by the name of one segment, which says what it cannot see', async () => {
    await fill(12);
    const report = await verify('ledger-000002.jsonl');
    assert.deepEqual([report.valid, report.unseen], [true, [{ from: 0, to: 3 }]]);
    assert.match(sayVerdict(report), /^VALID: 6 blocks.*\nblocks 0 to 2 are in segments that are not there$/);
  });

  it('is exported as far as its segments are there, and says which blocks are not', async () => {
    await fill(9);
    await rename(path('ledger-000001.jsonl'), path('archived.jsonl'));
    const unseen: unknown[] = [];
    let text = '';
    const report = await exportLedger(
      readLedgerFile(path()),
      { format: 'jsonl', sinceMs: -Infinity, untilMs: Infinity, onUnseen: (gap) => unseen.push(gap) },
      (part) => Promise.resolve(void (text += Buffer.from(part).toString())),
    );
    assert.deepEqual([report.valid, unseen], [true, [{ from: 0, to: 3 }]]);
    assert.match(text, /^{"height":3,/);
    await assert.rejects(
      checkAgainstSwitch(readLedgerFile(path()), emptyLog, () => Promise.resolve(emptyLog)),
      refusedWith('Unavailable', 'first 3 blocks are in segments that were moved away'),
    );
  });

  it('is verified whole while it grows from segment to segment', async () => {
    const ledger = await open();
    await ledger.append(attach(100));
    const reader = { isDone: false };
    const reading = (async () => {
      while ((await segments()).length < 4) {
        const report = await verify();
        assert.deepEqual([report.valid, report.unseen], [true, undefined], JSON.stringify(report));
      }
      reader.isDone = true;
    })();
    while (!reader.isDone) await Promise.race([ledger.append(attach(101)), reading]);
    await reading;
    await ledger.close();
  });

  it('is verified and asked by its own service while it goes from segment to segment', async () => {
    const ledger = await open({ segmentBytes: 500 });
    await ledger.append(attach(100));
    const writing = (async () => {
      while (ledger.blocks < 200) await ledger.append(attach(100 + (ledger.blocks % 3)));
    })();
    while (ledger.blocks < 200) {
      const { blocks } = ledger;
      const [report, found] = await Promise.all([ledger.verify(), ledger.query({ vmid: 101, limit: 10_000 })]);
      assert.ok(report.valid && report.blocks >= blocks);
      assert.ok(found.every(({ data }) => data['vmid'] === 101));
      assert.equal((await ledger.blockAt(blocks - 1))?.height, blocks - 1);
    }
    await writing;
    assert.equal(ledger.tampered, false);
    await ledger.close();
  });

  const crashes: [string, () => Promise<void>][] = [
    ['the next file was made', () => writeFile(path('ledger.jsonl.next'), '')],
    [
      'the active file got its number',
      async () => {
        await writeFile(path('ledger.jsonl.next'), '');
        await link(path(), path('ledger-000003.jsonl'));
      },
    ],
    [
      'the next file became the active one',
      async () => {
        await rename(path(), path('ledger-000003.jsonl'));
        await writeFile(path(), '');
      },
    ],
    [
      'a part of the first block was written',
      async () => {
        await rename(path(), path('ledger-000003.jsonl'));
        await writeFile(path(), '{"height":9,"prev');
      },
    ],
    ['the numbered file was made and the active one is gone', () => rename(path(), path('ledger-000003.jsonl'))],
  ];
  for (const [what, crash] of crashes) {
    it(`loses nothing when the service was killed after ${what}`, async () => {
      await fill(9);
      const before = (await verify()).lastHash;
      assert.equal((await segments()).length, 2);
      await crash();
      if (!what.endsWith('gone') && !what.startsWith('a part')) {
        assert.equal((await verify()).lastHash, before, 'also for whoever reads it now');
      }
      const ledger = await open();
      assert.equal(ledger.tampered, false);
      assert.equal((await ledger.blockAt(8))?.hash, before);
      while (ledger.blocks < 15) await ledger.append(attach(200));
      await ledger.close();
      const { valid, blocks, unseen } = await verify();
      assert.deepEqual([valid, blocks, unseen], [true, 15, undefined]);
      assert.equal((await readdir(folder())).includes('ledger.jsonl.next'), false);
      const begun = await open();
      assert.deepEqual(
        (await begun.query({ action: 'segment', order: 'oldest' })).map(({ data }) => data['file']),
        await segments(),
      );
      await begun.close();
    });
  }

  describe('of which the oldest were moved away', () => {
    beforeEach(async () => {
      await fill(20);
      await mkdir(path('archive'));
      for (const name of ['ledger-000001.jsonl', 'ledger-000002.jsonl'])
        await rename(path(name), path(`archive/${name}`));
    });

    for (const [what, prepare] of [
      ['with its index', () => Promise.resolve()],
      ['without its index', () => rm(path('index'), { recursive: true })],
    ] as const) {
      it(`opens ${what}, proves what is there, and says what is not`, async () => {
        await prepare();
        const ledger = await open();
        assert.equal(ledger.tampered, false);
        assert.deepEqual([ledger.stats().archived_blocks, ledger.stats().total_blocks], [6, 20]);
        await assert.rejects(ledger.blockAt(5), hasCode('NotFound'));
        await assert.rejects(ledger.prove(5), hasCode('NotFound'));
        assert.equal((await ledger.query({ order: 'oldest' }))[0]?.height, 6);
        assert.deepEqual(await ledger.query({ vmid: 101 }), []);
        assert.deepEqual((await ledger.query({ vmid: 106 })).map(({ height }) => height), [7]); // prettier-ignore
        await ledger.append(attach(300));
        for (const height of [6, 13, ledger.blocks - 1]) {
          const { block } = checkProof(await ledger.prove(height), { key: key.verifierKey, policy: null });
          assert.equal(block.height, height);
        }
        assert.equal(
          sayVerdict(await ledger.verify()).split('\n')[1],
          'blocks 0 to 5 are in segments that are not there',
        );
        await ledger.close();
        assert.deepEqual((await verify()).unseen, [{ from: 0, to: 6 }]);
      });
    }

    it('goes on as before once they are back', async () => {
      await (await open()).close();
      for (const name of await readdir(path('archive'))) await copyFile(path(`archive/${name}`), path(name));
      const ledger = await open();
      assert.equal((await ledger.blockAt(0))?.height, 0);
      assert.equal((await ledger.verify()).unseen, undefined);
      await ledger.close();
    });

    it('finds an altered block in those that are there', async () => {
      const bytes = await readFile(path('ledger-000004.jsonl'));
      const at = bytes.indexOf('"vmid":109');
      assert.ok(at > 0);
      bytes[at + 9] = 0x38;
      await writeFile(path('ledger-000004.jsonl'), bytes);
      assert.equal((await verify()).firstBad?.height, 10);
      await rm(path('index'), { recursive: true });
      const ledger = await open();
      assert.equal(ledger.tamperedAt?.height, 10);
      await ledger.close();
    });

    it('is read-only when the tree over them is gone as well', async () => {
      await rm(path('tile'), { recursive: true });
      await rm(path('index'), { recursive: true });
      const ledger = await open();
      assert.match(
        ledger.tamperedAt?.reason ?? '',
        /moved away, and the tree over them is not there.*put the segments back/,
      );
      await ledger.close();
    });

    it('cannot be held against a checkpoint by whoever has no tiles', async () => {
      const head = { tree_size: 20, sha256_root_hash: Buffer.alloc(32) };
      await assert.rejects(verifyLedger(readLedgerFile(path()), head), hasCode('Unavailable'));
    });

    it('says of a gap between two what it could not see', async () => {
      await rename(path('archive/ledger-000001.jsonl'), path('ledger-000001.jsonl'));
      assert.deepEqual((await verify()).unseen, [{ from: 3, to: 6 }]);
      const ledger = await open();
      assert.equal(ledger.stats().archived_blocks, 6, 'the service begins behind the gap');
      await ledger.close();
    });
  });

  it('takes a cut in an older segment for an alteration, checkpoint or not', async () => {
    await fill(12);
    await rm(path('checkpoint'));
    const bytes = await readFile(path('ledger-000002.jsonl'));
    await truncate(path('ledger-000002.jsonl'), bytes.length - 20);
    const ledger = await open();
    assert.equal(ledger.tamperedAt?.height, 5);
    await ledger.close();
  });

  it('moves to the evidence whole, and its files are committed to', async () => {
    await fill(12);
    await truncate(path(), 10);
    const altered = await open();
    assert.equal(altered.tampered, true);
    await altered.close();
    const names = await segments();
    const target = await moveEvidence(path());
    assert.deepEqual(
      (await readdir(target)).filter((name) => name.endsWith('.jsonl')).sort(),
      [...names, 'ledger.jsonl'].sort(),
    );
    const ledger = await open();
    assert.equal(ledger.tampered, false);
    assert.equal((await ledger.query({ action: 'evidence' })).length, names.length + 2);
    await ledger.close();
  });
});

describe('a segment that is full', () => {
  it('is kept while there is no room for the next, and that is said', async () => {
    const store = new MemoryLedgerStore();
    const ledger = await openLedger(store, { segmentBytes });
    for (let at = 0; at < 3; at++) await ledger.append(attach(100));
    store.faults.push('full');
    await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
    assert.match(ledger.segmentProblem?.message ?? '', /no space left/);
    assert.equal(ledger.blocks, 3);
    assert.equal((await ledger.append(attach(101))).height, 4);
    assert.equal(ledger.segmentProblem, null);
    assert.equal((await ledger.blockAt(3))?.action, 'segment');
    assert.equal(store.reopens, 0);
  });

  it('is followed by its block also when the first write into the new one fails', async () => {
    for (const fault of ['lost', 'landed', 'torn'] as const) {
      const store = new MemoryLedgerStore();
      const ledger = await openLedger(store, { segmentBytes });
      for (let at = 0; at < 3; at++) await ledger.append(attach(100));
      store.faults.push(fault);
      await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
      await ledger.append(attach(101));
      const actions = (await ledger.query({ order: 'oldest' })).map(({ action }) => action);
      assert.deepEqual(actions.slice(0, 4), ['attach', 'attach', 'attach', 'segment'], fault);
      assert.equal(actions.filter((action) => action === 'segment').length, 1);
      assert.equal((await ledger.verify()).valid, true);
    }
  });
});
