/** The Debian package of what is in dist/. */
import { join } from 'node:path';
import { execa } from 'execa';

interface PackageOptions {
  readonly version?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** File mode creation mask of the builder. */
  readonly umask?: number;
}

const root = join(import.meta.dirname, '../..');
const buildMsMax = 30_000;

/** Builds into `folder`; resolves with the path of the package. */
export async function buildPackage(folder: string, options: PackageOptions = {}): Promise<string> {
  const { version, env = {}, umask = 0o022 } = options;
  const script = 'umask "$0" && exec "$@"';
  const { stdout } = await execa(
    'sh',
    ['-c', script, umask.toString(8), process.execPath, 'scripts/build-deb.mjs', '--output', folder].concat(
      version === undefined ? [] : ['--version', version],
    ),
    { cwd: root, env, timeout: buildMsMax },
  );
  return stdout;
}
