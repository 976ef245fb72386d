// Builds the Debian package from what `npm run build` left in dist/. The same sources give the same bytes: names are
// sorted, everything belongs to root, and every date is that of scripts/source-date.mjs.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  lstatSync,
  lutimesSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { copyrightFile } from './copyright.mjs';
import { sourceDateEpoch } from './source-date.mjs';

const help = `Usage: npm run deb -- [--output FOLDER] [--version VERSION]

Writes ovs-port-agent_VERSION_all.deb and prints its path.

  --output FOLDER     where to; dist/ when not given
  --version VERSION   instead of the version in package.json
`;

const { values } = parseArgs({
  options: { output: { type: 'string' }, version: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
});
if (values.help === true) {
  process.stdout.write(help);
  process.exit(0);
}
process.chdir(join(import.meta.dirname, '..'));
const version = values.version ?? JSON.parse(readFileSync('package.json', 'utf8')).version;
if (!/^[0-9][A-Za-z0-9.+~]*$/.test(version)) throw new Error(`"${version}" is no version of a Debian package`);

const epoch = sourceDateEpoch();
// The modes of folders are nobody's own matter.
process.umask(0o022);
const root = mkdtempSync(join(tmpdir(), 'ovs-port-agent-deb-'));
chmodSync(root, 0o755);
try {
  const target = join(values.output ?? 'dist', `ovs-port-agent_${version}_all.deb`);
  for (const entry of packageFiles()) put(entry);
  writeControl();
  for (const path of ['', ...readdirSync(root, { recursive: true })]) lutimesSync(join(root, path), epoch, epoch);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', root, target], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC', LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  process.stdout.write(`${target}\n`);
} finally {
  rmSync(root, { recursive: true, force: true });
}

/** What packaging/files lists, and what is made here. */
function packageFiles() {
  const doc = '/usr/share/doc/ovs-port-agent';
  const listed = readFileSync('packaging/files', 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/ +/))
    .map(([source, target, mode, how]) => {
      if (source === '->') return { target: mode, linkTo: target };
      const bytes = readFileSync(source);
      return { target, mode: Number.parseInt(mode, 8), bytes: how === 'gz' ? gzipped(bytes) : bytes };
    });
  const folders = JSON.parse(readFileSync('dist/packages.json', 'utf8'));
  return [
    ...listed,
    { target: `${doc}/copyright`, mode: 0o644, bytes: copyrightFile(folders) },
    { target: `${doc}/changelog.gz`, mode: 0o644, bytes: gzipped(readFileSync('packaging/changelog')) },
  ];
}

/** Without a name or a date in it. */
function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 });
}

function put({ target, mode, bytes, linkTo }) {
  const path = join(root, target);
  mkdirSync(dirname(path), { recursive: true });
  if (linkTo === undefined) {
    writeFileSync(path, bytes);
    chmodSync(path, mode);
  } else symlinkSync(linkTo, path);
}

function writeControl() {
  const paths = readdirSync(root, { recursive: true }).sort();
  const files = paths.filter((path) => lstatSync(join(root, path)).isFile());
  const kibibytes = (path) => (files.includes(path) ? Math.ceil(statSync(join(root, path)).size / 1024) : 1);
  mkdirSync(join(root, 'DEBIAN'));
  const control = readFileSync('packaging/control', 'utf8')
    .replace('@VERSION@', version)
    .replace('@INSTALLED_SIZE@', String(paths.reduce((sum, path) => sum + kibibytes(path), 0)));
  const sums = files.map(
    (path) =>
      `${createHash('md5')
        .update(readFileSync(join(root, path)))
        .digest('hex')}  ${path}\n`,
  );
  const conffiles = files.filter((path) => path.startsWith('etc/')).map((path) => `/${path}\n`);
  for (const [name, text, mode] of [
    ['control', control, 0o644],
    ['md5sums', sums.join(''), 0o644],
    ['conffiles', conffiles.join(''), 0o644],
    ...['postinst', 'prerm', 'postrm'].map((name) => [name, readFileSync(join('packaging', name)), 0o755]),
  ]) {
    const path = join(root, 'DEBIAN', name);
    writeFileSync(path, text);
    chmodSync(path, mode);
  }
}
