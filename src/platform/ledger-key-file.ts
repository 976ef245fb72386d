/** The ledger's secret key on the disk. It never leaves the node: nothing reads this file but the service. */
import { AgentError } from '../model/errors.ts';
import { readFileAndInode, replaceFile } from './durable-file.ts';

/** A key is one short line. */
const keyFileBytesMax = 4096;
/** root alone. */
const keyFileMode = 0o600;

/**
 * The key in the file; when there is no file, what `generate` makes, durable before it is returned. One process at a time.
 * Rejects with `Unavailable` when the file cannot be read or written, or when others than its owner may read it: then
 * anybody may have signed with it. A file that is there is never replaced.
 */
export async function loadOrCreateKey(path: string, generate: () => string): Promise<string> {
  const file = await readFileAndInode(path, { bytesMax: keyFileBytesMax });
  if (file === null) {
    const key = generate();
    await replaceFile(path, Buffer.from(`${key}\n`), { mode: keyFileMode });
    return key;
  }
  if ((file.mode & 0o077) !== 0) {
    throw new AgentError(
      'Unavailable',
      `${path} may be read by others than its owner (mode ${file.mode.toString(8)}), so its signatures prove ` +
        'nothing: when nobody can have read it, chmod 600 it, else move it away and a new key is made',
    );
  }
  return file.bytes.toString().trimEnd();
}
