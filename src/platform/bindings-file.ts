/** `bindings.json` in the state folder. */
import { AgentError } from '../model/errors.ts';
import { readFileOrNull, replaceFile } from './durable-file.ts';

export class BindingsFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** null when there is none yet. Throws `InvalidArgument` when it is not JSON; the file is left as it is. */
  async load(): Promise<unknown> {
    const bytes = await readFileOrNull(this.#path);
    if (bytes === null) return null;
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch (cause) {
      throw new AgentError('InvalidArgument', `${this.#path} is not JSON: ${(cause as Error).message}`, { cause });
    }
  }

  async save(value: unknown): Promise<void> {
    await replaceFile(this.#path, Buffer.from(`${JSON.stringify(value, null, 2)}\n`), { mode: 0o600 });
  }
}
