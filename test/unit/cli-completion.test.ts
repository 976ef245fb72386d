/** The completion scripts, in the shells they are for. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import type { CommandDescription } from '../../src/cli/command-tree.ts';
import { describeCommand, flatten } from '../../src/cli/command-tree.ts';
import { completionScript, shells } from '../../src/cli/completion/script.ts';
import type { Shell } from '../../src/cli/completion/script.ts';
import { buildProgram } from '../../src/cli/program.ts';
import type { Environment } from '../../src/cli/environment.ts';
import { resourceTable } from '../../src/resources/table.ts';
import type { ResourceSpec } from '../../src/resources/table.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

// Describing a program only reads its version.
const program = describeCommand(buildProgram({ version: '1.2.3' } as Environment, () => undefined));

const drivers: Record<Shell, { readonly command: string; readonly text: string }> = {
  bash: {
    command: 'bash',
    text: 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ovs_port_agent; printf "%s\\n" "${COMPREPLY[@]}"',
  },
  // The functions of zsh's completion system that only work below a prompt are replaced by what tells of their arguments.
  zsh: {
    command: 'zsh',
    text: `compdef() { :; }
      compset() { IPREFIX="\${PREFIX%%=*}="; PREFIX="\${PREFIX#*=}"; }
      _files() { print -l -- \${~PREFIX}*(N); }
      _describe() { local entry; for entry in \${(P)argv[-1]}; do entry="\${IPREFIX}\${entry%%:*}"
        [[ $entry != "\${IPREFIX}\${PREFIX}"* ]] || print -r -- "$entry"; done; }
      source "$1"; shift; words=("$@"); CURRENT=$#; PREFIX="\${words[-1]}"; IPREFIX=''; _ovs-port-agent`,
  },
  fish: { command: 'fish', text: 'source $argv[1]; complete -C "$argv[2..]"' },
};

describe('completion', () => {
  const folder = temporaryFolder();

  /** What the shell offers for the last word of a line; the words of fish without their descriptions. */
  async function complete(
    shell: Shell,
    line: string,
    resources: readonly ResourceSpec[] = resourceTable,
    tree = program,
  ) {
    const script = join(folder(), 'completion');
    writeFileSync(script, completionScript(shell, tree, resources));
    const { command, text } = drivers[shell];
    const options = shell === 'bash' ? ['--norc', '--noprofile'] : shell === 'zsh' ? ['-f'] : ['--no-config'];
    const argv = shell === 'fish' ? [text, script, line] : [text, command, script, ...line.split(' ')];
    const { stdout, stderr } = await execa(command, [...options, '-c', ...argv], {
      cwd: folder(),
      env: { PATH: `${folder()}:${process.env['PATH'] ?? ''}`, HOME: folder() },
    });
    assert.equal(stderr, '');
    const words = stdout.split('\n').map((found) => found.split('\t')[0] ?? '');
    return words.filter((word) => word !== '').sort();
  }

  /** A program of the node that answers with these lines. */
  function fake(name: string, ...lines: readonly string[]): void {
    const path = join(folder(), name);
    writeFileSync(path, `#!/bin/sh\ncat <<'END'\n${lines.join('\n')}\nEND\n`);
    chmodSync(path, 0o755);
  }

  for (const shell of shells) {
    describe(`in ${shell}`, () => {
      it('offers every command', async () => {
        assert.deepEqual(
          await complete(shell, 'ovs-port-agent '),
          program.commands.map(({ path }) => path.join(' ')).sort(),
        );
        assert.deepEqual(await complete(shell, 'ovs-port-agent ledger s'), ['show', 'stats']);
      });

      it('offers options, and the values they have', async () => {
        assert.deepEqual(await complete(shell, 'ovs-port-agent list --no'), ['--noborder', '--noheader']);
        assert.deepEqual(await complete(shell, 'ovs-port-agent list --output-format j'), ['json', 'json-pretty']);
        const joined = await complete(shell, 'ovs-port-agent list --output-format=y');
        // bash would replace only what stands behind "=" when the line was broken there; here it was not.
        assert.deepEqual(
          joined.map((word) => word.replace('--output-format=', '')),
          ['yaml'],
        );
      });

      it('skips the value of an option when it counts arguments', async () => {
        assert.deepEqual(await complete(shell, 'ovs-port-agent usage --command get /v'), ['/version']);
      });

      it('offers paths for a verb that they have, and their parameters', async () => {
        fake('busctl', '');
        assert.deepEqual(await complete(shell, 'ovs-port-agent create /'), ['/guests', '/ports']);
        assert.deepEqual(await complete(shell, 'ovs-port-agent create /ports --n'), [
          '--netdev',
          '--noborder',
          '--noheader',
        ]);
        assert.deepEqual(await complete(shell, 'ovs-port-agent get /ledger/blocks --order '), ['newest', 'oldest']);
      });

      it('asks for ports and bridges', async () => {
        fake('busctl', 'as 3 "vi100" "vi101" "vi_web"');
        fake('ovs-vsctl', 'ovsbr0', 'ovsbr1');
        assert.deepEqual(await complete(shell, 'ovs-port-agent remove-interface vi1'), ['vi100', 'vi101']);
        assert.deepEqual(await complete(shell, 'ovs-port-agent get /ports/vi_'), ['/ports/vi_web']);
        assert.deepEqual(await complete(shell, 'ovs-port-agent get /bridges/'), ['/bridges/ovsbr0', '/bridges/ovsbr1']);
        assert.deepEqual(await complete(shell, 'ovs-port-agent del-port o'), ['ovsbr0', 'ovsbr1']);
      });

      it('stays silent when the node has no answer', async () => {
        writeFileSync(join(folder(), 'busctl'), '#!/bin/sh\necho "Call failed: no such name" >&2; exit 1\n', {
          mode: 0o755,
        });
        assert.deepEqual(await complete(shell, 'ovs-port-agent remove-interface v'), []);
      });

      it('leaves names of files to the shell', async () => {
        writeFileSync(join(folder(), 'ledger.jsonl'), '');
        assert.deepEqual(await complete(shell, `ovs-port-agent ledger verify ${folder()}/led`), [
          `${folder()}/ledger.jsonl`,
        ]);
      });

      it('keeps what a description says from being code', async () => {
        const hostile = ["it's", '$(touch run)', '"\\', '`touch run`', '%s'].join(' ');
        const command = (path: string[], commands: CommandDescription[] = []): CommandDescription => ({
          path,
          description: hostile,
          arguments: [],
          options: [],
          examples: [],
          commands,
        });
        assert.deepEqual(
          await complete(shell, 'ovs-port-agent ', [], command([], [command(['one']), command(['two'])])),
          ['one', 'two'],
        );
        assert.deepEqual((await execa('ls', [folder()])).stdout, 'completion');
      });
    });
  }

  it('never starts the service: a stopped one stays stopped', () => {
    const calls = completionScript('bash', program, resourceTable)
      .split('\n')
      .filter((line) => line.includes('busctl'));
    assert.equal(calls.length, 1);
    assert.match(calls[0] ?? '', /--auto-start=no/);
  });

  it('has no fault that shellcheck knows', async () => {
    await execa('shellcheck', ['--shell=bash', '-'], { input: completionScript('bash', program, resourceTable) });
  });

  it('knows each command by its whole path', () => {
    const paths = flatten(program).map(({ path }) => path.join(' '));
    assert.ok(paths.includes('ledger verify'));
    assert.equal(new Set(paths).size, paths.length);
  });
});
