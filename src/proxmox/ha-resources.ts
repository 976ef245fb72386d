/** `/etc/pve/ha/resources.cfg`: which guests high availability starts, stops and moves. */
import type { GuestKind } from '../model/guest.ts';
import { parseVmid } from '../model/names.ts';
import type { Vmid } from '../model/names.ts';
import { parseSectionConfig } from './section-config.ts';

export interface HaResource {
  readonly kind: GuestKind;
  readonly vmid: Vmid;
  /** `started` unless the entry says otherwise. With `ignored` the HA manager leaves the guest alone. */
  readonly state: string;
}

export function parseHaResources(text: string): HaResource[] {
  return parseSectionConfig(text).flatMap(({ type, id, properties }) => {
    if ((type !== 'ct' && type !== 'vm') || !/^[1-9][0-9]{2,8}$/.test(id)) return [];
    return [
      {
        kind: type === 'ct' ? 'lxc' : 'qemu',
        vmid: parseVmid(id),
        state: properties.get('state') ?? 'started',
      } as const,
    ];
  });
}
