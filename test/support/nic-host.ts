/** The files of `pve1` in memory, with the guests that are given, and a `pct` and `qm` whose `set` changes their nics there. */
import { createHash } from 'node:crypto';
import { GuestNics } from '../../src/node/guest-nics.ts';
import type { GuestNicsOptions } from '../../src/node/guest-nics.ts';
import type { Task, TaskResult } from '../../src/systemd1/task.ts';
import { MemoryHost } from './memory-host.ts';

export class NicHost {
  readonly host = new MemoryHost();
  /** Command lines of the tools. */
  readonly ran: string[] = [];
  isLocked = false;
  readonly nics: GuestNics;

  constructor(containers: Readonly<Record<number, string>>, options: Partial<GuestNicsOptions> = {}) {
    for (const [vmid, text] of Object.entries(containers)) this.host.write(`/etc/pve/lxc/${vmid}.conf`, text);
    this.nics = new GuestNics({
      files: this.host,
      paths: { pveDir: '/etc/pve', lxcDir: '/var/lib/lxc' },
      tasks: { run: (task) => this.#run(task) },
      api: null,
      locks: { isLocked: () => Promise.resolve(this.isLocked) },
      recorder: { writeAheadAll: (_drafts, action) => action([]) },
      node: 'pve1',
      ...options,
    });
  }

  /** `pct set 100 --net0 VALUE --digest SHA1`, `qm set 101 --delete net0 --digest SHA1`. */
  async #run({ command }: Task): Promise<TaskResult> {
    this.ran.push(command.join(' '));
    const [tool, , vmid = '', option = '', value = '', , digest] = command;
    const path = `/etc/pve/${tool === '/usr/sbin/pct' ? 'lxc' : 'qemu-server'}/${vmid}.conf`;
    const text = (await this.host.read(path))?.text ?? '';
    if (createHash('sha1').update(text, 'latin1').digest('hex') !== digest) {
      const lines = ['detected modified configuration - file changed by other user? Try again.'];
      return { exitStatus: 255, result: 'exit-code', lines };
    }
    if (/(?:^|,)bridge=none(?:,|$)/.test(value)) {
      return { exitStatus: 255, result: 'exit-code', lines: ["unable to hotplug net0: bridge 'none' does not exist"] };
    }
    const key = option === '--delete' ? value : option.slice(2);
    const line = option === '--delete' ? '' : `${key}: ${value}\n`;
    const without = text.replace(new RegExp(`^${key}: .*\n`, 'm'), line);
    this.host.write(path, without === text ? text + line : without);
    return { exitStatus: 0, result: 'success', lines: [] };
  }
}
