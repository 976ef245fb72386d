/** What every `LedgerStore` must do; run against the one in memory and the one on disk. */
import assert from 'node:assert/strict';
import type { LedgerStore } from '../../src/ledger/store.ts';
import { AgentError } from '../../src/model/errors.ts';

interface StoreUnderTest {
  /** Opens the store, anew each time, on what the last one left. */
  open(): Promise<LedgerStore>;
  /** The bytes of the ledger, seen from outside. */
  bytes(): Promise<Buffer>;
}

export function ledgerStoreSuite(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a LedgerStore`, () => {
    let under: StoreUnderTest;
    let store: LedgerStore;

    beforeEach(async () => {
      under = await make();
      store = await under.open();
    });
    afterEach(async () => {
      await store.close();
    });

    const append = async (text: string): Promise<void> => {
      assert.deepEqual(await store.append(Buffer.from(text)), { kind: 'durable' });
    };
    const again = async (): Promise<void> => {
      await store.close();
      store = await under.open();
    };

    it('begins empty, without side files', async () => {
      assert.equal(store.size, 0);
      assert.equal(await text(store.read(0, 100)), '');
      assert.deepEqual(await store.sideFiles(), []);
    });

    it('keeps appended bytes in order, over a restart too', async () => {
      await append('one\n');
      await append('two\n');
      assert.equal(store.size, 8);
      await again();
      assert.equal(store.size, 8);
      assert.equal(await text(store.read(0, store.size)), 'one\ntwo\n');
      assert.equal((await under.bytes()).toString(), 'one\ntwo\n');
    });

    it('reads a part, and ends where the file ends', async () => {
      await append('0123456789\n');
      assert.equal(await text(store.read(2, 5)), '234');
      assert.equal(await text(store.read(9, 1_000)), '9\n');
      assert.equal(await text(store.read(50, 60)), '');
    });

    it('reads more than one chunk', async () => {
      const long = 'abcdefg\n'.repeat(100_000);
      await append(long);
      assert.equal(await text(store.read(0, store.size)), long);
    });

    it('moves a tail to the end of the side file', async () => {
      await append('good\ntorn 1');
      await store.moveTail(5);
      assert.equal(store.size, 5);
      await append('better\n');
      await append('torn 2');
      await store.moveTail(12);
      assert.equal((await under.bytes()).toString(), 'good\nbetter\n');
      const sides = await store.sideFiles();
      assert.deepEqual(
        sides.map(({ kind, size }) => ({ kind, size })),
        [{ kind: 'torn', size: 12 }],
      );
      assert.equal(await text(store.readSide(sides[0]!.name, 0, 12)), 'torn 1torn 2');
      assert.equal(await text(store.readSide(sides[0]!.name, 6, 12)), 'torn 2');
    });

    it('goes on in a new segment, and reads over all, over a restart too', async () => {
      assert.equal(store.lastSegment, null);
      await append('one\n');
      assert.deepEqual(await store.rotate(), { kind: 'rotated' });
      assert.deepEqual([store.size, store.start, store.activeStart], [4, 0, 4]);
      assert.equal(store.lastSegment, 'ledger-000001.jsonl');
      const second = `${beginning('ledger-000001.jsonl', 4)}two\n`;
      await append(second);
      await store.rotate();
      const third = beginning('ledger-000002.jsonl', 4 + second.length);
      await append(`${third}torn`);
      const whole = `one\n${second}${third}`;
      await store.moveTail(whole.length);
      const check = async (): Promise<void> => {
        assert.equal(await text(store.read(0, 1_000)), whole);
        assert.equal(await text(store.read(2, whole.length - 3)), whole.slice(2, -3));
        for (const [from, to] of [
          [2, whole.length - 3],
          [5, 8],
          [whole.length - 5, whole.length],
        ] as const) {
          // prettier-ignore
          assert.equal((await store.readAt(from, to)).toString(), whole.slice(from, to));
        }
        assert.deepEqual([store.size, store.activeStart], [whole.length, 4 + second.length]);
        assert.equal(store.lastSegment, 'ledger-000002.jsonl');
      };
      await check();
      await store.reopen();
      await check();
      await again();
      await check();
      await append('five\n');
      assert.equal(await text(store.read(0, 1_000)), `${whole}five\n`);
    });

    it('sets the whole ledger aside and begins an empty one', async () => {
      await append('older\n');
      await store.setAside('0123abcd');
      assert.equal(store.size, 0);
      await append('newer\n');
      await again();
      assert.equal((await under.bytes()).toString(), 'newer\n');
      const sides = await store.sideFiles();
      assert.equal(sides.length, 1);
      assert.equal(sides[0]!.kind, 'imported');
      assert.match(sides[0]!.name, /\.imported-0123abcd\.jsonl$/);
      assert.equal(await text(store.readSide(sides[0]!.name, 0, 100)), 'older\n');
    });

    it('never sets a ledger aside over another', async () => {
      await append('first\n');
      await store.setAside('0123abcd');
      await append('second\n');
      await assert.rejects(store.setAside('0123abcd'), hasCode('Conflict'));
      assert.equal((await under.bytes()).toString(), 'second\n');
    });

    it('says when a side file is not there', async () => {
      await assert.rejects(text(store.readSide('ledger.imported-00000000.jsonl', 0, 1)), hasCode('NotFound'));
    });

    it('goes on after reopen with the length on the disk', async () => {
      await append('one\n');
      await store.reopen();
      assert.equal(store.size, 4);
      await append('two\n');
      assert.equal((await under.bytes()).toString(), 'one\ntwo\n');
    });
  });
}

/** For `assert.rejects`: an `AgentError` of this code. */
export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AgentError && error.code === code;
}

/** A line that begins a segment, as far as a store looks at it. */
function beginning(file: string, offset: number): string {
  return `${JSON.stringify({ action: 'segment', metadata: { plugin: 'ledger' }, data: { file, offset } })}\n`;
}

async function text(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts).toString();
}
