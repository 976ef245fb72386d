/** Certificates for tests, made by `openssl`: an authority, and keys that it signed or did not. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TlsFiles } from '../../src/platform/ovsdb-socket.ts';

const run = promisify(execFile);

export class Authority {
  readonly #folder: string;
  readonly #name: string;

  private constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
  }

  static async create(folder: string, name: string): Promise<Authority> {
    const authority = new Authority(folder, name);
    await openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', authority.#path('key'), '-out', authority.#path('pem')); // prettier-ignore
    return authority;
  }

  /** A key and its certificate, for `subjects` like `DNS:localhost` or `IP:127.0.0.1`. */
  async sign(name: string, subjects: string): Promise<TlsFiles> {
    const base = join(this.#folder, name);
    const [key, request, certificate, extensions] = ['key', 'csr', 'pem', 'ext'].map((end) => `${base}.${end}`) as [string, string, string, string]; // prettier-ignore
    await writeFile(extensions, `subjectAltName=${subjects}\n`);
    await openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`, '-keyout', key, '-out', request); // prettier-ignore
    await openssl('x509', '-req', '-in', request, '-CA', this.#path('pem'), '-CAkey', this.#path('key'), '-CAcreateserial', '-days', '2', '-extfile', extensions, '-out', certificate); // prettier-ignore
    return { key, certificate, ca: this.#path('pem') };
  }

  #path(end: string): string {
    return join(this.#folder, `${this.#name}.${end}`);
  }
}

async function openssl(...args: string[]): Promise<void> {
  await run('openssl', args, { timeout: 10_000 });
}
