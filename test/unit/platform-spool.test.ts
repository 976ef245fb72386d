import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { AgentError } from '../../src/model/errors.ts';
import { drainSpool } from '../../src/platform/spool.ts';
import type { SpooledEvent } from '../../src/platform/spool.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const file = (vmid: number, phase: string, reason = 'no answer within 1.5 s'): string =>
  `vmid=${vmid}\nphase=${phase}\ntime=2025-10-14T12:00:00Z\nreason=${reason}\n`;

describe('the spool', () => {
  const folder = temporaryFolder();
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder(), name), text);
  };
  /** What was handed over, and what is left. */
  async function drain(refuse: (event: SpooledEvent) => Error | null = () => null) {
    const taken: SpooledEvent[] = [];
    const refused = await drainSpool(folder(), (event) => {
      const error = refuse(event);
      if (error !== null) return Promise.reject(error);
      taken.push(event);
      return Promise.resolve();
    });
    return { taken, refused, left: readdirSync(folder()) };
  }

  it('hands over what the hook wrote, oldest first, and is empty afterwards', async () => {
    put('1760443201-7-101-pre-start', file(101, 'pre-start'));
    put('1760443200-9-100-post-start', file(100, 'post-start'));
    const { taken, refused, left } = await drain();
    assert.deepEqual(taken, [
      { vmid: '100', phase: 'post-start', time: '2025-10-14T12:00:00Z', reason: 'no answer within 1.5 s' },
      { vmid: '101', phase: 'pre-start', time: '2025-10-14T12:00:00Z', reason: 'no answer within 1.5 s' },
    ]);
    assert.deepEqual([refused, left], [[], []]);
  });

  it('is nothing when no hook ever wrote to it', async () => {
    assert.deepEqual(await drainSpool(join(folder(), 'missing'), () => Promise.reject(new Error('asked'))), []);
  });

  it('leaves alone what is still being written', async () => {
    put('.1760443200-9-100-post-start', 'vmid=1');
    const { taken, left } = await drain();
    assert.deepEqual([taken, left], [[], ['.1760443200-9-100-post-start']]);
  });

  it('keeps an event that could not be recorded now, and all behind it', async () => {
    for (const number of [1, 2, 3]) put(String(number), file(100 + number, 'post-start'));
    const full = new AgentError('Unavailable', 'disk full');
    await assert.rejects(
      drain(({ vmid }) => (vmid === '102' ? full : null)),
      full,
    );
    assert.deepEqual(readdirSync(folder()), ['2', '3']);
    assert.deepEqual(
      (await drain()).taken.map(({ vmid }) => vmid),
      ['102', '103'],
    );
  });

  it('sets aside what is no event, names it, and goes on with the rest', async () => {
    put('1', 'garbage');
    put('2', file(100, 'post-start'));
    const { taken, refused, left } = await drain(({ vmid }) =>
      vmid === '' ? new AgentError('InvalidArgument', 'vmid "" is not valid') : null,
    );
    assert.deepEqual([taken.length, left], [1, ['.refused-1']]);
    assert.match(refused[0]!, /\/1 is no event of a hook: vmid "" is not valid; kept as .*\/\.refused-1$/);
    assert.deepEqual((await drain()).taken, [], 'and does not read it again');
  });

  it('sets aside what cannot be read, and goes on with the rest', async () => {
    mkdirSync(join(folder(), '0'));
    put('1', file(100, 'post-start'));
    const { taken, refused, left } = await drain();
    assert.deepEqual([taken.length, left], [1, ['.refused-0']]);
    assert.match(refused[0]!, /\/0 is no event of a hook: it cannot be read: EISDIR/);
  });

  it('hands over text for every field, whatever is in a file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), async (text) => {
        put('1', text);
        const { taken, left } = await drain();
        assert.deepEqual(left, []);
        for (const value of Object.values(taken[0]!)) assert.equal(typeof value, 'string');
      }),
      { numRuns: 50 },
    );
  });
});
