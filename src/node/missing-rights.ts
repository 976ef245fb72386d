/** A change that the API's token may not make. */
import { AgentError, toAgentError } from '../model/errors.ts';

/** As `action`; a refusal says, beside Proxmox VE's own words, what the token needs and how it gets it. */
export async function sayingRights<T>(needed: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const { code, message } = toAgentError(error);
    if (code !== 'AccessDenied') throw error;
    throw new AgentError(
      code,
      `${message}; the token needs ${needed}: \`ovs-port-agent setup --api manage\`, then restart the service`,
      { cause: error },
    );
  }
}
