/** The name of the container behind a device, from `container_name_cmd`. */
import { execa } from 'execa';
import { AgentError } from '../model/errors.ts';
import { parseContainerName } from '../model/names.ts';
import type { ContainerName, NetdevName } from '../model/names.ts';

const commandDeadlineMs = 2000;
const outputBytesMax = 64 * 1024;

export class ContainerNames {
  readonly #words: readonly string[];

  /** The command is split into words once, at white space; no shell ever sees it. null: devices name themselves. */
  constructor(command: string | null) {
    this.#words = command === null ? [] : command.trim().split(/\s+/);
  }

  /**
   * The first line the command prints, `{ifname}` in its words replaced. Throws `InvalidArgument` when that is no
   * container's name, `Unavailable` when the command fails, `Timeout` after 2 s.
   */
  async nameOf(netdev: NetdevName): Promise<ContainerName> {
    const [file, ...args] = this.#words.map((word) => word.replaceAll('{ifname}', netdev));
    if (file === undefined) return parseContainerName(netdev);
    const result = await execa(file, args, {
      stdin: 'ignore',
      timeout: commandDeadlineMs,
      killSignal: 'SIGKILL',
      maxBuffer: outputBytesMax,
      reject: false,
    });
    if (result.timedOut) {
      throw new AgentError('Timeout', `container_name_cmd (${file}) did not end within ${commandDeadlineMs} ms`);
    }
    if (result.failed) throw new AgentError('Unavailable', `container_name_cmd: ${result.shortMessage}`);
    return parseContainerName(result.stdout.split('\n')[0]?.trim() ?? '');
  }
}
