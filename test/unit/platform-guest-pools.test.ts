import assert from 'node:assert/strict';
import { AgentError } from '../../src/model/errors.ts';
import { parseVmid } from '../../src/model/names.ts';
import type { Vmid } from '../../src/model/names.ts';
import { GuestPools } from '../../src/platform/guest-pools.ts';
import { readOneByOne } from '../support/guests-one-by-one.ts';
import { guestOf } from '../support/ports-fixtures.ts';

const vmid = parseVmid(100);

describe('the pools that policies ask for', () => {
  let answer: ReadonlyMap<Vmid, string> | AgentError;
  let reads: number;
  let pools: GuestPools;
  beforeEach(() => {
    answer = new Map([[vmid, 'web']]);
    reads = 0;
    pools = new GuestPools({
      poolsOfGuests: () => {
        reads++;
        return answer instanceof AgentError ? Promise.reject(answer) : Promise.resolve(answer);
      },
    });
  });
  const guests = () =>
    pools.before(readOneByOne({ list: () => Promise.resolve([vmid]), read: (of) => Promise.resolve(guestOf(of)) }));

  it('are read before the guests are, once for all of them', async () => {
    assert.equal(pools.problem, 'they were not read yet');
    assert.deepEqual(await guests().list(), [vmid]);
    assert.deepEqual([pools.problem, pools.poolOf(vmid), pools.poolOf(parseVmid(101))], [null, 'web', null]);
    answer = new Map([[vmid, 'db']]);
    const read = await Promise.all([100, 101, 102].map((of) => guests().read(parseVmid(of))));
    assert.deepEqual([read[2]?.vmid, pools.poolOf(vmid), reads], [102, 'db', 2]);
    answer = new Map([[vmid, 'mail']]);
    assert.deepEqual([...(await guests().readMany([vmid])).keys(), pools.poolOf(vmid), reads], [vmid, 'mail', 3]);
  });

  it('stay known while they cannot be read, and are a problem until they were read once', async () => {
    const list = (): Promise<Vmid[]> => guests().list();
    answer = new AgentError('Unavailable', 'cannot read user.cfg');
    await list();
    assert.deepEqual([pools.problem, pools.poolOf(vmid)], ['cannot read user.cfg', null]);
    answer = new Map([[vmid, 'web']]);
    await list();
    answer = new AgentError('Unavailable', 'cannot read user.cfg');
    await list();
    assert.deepEqual([pools.problem, pools.poolOf(vmid)], [null, 'web']);
  });
});
