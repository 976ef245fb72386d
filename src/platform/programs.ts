/** Programs of this host as children of this process. */
import { execa } from 'execa';
import { AgentError } from '../model/errors.ts';
import type { ProgramResult, Programs } from '../node/contracts.ts';
import { throwIfCancelled } from './cancellation.ts';

const outputBytesMax = 4 * 1024 * 1024;

export const hostPrograms: Programs = {
  async run([file, ...args], { deadlineMs, signal }): Promise<ProgramResult> {
    const what = [file, ...args].join(' ');
    throwIfCancelled(signal, what);
    const result = await execa(file, args, {
      stdin: 'ignore',
      // What Proxmox VE and systemd print is read, so that it must not be translated.
      env: { LC_ALL: 'C' },
      timeout: deadlineMs,
      maxBuffer: outputBytesMax,
      reject: false,
      ...(signal !== undefined && { cancelSignal: signal }),
    });
    if (result.timedOut) throw new AgentError('Timeout', `\`${what}\` did not end within ${deadlineMs / 1000} s`);
    if (result.isCanceled) throwIfCancelled(signal, what);
    if (result.exitCode === undefined && result.signal === undefined) {
      throw new AgentError('Unavailable', `\`${what}\` cannot be run: ${result.shortMessage}`);
    }
    return { exitStatus: result.exitCode ?? null, output: result.stdout, complaint: result.stderr };
  },
};
