/** A whole Debian 13 system under systemd, booted from the cached image, for tests of the installed service. */
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { execa, type ResultPromise } from 'execa';
import { ensureImage } from './image.ts';
import { progress } from './progress.ts';

const bootMsMax = 60_000;
const commandMsMax = 60_000;
const pollMs = 100;

const tools: Readonly<Record<string, string>> = {
  debootstrap: 'debootstrap',
  'systemd-nspawn': 'systemd-container',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
};

const nspawnOptions = { stdin: 'ignore', all: true, reject: false } as const;
type Nspawn = ResultPromise<typeof nspawnOptions>;

interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export class TestNode {
  /** The node's root folder as this process sees it. Absolute links inside lead outside: use `run` for those. */
  get root(): string {
    return `/proc/${this.#leader}/root`;
  }

  #leader: number;
  readonly #child: Nspawn;
  readonly #folder: string;

  private constructor(leader: number, child: Nspawn, folder: string) {
    this.#leader = leader;
    this.#child = child;
    this.#folder = folder;
  }

  /** Boots (about 3 s; the first time ever builds the image) and waits until systemd says `running`. */
  static async boot(): Promise<TestNode> {
    await checkHost();
    const image = await ensureImage();
    const report = progress('node');
    const folder = await mkdtemp(join(tmpdir(), 'ovs-node-'));
    const child = execa(
      'setpriv',
      // If this process is killed, unshare is too, then its process namespace, then everything in it.
      ['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'].concat(
        join(import.meta.dirname, 'fixtures/boot'),
        image,
        folder,
      ),
      nspawnOptions,
    );
    let node: TestNode | null = null;
    try {
      node = new TestNode(await findLeader(child), child, folder);
      await node.#waitUntilRunning();
      report('booted');
      return node;
    } catch (error) {
      await (node === null ? discard(child, folder) : node.stop());
      const { all } = await child;
      throw new Error(`the test node did not boot; its console said:\n${all.slice(-4_000)}`, { cause: error });
    }
  }

  /** Runs a command in the node as root; its standard output without the last newline. Throws unless it exits 0. */
  async run(...command: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.try(...command);
    if (exitCode !== 0) throw new Error(`${command.join(' ')}: exit ${exitCode}\n${stdout}\n${stderr}`);
    return stdout;
  }

  async try(...command: readonly string[]): Promise<Outcome> {
    const { exitCode, stdout, stderr } = await execa(
      'nsenter',
      ['--target', String(this.#leader), '--all', '--', ...command],
      {
        stdin: 'ignore',
        reject: false,
        timeout: commandMsMax,
        extendEnv: false,
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C' },
      },
    );
    // No exit code: killed by the deadline.
    return { exitCode: exitCode ?? -1, stdout, stderr };
  }

  async read(path: string): Promise<string> {
    return readFile(join(this.root, path), 'utf8');
  }

  async write(path: string, content: string, mode = 0o644): Promise<void> {
    await mkdir(dirname(join(this.root, path)), { recursive: true });
    await writeFile(join(this.root, path), content, { mode });
  }

  /** For a failed test: what the node's services logged, newest last. */
  async journal(): Promise<string> {
    return (await this.try('journalctl', '--no-pager', '--boot', '--lines=150', '--output=short-precise')).stdout;
  }

  /** The reset button: nothing ends in order. What was written stays, `/run` does not. */
  async reset(): Promise<void> {
    const before = this.#leader;
    await this.try('systemctl', 'reboot', '--force', '--force');
    const deadline = Date.now() + bootMsMax;
    while (children(before).length > 0 && Date.now() < deadline) await pause();
    this.#leader = await findLeader(this.#child, before);
    await this.#waitUntilRunning();
  }

  /** Kills the node; nothing it wrote is kept. */
  async stop(): Promise<void> {
    await discard(this.#child, this.#folder);
  }

  async #waitUntilRunning(): Promise<void> {
    const deadline = Date.now() + bootMsMax;
    let state = '';
    while (Date.now() < deadline) {
      ({ stdout: state } = await this.try('systemctl', 'is-system-running', '--wait'));
      if (state === 'running') return;
      if (state === 'degraded') break;
      await pause();
    }
    const { stdout } = await this.try('systemctl', '--failed', '--no-legend', '--plain');
    throw new Error(`systemd is ${state === '' ? 'not reachable' : state}; failed units: ${stdout}`);
  }
}

async function checkHost(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('the tier node needs root (namespaces, mounts)');
  const missing = new Set<string>();
  for (const [tool, debianPackage] of Object.entries(tools)) {
    const { failed } = await execa('which', [tool], { reject: false });
    if (failed) missing.add(debianPackage);
  }
  if (missing.size > 0) throw new Error(`the tier node needs: apt-get install ${[...missing].join(' ')}`);
}

/** The node's pid 1 as this process sees it: unshare -> boot -> nspawn -> systemd. `before`: another one than that. */
async function findLeader(child: Nspawn, before: number | null = null): Promise<number> {
  const deadline = Date.now() + bootMsMax;
  while (Date.now() < deadline && child.exitCode === null) {
    const leader = children(child.pid ?? 0)
      .flatMap(children)
      .flatMap(children)
      .find((pid) => pid !== before && readOr(`/proc/${pid}/comm`) === 'systemd\n');
    if (leader !== undefined) return leader;
    await pause();
  }
  throw new Error('systemd-nspawn did not start systemd');
}

function children(pid: number): number[] {
  return readOr(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Ends the first process of the node's outer process namespace, and with it all others, then clears up behind it. */
async function discard(child: Nspawn, folder: string): Promise<void> {
  const inner = children(child.pid ?? 0);
  for (const pid of inner) process.kill(pid, 'SIGKILL');
  if (inner.length === 0) child.kill('SIGKILL');
  await child;
  const cgroups = ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*/${basename(folder)}*`, '-delete'];
  await execa('find', cgroups, { reject: false });
  await rm(folder, { recursive: true, force: true });
}

async function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pollMs));
}
