/**
 * The Debian 13 root file system that the tier `node` boots. Built once by debootstrap and kept in the cache folder
 * under a name that is a hash of everything it is made from; never written to afterwards (see test-node.ts).
 */
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { progress } from './progress.ts';

const suite = 'trixie';

/**
 * `libpam-systemd` is named because polkitd wants the virtual package `logind`, and debootstrap follows real
 * packages only: without it polkitd stays unconfigured and the whole build fails.
 */
const packages = [
  'systemd,systemd-sysv,libpam-systemd,dbus,polkitd,udev,procps,iproute2,iputils-ping,nftables',
  'openvswitch-switch,lxc,ifupdown2,busybox-static,nodejs',
].join(',');

/** On Proxmox nothing makes `lxcbr0`; here lxc.service would wait 30 s for it. */
const maskedUnits = ['lxc.service', 'lxc-net.service', 'lxc-monitord.service'];

const files: Readonly<Record<string, string>> = {
  'etc/hostname': 'pve1\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 pve1\n',
  'etc/network/interfaces': 'auto lo\niface lo inet loopback\n',
};

const buildMsMax = 15 * 60_000;

/** Path of the pristine root file system; builds it (about 80 s) when the cache has none. */
export async function ensureImage(): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'ovs-port-agent');
  const key = createHash('sha256').update(JSON.stringify([suite, packages, maskedUnits, files]));
  const image = join(cache, `node-${key.digest('hex').slice(0, 12)}`);
  if (await exists(image)) return image;
  await mkdir(cache, { recursive: true });
  await removeDeadBuilds(cache);
  const building = `${image}.building-${process.pid}`;
  try {
    await build(building);
    // Only a complete image ever gets the final name. When another process was faster, its image is as good.
    await rename(building, image).catch(async (error: unknown) => {
      if (!(await exists(image))) throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return image;
}

async function build(root: string): Promise<void> {
  const report = progress('node image');
  report(`building Debian ${suite} by debootstrap, about 80 s, once`);
  // In a mount namespace of its own: a killed debootstrap leaves no mounted /proc behind for somebody's `rm -r`.
  const child = execa(
    'unshare',
    ['--mount', 'debootstrap', '--variant=minbase', `--include=${packages}`, suite, root],
    { timeout: buildMsMax, stdin: 'ignore', env: { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' } },
  );
  try {
    for await (const line of child) report.now(line);
  } catch (error) {
    // What it says itself is only where its log lies, and that goes with the folder.
    const log = await readFile(join(root, 'debootstrap/debootstrap.log'), 'utf8').catch(() => '');
    throw new Error(`debootstrap failed; its log ends:\n${log.slice(-3_000)}`, { cause: error });
  }
  for (const [path, content] of Object.entries(files)) await writeFile(join(root, path), content);
  for (const unit of maskedUnits) await symlink('/dev/null', join(root, 'etc/systemd/system', unit));
  for (const name of await readdir(join(root, 'var/cache/apt/archives'))) {
    if (name.endsWith('.deb')) await rm(join(root, 'var/cache/apt/archives', name));
  }
  report('built');
}

/** What a killed build left; the process that made it is part of its name. */
async function removeDeadBuilds(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const pid = /\.building-([0-9]+)$/.exec(name)?.[1];
    if (pid !== undefined && !(await exists(`/proc/${pid}`))) {
      await rm(join(cache, name), { recursive: true, force: true });
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
