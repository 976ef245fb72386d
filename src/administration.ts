/**
 * What an administrator's commands do on the node itself, in the command's own process and as root: with the service running,
 * stopped or absent. Part of the service's bundle, because it needs the same modules.
 */
import { hostname } from 'node:os';
import { busName, objectPath } from './api/dbus/port-agent-interface.ts';
import type { BlockDraft } from './ledger/block.ts';
import type { Config } from './model/config.ts';
import { toAgentError } from './model/errors.ts';
import { GuestHooks } from './node/hooks/guest-hooks.ts';
import { readConfigFile } from './platform/config-file.ts';
import { BusConnection } from './platform/dbus/connection.ts';
import { systemBusAddress } from './platform/dbus/address.ts';
import { GuestLocks } from './platform/guest-locks.ts';
import { hostFiles } from './platform/host-files.ts';
import { createLog } from './platform/log.ts';
import { hostPrograms } from './platform/programs.ts';
import { snippetFiles } from './platform/snippet-files.ts';

/** What the package has installed, and copies are made of. */
const snippetSource = '/usr/lib/ovs-port-agent/snippet';
const busDeadlineMs = 5_000;

/** Hookscripts of this node's guests. */
export async function openHooks({ config: path }: { readonly config: string | null }): Promise<GuestHooks> {
  const { config } = await readConfigFile(path);
  return hooksOf(config);
}

function hooksOf(config: Config): GuestHooks {
  return new GuestHooks({
    files: hostFiles,
    snippets: snippetFiles(snippetSource),
    programs: hostPrograms,
    locks: new GuestLocks(config.lock_dir),
    pveDir: config.pve_dir,
    node: hostname().split('.')[0] ?? 'localhost',
    record: (draft) => recordByService(config, draft),
  });
}

/** One block by the running service. Without it there is none: this process must not write beside it. Never rejects. */
async function recordByService(
  config: Config,
  { category, action, data }: Pick<BlockDraft, 'category' | 'action' | 'data'>,
): Promise<void> {
  try {
    const address = config.bus ?? systemBusAddress(process.env);
    const connection = await BusConnection.connect(address, { deadlineMs: busDeadlineMs });
    try {
      await connection.call(
        {
          destination: busName,
          path: objectPath,
          interface: busName,
          member: 'add_blockchain_data',
          signature: 'sss',
          body: [category, action, JSON.stringify(data)],
          // A service that an administrator stopped stays so.
          autoStart: false,
        },
        { deadlineMs: busDeadlineMs },
      );
    } finally {
      connection.close();
    }
  } catch (error) {
    createLog('info')('warning', `done, but the ledger has no block of it: ${toAgentError(error).message}`);
  }
}
