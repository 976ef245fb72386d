/** The control of guests through the Proxmox API. */
import type { ProxmoxClient } from '../proxmox/api-client.ts';
import { controlGuest } from '../proxmox/cluster-guests.ts';
import type { TaskClock } from '../proxmox/tasks.ts';
import type { GuestApi } from './contracts.ts';

export function guestApi(client: ProxmoxClient, clock: TaskClock): GuestApi {
  return {
    async control(guest, action, { timeoutMs, ...follow }) {
      await controlGuest(client, guest, action, { ...follow, clock, guestTimeoutS: Math.ceil(timeoutMs / 1000) });
    },
  };
}
