/** A `netN` for a card that a guest does not have yet, from the options that an administrator gives. */
import { AgentError } from '../model/errors.ts';
import type { GuestKind } from '../model/guest.ts';
import { nicIndex, nicIndexMax, nicNameOf, quote } from '../model/names.ts';
import type { NicName } from '../model/names.ts';
import { parseNicOptions } from './nic-options.ts';

const machineModel = 'virtio';

/**
 * `bridge=ovsbr0,tag=10` with what Proxmox VE asks for besides: a container's card is named `ethN` inside, a machine's is a
 * `virtio`. The hardware address is Proxmox VE's to choose. Throws `InvalidArgument` for what it could not plug.
 */
export function newNic(kind: GuestKind, nic: NicName, options: string): string {
  const { bridge, name, model } = parseNicOptions(kind, options);
  if (bridge === null || !/^[\x20-\x7e]+$/.test(options)) {
    throw new AgentError('InvalidArgument', `${nic} ${quote(options)} is not valid: expected at least bridge=NAME`);
  }
  if (kind === 'lxc') return name === null ? `name=eth${nicIndex(nic)},${options}` : options;
  return model === null ? `${machineModel},${options}` : options;
}

/** The lowest number that is free; null when Proxmox VE allows no further card. */
export function freeNic(taken: ReadonlyMap<NicName, string>): NicName | null {
  for (let index = 0; index <= nicIndexMax; index++) {
    const nic = nicNameOf(index);
    if (!taken.has(nic)) return nic;
  }
  return null;
}
