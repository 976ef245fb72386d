import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { checkAgainstSwitch, parseOwnComment } from '../../src/ledger/switch-check.ts';
import { readSwitchLog } from '../../src/platform/switch-log.ts';
import { startMs } from '../support/ledger-fixtures.ts';
import { guestOf } from '../support/ports-fixtures.ts';
import { startPrivateSwitch } from '../support/private-switch.ts';
import type { PrivateSwitch } from '../support/private-switch.ts';
import { engineOnSwitch } from '../support/engine-on-switch.ts';
import type { EngineOnSwitch } from '../support/engine-on-switch.ts';

const run = promisify(execFile);

describe("the ledger and the log of the switch's real database", function () {
  this.timeout(20_000);
  let ovs: PrivateSwitch;
  let world: EngineOnSwitch;

  beforeEach(async () => {
    ovs = await startPrivateSwitch();
    await ovs.vsctl('add-br', 'ovsbr0');
    world = await engineOnSwitch(ovs.endpoint);
    await world.engine.load();
  });
  afterEach(async () => {
    await world.close();
    await ovs.stop();
  });

  const database = (): string => join(ovs.folder, 'conf.db');
  const readLog = () => readSwitchLog(database(), parseOwnComment);
  const bytes = async function* (blocks = Infinity) {
    const lines = (await world.ledger.query({ order: 'oldest', limit: 1000 })).slice(0, blocks);
    // Fields keep their order, so that a block is its line again.
    for (const block of lines) yield Buffer.from(`${JSON.stringify(block)}\n`);
  };
  /** A guest that gets its port, and loses it. */
  const startAndStop = async (vmid: number): Promise<void> => {
    const guest = guestOf(vmid);
    world.configure(guest);
    world.links.add(`veth${vmid}i0`);
    const cause = { cause: 'test', user: 'root', uid: 0 };
    await world.engine.notifyLifecycle(guest.vmid, 'post-start', cause);
    world.links.devices.delete(`veth${vmid}i0`);
    await world.engine.notifyLifecycle(guest.vmid, 'post-stop', cause);
  };

  it('agree, transaction by transaction, and ovsdb-tool reads the same comments', async () => {
    for (const vmid of [100, 101, 102]) await startAndStop(vmid);
    const log = await readLog();
    const { stdout } = await run('ovsdb-tool', ['-m', 'show-log', database()]);
    const shown = [...stdout.matchAll(/ovs-port-agent txn (\S+) ledger (\d+) (\S+?)"?$/gm)];
    assert.ok(log.own.length >= 6);
    assert.deepEqual(
      log.own.map(({ name, tree }) => [name, String(tree?.size), tree?.rootHash]),
      shown.map(([, ...words]) => words),
    );
    assert.equal(log.transactions, Number([...stdout.matchAll(/^record (\d+):/gm)].at(-1)?.[1]));
    const { checked, contradictions, unrecorded } = await checkAgainstSwitch(bytes(), log, readLog);
    assert.deepEqual([checked, contradictions, unrecorded], [log.own.length, [], 0]);
    const cut = await checkAgainstSwitch(bytes(3), log, readLog);
    assert.match(cut.contradictions.join(), /and this one has 3/);
  });

  it('agree on what came after a compaction, which is where the log begins', async () => {
    await startAndStop(100);
    await run('ovs-appctl', [`--target=${join(ovs.folder, 'ovsdb-server.ctl')}`, 'ovsdb-server/compact']);
    const compacted = await readLog();
    assert.deepEqual([compacted.isCompacted, compacted.own], [true, []]);
    await startAndStop(101);
    const log = await readLog();
    const { checked, contradictions } = await checkAgainstSwitch(bytes(), log, readLog);
    assert.deepEqual([checked, contradictions], [log.own.length, []]);
    assert.ok(checked >= 2);
  });

  it('contradict each other when somebody writes to the switch in the name of the agent', async () => {
    await startAndStop(100);
    const { tree_size, sha256_root_hash } = world.ledger.treeHead();
    const comment = `ovs-port-agent txn forged-1 ledger ${tree_size} ${sha256_root_hash.toString('base64')}`;
    const operations = [
      { op: 'comment', comment },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] },
    ];
    await run('ovsdb-client', ['transact', ovs.endpoint, JSON.stringify(['Open_vSwitch', ...operations])]);
    const { contradictions } = await checkAgainstSwitch(bytes(), await readLog(), readLog);
    assert.equal(contradictions.length, 1);
    assert.match(contradictions[0]!, /^transaction forged-1 .* is not in the ledger$/);
  });

  it('contradict each other when transactions were taken out of the log', async () => {
    await startAndStop(100);
    const log = await readLog();
    await startAndStop(101);
    // What a log is without its last transactions, though the ledger goes on; the ledger of these tests has an older clock.
    const shortened = { ...(await readLog()), own: log.own, fromMs: startMs };
    const { contradictions } = await checkAgainstSwitch(bytes(), shortened, () => Promise.resolve(shortened));
    assert.match(contradictions.join(), /which the switch's log does not have/);
  });
});
