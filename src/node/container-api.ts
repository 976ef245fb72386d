/** New containers through the Proxmox API. */
import type { ProxmoxClient } from '../proxmox/api-client.ts';
import { createContainer } from '../proxmox/cluster-guests.ts';
import type { TaskClock } from '../proxmox/tasks.ts';
import type { ContainerApi } from './contracts.ts';
import { sayingRights } from './missing-rights.ts';

const neededRights =
  'VM.Allocate and VM.Config.Disk, .Memory, .Network and .Options on the guest, Datastore.AllocateSpace on the storages and SDN.Use on the bridge';

export function containerApi(client: ProxmoxClient, clock: TaskClock): ContainerApi {
  return {
    async create(container, options) {
      await sayingRights(neededRights, () => createContainer(client, container, { ...options, clock }));
    },
  };
}
