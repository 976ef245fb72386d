/** What the service and an administrator's commands are both wired with. */
import { join } from 'node:path';
import type { Config } from './model/config.ts';
import { ProxmoxHttp } from './platform/proxmox-http.ts';
import { ProxmoxClient } from './proxmox/api-client.ts';

/** What the package has installed, and copies are made of. */
export const snippetSource = '/usr/lib/ovs-port-agent/snippet';

/** null without a section `[proxmox]`. Nothing is sent before somebody asks for something. */
export function proxmoxClient({ proxmox, pve_dir }: Config, closers: (() => unknown)[]): ProxmoxClient | null {
  if (proxmox === undefined) return null;
  const { url, token_file, ca, fingerprint } = proxmox;
  const trust =
    fingerprint === undefined
      ? ({ kind: 'ca', file: ca ?? join(pve_dir, 'pve-root-ca.pem') } as const)
      : ({ kind: 'fingerprint', sha256: fingerprint } as const);
  const http = new ProxmoxHttp({ url, tokenFile: token_file, trust });
  closers.push(() => {
    http.close();
  });
  return new ProxmoxClient(http);
}
