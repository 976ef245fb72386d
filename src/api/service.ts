/** What the handlers stand on. `agent.ts` hands it in. */
import type { Ledger } from '../ledger/ledger.ts';
import type { PortEngine } from '../ports/engine.ts';

export interface Service {
  readonly version: string;
  /** Name of this node. */
  readonly node: string;
  readonly engine: PortEngine;
  readonly ledger: Ledger;
  /** Problems that no module of the engine knows: configuration, guests' files. */
  readonly notices: () => readonly string[];
}
