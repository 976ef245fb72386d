import assert from 'node:assert/strict';
import type { ListedPort } from '../../src/interfaces/managed-block.ts';
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
});
