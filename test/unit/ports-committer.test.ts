import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Block } from '../../src/ledger/block.ts';
import { AgentError } from '../../src/model/errors.ts';
import type { Recorder } from '../../src/ports/contracts.ts';
import { Committer } from '../../src/ports/committer.ts';
import type { Committed } from '../../src/ports/committer.ts';
import type { Change } from '../../src/ports/change.ts';
import { draftOf, WriteAhead } from '../../src/ports/journal.ts';
import type { PortChange } from '../../src/ports/plan.ts';
import { plannedChange } from '../../src/ports/record.ts';
import { SwitchView } from '../../src/ports/switch-view.ts';
import { FakeClock, settled } from '../support/fake-clock.ts';
import { openLedger } from '../support/ledger-fixtures.ts';
import { MemoryLedgerStore } from '../support/memory-ledger-store.ts';
import { MemorySwitch } from '../support/memory-switch.ts';
import { cause, cluster, wantedOf } from '../support/ports-fixtures.ts';
import { refusedWith } from '../support/refused.ts';

/** A committer over a switch and a ledger in memory. */
async function start(options: { recorder?: Recorder } = {}) {
  const ovs = new MemorySwitch('ovsbr0', 'ovsbr1');
  const clock = new FakeClock();
  const view = new SwitchView(() => ovs.reader);
  const ledger = await openLedger(new MemoryLedgerStore());
  const gaps: AgentError[] = [];
  const told: Change[] = [];
  let txns = 0;
  const recorder = options.recorder ?? ledger;
  const committer: Committer = new Committer({
    switch: ovs,
    view,
    recorder,
    journal: new WriteAhead({
      recorder,
      host: 'pve1',
      settle: () => committer.settleInDoubt(),
      onLedgerGap: (error) => gaps.push(error),
    }),
    clock,
    cluster: () => cluster,
    newTxn: () => `txn${++txns}`,
    onCommitted: (change) => told.push(change),
  });
  view.apply(ovs.contents());
  ovs.onChanges = (changes) => {
    view.apply(changes);
    committer.onSwitchChanged();
  };
  const blocks = async (): Promise<string[]> =>
    (await ledger.query({ order: 'oldest', limit: 1000 })).map(
      ({ action, data, category }: Block) =>
        `${category === 'port' ? '' : `${category} `}${action} ${JSON.stringify(data['port'] ?? data['height'] ?? '').replaceAll('"', '')}`,
    );
  return { ovs, clock, view, ledger, gaps, told, committer, blocks };
}

const attach = (vmid: number, bridge = 'ovsbr0'): PortChange => ({
  kind: 'attach',
  wanted: wantedOf(vmid, 0, { bridge }),
  after: [],
});
/** A bridge that is not there: the switch refuses it. */
const bad = (vmid: number): PortChange => attach(vmid, 'ovsbr9');
/** Long enough for a ledger in memory and a transaction. */
async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await settled();
}

describe('the committer', () => {
  it('has the block durable before the switch is told, and names it in the transaction', async () => {
    const { ovs, ledger, committer } = await start();
    let open!: () => void;
    ovs.gate = new Promise((resolve) => (open = resolve));
    const done = committer.commit([attach(100)], cause);
    await turns();
    assert.equal(ledger.blocks, 1, 'the block is there while the transaction waits');
    assert.deepEqual(ovs.portRows(), []);
    const { sha256_root_hash } = ledger.treeHead();
    assert.deepEqual(ovs.transactions[0]?.at(-1), {
      op: 'comment',
      comment: `ovs-port-agent txn txn1 ledger 1 ${sha256_root_hash.toString('base64')}`,
    });
    open();
    assert.deepEqual(await done, { nextCfg: 1 });
    assert.deepEqual(ovs.portRows(), ['veth100i0']);
    assert.equal(ledger.blocks, 1, 'success needs no second block');
  });

  it('does nothing for no changes', async () => {
    const { ovs, committer } = await start();
    assert.deepEqual(await committer.commit([], cause), { nextCfg: null });
    assert.equal(ovs.transactions.length, 0);
  });

  it('makes one transaction of what is asked in one moment', async () => {
    const { ovs, committer, blocks } = await start();
    const all = await Promise.all([100, 101, 102].map((vmid) => committer.commit([attach(vmid)], cause)));
    assert.deepEqual(all, [{ nextCfg: 1 }, { nextCfg: 1 }, { nextCfg: 1 }]);
    assert.equal(ovs.transactions.length, 1);
    assert.deepEqual(await blocks(), ['attach vi100', 'attach vi101', 'attach vi102']);
  });

  it('refuses what the transaction before made impossible, without asking the switch and without a block', async () => {
    const { ovs, view, committer, blocks } = await start();
    await committer.commit([attach(100)], cause);
    const row = view.byNetdev('veth100i0');
    assert.ok(row !== null);
    const detach: PortChange = { kind: 'detach', port: null, row };
    const adopt: PortChange = { kind: 'adopt', wanted: wantedOf(100), row };
    const gone = committer.commit([detach], cause);
    await turns(1);
    const late = [committer.commit([adopt], cause), committer.commit([attach(101)], cause)];
    await gone;
    await assert.rejects(late[0]!, refusedWith('Conflict', 'taken away meanwhile'));
    await late[1];
    await assert.rejects(
      committer.commit([attach(101)], cause),
      refusedWith('Conflict', 'veth101i0 was plugged meanwhile'),
    );
    assert.equal(ovs.transactions.length, 3);
    assert.deepEqual(await blocks(), ['attach vi100', 'detach ', 'attach vi101']);
  });

  it('makes the next transaction of what arrives while one is in flight', async () => {
    const { ovs, committer } = await start();
    let open!: () => void;
    ovs.gate = new Promise((resolve) => (open = resolve));
    const first = committer.commit([attach(100)], cause);
    await turns();
    const later = [101, 102, 103].map((vmid) => committer.commit([attach(vmid)], cause));
    await turns();
    assert.equal(ovs.transactions.length, 1);
    open();
    await Promise.all([first, ...later]);
    assert.equal(ovs.transactions.length, 2);
    assert.deepEqual(ovs.portRows(), ['veth100i0', 'veth101i0', 'veth102i0', 'veth103i0']);
  });

  it('lets a bad request fail alone, with its own reason, and records that it failed', async () => {
    const { ovs, committer, blocks } = await start();
    const [good, wrong, fine] = await Promise.allSettled([
      committer.commit([attach(100)], cause),
      committer.commit([bad(101)], cause),
      committer.commit([attach(102)], cause),
    ]);
    assert.equal(good.status, 'fulfilled');
    assert.equal(fine.status, 'fulfilled');
    assert.ok(wrong.status === 'rejected');
    refusedWith('Conflict', 'wait on Bridge')(wrong.reason);
    assert.deepEqual(ovs.portRows(), ['veth100i0', 'veth102i0']);
    const written = await blocks();
    assert.deepEqual(
      written.filter((line) => line.startsWith('attach')),
      ['vi100', 'vi101', 'vi102', 'vi100', 'vi101', 'vi102'].map((port) => `attach ${port}`),
      'once together, once each',
    );
    assert.equal(written.filter((line) => line.includes('failed')).length, 4, 'three of the group and the bad one');
  });

  it('tells once of every change that was made, and of no other', async () => {
    const { committer, told } = await start();
    const changes = [attach(100), bad(101), attach(102)];
    await Promise.allSettled([...changes, changes[0]!].map((change) => committer.commit([change], cause)));
    assert.deepEqual(told, [changes[0], changes[2]]);
  });

  it('asks once for many when the switch does not answer or has no time, not one by one', async () => {
    for (const code of ['Timeout', 'Unavailable', 'Busy'] as const) {
      const { ovs, committer, blocks } = await start();
      let asked = 0;
      ovs.transact = (operations) => {
        const isQuestion = operations.length === 1;
        if (!isQuestion) asked++;
        return isQuestion ? Promise.resolve([]) : Promise.reject(new AgentError(code, 'not now'));
      };
      const outcomes = await Promise.allSettled(
        Array.from({ length: 50 }, (_, index) => committer.commit([attach(100 + index)], cause)),
      );
      await turns();
      assert.equal(asked, 1);
      assert.ok(outcomes.every((outcome) => outcome.status === 'rejected' && refusedWith(code)(outcome.reason)));
      assert.equal((await blocks()).length, 100, 'each is recorded, and that it failed');
    }
  });

  it('goes on after a failure', async () => {
    const { ovs, committer } = await start();
    await assert.rejects(committer.commit([bad(100)], cause), refusedWith('Conflict'));
    await committer.commit([attach(101)], cause);
    assert.deepEqual(ovs.portRows(), ['veth101i0']);
  });

  it('says at once when the switch is not there or another has the lock, and writes nothing ahead', async () => {
    const { ovs, committer, blocks } = await start();
    ovs.lockHeld = false;
    await assert.rejects(committer.commit([attach(100)], cause), refusedWith('Busy', 'holds the lock ovs_port_agent'));
    ovs.problem = new AgentError('Unavailable', 'Open vSwitch is not connected');
    await assert.rejects(committer.commit([attach(100)], cause), refusedWith('Unavailable', 'not connected'));
    assert.deepEqual([await blocks(), ovs.transactions, committer.isInDoubt], [[], [], false]);
  });

  it('settles what the last run left in doubt before its first change, as soon as it has the lock', async () => {
    const store = new MemoryLedgerStore();
    void (await openLedger(store)).writeAhead(
      draftOf(plannedChange(attach(100), cause, 'old'), 'pve1'),
      () => new Promise(() => 0),
    );
    await turns();
    const next = store.restarted();
    const ledger = await openLedger(next);
    const { ovs, committer } = await start({ recorder: ledger });
    const written = async (): Promise<string[]> =>
      (await ledger.query({ order: 'oldest' })).map(({ action, data }) => `${action} ${data['port'] as string}`);
    ovs.lockHeld = false;
    await committer.settleInDoubt();
    assert.deepEqual([await written(), committer.isInDoubt], [['attach vi100'], true]);
    ovs.lockHeld = true;
    next.faults.push('full');
    await assert.rejects(committer.settleInDoubt(), refusedWith('Unavailable', 'no space'));
    assert.equal(committer.isInDoubt, true);
    await committer.commit([attach(101)], cause);
    assert.deepEqual(await written(), ['attach vi100', 'abandoned vi100', 'attach vi101']);
    assert.equal(committer.isInDoubt, false);
  });

  it('gives every caller its own outcome, whatever is asked together and whatever fails', async () => {
    const requests = fc.array(fc.record({ isBad: fc.boolean(), turnsBefore: fc.nat(6) }), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(requests, async (asked) => {
        const { ovs, committer } = await start();
        const outcomes: Promise<PromiseSettledResult<Committed>[]>[] = [];
        for (const [index, { isBad, turnsBefore }] of asked.entries()) {
          await turns(turnsBefore);
          outcomes.push(
            Promise.allSettled([committer.commit([isBad ? bad(100 + index) : attach(100 + index)], cause)]),
          );
        }
        const results = (await Promise.all(outcomes)).flat();
        assert.deepEqual(
          results.map(({ status }) => status),
          asked.map(({ isBad }) => (isBad ? 'rejected' : 'fulfilled')),
        );
        assert.deepEqual(
          ovs.portRows(),
          asked.flatMap(({ isBad }, index) => (isBad ? [] : [`veth${100 + index}i0`])),
        );
      }),
      { numRuns: 50 },
    );
  });

  describe('when a reply is lost', () => {
    it('takes the change as made when the switch has it', async () => {
      const { ovs, committer } = await start();
      ovs.faults.push('landed');
      assert.deepEqual(await committer.commit([attach(100)], cause), { nextCfg: 1 });
      const changing = ovs.transactions.filter((operations) => operations.some(({ op }) => op === 'insert'));
      assert.equal(changing.length, 1, 'and does not repeat it');
    });

    it('believes the replica only when the switch has answered what was asked later: it may be about to do it', async () => {
      const { ovs, clock, committer, blocks } = await start();
      // The switch stands still: it takes what is sent, and does it when it goes on.
      const transact = ovs.transact.bind(ovs);
      const waiting: (() => Promise<unknown>)[] = [];
      ovs.transact = (operations) => {
        waiting.push(() => transact(operations));
        return Promise.reject(new AgentError('Timeout', 'OVSDB transact: no reply'));
      };
      const refused = assert.rejects(committer.commit([attach(100)], cause), refusedWith('NotApplied', 'no reply'));
      await turns();
      await clock.advance(3000);
      await refused;
      assert.deepEqual(await blocks(), ['attach vi100'], 'nobody knows yet');
      ovs.transact = transact;
      for (const go of waiting) await go();
      await clock.advance(1000);
      await turns();
      assert.deepEqual([await blocks(), ovs.portRows()], [['attach vi100'], ['veth100i0']]);
      assert.deepEqual(clock.pendingMs, []);
    });

    it('believes it only with the lock: without, the server may not be done with the old connection', async () => {
      const { ovs, clock, committer, blocks } = await start();
      const transact = ovs.transact.bind(ovs);
      ovs.transact = (operations) => {
        if (operations.length > 1) ovs.lockHeld = false;
        return ovs.lockHeld
          ? transact(operations)
          : Promise.reject(new AgentError(operations.length > 1 ? 'Timeout' : 'Busy', 'no reply'));
      };
      const refused = assert.rejects(committer.commit([attach(100)], cause), refusedWith('NotApplied', 'no reply'));
      await turns();
      await clock.advance(3000);
      await refused;
      assert.deepEqual([await blocks(), committer.isInDoubt], [['attach vi100'], true]);
      ovs.lockHeld = true;
      const another = committer.commit([attach(101)], cause);
      await assert.rejects(another, refusedWith('NotApplied'), 'nothing is sent before it is known');
      committer.onSwitchChanged();
      await turns();
      assert.deepEqual([await blocks(), committer.isInDoubt], [['attach vi100', 'failed vi100'], false]);
      ovs.transact = transact;
      await committer.commit([attach(101)], cause);
      assert.deepEqual(ovs.portRows(), ['veth101i0']);
    });

    it('says that it failed when the switch goes on without it, and leaves it in doubt when nobody can wait', async () => {
      for (const isStopped of [false, true]) {
        const { ovs, clock, committer, blocks } = await start();
        const transact = ovs.transact.bind(ovs);
        ovs.transact = () => Promise.reject(new AgentError('Timeout', 'OVSDB transact: no reply'));
        const refused = assert.rejects(committer.commit([attach(100)], cause), refusedWith('NotApplied', 'no reply'));
        await turns();
        await clock.advance(3000);
        await refused;
        assert.deepEqual(await blocks(), ['attach vi100']);
        if (isStopped) committer.stop();
        else ovs.transact = transact;
        await clock.advance(1000);
        await turns();
        assert.deepEqual(await blocks(), isStopped ? ['attach vi100'] : ['attach vi100', 'failed vi100']);
        assert.equal(committer.isInDoubt, isStopped);
        assert.deepEqual(clock.pendingMs, []);
      }
    });

    it('says so when the switch does not have it, and makes nothing twice', async () => {
      const { ovs, committer, blocks } = await start();
      ovs.faults.push('lost');
      await assert.rejects(committer.commit([attach(100)], cause), refusedWith('Timeout', 'no reply'));
      assert.deepEqual(ovs.portRows(), []);
      assert.deepEqual((await blocks()).length, 2);
    });

    it('knows for a detach and an adoption too', async () => {
      for (const fault of ['landed', 'lost'] as const) {
        const { ovs, view, committer } = await start();
        ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
        ovs.plug({ bridge: 'ovsbr0', row: 'veth101i0' });
        const [row, other] = [view.byRowName('veth100i0')!, view.byRowName('veth101i0')!];
        for (const change of [
          { kind: 'adopt', wanted: wantedOf(100), row },
          { kind: 'detach', port: null, row: other },
        ] satisfies PortChange[]) {
          ovs.faults.push(fault);
          const [outcome] = await Promise.allSettled([committer.commit([change], cause)]);
          assert.equal(outcome.status, fault === 'landed' ? 'fulfilled' : 'rejected', `${change.kind} ${fault}`);
        }
      }
    });

    it('waits for the switch to come back before it looks, and gives up after three seconds', async () => {
      const { ovs, clock, committer } = await start();
      ovs.faults.push('landed');
      const original = ovs.transact.bind(ovs);
      ovs.transact = async (operations) => {
        try {
          return await original(operations);
        } finally {
          ovs.problem = new AgentError('Unavailable', 'the connection is gone');
        }
      };
      const failed = assert.rejects(committer.commit([attach(100)], cause), refusedWith('NotApplied', 'no reply'));
      await turns();
      assert.deepEqual(clock.pendingMs, [3000]);
      await clock.advance(3000);
      await failed;
      assert.deepEqual(clock.pendingMs, [], 'no timer is left');

      ovs.problem = null;
      ovs.transact = original;
      committer.onSwitchChanged();
      await turns();
      ovs.transact = async (operations) => {
        try {
          return await original(operations);
        } finally {
          ovs.problem = new AgentError('Unavailable', 'the connection is gone');
        }
      };
      ovs.faults.push('landed');
      const found = committer.commit([attach(101)], cause);
      await turns();
      ovs.problem = null;
      committer.onSwitchChanged();
      assert.deepEqual(await found, { nextCfg: 2 });
    });
  });

  describe('when the ledger cannot take the block', () => {
    const full: Recorder = {
      append: () => Promise.reject(new AgentError('Unavailable', 'disk full')),
      writeAheadAll: () => Promise.reject(new AgentError('Unavailable', 'disk full')),
      inDoubt: () => [],
      abandon: () => Promise.reject(new AgentError('Unavailable', 'disk full')),
      treeHead: () => assert.fail('nothing was recorded, so nothing is said of the ledger'),
    };

    it('makes the change all the same, and reports the gap', async () => {
      const { ovs, gaps, committer } = await start({ recorder: full });
      assert.deepEqual(await committer.commit([attach(100), attach(101)], cause), { nextCfg: 1 });
      assert.deepEqual(ovs.portRows(), ['veth100i0', 'veth101i0']);
      assert.deepEqual(
        gaps.map(({ code }) => code),
        ['Unavailable'],
      );
    });

    it('still gives every change UUIDs of its own, and still finds what landed', async () => {
      const { ovs, committer } = await start({ recorder: full });
      ovs.faults.push('landed', null, 'landed');
      await committer.commit([attach(100), attach(101)], cause);
      await committer.commit([attach(102)], cause);
      assert.deepEqual(ovs.portRows(), ['veth100i0', 'veth101i0', 'veth102i0']);
    });

    it('reports no gap when it was the switch that refused', async () => {
      const { gaps, committer } = await start();
      await assert.rejects(committer.commit([bad(100)], cause), refusedWith('Conflict'));
      assert.deepEqual(gaps, []);
    });
  });

  describe('waiting until ovs-vswitchd has applied', () => {
    it('ends when cur_cfg gets there', async () => {
      const { ovs, clock, committer } = await start();
      const committed = await committer.commit([attach(100)], cause);
      const applied = committer.waitApplied(committed, 1000);
      ovs.apply();
      await applied;
      assert.deepEqual(clock.pendingMs, []);
      await committer.waitApplied(committed, 1000);
    });

    it('ends with NotApplied and both numbers after its deadline', async () => {
      const { clock, committer } = await start();
      const committed = await committer.commit([attach(100)], cause);
      const late = assert.rejects(
        committer.waitApplied(committed, 1000),
        refusedWith('NotApplied', 'committed', '1000 ms', 'cur_cfg 0, wanted 1'),
      );
      await clock.advance(1000);
      await late;
    });

    it('has nothing to wait for after an adoption', async () => {
      const { ovs, view, committer } = await start();
      ovs.plug({ bridge: 'ovsbr0', row: 'veth100i0' });
      const row = view.byRowName('veth100i0')!;
      const committed = await committer.commit([{ kind: 'adopt', wanted: wantedOf(100), row }], cause);
      assert.equal(committed.nextCfg, null);
      await committer.waitApplied(committed, 1000);
      assert.equal(ovs.idsOf('veth100i0')['port-name'], 'vi100');
    });
  });

  describe('waiting for the switch', () => {
    it('ends when it is there, or with the reason why it is not', async () => {
      const { ovs, clock, committer } = await start();
      await committer.waitForSwitch(700);
      ovs.problem = new AgentError('Unavailable', 'ovsdb-server is not there');
      const late = assert.rejects(
        committer.waitForSwitch(700),
        refusedWith('Unavailable', 'ovsdb-server is not there'),
      );
      await clock.advance(700);
      await late;
      const found = committer.waitForSwitch(700);
      ovs.problem = null;
      committer.onSwitchChanged();
      await found;
    });
  });
});
