import assert from 'node:assert/strict';
import fs from 'node:fs';
import { appendFile, mkdir, open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import sinon from 'sinon';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { openLedgerFile, readLedgerFile } from '../../src/platform/ledger-file.ts';
import { attach, ledgerBytes, openLedger } from '../support/ledger-fixtures.ts';
import { atOnce } from '../support/ledger-scenarios.ts';
import { hasCode, ledgerStoreSuite } from '../support/ledger-store-suite.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { temporaryFolder, withTmpfs } from '../support/temporary-folder.ts';

const folder = temporaryFolder();
const ledgerPath = (): string => join(folder(), 'ledger.jsonl');

ledgerStoreSuite('the file store', () =>
  Promise.resolve({ open: () => openLedgerFile(ledgerPath()), bytes: () => readFile(ledgerPath()) }),
);

ledgerStoreSuite('the file store on a disk that is waited for at once', () =>
  Promise.resolve({ open: () => openLedgerFile(ledgerPath(), atOnce), bytes: () => readFile(ledgerPath()) }),
);

ledgerStoreSuite('the store in memory', () => {
  let store = new MemoryLedgerStore();
  return Promise.resolve({
    open: () => Promise.resolve((store = store.restarted())),
    bytes: () => Promise.resolve(store.disk),
  });
});

describe('the file of a ledger', () => {
  afterEach(() => {
    sinon.restore();
  });

  it('is created for root and its group, side file included', async () => {
    const store = await openLedgerFile(ledgerPath());
    await store.append(Buffer.from('torn'));
    await store.moveTail(0);
    await store.close();
    for (const name of ['ledger.jsonl', 'ledger.torn']) {
      assert.equal((await stat(join(folder(), name))).mode & 0o777 & ~0o640, 0, name);
    }
  });

  it('is not opened where there is no folder, or something else', async () => {
    await assert.rejects(openLedgerFile(join(folder(), 'no', 'ledger.jsonl')), (error) => {
      assert.ok(hasCode('Unavailable')(error));
      return /cannot open .*no\/ledger.jsonl: ENOENT/.test(String(error));
    });
    await mkdir(ledgerPath());
    await assert.rejects(openLedgerFile(ledgerPath()), hasCode('Unavailable'));
    await assert.rejects(openLedgerFile('/dev/null'), hasCode('InvalidArgument'));
  });

  it('has side files of its own name only', async () => {
    for (const name of ['other.torn', 'ledger.torn.bak', 'ledger.imported-0123.jsonl', 'ledger-000001.jsonl']) {
      await writeFile(join(folder(), name), 'x');
    }
    await writeFile(join(folder(), 'ledger.torn'), 'xy');
    const store = await openLedgerFile(ledgerPath());
    assert.deepEqual(await store.sideFiles(), [{ kind: 'torn', name: 'ledger.torn', size: 2 }]);
    await store.close();
  });

  it('writes on after a short write at once', async () => {
    const store = await openLedgerFile(ledgerPath(), atOnce);
    const real = fs.writeSync;
    const write = sinon.replace(
      fs,
      'writeSync',
      sinon.fake((fd: number, bytes: Buffer, from: number, length: number) =>
        real(fd, bytes, from, Math.min(length, 3)),
      ) as never,
    );
    syncBuiltinESMExports();
    try {
      assert.deepEqual(await store.append(Buffer.from('0123456789\n')), { kind: 'durable' });
    } finally {
      sinon.restore();
      syncBuiltinESMExports();
    }
    assert.equal((write as unknown as sinon.SinonSpy).callCount, 4);
    assert.equal(await readFile(ledgerPath(), 'utf8'), '0123456789\n');
    await store.close();
  });

  it('writes on after a short write', async () => {
    const store = await openLedgerFile(ledgerPath());
    const prototype = await handlePrototype();
    const real = Reflect.get(prototype, 'write') as (bytes: Buffer, from: number, length: number) => Promise<unknown>;
    const write = sinon.stub(prototype, 'write').callsFake(function (this: FileHandle, ...args: unknown[]) {
      const [bytes, from, length] = args as [Buffer, number, number];
      return real.call(this, bytes, from, Math.min(length, 3)) as never;
    });
    await store.append(Buffer.from('0123456789\n'));
    sinon.restore();
    assert.equal(write.callCount, 4);
    assert.equal(await readFile(ledgerPath(), 'utf8'), '0123456789\n');
    await store.close();
  });

  for (const call of ['write', 'datasync'] as const) {
    it(`accepts nothing after an I/O error of ${call} until it was opened anew`, async () => {
      const store = await openLedgerFile(ledgerPath());
      const stub = sinon.stub(await handlePrototype(), call).rejects(errno('EIO'));
      await assert.rejects(store.append(Buffer.from('one\n')), /cannot append to .*EIO/);
      stub.restore();
      await assert.rejects(store.append(Buffer.from('two\n')), /must be opened and verified first/);
      await assert.rejects(store.moveTail(0), hasCode('Unavailable'));
      await store.reopen();
      await store.append(Buffer.from('three\n'));
      assert.equal(await readFile(ledgerPath(), 'utf8'), call === 'write' ? 'three\n' : 'one\nthree\n');
      await store.close();
    });
  }

  it('lets the ledger go on after a sync that failed, and keeps what was not acknowledged', async () => {
    const ledger = await openLedger(await openLedgerFile(ledgerPath()));
    await ledger.append(attach(100));
    const stub = sinon.stub(await handlePrototype(), 'datasync').rejects(errno('EIO'));
    await assert.rejects(ledger.append(attach(101)), hasCode('Unavailable'));
    stub.restore();
    const block = await ledger.append(attach(102));
    assert.equal(block.height, 2);
    assert.equal((await ledger.blockAt(1))?.action, 'torn');
    assert.match(await readFile(join(folder(), 'ledger.torn'), 'utf8'), /"vmid":101.*\n$/);
    assert.equal((await verifyLedger(readLedgerFile(ledgerPath()), null)).blocks, 3);
    await ledger.close();
  });

  it('leaves the tail where it is when its copy cannot be made durable', async () => {
    const torn = Buffer.concat([ledgerBytes(1), Buffer.from('torn')]);
    await writeFile(ledgerPath(), torn);
    const store = await openLedgerFile(ledgerPath());
    const stub = sinon.stub(await handlePrototype(), 'sync').rejects(errno('EIO'));
    await assert.rejects(store.moveTail(torn.length - 4), hasCode('Unavailable'));
    stub.restore();
    assert.deepEqual(await readFile(ledgerPath()), torn);
    await store.close();
  });

  const meddling: [string, (path: string) => Promise<void>, string][] = [
    ['is appended to by somebody else', (path) => appendFile(path, 'foreign\n'), 'Unavailable'],
    ['is cut by somebody else', (path) => truncate(path, 100), 'Tampered'],
    ['is replaced by a shorter one', replace(ledgerBytes(1)), 'Tampered'],
    ['is replaced by the same bytes', replace(ledgerBytes(2)), 'Unavailable'],
    ['is removed', (path) => rm(path), 'Tampered'],
  ];
  for (const [what, meddle, answer] of meddling) {
    it(`is not written to blindly when it ${what}`, async () => {
      await writeFile(ledgerPath(), ledgerBytes(2));
      const ledger = await openLedger(await openLedgerFile(ledgerPath()));
      await meddle(ledgerPath());
      await assert.rejects(ledger.append(attach(200)), hasCode('Unavailable'), 'not acknowledged');
      if (answer === 'Tampered') {
        await assert.rejects(ledger.append(attach(201)), hasCode('Tampered'));
      } else {
        await ledger.append(attach(201));
        assert.equal((await verifyLedger(readLedgerFile(ledgerPath()), null)).valid, true);
      }
      await ledger.close();
    });
  }

  it('refuses blocks while the disk is full, keeps the chain whole, and goes on when there is room', async () => {
    await withTmpfs(folder(), 'size=64k', async (remount) => {
      const ledger = await openLedger(await openLedgerFile(ledgerPath()));
      const acknowledged: string[] = [];
      const fill = async (): Promise<void> => {
        for (;;) acknowledged.push((await ledger.append(attach(100, { data: { text: 'x'.repeat(3_000) } }))).hash);
      };
      await assert.rejects(fill(), (error) => hasCode('Unavailable')(error) && /ENOSPC/.test(String(error)));
      assert.ok(acknowledged.length > 5);
      const full = await verifyLedger(readLedgerFile(ledgerPath()), null);
      assert.deepEqual([full.valid, full.blocks], [true, acknowledged.length]);
      await assert.rejects(ledger.append(attach(100, { data: { text: 'x'.repeat(9_000) } })), hasCode('Unavailable'));

      await remount('size=256k');
      acknowledged.push((await ledger.append(attach(101))).hash);
      const blocks = await ledger.query({ order: 'oldest' });
      assert.deepEqual(
        blocks.map(({ hash }) => hash),
        acknowledged,
      );
      await ledger.close();
      const again = await openLedger(await openLedgerFile(ledgerPath()));
      assert.equal(again.blocks, acknowledged.length);
      await again.close();
    });
  });

  it('opens with a torn tail on a full disk, which moves once there is room', async () => {
    await withTmpfs(folder(), 'size=64k', async (remount) => {
      await writeFile(ledgerPath(), Buffer.concat([ledgerBytes(2), Buffer.alloc(5_000, 'x')]));
      const filler = await open(join(folder(), 'filler'), 'w');
      await assert.rejects(filler.writeFile(Buffer.alloc(100_000)), /ENOSPC/);
      await filler.close();
      const ledger = await openLedger(await openLedgerFile(ledgerPath()));
      assert.deepEqual([ledger.blocks, ledger.tampered], [2, false]);
      await assert.rejects(ledger.append(attach(102)), hasCode('Unavailable'));
      await remount('size=256k');
      assert.equal((await ledger.append(attach(102))).height, 3);
      assert.equal((await ledger.verify()).valid, true);
      await ledger.close();
    });
  });

  it('is read for verification beside its writer, also in the middle of a line', async () => {
    const bytes = ledgerBytes(3);
    await writeFile(ledgerPath(), bytes.subarray(0, -100));
    const verified = verifyLedger(readLedgerFile(ledgerPath()), null);
    await appendFile(ledgerPath(), bytes.subarray(-100));
    assert.deepEqual([(await verified).valid, (await verified).blocks], [true, 3]);
  });

  it('is read for verification as torn when nobody finishes it', async () => {
    await writeFile(ledgerPath(), ledgerBytes(3).subarray(0, -100));
    const { valid, blocks, firstBad } = await verifyLedger(readLedgerFile(ledgerPath()), null);
    assert.deepEqual([valid, blocks, firstBad?.torn], [false, 2, true]);
  });

  it('is said to be missing when it is', async () => {
    await assert.rejects(verifyLedger(readLedgerFile(ledgerPath()), null), hasCode('NotFound'));
  });
});

function replace(bytes: Buffer): (path: string) => Promise<void> {
  return async (path) => {
    await writeFile(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
  };
}

/** All file handles share it, so that a stub reaches the one inside the store. */
async function handlePrototype(): Promise<FileHandle> {
  const handle = await open('/dev/null');
  await handle.close();
  return Object.getPrototypeOf(handle) as FileHandle;
}

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
