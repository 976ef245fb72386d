/** The Debian package as it is built: same bytes, right places, right owners, its licences. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { runTool, runToolOk } from '../support/run-tool.ts';
import { buildPackage } from '../support/debian-package.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
/** It starts one Perl program after the other. */
const lintianMsMax = 60_000;
const scripts = ['postinst', 'prerm', 'postrm'] as const;

describe('the Debian package', () => {
  let folder: string;
  let built: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ovs-port-agent-test-'));
    built = await buildPackage(folder);
    await runToolOk('dpkg', 'dpkg-deb', ['--raw-extract', built, join(folder, 'root')]);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const packaged = (path: string): string => readFileSync(join(folder, 'root', path), 'utf8');

  it('is the same bytes when it is built again, by another user’s rules, in another zone', async () => {
    const again = await buildPackage(mkdtempSync(join(folder, 'again-')), { env: { TZ: 'Asia/Tokyo' }, umask: 0o077 });
    assert.ok(readFileSync(built).equals(readFileSync(again)));
  });

  it('holds what packaging/files lists, for root, with dates of the last commit', async () => {
    const listing = await runToolOk('dpkg', 'dpkg-deb', ['--contents', built]);
    const rows = listing.split('\n').map((line) => line.split(/\s+/));
    assert.ok(rows.every(([, owner]) => owner === 'root/root'));
    assert.equal(new Set(rows.map((row) => `${row[3]} ${row[4]}`)).size, 1);
    const packedFiles = rows.filter(([mode]) => mode?.startsWith('d') === false).map((row) => row[5]?.slice(1));
    const listed = [...read('packaging/files').matchAll(/ (\/\S+)/g)].map((match) => match[1]);
    const doc = '/usr/share/doc/ovs-port-agent';
    assert.deepEqual(packedFiles.sort(), [...listed, `${doc}/changelog.gz`, `${doc}/copyright`].sort());
    const link = rows.find((row) => row[5] === './usr/bin/ovs-port-agent');
    assert.equal(link?.[7], '../lib/ovs-port-agent/ovs-port-agent.mjs');
  });

  it('keeps the configuration that an administrator edited', () => {
    assert.equal(packaged('DEBIAN/conffiles'), '/etc/ovs-port-agent/config.toml\n');
  });

  it('has a command that starts, and says its version', async () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const command = join(folder, 'root/usr/bin/ovs-port-agent');
    assert.equal(await runToolOk('nodejs', 'node', [command, '--version']), version);
    assert.match(packaged('DEBIAN/control'), new RegExp(`^Version: ${version}$`, 'm'));
    assert.ok(read('packaging/changelog').startsWith(`ovs-port-agent (${version}) `));
  });

  it('gives the licence of every npm package in the bundles', () => {
    const copyright = packaged('usr/share/doc/ovs-port-agent/copyright');
    const folders = JSON.parse(read('dist/packages.json')) as string[];
    assert.ok(folders.includes('node_modules/zod'));
    const paragraphs = copyright.split('\n\n');
    for (const name of folders) {
      const files = paragraphs.find((paragraph) => paragraph.startsWith(`Files: ${name}/*\n`));
      const licence = /^License: (\S+)$/m.exec(files ?? '')?.[1];
      assert.ok(licence !== undefined, name);
      const text = paragraphs.find((paragraph) => paragraph.startsWith(`License: ${licence}\n `));
      assert.ok((text?.length ?? 0) > 60, `${name}: ${licence} has no text`);
    }
    const isGpl = folders.includes('node_modules/proxmox-api');
    assert.equal(/^License: GPL-3\.0/m.test(paragraphs[0] ?? ''), isGpl);
  });

  it('is under the GPL as a whole as soon as a part of it is, and our sources are not', async () => {
    const program = `import { copyrightFile } from './scripts/copyright.mjs';
      process.stdout.write(copyrightFile(['node_modules/proxmox-api', 'node_modules/zod']));`;
    const { stdout } = await execa('node', ['--input-type=module', '-e', program], { cwd: root });
    const [head = '', ours = '', api = ''] = stdout.split('\n\n');
    assert.match(head, /^License: GPL-3\.0-or-later$/m);
    assert.match(ours, /^Files: \*$[^]*^License: Apache-2\.0$/m);
    assert.doesNotMatch(api, /Free Software Foundation/);
    assert.match(
      stdout,
      /^License: GPL-3\.0.*\n On Debian systems the text is in \/usr\/share\/common-licenses\/GPL-3\.$/m,
    );
  });

  it('names no file in dist/ or of the machine that built it', () => {
    const texts = readdirSync(join(folder, 'root'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
    assert.ok(texts.length > 20);
    for (const text of texts) assert.ok(!text.includes(root));
  });

  it('has nothing that lintian calls an error or warns of', async () => {
    const { stdout } = await execa('lintian', [built], { reject: false, timeout: lintianMsMax });
    assert.equal(stdout, '');
  }).timeout(lintianMsMax);

  for (const name of scripts) {
    it(`${name} is POSIX sh, and does nothing for an action it does not know`, async () => {
      const path = join(root, 'packaging', name);
      await runToolOk('dash', 'sh', ['-n', path]);
      const { exitCode, stdout, stderr } = await runTool('dash', 'sh', [path, 'abort-something', '1.0']);
      assert.deepEqual([exitCode, stdout, stderr], [0, '', '']);
    });
  }

  it('is refused a version that is none', async () => {
    await assert.rejects(buildPackage(folder, { version: '../x' }), /no version/);
    assert.ok(!existsSync(join(folder, '../x')));
  });
});
