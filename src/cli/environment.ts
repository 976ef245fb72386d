/** What the command asks of the outside. `src/cli.ts` hands it in. */
import type { OwnTransaction, SwitchLog } from '../ledger/switch-check.ts';
import type { Vmid } from '../model/names.ts';

/** The hookscript of one guest. */
export interface HookEntry {
  readonly vmid: Vmid;
  readonly kind: string;
  readonly isTemplate: boolean;
  readonly state: string;
  readonly hookscript: string | null;
  /** Called beside ours, or instead. */
  readonly other: string | null;
  /** Why Proxmox VE would not start the guest. */
  readonly problem: string | null;
}

export interface HookChange {
  /** `CT 100` */
  readonly guest: string;
  readonly changed: boolean;
  readonly from: string | null;
  readonly to: string | null;
  /** What was done, or would be; empty when it was so already. */
  readonly steps: readonly string[];
}

export interface Diagnosis {
  readonly errors: number;
  readonly warnings: number;
  readonly notes: number;
  readonly checks: readonly {
    readonly id: string;
    readonly looks_at: string;
    readonly result: 'ok' | 'note' | 'warning' | 'error' | 'skipped';
    readonly findings: readonly {
      readonly severity: 'error' | 'warning' | 'note';
      readonly message: string;
      /** A command line. */
      readonly remedy: string;
    }[];
  }[];
}

/** Hookscripts of this node's guests, changed by this process as root. */
export interface Hooks {
  statusAll(): Promise<readonly HookEntry[]>;
  status(vmid: Vmid): Promise<HookEntry>;
  attach(vmid: Vmid, request: { dryRun: boolean; storage: string | null }): Promise<HookChange>;
  detach(vmid: Vmid, request: { dryRun: boolean }): Promise<HookChange>;
}

export interface Environment {
  /** Calls a D-Bus method of the service. Rejects with an `AgentError`, with `Timeout` after 25 s or after `deadlineMs`. */
  call(member: string, signature: string, body: readonly unknown[], deadlineMs?: number): Promise<readonly unknown[]>;
  /** Hears a signal of the service from now on. */
  listen(member: string, handler: (body: readonly unknown[]) => void): Promise<void>;
  /** Runs the service in the foreground; resolves with its exit code. */
  serve(options: { config: string | null; bus: string | null }): Promise<number>;
  /** Takes the managed block out of the interfaces file; resolves with the exit code. */
  unlist(options: { config: string | null }): Promise<number>;
  /** Moves an altered ledger aside; resolves with the exit code. */
  acknowledge(options: { config: string | null }): Promise<number>;
  openHooks(options: { config: string | null }): Promise<Hooks>;
  /** Looks at the whole node, whether the service runs or not. */
  diagnose(options: { config: string | null }): Promise<Diagnosis>;
  /** Makes the node ready, or takes that back. Rejects with what kept it from that. */
  setUp(options: {
    config: string | null;
    dryRun: boolean;
    undo: boolean;
    request: { bridges: readonly string[]; guests: readonly Vmid[] | 'all'; api: 'control' | 'manage' | null };
    dialogue: { say(line: string): void; confirm(question: string): Promise<boolean> };
  }): Promise<void>;
  /** On Ctrl-C: the command complains with what `say` answers, and ends with exit code 130. Until the answer is called. */
  onInterrupt(say: () => string): () => void;
  /** A yes or no, from the terminal. */
  ask(question: string): Promise<boolean>;
  /** Standard input is a terminal. */
  readonly canAsk: boolean;
  /** A ledger file as chunks, for verification without the service. */
  readLedger(path: string): AsyncIterable<Uint8Array>;
  /** The log of the switch's database; `parse` picks out the agent's comments. Rejects with `NotFound` or `Unavailable`. */
  readSwitchLog(path: string, parse: (comment: string) => Omit<OwnTransaction, 'dateMs'> | null): Promise<SwitchLog>;
  /** A small file, whole. Rejects with `NotFound` or `Unavailable`; also when it is longer than `bytesMax`. */
  readFile(path: string, bytesMax: number): Promise<Uint8Array>;
  /** To standard output as it is; resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  print(line: string): void;
  complain(line: string): void;
  /** Standard output is a terminal. */
  readonly isTerminal: boolean;
  /** Standard error is one: whoever waits there wants to see that something goes on. */
  readonly showsProgress: boolean;
  /** The locale is UTF-8. */
  readonly unicode: boolean;
  readonly colors: boolean;
  readonly node: string;
  readonly version: string;
}
