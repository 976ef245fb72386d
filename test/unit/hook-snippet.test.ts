/** proxmox/snippet on a storage: our hook, then the hookscript that its name chains. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('the snippet', () => {
  const folder = temporaryFolder();

  function write(name: string, text: string): string {
    const path = join(folder(), name);
    writeFileSync(path, text);
    chmodSync(path, 0o755);
    return path;
  }

  /** A copy under that name, with our hook where the test has it. */
  function copy(name: string): string {
    const text = readFileSync(resolve('proxmox/snippet'), 'utf8');
    return write(name, text.replace('/usr/lib/ovs-port-agent/hook/ovs-port-agent', join(folder(), 'hook')));
  }

  async function run(script: string, ...args: readonly string[]) {
    const { exitCode, signal, all } = await execa(script, args, { reject: false, all: true, stdin: 'ignore' });
    return [exitCode ?? signal, all];
  }

  beforeEach(() => {
    write('hook', '#!/bin/sh\necho "ours $*"\n');
    write('gpu.pl', '#!/bin/sh\necho "theirs $*"\n');
  });

  it('calls our hook alone under its own name', async () => {
    assert.deepEqual(await run(copy('ovs-port-agent'), '100', 'pre-start'), [0, 'ours 100 pre-start']);
  });

  it('calls the other one after it, with the same arguments', async () => {
    const script = copy('ovs-port-agent+gpu.pl');
    assert.deepEqual(await run(script, '100', 'post-stop'), [0, 'ours 100 post-stop\ntheirs 100 post-stop']);
  });

  it('ends as the other one ends: exit status, signal, and only when all is said', async () => {
    const script = copy('ovs-port-agent+gpu.pl');
    for (const status of [1, 3, 126, 255]) {
      write('gpu.pl', `#!/bin/sh\nexit ${status}\n`);
      assert.equal((await run(script, '100', 'pre-start'))[0], status);
    }
    write('gpu.pl', '#!/bin/sh\nkill -TERM $$\n');
    assert.equal((await run(script, '100', 'pre-start'))[0], 'SIGTERM');
  });

  it('goes on calling the other one when the package is gone, or our hook was killed', async () => {
    const script = copy('ovs-port-agent+gpu.pl');
    write('hook', '#!/bin/sh\nkill -KILL $$\n');
    assert.equal((await run(script, '100', 'pre-start'))[0], 0);
    rmSync(join(folder(), 'hook'));
    assert.deepEqual(await run(script, '100', 'pre-start'), [0, 'theirs 100 pre-start']);
  });

  it('fails as Proxmox VE would when the other one is missing, no file or not executable', async () => {
    const script = copy('ovs-port-agent+gpu.pl');
    const fails = async (): Promise<void> => {
      const [status, said] = await run(script, '100', 'pre-start');
      assert.equal(status, 1);
      assert.match(String(said), /gpu\.pl does not exist or is not executable$/);
    };
    chmodSync(join(folder(), 'gpu.pl'), 0o644);
    await fails();
    rmSync(join(folder(), 'gpu.pl'));
    await fails();
    mkdirSync(join(folder(), 'gpu.pl'));
    await fails();
  });

  it('takes the whole rest of its name for the other one', async () => {
    write('a+b $(x).sh', '#!/bin/sh\necho odd\n');
    assert.deepEqual(await run(copy('ovs-port-agent+a+b $(x).sh'), '100', 'pre-stop'), [0, 'ours 100 pre-stop\nodd']);
    assert.deepEqual(await run(copy('ovs-port-agent+'), '100', 'pre-stop'), [0, 'ours 100 pre-stop']);
  });
});
