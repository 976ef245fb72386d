import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseOwnComment } from '../../src/ledger/switch-check.ts';
import { readSwitchLog } from '../../src/platform/switch-log.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = `${'A'.repeat(43)}=`;

function record(json: object): Buffer {
  const body = Buffer.from(`${JSON.stringify(json)}\n`);
  const sha1 = createHash('sha1').update(body).digest('hex');
  return Buffer.concat([Buffer.from(`OVSDB JSON ${body.length} ${sha1}\n`), body]);
}

describe("the log of the switch's database", () => {
  const folder = temporaryFolder();
  const path = (): string => join(folder(), 'conf.db');
  const schema = record({ name: 'Open_vSwitch', tables: {} });
  const read = async (...parts: Uint8Array[]) => {
    await writeFile(path(), Buffer.concat(parts));
    return readSwitchLog(path(), parseOwnComment);
  };
  const own = (name: string, dateMs: number, tree = ` ledger 3 ${root}`): Buffer =>
    record({ _date: dateMs, _comment: `ovs-port-agent txn ${name}${tree}` });

  it('is empty before the first transaction', async () => {
    assert.deepEqual(await read(), { fromMs: null, toMs: null, isCompacted: false, transactions: 0, own: [] });
    assert.deepEqual((await read(schema)).transactions, 0);
  });

  it('gives the transactions of the agent among all', async () => {
    const other = record({ _date: 150, _comment: 'ovs-vsctl: ovs-vsctl add-br x', Bridge: {} });
    const both = record({ _date: 170, _comment: `somebody else\novs-port-agent txn c-1 ledger 9 ${root}` });
    assert.deepEqual(await read(schema, own('a-1', 100), other, record({ _date: 160 }), own('a-2', 165, ''), both), {
      fromMs: 100,
      toMs: 170,
      isCompacted: false,
      transactions: 5,
      own: [
        { name: 'a-1', dateMs: 100, tree: { size: 3, rootHash: root } },
        { name: 'a-2', dateMs: 165, tree: null },
        { name: 'c-1', dateMs: 170, tree: { size: 9, rootHash: root } },
      ],
    });
  });

  it('says that it was compacted, since when nothing older can be seen', async () => {
    const log = await read(schema, record({ _date: 500, _comment: 'compacting database online' }), own('a-9', 600));
    assert.deepEqual([log.isCompacted, log.fromMs, log.own.length], [true, 500, 1]);
  });

  it('leaves out a last record that is still being written, cut at every byte', async () => {
    const last = own('a-2', 200);
    for (let cut = 0; cut < last.length; cut++) {
      assert.deepEqual((await read(schema, own('a-1', 100), last.subarray(0, cut))).own.length, 1, `cut ${cut}`);
    }
  });

  it('that is damaged is no witness: every flipped byte of a record is found', async () => {
    const good = Buffer.concat([schema, own('a-1', 100)]);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 1;
      const isLength = /^OVSDB JSON \d+$/.test(bad.toString('latin1', good.lastIndexOf('OVSDB'), at + 1));
      const result = read(bad, own('a-2', 200)).then(
        ({ own }) => own.length,
        (error: unknown) => String(error),
      );
      // A length that reaches beyond the end looks as if the record were still being written.
      if (!isLength) assert.match(String(await result), /damaged|cluster|[01]$/, `byte ${at}`);
      assert.notEqual(await result, 2, `byte ${at}`);
    }
  });

  it('of a cluster, of something else and of nothing cannot be told', async () => {
    const cluster = Buffer.from(`OVSDB CLUSTER 3 ${'0'.repeat(40)}\n{}\n`);
    await assert.rejects(read(cluster), refusedWith('Unavailable', 'cluster'));
    await assert.rejects(read(Buffer.from('x'.repeat(200))), refusedWith('Unavailable', 'byte 0 is damaged'));
    const notJson = Buffer.from('{\n');
    const sha1 = createHash('sha1').update(notJson).digest('hex');
    const broken = Buffer.concat([Buffer.from(`OVSDB JSON 2 ${sha1}\n`), notJson]);
    await assert.rejects(read(schema, broken), refusedWith('Unavailable', 'not JSON'));
    await assert.rejects(readSwitchLog(join(folder(), 'none'), parseOwnComment), refusedWith('NotFound', 'none'));
  });
});
