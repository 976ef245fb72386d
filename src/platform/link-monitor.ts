/**
 * One `ip monitor link` that says where to look. Its lines are hints only: for a bridge's member it prints "Deleted" when
 * the device merely left the bridge.
 */
import { execa } from 'execa';
import type { ResultPromise } from 'execa';
import { createInterface } from 'node:readline';

const monitorOptions = {
  stdin: 'ignore',
  stdout: 'pipe',
  stderr: 'ignore',
  buffer: false,
  reject: false,
  cleanup: true,
} as const;

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
