/** Folders and mounts for one test file, gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

/** A new folder before each test of the suite, removed after it; call the result for the folder's path. */
export function temporaryFolder(): () => string {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ovs-port-agent-test-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return () => folder;
}

/** Mounts a tmpfs on `folder` for the duration of `use`. Needs root. */
export async function withTmpfs(
  folder: string,
  options: string,
  use: (remount: (options: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  await execa('mount', ['-t', 'tmpfs', '-o', options, 'ovs-port-agent-test', folder]);
  try {
    await use(async (changed) => {
      await execa('mount', ['-o', `remount,${changed}`, folder]);
    });
  } finally {
    await execa('umount', [folder]);
  }
}
