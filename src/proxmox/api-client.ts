/**
 * The typed paths of `proxmox-api` over an exchange of our own. Its HTTP engine is not used: it repeats changes, waits for
 * bodies without an end, and lets `..` through. Its types are those of Proxmox VE 8; what differs is read as `unknown`.
 */
import { proxmoxApi } from 'proxmox-api';
import type { Proxmox } from 'proxmox-api';
import { encodeForm, encodePath, readAnswer } from './api-exchange.ts';
import type { ApiMethod, ApiParameters, ApiTransport } from './api-exchange.ts';

/** A call that starts no work by itself: Proxmox VE answers those at once, or after 30 s when it asks another node. */
const callDeadlineMs = 35_000;

export interface CallOptions {
  /** For each single call, in milliseconds. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class ProxmoxClient {
  readonly #transport: ApiTransport;

  constructor(transport: ApiTransport) {
    this.#transport = transport;
  }

  /** The API's tree. Calls reject with `ProxmoxError`, or with `InvalidArgument` for what cannot be sent. */
  api({ deadlineMs = callDeadlineMs, signal }: CallOptions = {}): Proxmox.Api {
    return proxmoxApi({
      doRequest: async (method: string, path: string, template: string, parameters: ApiParameters = {}) => {
        const request = {
          method: method.toUpperCase() as ApiMethod,
          path: encodePath(path, template),
          form: encodeForm(parameters),
          deadlineMs,
          signal,
        };
        return readAnswer(request, await this.#transport.exchange(request));
      },
    });
  }
}
