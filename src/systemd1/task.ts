/**
 * Runs a program as a transient service of systemd (StartTransientUnit): outside this service's sandbox, and so that its
 * mounts and children are not ours and outlive us.
 *
 * `Type=oneshot`: the job of the start ends with the program. `AddRef` and `CollectMode`: the unit stays until its exit
 * status was read, and goes by itself when this process dies before. `KillMode=process`: what the program leaves running on
 * purpose is not ended with it. Output goes to a file that is read along: D-Bus file descriptors are not at hand, and
 * the journal may drop lines.
 */
import { AgentError } from '../model/errors.ts';
import type { Clock, TaskOutput, TaskOutputs, Wait } from './contract.ts';
import type { JobResult } from './job.ts';
import { outputBytesMax, outputReadIntervalMs, taskRunMsMax } from './limits.ts';
import type { Systemd } from './systemd.ts';
import type { UnitName } from './unit-name.ts';

export interface Task {
  readonly unit: UnitName;
  /** For `systemctl` and the journal. */
  readonly description: string;
  /** The program, an absolute path, and its arguments. No shell, no search. */
  readonly command: readonly [string, ...string[]];
  /** Beside what systemd gives every service. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with each line of output, both streams as one, soon after it was written. */
  readonly onLine?: (line: string) => void;
}

export interface TaskResult {
  /** null: it did not end by itself, or nobody knows how it ended. */
  readonly exitStatus: number | null;
  /** systemd's word: `success`, `exit-code`, `signal`, `timeout`, ...; `unknown` when it was not seen. */
  readonly result: string;
  /** At most `outputBytesMax` bytes. */
  readonly lines: readonly string[];
}

export class TaskRunner {
  readonly #systemd: Systemd;
  readonly #outputs: TaskOutputs;
  readonly #clock: Clock;

  constructor(systemd: Systemd, outputs: TaskOutputs, clock: Clock) {
    this.#systemd = systemd;
    this.#outputs = outputs;
    this.#clock = clock;
  }

  /**
   * Resolves when the program has ended, however it did. Rejects as `Systemd.startUnit` does; at the deadline, or when the
   * caller gives up, the program goes on, and systemd ends it after `taskRunMsMax`.
   */
  async run(task: Task, wait: Wait): Promise<TaskResult> {
    const output = await this.#outputs.create(`${task.unit}.log`);
    const lines = new OutputLines(output, task.onLine ?? (() => undefined));
    const stopReading = this.#readAlong(lines);
    try {
      const body = [task.unit, 'fail', propertiesOf(task, output.path), []];
      const call = { unit: task.unit, member: 'StartTransientUnit', signature: 'ssa(sv)a(sa(sv))', body };
      const jobResult = await this.#systemd.runJob(call, wait);
      await stopReading();
      const ended = await this.#ended(task.unit, jobResult);
      return { ...ended, lines: await lines.finish() };
    } finally {
      await stopReading();
      // Both are only tidying; the result stands without.
      await this.#systemd.unrefUnit(task.unit).catch(() => undefined);
      await output.remove().catch(() => undefined);
    }
  }

  async #ended(unit: UnitName, jobResult: JobResult): Promise<Omit<TaskResult, 'lines'>> {
    if (jobResult === 'done') return { exitStatus: 0, result: 'success' };
    if (jobResult !== 'failed' && jobResult !== 'unknown') return { exitStatus: null, result: jobResult };
    const state = await this.#systemd.unit(unit);
    if (state === null || state.result === null || state.loadState === 'not-found') {
      return { exitStatus: null, result: jobResult };
    }
    if (state.activeState === 'activating') {
      throw new AgentError('Unavailable', `the task ${unit} goes on, but systemd does not tell its end`);
    }
    const hasExited = state.result === 'success' || state.result === 'exit-code';
    return { exitStatus: hasExited ? state.execMainStatus : null, result: state.result };
  }

  /** The returned function ends it and resolves when no read is under way. */
  #readAlong(lines: OutputLines): () => Promise<void> {
    let reading = Promise.resolve();
    let cancel = (): void => undefined;
    let isStopped = false;
    const readLater = (): void => {
      cancel = this.#clock.after(outputReadIntervalMs, () => {
        reading = lines.read().then(() => {
          if (!isStopped) readLater();
        });
      });
    };
    readLater();
    return () => {
      isStopped = true;
      cancel();
      return reading;
    };
  }
}

/** A growing file as lines. What cannot be read is left out: output is for people, never an answer. */
class OutputLines {
  readonly #output: TaskOutput;
  readonly #onLine: (line: string) => void;
  readonly #lines: string[] = [];
  readonly #decoder = new TextDecoder();
  #offset = 0;
  #rest = '';

  constructor(output: TaskOutput, onLine: (line: string) => void) {
    this.#output = output;
    this.#onLine = onLine;
  }

  async read(): Promise<void> {
    const left = outputBytesMax - this.#offset;
    if (left <= 0) return;
    const bytes = await this.#output.read(this.#offset, left).catch(() => Buffer.alloc(0));
    this.#offset += bytes.length;
    const parts = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const line of parts) this.#add(line);
  }

  async finish(): Promise<readonly string[]> {
    await this.read();
    if (this.#rest !== '') this.#add(this.#rest);
    if (this.#offset >= outputBytesMax) this.#add(`(what followed the first ${outputBytesMax} bytes was dropped)`);
    return this.#lines;
  }

  #add(line: string): void {
    const clean = line.replace(/\r$/, '');
    this.#lines.push(clean);
    this.#onLine(clean);
  }
}

/** systemd.exec(5), systemd.service(5), systemd.kill(5), spelled as D-Bus properties. */
function propertiesOf(task: Task, outputPath: string): readonly [string, { signature: string; value: unknown }][] {
  const [program] = task.command;
  const environment = Object.entries(task.environment ?? {}).map(([name, value]) => `${name}=${value}`);
  return [
    ['Description', { signature: 's', value: task.description }],
    ['Type', { signature: 's', value: 'oneshot' }],
    // Otherwise systemd would put variables in place of what begins with `$`.
    ['ExecStartEx', { signature: 'a(sasas)', value: [[program, task.command, ['no-env-expand']]] }],
    ['Environment', { signature: 'as', value: environment }],
    ['StandardOutputFileToAppend', { signature: 's', value: outputPath }],
    ['StandardErrorFileToAppend', { signature: 's', value: outputPath }],
    ['KillMode', { signature: 's', value: 'process' }],
    ['TimeoutStartUSec', { signature: 't', value: BigInt(taskRunMsMax) * 1000n }],
    ['CollectMode', { signature: 's', value: 'inactive-or-failed' }],
    ['AddRef', { signature: 'b', value: true }],
  ];
}
