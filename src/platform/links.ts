/**
 * Kernel network devices through iproute2: one long-lived `ip -batch -` child answers questions and gives altnames, one
 * `ip monitor link` says where to look. Nothing is forked per port. The monitor's lines are hints only: for a bridge's
 * member it prints "Deleted" when the device merely left the bridge.
 */
import { execa } from 'execa';
import type { ResultPromise } from 'execa';
import { createInterface } from 'node:readline';
import { AgentError } from '../model/errors.ts';

export interface LinkInfo {
  readonly name: string;
  readonly master: string | null;
  readonly altnames: readonly string[];
  /** Its name before `rename`; null when there was none. */
  readonly originalName: string | null;
  /** In bytes. */
  readonly mtu: number;
  /** A pair whose other end lives in another network namespace. */
  readonly peerElsewhere: boolean;
  /** Only known where addresses were asked for. */
  readonly hasAddress: boolean;
}

/** One batch, from the answer of the one before, or its first line, to its last answer. */
const batchDeadlineMs = 5000;
/** Fresh children for one batch: devices may go on vanishing while it is asked. */
const retriesMax = 5;
/** Command lines that may wait for the child. */
const queuedLinesMax = 100_000;
/** The loopback device exists in every network namespace: its answer marks the end of a batch. */
const sentinel = 'lo';
/** With the name that a device had before it: an altname that says so before anything is done, and until it is undone. */
const renamedPrefix = 'ovs-port-agent.';
const devicePattern = /^[A-Za-z0-9_][A-Za-z0-9_.+@=-]{0,14}$/;

interface NameChange {
  readonly before: string;
  readonly after: string;
  /** Command lines before and after the change itself. */
  readonly first: string;
  readonly then: string;
  /** What the device says of itself when all is done. */
  readonly originalName: string | null;
}

interface Batch {
  readonly lines: readonly string[];
  /** Answers to come before the sentinel's can be told from them: `link show` always gives one, with the loopback in it. */
  readonly answersBefore: number;
  /** Answers had, by the present child. */
  answers: number;
  /** Children that ended under this batch. */
  retries: number;
  readonly found: Map<string, LinkInfo>;
  resolve(found: Map<string, LinkInfo>): void;
  reject(error: AgentError): void;
}

const monitorOptions = {
  stdin: 'ignore',
  stdout: 'pipe',
  stderr: 'ignore',
  buffer: false,
  reject: false,
  cleanup: true,
} as const;
const childOptions = {
  stdin: 'pipe',
  stdout: 'pipe',
  stderr: 'ignore',
  buffer: false,
  reject: false,
  cleanup: true,
} as const;

export class Links {
  #child: ResultPromise<typeof childOptions> | null = null;
  readonly #queue: Batch[] = [];
  /** Written to the child together, answered in this order; what comes meanwhile waits in the queue. */
  #asked: Batch[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** The named devices as they are now; those that do not exist are missing. */
  observe(names: readonly string[]): Promise<Map<string, LinkInfo>> {
    return this.#run(validNames(names).map((name) => `link show dev ${name}`));
  }

  observeAll(): Promise<Map<string, LinkInfo>> {
    return this.#run(['link show'], 1);
  }

  /** Adds altnames and reads each device back; the answer holds those that have theirs. */
  async addAltnames(names: ReadonlyMap<string, string>): Promise<Map<string, LinkInfo>> {
    const lines = [...names].flatMap(([netdev, altname]) => [
      `link property add dev ${netdev} altname ${altname}`,
      `link show dev ${netdev}`,
    ]);
    const found = await this.#run(lines);
    return new Map([...found].filter(([netdev, link]) => link.altnames.includes(names.get(netdev) ?? '')));
  }

  /** Those of the named devices that have an address other than a link-local one. */
  async withAddress(names: readonly string[]): Promise<Set<string>> {
    if (names.length === 0) return new Set();
    const found = await this.#run(validNames(names).map((name) => `address show dev ${name}`));
    return new Set([...found.values()].filter(({ hasAddress }) => hasAddress).map(({ name }) => name));
  }

  /** Does nothing when the device or the altname is gone. */
  async removeAltname(netdev: string, altname: string): Promise<void> {
    await this.#run([`link property del dev ${netdev} altname ${altname}`]);
  }

  /**
   * Renames devices; the names they had become altnames. Answers those that have their new names, by these.
   *   1. the altname that remembers the old name     -> killed here: the device is as it was, `originalName` says so
   *   2. the name                                    -> killed here: known by `originalName`, not yet by its old name
   *   3. the old name as an altname
   */
  async rename(names: ReadonlyMap<string, string>): Promise<Map<string, LinkInfo>> {
    const renamed = await this.#setNames(
      [...names].map(([before, after]) => ({
        before,
        after,
        first: `link property add dev ${before} altname ${renamedPrefix}${before}`,
        // At once: whoever made the device may be about to ask for it. Where the new name is another device's, the old
        // one is still a name, and this fails.
        then: `link property add dev ${after} altname ${before}`,
        originalName: before,
      })),
    );
    const failed = [...names].filter(([, after]) => !renamed.has(after));
    await this.#run(failed.map(([before]) => `link property del dev ${before} altname ${renamedPrefix}${before}`));
    return renamed;
  }

  /** The way back, for devices with an `originalName`: the same steps backwards. Answers those that have it, by it. */
  giveBackNames(devices: readonly LinkInfo[]): Promise<Map<string, LinkInfo>> {
    return this.#setNames(
      devices.flatMap(({ name, originalName }) =>
        originalName === null
          ? []
          : [
              {
                before: name,
                after: originalName,
                // A name that a device has as an altname cannot become its name.
                first: `link property del dev ${name} altname ${originalName}`,
                then: `link property del dev ${originalName} altname ${renamedPrefix}${originalName}`,
                originalName: null,
              },
            ],
      ),
    );
  }

  /** Answers the devices that have their names. Kernels before 6.2 rename none that is up: it is down for a moment. */
  async #setNames(changes: readonly NameChange[]): Promise<Map<string, LinkInfo>> {
    const done = new Map<string, LinkInfo>();
    const attempt = async (some: readonly NameChange[], isBusy: boolean): Promise<void> => {
      const lines = some.flatMap(({ before, after, first, then }) => [
        first,
        `link property del dev ${before} altname ${after}`,
        ...(isBusy ? [`link set dev ${before} down`] : []),
        `link set dev ${before} name ${after}`,
        then,
        `link show dev ${after}`,
      ]);
      const found = await this.#run(lines);
      for (const { after, originalName } of some) {
        const link = found.get(after);
        if (link?.originalName === originalName) done.set(after, link);
      }
    };
    await attempt(changes, false);
    const left = changes.filter(({ after }) => !done.has(after));
    // A device whose new name is taken is not set down for nothing.
    const taken = [...(await this.observe(left.map(({ after }) => after))).values()];
    const busy = left.filter(
      ({ after }) => !taken.some(({ name, altnames }) => name === after || altnames.includes(after)),
    );
    await attempt(busy, true);
    await this.#run(busy.map(({ before, after }) => `link set dev ${done.has(after) ? after : before} up`));
    return done;
  }

  /** Sets devices up and puts each into its Linux bridge; the answer holds those that are in theirs. */
  async joinBridges(bridges: ReadonlyMap<string, string>): Promise<Map<string, LinkInfo>> {
    // `ip` takes a master that does not exist for a mistake in its arguments, and ends in spite of `-force`.
    const existing = await this.observe([...bridges.values()]);
    const joinable = [...bridges].filter(([, bridge]) => existing.has(bridge));
    if (joinable.length === 0) return new Map();
    const lines = joinable.flatMap(([netdev, bridge]) => [
      `link set dev ${netdev} up master ${bridge}`,
      `link show dev ${netdev}`,
    ]);
    const found = await this.#run(lines);
    return new Map([...found].filter(([netdev, link]) => link.master === bridges.get(netdev)));
  }

  close(): void {
    this.#closed = true;
    const child = this.#child;
    this.#child = null;
    clearTimeout(this.#timer);
    for (const batch of [...this.#asked.splice(0), ...this.#queue.splice(0)]) batch.reject(stopping());
    child?.kill();
  }

  #run(lines: readonly string[], answersBefore = 0): Promise<Map<string, LinkInfo>> {
    if (lines.length === 0) return Promise.resolve(new Map<string, LinkInfo>());
    if (this.#closed) return Promise.reject(stopping());
    const waiting = this.#queue.reduce((sum, batch) => sum + batch.lines.length, lines.length);
    if (waiting > queuedLinesMax) {
      return Promise.reject(new AgentError('Busy', `${queuedLinesMax} questions about network devices are waiting`));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ lines, answersBefore, answers: 0, retries: 0, found: new Map(), resolve, reject });
      this.#next();
    });
  }

  /** Many who ask at once, as when guests start together, cost one exchange and not one each. */
  #next(): void {
    if (this.#asked.length > 0 || this.#queue.length === 0) return;
    this.#asked = this.#queue.splice(0);
    this.#ask();
  }

  #ask(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const child = this.#child;
      this.#child = null;
      child?.kill('SIGKILL');
      this.#fail(cannotObserve(`ip did not answer within ${batchDeadlineMs} ms`));
    }, batchDeadlineMs);
    this.#child ??= this.#spawn();
    const lines = this.#asked.flatMap((batch) => [...batch.lines, `link show dev ${sentinel}`]);
    this.#child.stdin.write(`${lines.join('\n')}\n`);
  }

  #spawn(): ResultPromise<typeof childOptions> {
    const child = execa('ip', ['-json', '-force', '-batch', '-'], childOptions);
    child.stdin.on('error', () => undefined);
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      if (child === this.#child) this.#onLine(line);
    });
    void child.then((result) => {
      if (child === this.#child) this.#onChildEnd(result.shortMessage ?? 'no reason given');
    });
    return child;
  }

  /**
   * iproute2 remembers the index of every device it has shown and ends, in spite of `-force`, when one of them has gone
   * since; when another device has come by that name, it says `[{}]`, as if there were none. The same questions to a fresh
   * child are answered; asking or naming twice does no harm.
   */
  #onChildEnd(reason: string): void {
    this.#child = null;
    const [batch] = this.#asked;
    if (batch === undefined) return;
    if (batch.retries >= retriesMax) {
      this.#fail(cannotObserve(`ip ended: ${reason}`));
      return;
    }
    batch.retries++;
    batch.answers = 0;
    batch.found.clear();
    this.#ask();
  }

  #onLine(line: string): void {
    const [batch] = this.#asked;
    if (batch === undefined || line.trim() === '') return;
    const links = tryParseLinks(line);
    if (links === null || links.length === 0) {
      // The child died within a line, or is out of date. What it has not said must not pass for a device that is not there.
      const child = this.#child;
      this.#onChildEnd(links === null ? 'its answer broke off' : 'its answers were out of date');
      child?.kill('SIGKILL');
      return;
    }
    if (batch.answers >= batch.answersBefore && links[0]?.name === sentinel) {
      this.#asked.shift();
      batch.resolve(batch.found);
      if (this.#asked.length > 0) {
        this.#timer?.refresh();
        return;
      }
      clearTimeout(this.#timer);
      this.#next();
      return;
    }
    batch.answers++;
    for (const link of links) batch.found.set(link.name, link);
  }

  /** The first of those asked gets this answer; the others are none the worse. The child that was asked is gone. */
  #fail(error: AgentError): void {
    clearTimeout(this.#timer);
    this.#asked.shift()?.reject(error);
    if (this.#asked.length > 0) this.#ask();
    else this.#next();
  }
}

/** Names also come from rows that anybody can write; what is no device name is not put into a command line. */
function validNames(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => devicePattern.test(name) && name !== sentinel);
}

function tryParseLinks(line: string): LinkInfo[] | null {
  try {
    return parseLinks(line);
  } catch {
    return null;
  }
}

function cannotObserve(reason: string): AgentError {
  return new AgentError('Unavailable', `cannot observe network devices: ${reason}`);
}

function stopping(): AgentError {
  return cannotObserve('the service is stopping');
}

/** One answer of `ip -json link show`. Throws when it is no JSON. */
export function parseLinks(json: string): LinkInfo[] {
  const parsed: unknown = JSON.parse(json);
  if (!Array.isArray(parsed)) return [];
  return parsed.flatMap(
    (
      entry: {
        ifname?: unknown;
        master?: unknown;
        altnames?: unknown;
        mtu?: unknown;
        link_netnsid?: unknown;
        addr_info?: unknown;
      } | null,
    ) => {
      if (typeof entry?.ifname !== 'string') return [];
      const altnames = Array.isArray(entry.altnames) ? entry.altnames.filter((name) => typeof name === 'string') : [];
      return [
        {
          name: entry.ifname,
          master: typeof entry.master === 'string' ? entry.master : null,
          mtu: typeof entry.mtu === 'number' ? entry.mtu : 0,
          peerElsewhere: entry.link_netnsid !== undefined,
          hasAddress: Array.isArray(entry.addr_info) && entry.addr_info.some(isGlobal),
          altnames: altnames.filter((name) => !name.startsWith(renamedPrefix)),
          originalName:
            altnames
              .filter((name) => name.startsWith(renamedPrefix))
              .map((name) => name.slice(renamedPrefix.length))
              .find((name) => devicePattern.test(name)) ?? null,
        },
      ];
    },
  );
}

function isGlobal(address: unknown): boolean {
  return (address as { scope?: unknown } | null)?.scope !== 'link';
}

/** Calls `onNames` with the devices that a burst of kernel messages was about. Restarts its child when that dies. */
export class LinkMonitor {
  readonly #onNames: (names: string[]) => void;
  #child: ResultPromise<typeof monitorOptions> | null = null;
  #names = new Set<string>();
  #closed = false;

  constructor(onNames: (names: string[]) => void) {
    this.#onNames = onNames;
  }

  start(): void {
    const child = execa('ip', ['-oneline', 'monitor', 'link'], monitorOptions);
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const name = parseMonitorLine(line);
      if (name === null) return;
      if (this.#names.size === 0) {
        setImmediate(() => {
          const names = [...this.#names];
          this.#names.clear();
          this.#onNames(names);
        });
      }
      this.#names.add(name);
    });
    void child.then(() => {
      if (this.#closed) return;
      setTimeout(() => {
        if (!this.#closed) this.start();
      }, monitorRestartMs).unref();
    });
  }

  close(): void {
    this.#closed = true;
    this.#child?.kill();
  }
}

const monitorRestartMs = 1000;

/** The device a line of `ip -oneline monitor link` is about: `[Deleted ]<index>: <name>[@<peer>]: <...`. */
export function parseMonitorLine(line: string): string | null {
  return /^(?:Deleted )?\d+: ([^\s:@]+)(?:@[^\s:]+)?: /.exec(line)?.[1] ?? null;
}
