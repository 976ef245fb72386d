/** What a process is called, for the record of who asked. */
import { readBoundedFile } from './bounded-file.ts';

/** The kernel keeps 16; a thread may be called anything, so the end of the file is not trusted either. */
const commBytesMax = 4096;

/**
 * `busctl[1234]`, the kernel's short name with the number; `[1234]` when the process has ended or may not be seen. A
 * process chooses its own name: this helps to find it, and proves nothing.
 */
export async function describeProcess(pid: number): Promise<string> {
  const comm = await readBoundedFile(`/proc/${pid}/comm`, commBytesMax).catch(() => null);
  return `${(comm ?? '')
    .trimEnd()
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, nameCharsMax)}[${pid}]`;
}

const nameCharsMax = 64;
