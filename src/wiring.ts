/** What the service and an administrator's commands are both wired with. */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { Ledger } from './ledger/ledger.ts';
import { StoredTree } from './ledger/stored-tree.ts';
import type { Config } from './model/config.ts';
import { acquireFlock } from './platform/flock.ts';
import { openLedgerFile } from './platform/ledger-file.ts';
import { ledgerIndexFiles } from './platform/ledger-index-files.ts';
import { ledgerTreeFiles } from './platform/ledger-tree-files.ts';
import { ProxmoxHttp } from './platform/proxmox-http.ts';
import { systemTimers, wallClockMs } from './platform/timers.ts';
import type { Cause } from './ports/contracts.ts';
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

/**
 * For what a command does while no service runs. Makes the folders of ledger and state. Rejects with `Busy` when a service
 * keeps the ledger for itself for so long.
 */
export async function underLedgerLock<T>(config: Config, deadlineMs: number, action: () => Promise<T>): Promise<T> {
  for (const folder of [config.state_dir, dirname(config.ledger_path)]) {
    await mkdir(folder, { recursive: true, mode: 0o750 });
  }
  const lock = await acquireFlock(`${config.ledger_path}.lock`, { deadlineMs });
  try {
    return await action();
  } finally {
    await lock.release();
  }
}

/** The ledger for a command that has its lock, and writes its blocks itself. */
export async function withLedger<T>(config: Config, action: (ledger: Ledger) => Promise<T>): Promise<T> {
  const store = await openLedgerFile(config.ledger_path);
  const tree = new StoredTree(ledgerTreeFiles(dirname(config.ledger_path)));
  const ledger = await Ledger.open(store, {
    nowMs: wallClockMs,
    host: nodeName(),
    tree,
    segmentBytes: config.ledger.segment_megabytes * 1_000_000,
    index: { files: ledgerIndexFiles(join(dirname(config.ledger_path), 'index')) },
    keepsDoubts: true,
    // The next start signs.
    key: null,
    checkpointBlocks: Infinity,
    checkpointMs: Infinity,
    clock: systemTimers,
  });
  try {
    return await action(ledger);
  } finally {
    await ledger.close();
  }
}

/** A change that this process makes by itself. */
export function ownCause(cause: string): Cause {
  const uid = process.getuid?.() ?? 0;
  return { cause, user: uid === 0 ? 'root' : `uid ${uid}`, uid, process: `ovs-port-agent[${process.pid}]` };
}

export function nodeName(): string {
  return hostname().split('.')[0] ?? 'localhost';
}
