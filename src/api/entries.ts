/** What several answers show, in the keys that the resource table declares. */
import { ownerOfRow } from '../ports/owner-text.ts';
import type { PortView } from '../ports/engine.ts';
import type { Service } from './service.ts';

export function portEntry(service: Service, { port, row, problem }: PortView): Record<string, unknown> {
  return {
    port,
    bridge: row.bridge,
    netdev: row.netdev,
    ...definedOnly({
      tag: row.tag,
      trunks: row.trunks,
      ofport: row.ofport,
      owner: ownerOfRow(row, (vmid) => service.engine.guest(vmid)),
      problem,
    }),
  };
}

/** Without what says nothing: null, the empty text, the empty list. */
export function definedOnly(entries: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}
