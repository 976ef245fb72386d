/** Files that take the output of transient units. */
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskOutput, TaskOutputs } from '../systemd1/contract.ts';

export class TaskOutputFiles implements TaskOutputs {
  readonly #folder: string;

  /** The folder is made when it is first needed. systemd opens the files by their path, so it must see it as we do. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async create(name: string): Promise<TaskOutput> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, name);
    // What lies there belongs to a run that is over; never written through a link.
    await rm(path, { force: true });
    await (await open(path, 'wx', 0o600)).close();
    return {
      path,
      read: (offset, bytesMax) => readFrom(path, offset, bytesMax),
      remove: () => rm(path, { force: true }),
    };
  }
}

async function readFrom(path: string, offset: number, bytesMax: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.max(0, Math.min(size - offset, bytesMax));
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
