/** The commands that the documents show: run, and their output compared. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkProof } from '../../src/ledger/check-proof.ts';
import { signatureTypes, VerifierKey } from '../../src/ledger/tlog/key.ts';
import { parsePolicy } from '../../src/ledger/tlog/policy.ts';
import { planManagedBlock } from '../../src/interfaces/managed-block.ts';
import type { DocumentedNode } from '../support/documented-node.ts';
import { documentedNode } from '../support/documented-node.ts';
import { codeBlocks, inlineCode, shownCommands } from '../support/markdown.ts';
import { runTool } from '../support/run-tool.ts';
import { headOf } from '../support/signed-logs.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const ledgerPath = '/var/lib/ovs-port-agent/ledger.jsonl';
const pages = ['README.md', 'CONTRIBUTING.md', 'docs/operations.md', 'docs/proxmox.md', 'docs/ledger.md'];

/** Programs of others that the documents call; their output is not compared. */
const foreignPrograms = [
  'ovs-vsctl',
  'apt-get',
  'cp',
  'install',
  'ip',
  'journalctl',
  'mv',
  'npm',
  'npx',
  'pct',
  'pveum',
  'qm',
  'rm',
  'systemctl',
];
/** Commands of ours that answer without the service: run as a user would, from dist/. */
const isServiceFree = (args: readonly string[]): boolean =>
  ['ls', 'usage', 'name', '--version', '--help'].includes(args[0] ?? '') ||
  (args[0] === 'ledger' &&
    (['check-proof', 'export', 'imported'].includes(args[1] ?? '') || (args[1] === 'verify' && args.length > 2)));

/** The log of a switch's database with the transaction `a1`, right after the last block that names it. */
function switchLogOf(ledger: Uint8Array): Buffer {
  const lines = Buffer.from(ledger).toString().trimEnd().split('\n');
  const blocks = lines.slice(0, lines.findLastIndex((line) => line.includes('"txn":"a1"')) + 1);
  const root = headOf(blocks.map((line) => Buffer.from(line))).sha256_root_hash.toString('base64');
  const comment = `ovs-port-agent txn a1 ledger ${blocks.length} ${root}`;
  const records = [{ name: 'Open_vSwitch' }, { _date: Date.UTC(2025, 9, 14, 12, 0, 7), _comment: comment }];
  return Buffer.concat(
    records.map((record) => {
      const body = `${JSON.stringify(record)}\n`;
      return Buffer.from(`OVSDB JSON ${body.length} ${hash('sha1', body)}\n${body}`);
    }),
  );
}

/** Hashes follow from every byte of a block; a document need not change with each of them. */
const withoutHashes = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replaceAll(/\b[0-9a-f]{64}\b/g, '<hash>'));

describe('a command in the documents', () => {
  let node: DocumentedNode;
  let folder: string;

  before(async () => {
    assert.ok(existsSync(join(root, 'dist/ovs-port-agent.mjs')), 'the command is not built: run `npm run build`');
    node = await documentedNode();
    folder = mkdtempSync(join(tmpdir(), 'ovs-port-agent-test-'));
    writeFileSync(join(folder, 'ledger.jsonl'), node.ledgerBytes);
    writeFileSync(join(folder, 'block-6.tlog-proof'), node.proof);
    writeFileSync(join(folder, 'cluster.policy'), node.policy);
    writeFileSync(join(folder, 'conf.db'), switchLogOf(node.ledgerBytes));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const inFolder = (args: readonly string[]): string[] =>
    args.map((arg) => {
      const name = arg === ledgerPath ? 'ledger.jsonl' : arg;
      return ['ledger.jsonl', 'block-6.tlog-proof', 'cluster.policy', 'conf.db'].includes(name)
        ? join(folder, name)
        : arg;
    });

  for (const page of pages) {
    for (const { command, output, line } of shownCommands(read(page))) {
      const [program = '', ...args] = command.split(' ');
      const where = `${page}:${line}`;

      if (program === 'ovs-port-agent' && !isServiceFree(args)) {
        it(`${where} does what it says: ${command}`, async () => {
          const { exitCode, stdout, stderr } = await node.command(...args);
          assert.deepEqual([exitCode, stderr], [0, []]);
          if (output !== null) assert.deepEqual(withoutHashes(stdout), withoutHashes(output));
        });
      } else if (program === 'ovs-port-agent' || program.startsWith('docs/')) {
        it(`${where} does what it says: ${command}`, async () => {
          const tool = program === 'ovs-port-agent' ? 'dist/ovs-port-agent.mjs' : program;
          const { exitCode, stdout, stderr } = await runTool('nodejs', join(root, tool), inFolder(args));
          assert.deepEqual([exitCode, stderr], [0, '']);
          if (output !== null) assert.deepEqual(withoutHashes(stdout.split('\n')), withoutHashes(output));
        });
      } else if (program.startsWith('scripts/')) {
        it(`${where} calls a script that can be run: ${command}`, () => {
          assert.equal(statSync(join(root, program)).mode & 0o111, 0o111);
          const unknown = args.filter((arg) => !read(program).includes(arg));
          assert.deepEqual(unknown, [], `${program} knows nothing of this`);
        });
      } else {
        it(`${where} is one of a program that exists: ${command}`, () => {
          assert.ok(
            foreignPrograms.includes(program),
            `${program} is not known: a typing error, or add it to the list`,
          );
        });
      }

      if (program === 'npm' && args[0] === 'run') {
        it(`${where} is a script of package.json: ${command}`, () => {
          const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
          assert.ok(Object.hasOwn(scripts, args.filter((arg) => !arg.startsWith('-'))[1] ?? ''));
        });
      }
    }
  }

  it('that stands in a sentence exists', async () => {
    const mentioned = pages
      .concat('docs/architecture.md')
      .flatMap((page) => inlineCode(read(page)))
      .flatMap((code) => /^ovs-port-agent ((?:ledger )?[a-z-]+)/.exec(code)?.[1] ?? []);
    assert.ok(mentioned.length > 0);
    for (const words of new Set(mentioned)) {
      const { stdout } = await node.command(...words.split(' '), '--help');
      assert.equal(stdout[0]?.startsWith(`Usage: ovs-port-agent ${words}`), true, `${words}: ${stdout[0] ?? ''}`);
    }
  });

  it('is one of every kind the command has', async () => {
    const shown = pages.flatMap((page) => shownCommands(read(page))).map(({ command }) => command);
    const { stdout } = await node.command('--help');
    const commands = stdout.flatMap((line) => /^ {2}([a-z][a-z-]*) /.exec(line)?.[1] ?? []);
    // `set` has no resource yet; `create` and `delete` are shown as add-port and its like; `serve` is the unit's.
    const elsewhere = ['ovs-port-agent', 'help', 'serve', 'set', 'create', 'delete'];
    const missing = commands.filter(
      (name) => !elsewhere.includes(name) && !shown.some((command) => command.startsWith(`ovs-port-agent ${name}`)),
    );
    assert.ok(commands.includes('reconcile'));
    assert.deepEqual(missing, []);
  });

  it('checks a proof file that is shown as it would be', () => {
    const page = read('docs/ledger.md');
    const shown = codeBlocks(page).find(({ lines }) => lines[0] === 'c2sp.org/tlog-proof@v1');
    const vkey = / --key (\S+)/.exec(page)?.[1] ?? '';
    const proven = checkProof(Buffer.from(`${shown?.lines.join('\n') ?? ''}\n`), {
      key: VerifierKey.parse(vkey, signatureTypes.ed25519),
      policy: parsePolicy(Buffer.from(node.policy)),
    });
    assert.deepEqual([proven.block.height, proven.cosignatures.length], [6, 2]);
  });

  it('is followed in the README by the managed block as it would be written', () => {
    const shown = codeBlocks(read('README.md')).find(({ lines }) => lines[0] === '# BEGIN ovs-port-agent');
    const { text } = planManagedBlock('auto lo\n', node.listed, 'ovs-port-agent');
    assert.deepEqual(shown?.lines, text.split('\n').slice(2, -1));
  });
});
