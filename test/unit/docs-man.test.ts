/** The manual pages: whole, without a fault, and the same for the same sources. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { portAgentInterface } from '../../src/api/dbus/port-agent-interface.ts';
import { describeCommand, flatten } from '../../src/cli/command-tree.ts';
import type { Environment } from '../../src/cli/environment.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { configKeys } from '../../src/model/config.ts';
import { errorTable } from '../../src/model/errors.ts';
import { resourceTable } from '../../src/resources/table.ts';
import { runTool, runToolOk } from '../support/run-tool.ts';

const root = join(import.meta.dirname, '../..');
const names = ['ovs-port-agent.1', 'ovs-port-agent.service.8', 'ovs-port-agent.toml.5'] as const;
const deadlineMs = 9_000;

describe('the manual pages', () => {
  let folder: string;

  async function make(into: string, epoch = '1700000000'): Promise<void> {
    await execa(
      process.execPath,
      ['--import', fileURLToPath(import.meta.resolve('tsx')), 'scripts/build-shared.mjs', into],
      { cwd: root, env: { SOURCE_DATE_EPOCH: epoch }, timeout: deadlineMs },
    );
  }
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ovs-port-agent-test-'));
    await make(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** As a reader sees it at a terminal of any width. */
  async function shown(name: (typeof names)[number]): Promise<string> {
    const page = await runToolOk('mandoc', 'mandoc', ['-T', 'ascii', '-O', 'width=400', join(folder, 'man', name)]);
    // Bold is a letter, a backspace and the letter again.
    const letters = page.split('\b').map((part, index, all) => (index < all.length - 1 ? part.slice(0, -1) : part));
    return letters.join('').replaceAll(/\s+/g, ' ');
  }

  it('have no fault that mandoc knows', async () => {
    for (const name of names) {
      const { stdout } = await runTool('mandoc', 'mandoc', ['-T', 'lint', '-W', 'warning', join(folder, 'man', name)]);
      // What else is installed on this machine is nobody's fault.
      const faults = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('mandoc: outdated'));
      assert.deepEqual(faults, []);
    }
  });

  it('have every command with its arguments, options and what it does', async () => {
    const page = await shown('ovs-port-agent.1');
    const program = describeCommand(buildProgram({ version: '' } as Environment, () => undefined));
    const commands = flatten(program).filter(({ commands: below, path }) => path.length > 0 && below.length === 0);
    assert.ok(commands.length > 15);
    for (const { path, description, options, examples } of commands) {
      assert.ok(page.includes(` ${path.join(' ')} `), path.join(' '));
      assert.ok(page.includes(description.replaceAll(/\s+/g, ' ')), description);
      for (const { long } of options) if (long !== '--help') assert.ok(page.includes(long), long);
      for (const example of examples) assert.ok(page.includes(example.replaceAll(/\s+/g, ' ')), example);
    }
  });

  it('have every resource, exit code, method and configuration key', async () => {
    const [command, service, configuration] = await Promise.all(names.map(shown));
    for (const { path, methods } of resourceTable) {
      for (const verb of Object.keys(methods)) assert.ok(command?.includes(` ${verb} ${path} `), `${verb} ${path}`);
    }
    for (const [code, { exit, meaning }] of Object.entries(errorTable)) {
      assert.ok(command?.toLowerCase().includes(` ${exit} ${meaning} (${code}).`.toLowerCase()), code);
    }
    for (const name of Object.keys(portAgentInterface.methods)) assert.ok(service?.includes(` ${name}(`), name);
    for (const { key } of configKeys()) assert.ok(configuration?.includes(` ${key} `), key);
  });

  it('are the same bytes for the same date, and carry that date', async () => {
    const read = (): string[] => names.map((name) => readFileSync(join(folder, 'man', name), 'utf8'));
    const first = read();
    await make(folder);
    assert.deepEqual(read(), first);
    assert.ok(first.every((page) => page.includes('\n.Dd November 14, 2023\n')));
  });
});
