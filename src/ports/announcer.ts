/** Tells of ports that came, went or changed: each exactly once, however often the replica mentions their rows. */
import type { PortName } from '../model/names.ts';
import type { ObservedPort } from '../model/port.ts';

export interface PortEvents {
  portAdded(port: PortName, bridge: string): void;
  portRemoved(port: PortName): void;
  /** `columns` are those of the Port and Interface rows, spelled as there. */
  portChanged(port: PortName, columns: string[]): void;
}

interface Announced {
  readonly port: PortName;
  readonly bridge: string;
  readonly columns: Readonly<Record<string, string>>;
}

export class Announcer {
  readonly #events: PortEvents;
  readonly #announced = new Map<string, Announced>();

  constructor(events: PortEvents) {
    this.#events = events;
  }

  /** `now` is what has become of the Port row: a port of ours, or null. */
  note(portUuid: string, now: { port: PortName; row: ObservedPort } | null): void {
    const before = this.#announced.get(portUuid);
    const after = now === null ? null : describe(now.port, now.row);
    if (after === null) this.#announced.delete(portUuid);
    else this.#announced.set(portUuid, after);
    if (before !== undefined && before.port === after?.port && before.bridge === after.bridge) {
      const columns = Object.keys(after.columns).filter((column) => after.columns[column] !== before.columns[column]);
      if (columns.length > 0) this.#events.portChanged(after.port, columns);
      return;
    }
    if (before !== undefined) this.#events.portRemoved(before.port);
    if (after !== null) this.#events.portAdded(after.port, after.bridge);
  }
}

function describe(port: PortName, row: ObservedPort): Announced {
  const { tag, trunks, vlanMode, ofport, error, bridge } = row;
  return {
    port,
    bridge,
    columns: {
      tag: String(tag),
      trunks: trunks.join(),
      vlan_mode: String(vlanMode),
      ofport: String(ofport),
      error: String(error),
    },
  };
}
