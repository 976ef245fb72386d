/**
 * One long-lived `ip -batch -` child: command lines in, answers out, nothing forked per device. Whoever asks while it is
 * busy is asked for together with the others.
 */
import { execa } from 'execa';
import type { ResultPromise } from 'execa';
import { createInterface } from 'node:readline';
import { AgentError } from '../model/errors.ts';
import { parseLinks } from './link-info.ts';
import type { LinkInfo } from './link-info.ts';

/** One batch, from the answer of the one before, or its first line, to its last answer. */
const batchDeadlineMs = 5000;
/** Fresh children for one batch: devices may go on vanishing while it is asked. */
const retriesMax = 5;
/** Command lines that may wait for the child. */
const queuedLinesMax = 100_000;
/** Of several callers in one batch, so that its deadline is for a second's work: a line takes some 0.1 ms. */
const sharedLinesMax = 10_000;
/** The loopback device exists in every network namespace: its answer marks the end of a batch. */
export const sentinel = 'lo';

/** The devices that were shown, each as it was last. */
class Shown {
  readonly #byName = new Map<string, LinkInfo>();
  readonly #byAltname = new Map<string, LinkInfo>();

  get byName(): ReadonlyMap<string, LinkInfo> {
    return this.#byName;
  }

  /** The device that has this name, as its name or as an altname. */
  find(name: string): LinkInfo | undefined {
    return this.#byName.get(name) ?? this.#byAltname.get(name);
  }

  note(link: LinkInfo): void {
    this.#byName.set(link.name, link);
    for (const altname of link.altnames) this.#byAltname.set(altname, link);
  }
}

interface Caller {
  readonly lines: readonly string[];
  resolve(shown: Shown): void;
  reject(error: AgentError): void;
}

/** `own`: one caller's lines. `together`: those of several, one after the other. `shown`: of several, none of them twice. */
type Kind = 'own' | 'together' | 'shown';

interface Batch {
  readonly kind: Kind;
  /** Whoever asks before the batch goes to the child may join it. */
  readonly callers: Caller[];
  lineCount: number;
  /** Answers to come before the sentinel's can be told from them: `link show` always gives one, with the loopback in it. */
  readonly answersBefore: number;
  /** Answers had, by the present child. */
  answers: number;
  /** Children that ended under this batch. */
  retries: number;
  shown: Shown;
}

const childOptions = {
  stdin: 'pipe',
  stdout: 'pipe',
  stderr: 'ignore',
  buffer: false,
  reject: false,
  cleanup: true,
} as const;

export class IpBatch {
  #child: ResultPromise<typeof childOptions> | null = null;
  #queue: Batch[] = [];
  #queuedLines = 0;
  /** Written to the child together, answered in this order; what comes meanwhile waits in the queue. */
  #asked: Batch[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Carries out command lines in their order and answers the devices that they show. */
  run(lines: readonly string[], answersBefore = 0): Promise<Shown> {
    return this.#enter('own', lines, answersBefore);
  }

  /** The same, in one batch with the lines of others; the answer may hold their devices too. */
  runTogether(lines: readonly string[]): Promise<Shown> {
    return this.#enter('together', lines);
  }

  /** The same for lines that change nothing: what several ask for is asked for once. */
  show(lines: readonly string[]): Promise<Shown> {
    return this.#enter('shown', lines);
  }

  close(): void {
    this.#closed = true;
    const child = this.#child;
    this.#child = null;
    clearTimeout(this.#timer);
    for (const batch of [...this.#asked.splice(0), ...this.#queue.splice(0)]) rejectAll(batch, stopping());
    child?.kill();
  }

  #enter(kind: Kind, lines: readonly string[], answersBefore = 0): Promise<Shown> {
    if (lines.length === 0) return Promise.resolve(new Shown());
    if (this.#closed) return Promise.reject(stopping());
    if (this.#queuedLines + lines.length > queuedLinesMax) {
      return Promise.reject(new AgentError('Busy', `${queuedLinesMax} questions about network devices are waiting`));
    }
    return new Promise((resolve, reject) => {
      const caller = { lines, resolve, reject };
      const joined = kind === 'own' ? undefined : this.#queue.find((batch) => mayJoin(batch, kind, lines.length));
      if (joined === undefined) {
        this.#queue.push(batchOf(kind, caller, answersBefore));
      } else {
        joined.callers.push(caller);
        joined.lineCount += lines.length;
      }
      this.#queuedLines += lines.length;
      this.#next();
    });
  }

  /** Many who ask at once, as when guests start together, cost one exchange and not one each. */
  #next(): void {
    if (this.#asked.length > 0 || this.#queue.length === 0) return;
    this.#asked = this.#queue.splice(0);
    this.#queuedLines = 0;
    this.#ask();
  }

  #ask(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const child = this.#child;
      this.#child = null;
      child?.kill('SIGKILL');
      clearTimeout(this.#timer);
      const late = this.#asked.shift();
      if (late !== undefined) rejectAll(late, cannotObserve(`ip did not answer within ${batchDeadlineMs} ms`));
      this.#goOn();
    }, batchDeadlineMs);
    this.#child ??= this.#spawn();
    const lines = this.#asked.flatMap((batch) => [...linesOf(batch), `link show dev ${sentinel}`]);
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
      this.#giveUp(cannotObserve(`ip ended: ${reason}`));
      return;
    }
    batch.retries++;
    batch.answers = 0;
    batch.shown = new Shown();
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
      for (const caller of batch.callers) caller.resolve(batch.shown);
      if (this.#asked.length > 0) {
        this.#timer?.refresh();
        return;
      }
      clearTimeout(this.#timer);
      this.#next();
      return;
    }
    batch.answers++;
    for (const link of links) batch.shown.note(link);
  }

  /**
   * No child survives the batch in front; the others are none the worse. Where several share it, it may be due to the lines
   * of one: then each is asked for alone.
   */
  #giveUp(error: AgentError): void {
    clearTimeout(this.#timer);
    const failed = this.#asked.shift();
    if (failed !== undefined && failed.callers.length > 1) {
      this.#asked.unshift(...failed.callers.map((caller) => batchOf('own', caller)));
    } else if (failed !== undefined) rejectAll(failed, error);
    this.#goOn();
  }

  /** With what is left of those that were asked: the child that knew of them is gone. */
  #goOn(): void {
    if (this.#asked.length > 0) this.#ask();
    else this.#next();
  }
}

function batchOf(kind: Kind, caller: Caller, answersBefore = 0): Batch {
  const lineCount = caller.lines.length;
  return { kind, callers: [caller], lineCount, answersBefore, answers: 0, retries: 0, shown: new Shown() };
}

function mayJoin(batch: Batch, kind: Kind, lineCount: number): boolean {
  return batch.kind === kind && batch.lineCount + lineCount <= sharedLinesMax;
}

function linesOf({ kind, callers }: Batch): readonly string[] {
  const lines = callers.flatMap((caller) => caller.lines);
  return kind === 'shown' ? [...new Set(lines)] : lines;
}

function rejectAll({ callers }: Batch, error: AgentError): void {
  for (const caller of callers) caller.reject(error);
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
