import assert from 'node:assert/strict';
import type { ListedPort } from '../../src/interfaces/managed-block.ts';
import type { Block } from '../../src/ledger/block.ts';
import type { ListingFile } from '../../src/ports/contracts.ts';
import { ListingWriter } from '../../src/ports/listing.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';
import { unrecorded } from '../support/unrecorded.ts';

describe('the writer of the managed block', () => {
  function world() {
    const clock = new FakeClock();
    const writes: number[] = [];
    /** Ends the write under way. */
    let end: (error?: Error) => void = () => undefined;
    let ports: ListedPort[] | null = [];
    const listing = {
      look: () => Promise.resolve(new Map()),
      update: () => {
        writes.push(clock.nowMs());
        return new Promise<{ state: 'present'; foreign: [] }>((resolve, reject) => {
          end = (error) => {
            if (error === undefined) resolve({ state: 'present', foreign: [] });
            else reject(error);
          };
        });
      },
    };
    const writer = new ListingWriter({ listing, clock, journal: unrecorded }, () => ports);
    const startMs = clock.nowMs();
    return {
      clock,
      writer,
      writesMs: () => writes.map((atMs) => atMs - startMs),
      end: async (error?: Error) => {
        end(error);
        await settled();
      },
      loseSwitch: () => {
        ports = null;
      },
      findSwitch: () => {
        ports = [];
      },
    };
  }

  it('gathers what comes within 100 ms in one write', async () => {
    const { clock, writer, writesMs, end } = world();
    for (let change = 0; change < 5; change++) {
      writer.request();
      await clock.advance(20);
    }
    await end();
    await clock.advance(1000);
    assert.deepEqual(writesMs(), [100]);
  });

  it('writes once more what comes during a write, right after it', async () => {
    const { clock, writer, writesMs, end } = world();
    writer.request();
    await clock.advance(150);
    writer.request();
    writer.request();
    await end();
    assert.deepEqual(writesMs(), [100, 150]);
    await end();
    await clock.advance(1000);
    assert.deepEqual(writesMs(), [100, 150]);
  });

  it('does not wait any longer when somebody waits for it, as at the end', async () => {
    const { clock, writer, writesMs, end } = world();
    writer.request();
    let isSettled = false;
    const waiting = writer.settled().then(() => {
      isSettled = true;
    });
    await settled();
    assert.deepEqual([writesMs(), isSettled], [[0], false]);
    await end();
    await waiting;
    await clock.advance(1000);
    assert.deepEqual(writesMs(), [0]);
  });

  it('keeps the reason of a failure until a write succeeds', async () => {
    const { clock, writer, end } = world();
    writer.request();
    await clock.advance(100);
    await end(new Error('full disk'));
    assert.equal(writer.outcome.error?.message, 'full disk');
    writer.request();
    await clock.advance(100);
    await end();
    assert.deepEqual(writer.outcome, { state: 'present', foreign: [], error: null });
  });

  it('leaves the block as it is while the switch cannot be read, and writes it when it can be', async () => {
    const { clock, writer, writesMs, loseSwitch, findSwitch } = world();
    loseSwitch();
    writer.request();
    await clock.advance(1000);
    await writer.settled();
    assert.deepEqual(writesMs(), []);
    findSwitch();
    writer.request();
    await clock.advance(100);
    assert.deepEqual(writesMs(), [1100]);
  });

  describe('when the last run left a write in doubt', () => {
    const path = '/etc/network/interfaces';
    const pending = `${path}.new`;
    const listed = ['vi100', 'vi101'];

    function blockOf(file: string, more: object = {}): Block {
      const data = { file, before: { sha256: 'old' }, after: { sha256: 'new' }, listed, listed_count: 2, ...more };
      const place = { height: 7, prev_hash: '', timestamp: '', hash: '' };
      return { ...place, category: 'netcfg', action: 'write', metadata: {}, data };
    }

    /** Why the block is abandoned; none when it is not. */
    async function settle(block: Block, files: Record<string, ListingFile> | null): Promise<string[]> {
      const reasons: string[] = [];
      const listing = {
        look: () =>
          files === null ? Promise.reject(new Error('EIO')) : Promise.resolve(new Map(Object.entries(files))),
        update: () => Promise.reject(new Error('nothing is written')),
      };
      const writer = new ListingWriter({ listing, clock: new FakeClock(), journal: unrecorded }, () => []);
      const recorder = {
        inDoubt: () => [block],
        abandon: (_block: Block, reason: string) => {
          reasons.push(reason);
          return Promise.resolve(block);
        },
      };
      await writer.settleInDoubt(recorder);
      await writer.settleInDoubt(recorder);
      return reasons;
    }

    it('says nothing of a file that has it', async () => {
      assert.deepEqual(await settle(blockOf(path), { [path]: { sha256: 'new', listed } }), []);
    });

    it('says once that it was abandoned when the file is as it was', async () => {
      const reasons = await settle(blockOf(path), { [path]: { sha256: 'old', listed: [] } });
      assert.deepEqual(reasons, ['the file is as it was before']);
    });

    it('says so when the file is gone', async () => {
      assert.deepEqual(await settle(blockOf(path), {}), ['the file is not there']);
    });

    it('knows pending changes that were applied since', async () => {
      assert.deepEqual(await settle(blockOf(pending), { [path]: { sha256: 'new', listed } }), []);
    });

    it('goes by the ports that are listed when somebody else wrote the file since', async () => {
      assert.deepEqual(await settle(blockOf(path), { [path]: { sha256: 'other', listed: ['vi101', 'vi100'] } }), []);
      for (const other of [['vi100'], ['vi100', 'vi102'], ['vi100', 'vi101', 'vi102']]) {
        assert.deepEqual(await settle(blockOf(path), { [path]: { sha256: 'other', listed: other } }), [
          'the file does not list these ports, and somebody else wrote it since',
        ]);
      }
    });

    it('leaves it in doubt while the files cannot be read', async () => {
      assert.deepEqual(await settle(blockOf(path), null), []);
    });

    it('leaves blocks of other kinds alone', async () => {
      assert.deepEqual(await settle({ ...blockOf(path), category: 'port' }, {}), []);
    });
  });
});
