/** Programs as transient units of systemd, for a service whose own sandbox they would not run in. */
import { parseUnitName } from '../systemd1/unit-name.ts';
import type { Programs, Recorded, Tasks } from './contracts.ts';

export interface TaskProgramsOptions {
  readonly tasks: Tasks;
  /** Each run is a unit that is started, and so a block. */
  readonly recorded: Recorded;
  /** Names the units, with a number. */
  readonly prefix: string;
}

/** Both streams of a program come as one. */
export function taskPrograms(options: TaskProgramsOptions): Programs {
  let count = 0;
  return {
    run(command, wait) {
      const unit = parseUnitName(`${options.prefix}-${process.pid}-${++count}.service`);
      const description = `${command.join(' ')} for ovs-port-agent`;
      return options.recorded({ category: 'unit', action: 'run', data: { unit, command } }, async () => {
        const task = { unit, description, command, environment: { LC_ALL: 'C' } };
        const { exitStatus, lines } = await options.tasks.run(task, wait);
        return { exitStatus, output: lines.join('\n'), complaint: '' };
      });
    },
  };
}
