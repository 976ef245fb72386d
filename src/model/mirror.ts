/** A mirror as it is wanted and as it is. Pure data. */
import type { BridgeName, PortName } from './names.ts';

/** A Mirror row on a bridge; ports as UUIDs of their Port rows, sorted. */
export interface ObservedMirror {
  readonly uuid: string;
  readonly name: string;
  readonly bridge: BridgeName;
  readonly selectAll: boolean;
  readonly selectSrcPort: readonly string[];
  readonly selectDstPort: readonly string[];
  readonly selectVlan: readonly number[];
  readonly outputPort: string | null;
  readonly outputVlan: number | null;
  readonly ids: ReadonlyMap<string, string>;
}

/** What is sent and received by the sources, all on one bridge, is copied to `output`, a port there. */
export interface WantedMirror {
  readonly target: PortName;
  readonly bridge: BridgeName;
  /** At least one; in the order of ports. */
  readonly sources: readonly { readonly port: PortName; readonly row: string }[];
  readonly output: string;
}
