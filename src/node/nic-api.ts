/** Network cards of guests through the Proxmox API. */
import type { ProxmoxClient } from '../proxmox/api-client.ts';
import { readNics, writeNic } from '../proxmox/cluster-guests.ts';
import type { NicApi } from './contracts.ts';
import { sayingRights } from './missing-rights.ts';

const neededRights = 'VM.Config.Network on the guest and SDN.Use on the bridge';

export function nicApi(client: ProxmoxClient): NicApi {
  return {
    read: (guest, wait) => readNics(client, guest, wait),
    write: (guest, change, wait) => sayingRights(neededRights, () => writeNic(client, guest, change, wait)),
  };
}
