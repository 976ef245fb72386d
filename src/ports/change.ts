/** Every change that the agent makes on the switch. */
import type { MirrorChange } from './mirror-plan.ts';
import type { PortChange } from './plan.ts';

export type Change = PortChange | MirrorChange;

/** What people call the port that a change is about; of a Mirror, the port that gets the copies. */
export function portOfChange(change: Change): string {
  switch (change.kind) {
    case 'detach':
      return change.port ?? change.row.rowName;
    case 'mirror':
    case 'set-mirror':
      return change.wanted.target;
    case 'unmirror':
      return change.row.name;
    case 'attach':
    case 'adopt':
    case 'replace':
    case 'set':
      return change.wanted.port;
  }
}
