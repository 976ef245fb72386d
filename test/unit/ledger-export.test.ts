import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { BlockDraft } from '../../src/ledger/block.ts';
import { exportLedger } from '../../src/ledger/export.ts';
import type { ExportOptions } from '../../src/ledger/export.ts';
import { attach, chunksOf, fileOf, ledgerBytes, linesOf, startMs } from '../support/ledger-fixtures.ts';

const noneMissing = (): void => assert.fail('blocks are missing');

async function exported(bytes: Uint8Array, options: Partial<ExportOptions> = {}, chunkBytes = 700) {
  const parts: Buffer[] = [];
  const report = await exportLedger(
    chunksOf(bytes, chunkBytes),
    { format: 'jsonl', sinceMs: -Infinity, untilMs: Infinity, onUnseen: noneMissing, ...options },
    (part) => Promise.resolve(void parts.push(Buffer.from(part))),
  );
  return { text: Buffer.concat(parts).toString(), report };
}

const draftWith = (data: BlockDraft['data'], metadata: BlockDraft['metadata'] = {}): BlockDraft =>
  attach(100, { data, metadata });
const csvOf = async (...drafts: BlockDraft[]): Promise<string> =>
  (await exported(fileOf(linesOf(drafts)), { format: 'csv' })).text;

/** A reader of its own, by RFC 4180 section 2. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)!.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
    if (end === '\r\n') rows.push([]);
  }
  assert.deepEqual(rows.pop(), []);
  return rows;
}

describe('an export of a ledger', () => {
  it('as lines is what stands in the file, byte for byte, however it is read', async () => {
    const bytes = ledgerBytes(20);
    for (const chunkBytes of [1, 97, 100_000]) {
      const { text, report } = await exported(bytes, {}, chunkBytes);
      assert.equal(text, bytes.toString());
      assert.deepEqual([report.valid, report.blocks], [true, 20]);
    }
  });

  it('holds the blocks of a period, its end not included', async () => {
    const lines = ledgerBytes(10).toString().split('\n');
    const { text } = await exported(ledgerBytes(10), { sinceMs: startMs + 3000, untilMs: startMs + 5000 });
    assert.equal(text, `${lines[3]!}\n${lines[4]!}\n`);
    assert.equal((await exported(ledgerBytes(10), { sinceMs: startMs + 99_000 })).text, '');
  });

  it('leaves out a block that is still being written', async () => {
    const bytes = ledgerBytes(3);
    const { text, report } = await exported(bytes.subarray(0, -10));
    assert.equal(text, ledgerBytes(2).toString());
    assert.equal(report.firstBad?.torn, true);
  });

  for (const format of ['jsonl', 'csv'] as const) {
    it(`as ${format} ends before the first bad line, and names it`, async () => {
      const bytes = ledgerBytes(5);
      const lines = bytes.toString().split('\n');
      const bad = Buffer.from(bytes.toString().replace('"vmid":102', '"vmid":666'));
      const { text, report } = await exported(bad, { format });
      assert.deepEqual([report.firstBad?.height, report.firstBad?.torn], [2, false]);
      assert.equal(text.split('\n').length - 1, format === 'csv' ? 3 : 2);
      if (format === 'jsonl') assert.equal(text, `${lines[0]!}\n${lines[1]!}\n`);
    });
  }

  it('as a table has a head and a row for each block, with what people sort by in columns', async () => {
    const metadata = { cause: 'hook post-start', user: 'root', uid: 0, process: 'busctl[7]', host: 'pve1', plugin: 'ports' }; // prettier-ignore
    const [head, row] = readCsv(await csvOf(attach(100, { metadata })));
    assert.deepEqual(Object.fromEntries(head!.map((name, index) => [name, row![index]])), {
      height: '0',
      timestamp: '2025-10-14T12:00:00.000Z',
      category: 'port',
      action: 'attach',
      ...metadata,
      uid: '0',
      vmid: '100',
      nic: 'net0',
      port: 'vi100',
      netdev: 'veth100i0',
      bridge: 'ovsbr0',
      tag: '10',
      metadata: JSON.stringify(metadata),
      data: JSON.stringify(attach(100).data),
      hash: row!.at(-1),
    });
    assert.match(row!.at(-1)!, /^[0-9a-f]{64}$/);
  });

  it('as a table runs nothing in a spreadsheet: what could be a formula becomes text', async () => {
    for (const evil of ['=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\r=1', '\n=1']) {
      const [, row] = readCsv(await csvOf(draftWith({ port: evil }, { cause: evil })));
      assert.equal(row!.filter((cell) => cell === `'${evil}`).length, 2, JSON.stringify(evil));
      assert.ok(!row!.some((cell) => /^[=+@\-\t\r\n]/.test(cell)));
    }
  });

  it('as a table comes back from a reader, whatever the cells hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.string(), async (port, cause) => {
        const rows = readCsv(await csvOf(draftWith({ port }, { cause }), draftWith({ port: cause })));
        assert.deepEqual([rows.length, new Set(rows.map(({ length }) => length)).size], [3, 1]);
        const at = (name: string): number => rows[0]!.indexOf(name);
        assert.equal(rows[1]![at('port')]!.replace(/^'/, ''), port);
        assert.deepEqual(JSON.parse(rows[1]![at('data')]!), { port });
      }),
      { examples: [[`'+`, '']] },
    );
  });

  it('as a table of nothing is its head', async () => {
    const { text } = await exported(ledgerBytes(2), { format: 'csv', sinceMs: startMs + 99_000 });
    assert.equal(readCsv(text).length, 1);
    assert.match((await exported(Buffer.alloc(0), { format: 'csv' })).text, /^height,timestamp,/);
  });

  it('waits for its reader', async () => {
    let isBusy = false;
    await exportLedger(
      chunksOf(ledgerBytes(50), 500),
      { format: 'jsonl', sinceMs: 0, untilMs: Infinity, onUnseen: noneMissing },
      async () => {
        assert.equal(isBusy, false);
        isBusy = true;
        await new Promise((resolve) => setImmediate(resolve));
        isBusy = false;
      },
    );
  });
});
