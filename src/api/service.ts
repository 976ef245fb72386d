/** What the handlers stand on. `agent.ts` hands it in. */
import type { Ledger } from '../ledger/ledger.ts';
import type { SignerKey } from '../ledger/tlog/key.ts';
import type { Witnesses } from '../ledger/witnesses.ts';
import type { ContainerCreation } from '../node/container-creation.ts';
import type { GuestControl } from '../node/guest-control.ts';
import type { GuestDirectory } from '../node/guest-directory.ts';
import type { GuestNics } from '../node/guest-nics.ts';
import type { PortEngine } from '../ports/engine.ts';

export interface Service {
  readonly version: string;
  /** Name of this node. */
  readonly node: string;
  readonly engine: PortEngine;
  readonly ledger: Ledger;
  /** null when it could not be read; `notices` says why. */
  readonly ledgerKey: SignerKey | null;
  /** null when the configuration has none. */
  readonly witnesses: Pick<Witnesses, 'sights' | 'cosignedBlocks'> | null;
  readonly guests: Pick<GuestControl, 'control'>;
  readonly creation: Pick<ContainerCreation, 'create'>;
  readonly nics: Pick<GuestNics, 'list' | 'show' | 'change' | 'add'>;
  readonly directory: Pick<GuestDirectory, 'list' | 'show'>;
  /** The process behind a caller on the bus, in words; null when it cannot be told. */
  readonly processOf: (sender: string) => Promise<string | null>;
  /** Problems that no module of the engine knows: configuration, guests' files. */
  readonly notices: () => readonly string[];
}
