/** Everything that `doctor` looks at, observed once. null where it could not be: the word beside it says why. */
import type { Config } from '../../model/config.ts';
import type { GuestKind } from '../../model/guest.ts';
import type { Vmid } from '../../model/names.ts';
import type { GuestHook } from '../hooks/survey.ts';
import type { ApiRights } from '../setup/step.ts';

export interface NodeFacts {
  /** Name of this host. */
  readonly node: string;
  readonly nowMs: number;
  readonly config: ConfigFacts;
  readonly service: ServiceFacts;
  readonly switch: SwitchFacts;
  readonly interfaces: InterfacesFacts;
  readonly shipped: readonly ShippedFile[];
  /** null on a host without Proxmox VE. */
  readonly proxmox: ProxmoxFacts | null;
  /** null without a section `[proxmox]`. */
  readonly api: ApiFacts | null;
  readonly ledger: LedgerFacts;
  /** Paths that the older tool left, and that shadow or fight the package. */
  readonly leftovers: readonly string[];
  readonly disks: readonly DiskFacts[];
  /** Whether the clock follows others; null when nobody says. */
  readonly clockSynchronized: boolean | null;
}

export interface ConfigFacts {
  /** What holds; the defaults when the file is wrong. */
  readonly config: Config;
  /** Why the service does not start with it. */
  readonly problem: string | null;
  readonly warnings: readonly string[];
}

export interface ServiceFacts {
  /** What systemd knows of the unit; null without systemd. */
  readonly unit: {
    readonly loadState: string;
    readonly unitFileState: string;
    readonly activeState: string;
    readonly fragmentPath: string;
    readonly needsReload: boolean;
  } | null;
  /** Whether somebody has the name on the bus; null when the bus cannot be asked. */
  readonly hasName: boolean | null;
  /** Its own answer; null when it does not run or does not answer. */
  readonly status: { readonly interfaces: string; readonly problems: readonly string[] } | null;
}

export interface SwitchFacts {
  /** Why it cannot be reached; the bridges are unknown then. */
  readonly problem: string | null;
  readonly bridges: readonly SwitchBridge[];
}

export interface SwitchBridge {
  readonly name: string;
  readonly ports: readonly SwitchPort[];
}

export interface SwitchPort {
  /** Of the Port row. */
  readonly name: string;
  readonly isOurs: boolean;
}

export interface InterfacesFacts {
  readonly path: string;
  /** As latin1; null when the host has no such file. */
  readonly text: string | null;
  /** `interfaces.new`: changes that nobody applied yet. */
  readonly pending: string | null;
  readonly problem: string | null;
  readonly hasIfupdown2: boolean;
}

export interface ShippedFile {
  readonly path: string;
  /** `overridden`: a file of the same name in `/etc` counts instead. `unknown`: the package has nothing to compare with. */
  readonly state: 'current' | 'missing' | 'altered' | 'overridden' | 'unknown';
  /** What it is a copy of, inside the package. */
  readonly source: string;
}

export interface ProxmoxFacts {
  /** Name of this node in the cluster; null when the cluster file system does not say. */
  readonly nodeName: string | null;
  readonly quorate: boolean;
  readonly hooks: readonly GuestHook[];
  /** Why the guests could not be looked at. */
  readonly hooksProblem: string | null;
  /** Where our snippet belongs for a guest without a hookscript. */
  readonly snippet: SnippetPlace;
  /** Volumes of ours that guests of other nodes name, and that are missing here: those could not be moved to this node. */
  readonly missingForOthers: readonly { readonly volume: string; readonly path: string }[];
  /** Bridges that nics of this node's guests name. */
  readonly guestBridges: readonly { readonly bridge: string; readonly vmid: Vmid; readonly kind: GuestKind }[];
}

export type SnippetPlace =
  | { readonly kind: 'none'; readonly problem: string; readonly remedy: string }
  | { readonly kind: 'place'; readonly path: string; readonly state: 'current' | 'missing' | 'outdated' | 'foreign' };

export interface ApiFacts {
  readonly tokenFile: string;
  /** Permission bits; null when there is no such file. */
  readonly tokenMode: number | null;
  /** Privileges that the token has anywhere; null when the API did not say. */
  readonly privileges: readonly string[] | null;
  readonly problem: string | null;
  /** What `setup` made the token for, when it last did; null when it did not make it here. */
  readonly rights: ApiRights | null;
}

export interface LedgerFacts {
  readonly path: string;
  /** null when it was not altered, or does not exist yet. */
  readonly problem: string | null;
  /** Why it could not be told. */
  readonly unknown: string | null;
  /** Time of its last block, in milliseconds since 1970. */
  readonly lastBlockMs: number | null;
}

export interface DiskFacts {
  readonly path: string;
  readonly freeBytes: number;
  readonly isReadOnly: boolean;
}
