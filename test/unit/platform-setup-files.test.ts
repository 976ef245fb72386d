/** What `setup` writes, moves and remembers, what it runs, and what it asks of the file system. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../src/model/errors.ts';
import type { Step } from '../../src/node/setup/step.ts';
import { diskOf, modeOf } from '../../src/platform/host-facts.ts';
import { hostFiles } from '../../src/platform/host-files.ts';
import { hostPrograms } from '../../src/platform/programs.ts';
import { setupFiles, setupJournal } from '../../src/platform/setup-files.ts';
import { refusedWith } from '../support/refused.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe("setup's files", () => {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder(), name);

  it('are written whole, with the mode that was asked for, whatever it was before', async () => {
    await setupFiles.write(at('deep/token'), 'secret\n', 0o600);
    assert.deepEqual(
      [readFileSync(at('deep/token'), 'utf8'), statSync(at('deep/token')).mode & 0o777],
      ['secret\n', 0o600],
    );
    chmodSync(at('deep/token'), 0o644);
    await setupFiles.write(at('deep/token'), 'other\n', 0o600);
    assert.equal(statSync(at('deep/token')).mode & 0o777, 0o600);
  });

  it('keep every byte of a text that is no UTF-8', async () => {
    const bytes = Buffer.from([0x63, 0xe9, 0xff, 0x0a]);
    writeFileSync(at('latin'), bytes);
    const text = (await hostFiles.read(at('latin')))?.text ?? '';
    await setupFiles.write(at('copy'), text, 0o644);
    assert.deepEqual(readFileSync(at('copy')), bytes);
  });

  it('are moved with their mode, and never over something', async () => {
    writeFileSync(at('tool'), 'older', { mode: 0o755 });
    await setupFiles.move(at('tool'), at('aside/usr/tool'));
    assert.deepEqual([existsSync(at('tool')), statSync(at('aside/usr/tool')).mode & 0o777], [false, 0o755]);
    writeFileSync(at('tool'), 'newer');
    await assert.rejects(setupFiles.move(at('aside/usr/tool'), at('tool')), refusedWith('Conflict', 'already'));
    assert.equal(readFileSync(at('tool'), 'utf8'), 'newer');
    assert.ok(existsSync(at('aside/usr/tool')));
  });

  it('are removed once, and a folder never', async () => {
    writeFileSync(at('gone'), '');
    await setupFiles.remove(at('gone'));
    await setupFiles.remove(at('gone'));
    mkdirSync(at('folder'));
    await assert.rejects(setupFiles.remove(at('folder')), refusedWith('Unavailable', 'cannot remove'));
  });

  it('remember steps in a journal that root alone can read', async () => {
    const journal = setupJournal(at('state'));
    assert.deepEqual(await journal.read(), []);
    const steps: Step[] = [{ kind: 'condone', bridge: 'ovsbr0', path: '/x', before: null }];
    await journal.write(steps);
    assert.deepEqual(await setupJournal(at('state')).read(), steps);
    assert.equal(statSync(at('state/setup.json')).mode & 0o777, 0o600);
    writeFileSync(at('state/setup.json'), '{"steps": [');
    await assert.rejects(journal.read(), refusedWith('Conflict', 'setup.json', 'move it away'));
  });
});

describe('a program of the host', () => {
  const wait = { deadlineMs: 5_000 };

  it('tells its exit status and both streams apart', async () => {
    const command = ['/bin/sh', '-c', 'echo out; echo err >&2; exit 3'] as const;
    assert.deepEqual(await hostPrograms.run(command, wait), { exitStatus: 3, output: 'out', complaint: 'err' });
    assert.equal((await hostPrograms.run(['/bin/sh', '-c', 'kill -9 $$'], wait)).exitStatus, null);
  });

  it('gets its arguments as they are, in the language that is read', async () => {
    const { output } = await hostPrograms.run(['/bin/echo', '$(id)', 'a b', '; rm -rf /'], wait);
    assert.equal(output, '$(id) a b ; rm -rf /');
    assert.equal((await hostPrograms.run(['/bin/sh', '-c', 'echo $LC_ALL'], wait)).output, 'C');
  });

  it('that is not there, takes too long or is given up says so', async () => {
    await assert.rejects(
      hostPrograms.run(['/nowhere/pct', 'set'], wait),
      refusedWith('Unavailable', '/nowhere/pct set'),
    );
    await assert.rejects(hostPrograms.run(['/bin/sleep', '5'], { deadlineMs: 50 }), refusedWith('Timeout', '0.05 s'));
    const stop = new AbortController();
    const running = hostPrograms.run(['/bin/sleep', '5'], { ...wait, signal: stop.signal });
    stop.abort(new AgentError('Unavailable', 'enough'));
    await assert.rejects(running, refusedWith('Unavailable', 'enough'));
    await assert.rejects(hostPrograms.run(['/bin/true'], { ...wait, signal: stop.signal }), /enough/);
  });
});

describe('the file system', () => {
  const folder = temporaryFolder();

  it('tells modes, names and room, and null of what is not there', async () => {
    writeFileSync(join(folder(), 'b'), '', { mode: 0o600 });
    writeFileSync(join(folder(), 'a'), '');
    assert.deepEqual(await hostFiles.list(folder()), ['a', 'b']);
    assert.equal(await modeOf(join(folder(), 'b')), 0o600);
    const disk = await diskOf(folder());
    assert.deepEqual([disk?.path, disk?.isReadOnly, (disk?.freeBytes ?? 0) > 0], [folder(), false, true]);
    const nowhere = join(folder(), 'a/nowhere');
    assert.deepEqual([await hostFiles.list(nowhere), await modeOf(nowhere), await diskOf(nowhere)], [[], null, null]);
  });
});
