/** docs/verify-ledger.sh and .py know nothing of this program and must come to the same verdict. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zeroHash } from '../../src/ledger/block.ts';
import type { BlockDraft } from '../../src/ledger/block.ts';
import { sayVerdict } from '../../src/ledger/verify.ts';
import { attach, fileOf, ledgerBytes, linesOf, verifyBytes } from '../support/ledger-fixtures.ts';
import { runTool } from '../support/run-tool.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const docs = join(import.meta.dirname, '../../docs');
const verifiers: [string, (...paths: string[]) => ReturnType<typeof runTool>][] = [
  ['verify-ledger.sh', (...paths) => runTool('dash', 'sh', [join(docs, 'verify-ledger.sh'), ...paths])],
  ['verify-ledger.py', (...paths) => runTool('python3', 'python3', [join(docs, 'verify-ledger.py'), ...paths])],
];

/** The files of a ledger of so many segments, each of three blocks. */
function segmentsOf(count: number): Buffer[] {
  const drafts = Array.from({ length: count * 3 }, (_, height): BlockDraft => {
    if (height % 3 > 0 || height === 0) return attach(100 + height);
    const file = `ledger-${String(height / 3).padStart(6, '0')}.jsonl`;
    return { category: 'storage', action: 'segment', metadata: { plugin: 'ledger', host: 'pve1' }, data: { file } };
  });
  const lines = linesOf(drafts);
  return Array.from({ length: count }, (_, at) => fileOf(lines.slice(3 * at, 3 * at + 3)));
}

describe('the verification scripts', () => {
  const folder = temporaryFolder();
  const lines = linesOf([
    attach(100),
    attach(101, { data: { text: 'Grüße \\ "quoted" \u{1f600}\t', percent: '%s %d %%', glob: '*?[a]$(id)`id`' } }),
    attach(102),
    attach(103, { data: { text: 'x'.repeat(65_000) }, metadata: {} }),
    attach(104),
  ]);
  const file = fileOf(lines);
  const edit = (at: number, byte: number): Buffer => {
    const bytes = Buffer.from(file);
    bytes[at] = byte;
    return bytes;
  };
  const secondStart = lines[0]!.length + 1;
  const forged = linesOf([attach(100), attach(999)]);

  const ledgers: [string, Buffer][] = [
    ['an empty ledger', Buffer.alloc(0)],
    ['a good ledger', file],
    ['a longer ledger', ledgerBytes(50)],
    ['a changed byte', edit(secondStart + 250, 0x21)],
    ['a NUL byte', edit(secondStart + 250, 0)],
    ['a byte that is no UTF-8', edit(secondStart + 250, 0xfe)],
    ['a changed hash', edit(file.length - 10, 0x67)],
    ['a changed newline', edit(secondStart - 1, 0x20)],
    ['a newline too many', Buffer.concat([file, Buffer.from('\n')])],
    ['a carriage return', Buffer.from(file.toString().replaceAll('\n', '\r\n'))],
    ['a torn last line', file.subarray(0, -20)],
    ['a last line without newline', file.subarray(0, -1)],
    ['one byte', Buffer.from('{')],
    ['a removed line', fileOf([lines[0]!, lines[2]!])],
    ['changed places', fileOf([lines[1]!, lines[0]!])],
    ['a line that stands twice', fileOf([lines[0]!, lines[0]!])],
    ['a foreign line of right height', fileOf([lines[0]!, forged[1]!, lines[2]!])],
    ['a line of 70,000 bytes', fileOf([lines[0]!, Buffer.alloc(70_000, 'x')])],
    ['text', Buffer.from('hello\nworld\n')],
  ];

  for (const [name, run] of verifiers) {
    for (const [what, bytes] of ledgers) {
      it(`${name} says of ${what} what the program says`, async () => {
        const path = join(folder(), 'ledger.jsonl');
        await writeFile(path, bytes);
        const { valid, blocks, lastHash, firstBad } = await verifyBytes(bytes);
        const { exitCode, stdout } = await run(path);
        if (valid) {
          assert.equal(stdout, `VALID: ${blocks} blocks, last hash ${lastHash}`);
          assert.equal(exitCode, 0);
        } else {
          assert.ok(stdout.startsWith(`INVALID: block ${firstBad!.height} at byte ${firstBad!.offset}: `), stdout);
          assert.equal(exitCode, 1);
        }
      });
    }

    const segments = segmentsOf(4);
    for (const [what, picked] of [
      ['all segments', [0, 1, 2, 3]],
      ['segments of which the first is not there', [1, 2, 3]],
      ['segments with gaps', [0, 2]],
      ['one segment', [2]],
      ['segments out of order', [1, 0]],
      ['segments of which one stands twice', [0, 1, 1]],
    ] as const) {
      it(`${name} says of ${what} what the program says`, async () => {
        const parts = picked.map((index) => segments[index]!);
        const report = await verifyBytes(Buffer.concat(parts));
        const paths = picked.map((_, at) => join(folder(), `${at}.jsonl`));
        for (const [at, path] of paths.entries()) await writeFile(path, parts[at]!);
        const { exitCode, stdout } = await run(...paths);
        const said = sayVerdict(report);
        assert.ok(report.valid ? stdout === said : stdout.startsWith(said.slice(0, said.lastIndexOf(': '))), stdout);
        assert.equal(exitCode, report.valid ? 0 : 1);
      });
    }

    it(`${name} says when it cannot check`, async () => {
      const { exitCode, stdout, stderr } = await run(join(folder(), 'no-such-ledger.jsonl'));
      assert.equal(exitCode, 2);
      assert.equal(stdout, '');
      assert.notEqual(stderr, '');
    });
  }

  it('are run on ledgers of both verdicts', async () => {
    const verdicts = await Promise.all(ledgers.map(async ([, bytes]) => (await verifyBytes(bytes)).valid));
    assert.deepEqual([verdicts.filter((valid) => valid).length, verdicts.length], [3, ledgers.length]);
    assert.equal((await verifyBytes(Buffer.alloc(0))).lastHash, zeroHash);
  });
});
