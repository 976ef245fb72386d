/** Network cards of guests through the Proxmox API. */
import { AgentError, toAgentError } from '../model/errors.ts';
import type { ProxmoxClient } from '../proxmox/api-client.ts';
import { readNics, writeNic } from '../proxmox/cluster-guests.ts';
import type { NicApi } from './contracts.ts';

export function nicApi(client: ProxmoxClient): NicApi {
  return {
    read: (guest, wait) => readNics(client, guest, wait),
    async write(guest, change, wait) {
      try {
        await writeNic(client, guest, change, wait);
      } catch (error) {
        const { code, message } = toAgentError(error);
        if (code !== 'AccessDenied') throw error;
        throw new AgentError(
          code,
          `${message}; a token that changes network cards needs VM.Config.Network on the guest and SDN.Use on the bridge: \`ovs-port-agent setup --api manage\`, then restart the service`,
          { cause: error },
        );
      }
    },
  };
}
