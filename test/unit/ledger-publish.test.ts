import assert from 'node:assert/strict';
import { checkProof } from '../../src/ledger/check-proof.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { StoredTree } from '../../src/ledger/stored-tree.ts';
import { openCheckpoint } from '../../src/ledger/tlog/checkpoint.ts';
import { AgentError } from '../../src/model/errors.ts';
import { attach, ledgerBytes, openLedger } from '../support/ledger-fixtures.ts';
import { hasCode } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { MemoryTreeFiles } from '../support/memory-tree-files.ts';
import { nodeKeys } from '../support/signed-logs.ts';
import { mth } from '../support/tlog-fixtures.ts';
import { waitFor } from '../support/wait-for.ts';

const [key] = nodeKeys;

function open(store: MemoryLedgerStore, files: MemoryTreeFiles, more: object = {}): Promise<Ledger> {
  return openLedger(store, { tree: new StoredTree(files), key, ...more });
}

/** The checkpoint on the disk, its signature checked; its root is that of the file by the letter of RFC 6962. */
function checkpointOn(files: MemoryTreeFiles, store: MemoryLedgerStore): number {
  const note = files.files.get('checkpoint');
  if (note === undefined) return 0;
  const { checkpoint } = openCheckpoint(note, [key.verifierKey]);
  const lines = store.disk.toString('latin1').split('\n').slice(0, checkpoint.tree_size);
  assert.deepEqual(checkpoint.sha256_root_hash, mth(lines.map((line) => Buffer.from(line, 'latin1'))));
  return checkpoint.tree_size;
}

async function checkEveryProof(ledger: Ledger): Promise<void> {
  for (let height = 0; height < ledger.blocks; height++) {
    const { block } = checkProof(await ledger.prove(height), { key: key.verifierKey, policy: null });
    assert.deepEqual(block, await ledger.blockAt(height));
  }
}

describe('publishing the tree of a ledger', () => {
  let store: MemoryLedgerStore;
  let files: MemoryTreeFiles;

  beforeEach(() => {
    store = new MemoryLedgerStore();
    files = new MemoryTreeFiles();
  });

  it('signs a checkpoint after so many blocks, and not before', async () => {
    const ledger = await open(store, files, { checkpointBlocks: 3 });
    for (let vmid = 100; vmid < 102; vmid++) await ledger.append(attach(vmid));
    await settled();
    assert.equal(checkpointOn(files, store), 0);
    await ledger.append(attach(102));
    await waitFor('the checkpoint', () => checkpointOn(files, store) === 3);
    assert.equal(ledger.stats().checkpoint, 3);
  });

  it('signs one when the time is over, once for the blocks of that time, and none when nothing was added', async () => {
    const timers: { delayMs: number; callback: () => void }[] = [];
    const clock = {
      after: (delayMs: number, callback: () => void) => {
        timers.push({ delayMs, callback });
        return () => undefined;
      },
    };
    const ledger = await open(store, files, { checkpointMs: 60_000, clock });
    assert.equal(timers.length, 0);
    await ledger.append(attach(100));
    await ledger.append(attach(101));
    await settled();
    assert.deepEqual(
      timers.map(({ delayMs }) => delayMs),
      [60_000],
    );
    timers[0]?.callback();
    await waitFor('the checkpoint', () => checkpointOn(files, store) === 2);
    const restarted = await open(store.restarted(), files, { checkpointMs: 60_000, clock });
    assert.equal(restarted.checkpoint?.head.tree_size, 2);
    assert.equal(timers.length, 1, 'everything is covered already');
  });

  it('signs one at a clean stop, over every block', async () => {
    const ledger = await open(store, files);
    await Promise.all([100, 101, 102].map((vmid) => ledger.append(attach(vmid))));
    await ledger.close();
    assert.equal(checkpointOn(files, store), 3);
    const writes = files.written.length;
    await (await open(store.restarted(), files)).close();
    assert.equal(files.written.length, writes, 'nothing new, nothing written');
  });

  it('signs nothing without a key, and nothing of an empty ledger', async () => {
    const keyless = await open(store, files, { key: null, checkpointBlocks: 1 });
    await keyless.append(attach(100));
    await keyless.close();
    await (await open(new MemoryLedgerStore(), files)).close();
    assert.equal(files.files.size, 0);
  });

  it('is not waited for by appends', async () => {
    files.replace = () => new Promise(() => undefined);
    const ledger = await open(store, files, { checkpointBlocks: 1 });
    for (let vmid = 100; vmid < 110; vmid++) await ledger.append(attach(vmid));
    assert.equal(ledger.blocks, 10);
  });

  it('covers the blocks that there were when it began, whatever is appended while it reads them', async () => {
    const ledger = await open(store, files);
    await ledger.append(attach(100));
    await ledger.append(attach(101));
    const read = store.read.bind(store);
    store.read = async function* (from, to) {
      store.read = read;
      await ledger.append(attach(102));
      yield* read(from, to);
    };
    await ledger.prove(1);
    assert.deepEqual([checkpointOn(files, store), ledger.blocks, ledger.checkpointProblem], [2, 3, null]);
    await checkEveryProof(ledger);
  });

  it('keeps only the partial tiles of the last checkpoint, and none where a tile is full', async () => {
    store = new MemoryLedgerStore(ledgerBytes(250));
    const ledger = await open(store, files, { checkpointBlocks: 1 });
    await ledger.prove(0);
    for (let vmid = 1000; vmid < 1010; vmid++) {
      await ledger.append(attach(vmid));
      await ledger.prove(ledger.blocks - 1);
    }
    await ledger.close();
    assert.deepEqual([...files.files.keys()].sort(), ['checkpoint', 'tile/0/000', 'tile/0/001.p/4', 'tile/1/000.p/1']);
    await checkEveryProof(await open(store.restarted(), files));
  });

  for (const landed of [false, true]) {
    const how = landed ? 'landed' : 'lost';
    it(`leaves nothing that the next run cannot go on from, cut off at any write (${how})`, async () => {
      let isThrough = false;
      for (let left = 0; !isThrough; left++) {
        store = new MemoryLedgerStore(ledgerBytes(255));
        files = new MemoryTreeFiles();
        await (await open(store, files)).close();
        Object.assign(files, { left, landed });
        store = store.restarted();
        const ledger = await open(store, files);
        await ledger.append(attach(300));
        await ledger.close();
        isThrough = ledger.checkpointProblem === null;
        assert.ok([255, 256].includes(checkpointOn(files, store)));

        files.left = Infinity;
        const next = await open(store.restarted(), files);
        assert.deepEqual([next.tampered, next.blocks], [false, 256]);
        await checkProofOf(next, [0, 100, 254, 255]);
      }
    });
  }

  it('tries again after a disk that failed, and says so meanwhile', async () => {
    files.left = 0;
    const ledger = await open(store, files, { checkpointBlocks: 1 });
    await ledger.append(attach(100));
    await waitFor('the problem', () => ledger.checkpointProblem !== null);
    assert.equal(ledger.checkpointProblem?.code, 'Unavailable');
    files.left = Infinity;
    await ledger.append(attach(101));
    await waitFor('the checkpoint', () => checkpointOn(files, store) === 2);
    assert.equal(ledger.checkpointProblem, null);
  });

  it('makes tiles anew that are missing or altered, at start and when a proof needs them', async () => {
    store = new MemoryLedgerStore(ledgerBytes(600));
    await (await open(store, files)).close();
    const good = new Map(files.files);
    for (const path of good.keys()) {
      if (path === 'checkpoint') continue;
      for (const damage of [null, Buffer.alloc(3), Buffer.alloc(good.get(path)!.length, 7)]) {
        files = new MemoryTreeFiles(good);
        if (damage === null) files.files.delete(path);
        else files.files.set(path, damage);
        const ledger = await open(store.restarted(), files);
        await checkProofOf(ledger, [0, 300, 599]);
        await ledger.append(attach(999));
        await checkProofOf(ledger, [0, 300, 599, 600]);
        await ledger.close();
        store = new MemoryLedgerStore(ledgerBytes(600));
      }
    }
  });

  it('never hands out a proof of a line that is not the one in the tree', async () => {
    store = new MemoryLedgerStore(ledgerBytes(5));
    const ledger = await open(store, files);
    await ledger.prove(4);
    const at = store.disk.indexOf('vi102');
    store.disk[at] = 0x58;
    await assert.rejects(ledger.prove(2), hasCode('Tampered'));
    await assert.rejects(ledger.prove(5), hasCode('NotFound'));
  });

  it('covers what the chain says when asked: size and root', async () => {
    const ledger = await open(store, files);
    assert.equal(ledger.treeHead().tree_size, 0);
    await ledger.append(attach(100));
    const line = store.disk.subarray(0, -1);
    assert.deepEqual(ledger.treeHead(), { tree_size: 1, sha256_root_hash: mth([line]) });
  });
});

describe('a ledger whose checkpoint is held', () => {
  const bytes = ledgerBytes(4);
  const cut = ledgerBytes(3).length;

  /** A checkpoint over the first three of four blocks. */
  async function checkpointed(): Promise<MemoryTreeFiles> {
    const files = new MemoryTreeFiles();
    await (await open(new MemoryLedgerStore(bytes.subarray(0, cut)), files)).close();
    return files;
  }

  it('is tampered when it is cut anywhere before the checkpoint, at a block or within one', async () => {
    const files = await checkpointed();
    for (let length = 0; length < bytes.length; length++) {
      const store = new MemoryLedgerStore(bytes.subarray(0, length));
      const ledger = await open(store, files);
      assert.equal(ledger.tampered, length < cut, `cut to ${length} bytes`);
      if (length >= cut) continue;
      assert.ok(store.disk.equals(bytes.subarray(0, length)), 'evidence stays as it is');
      assert.match(ledger.tamperedAt?.reason ?? '', /the checkpoint covers 3 blocks/);
      await assert.rejects(ledger.append(attach(200)), hasCode('Tampered'));
    }
  });

  it('is tampered when a byte at or before the checkpoint is flipped; beyond it the rest moves aside', async () => {
    const files = await checkpointed();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 0x10;
      const store = new MemoryLedgerStore(flipped);
      const ledger = await open(store, files);
      assert.equal(ledger.tampered, at < cut, `byte ${at}`);
      if (at < cut) {
        assert.equal(ledger.tamperedAt?.height, [...bytes.subarray(0, at)].filter((byte) => byte === 0x0a).length);
      } else assert.ok(store.sides.get('ledger.torn')?.equals(flipped.subarray(cut)));
    }
  });

  it('moves whole blocks aside as well that stand behind a bad line beyond the checkpoint', async () => {
    const files = await checkpointed();
    const tail = Buffer.from(ledgerBytes(6).subarray(cut));
    tail[20]! ^= 1;
    const store = new MemoryLedgerStore(Buffer.concat([bytes.subarray(0, cut), tail]));
    const ledger = await open(store, files);
    assert.equal(ledger.tampered, false);
    assert.ok(store.sides.get('ledger.torn')?.equals(tail));
    assert.deepEqual((await ledger.blockAt(3))?.data['length'], tail.length);
  });

  it('is tampered when a whole new chain took its place', async () => {
    const files = await checkpointed();
    const store = new MemoryLedgerStore();
    const forger = await openLedger(store);
    for (let vmid = 500; vmid < 505; vmid++) await forger.append(attach(vmid));
    const ledger = await open(store.restarted(), files);
    assert.equal(ledger.tampered, true);
    assert.match(ledger.tamperedAt?.reason ?? '', /rewritten/);
    const before = files.files.get('checkpoint');
    await ledger.close();
    assert.equal(files.files.get('checkpoint'), before, 'nothing is signed of a ledger that was altered');
  });

  it('is tampered when the checkpoint is no checkpoint, and stays as it is', async () => {
    const torn = Buffer.concat([bytes, Buffer.from('torn')]);
    const store = new MemoryLedgerStore(torn);
    const ledger = await open(store, new MemoryTreeFiles([['checkpoint', Buffer.from('hello\n')]]));
    assert.equal(ledger.tampered, true);
    assert.match(ledger.tamperedAt?.reason ?? '', /checkpoint is damaged/);
    assert.ok(store.disk.equals(torn));
  });

  it('opens under another key, and is signed with that from then on', async () => {
    const files = await checkpointed();
    const store = new MemoryLedgerStore(bytes);
    const ledger = await open(store, files, { key: nodeKeys[1] });
    assert.equal(ledger.tampered, false);
    await ledger.close();
    const note = files.files.get('checkpoint')!;
    assert.equal(openCheckpoint(note, [nodeKeys[1].verifierKey]).checkpoint.tree_size, 4);
    assert.throws(() => openCheckpoint(note, [key.verifierKey]), AgentError);
  });
});

async function checkProofOf(ledger: Ledger, heights: readonly number[]): Promise<void> {
  for (const height of heights) {
    const { block } = checkProof(await ledger.prove(height), { key: key.verifierKey, policy: null });
    assert.equal(block.height, height);
  }
}

/** Appends run their listeners a few turns later. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}
