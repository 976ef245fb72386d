import { toAgentError } from '../../src/model/errors.ts';
import type { Guests } from '../../src/ports/contracts.ts';

/** Guests of whom many are read as each alone is. */
export function readOneByOne(guests: Omit<Guests, 'readMany'>): Guests {
  return {
    ...guests,
    readMany: async (vmids) => {
      const read = vmids.map(async (vmid) => [vmid, await guests.read(vmid).catch(toAgentError)] as const);
      return new Map(await Promise.all(read));
    },
  };
}
