import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

describe('scripts/install.sh', () => {
  let destdir: string;

  beforeEach(async () => {
    destdir = await mkdtemp(join(tmpdir(), 'install-'));
  });
  afterEach(() => rm(destdir, { recursive: true, force: true }));

  const install = (...args: readonly string[]) => execa('scripts/install.sh', args, { reject: false });

  /** Path and mode of everything below the folder. */
  async function tree(): Promise<string[]> {
    const entries = await readdir(destdir, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    const lines = await Promise.all(
      files.map(async (path) => `${path.slice(destdir.length)} ${((await stat(path)).mode & 0o777).toString(8)}`),
    );
    return lines.sort();
  }

  it('lays the files out as on a host, and again the same way', async () => {
    assert.equal((await install('--destdir', destdir)).exitCode, 0);
    const first = await tree();
    assert.deepEqual(first, [
      '/etc/ovs-port-agent/config.toml 644',
      '/usr/bin/ovs-port-agent 755',
      '/usr/lib/ovs-port-agent/hook/ovs-port-agent 755',
      '/usr/lib/ovs-port-agent/ovs-port-agent.mjs 755',
      '/usr/lib/ovs-port-agent/ovs-port-agentd.mjs 644',
      '/usr/lib/systemd/system/ovs-port-agent.service 644',
      '/usr/share/dbus-1/system-services/dev.ovs.PortAgent1.service 644',
      '/usr/share/dbus-1/system.d/dev.ovs.PortAgent1.conf 644',
    ]);
    assert.equal(await readlink(join(destdir, 'usr/bin/ovs-port-agent')), '../lib/ovs-port-agent/ovs-port-agent.mjs');
    assert.equal((await install('--destdir', destdir)).exitCode, 0);
    assert.deepEqual(await tree(), first);
  });

  it('never touches a configuration that exists', async () => {
    await install('--destdir', destdir);
    const config = join(destdir, 'etc/ovs-port-agent/config.toml');
    await writeFile(config, 'bridge_name = "vmbr1"\n');
    await install('--destdir', destdir);
    assert.equal(await readFile(config, 'utf8'), 'bridge_name = "vmbr1"\n');
  });

  it('shows examples with --help and names what it does not know', async () => {
    const help = await install('--help');
    assert.equal(help.exitCode, 0);
    assert.match(help.stdout, /Examples:/);
    for (const args of [['--frobnicate'], ['--destdir'], ['--destdir', '']]) {
      const { exitCode, stdout, stderr } = await install(...args);
      assert.deepEqual([exitCode, stdout, stderr.split('\n').length], [1, '', 1]);
    }
  });
});
