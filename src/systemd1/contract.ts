/** What this module asks of the outside. `platform` satisfies it: its bus connection, its timers, its files. */

/** Values have the shapes that `platform/dbus/values.ts` documents. */
export interface SystemdBus {
  /** Rejects with an `AgentError`; that of an error reply also carries its D-Bus name as `errorName`. */
  call(request: BusCall, wait: Wait): Promise<readonly unknown[]>;
  /**
   * Hears signals until the returned function is called; the rule outlives a lost connection. The handler may be called
   * before this resolves.
   */
  addMatch(rule: SignalRule, handler: (signal: Signal) => void): Promise<() => Promise<void>>;
}

export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  /** Always false here: a bus without systemd must not try to start one. */
  readonly autoStart?: boolean;
}

export interface Wait {
  /** Milliseconds from now. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface SignalRule {
  readonly sender: string;
  readonly path?: string;
  readonly pathNamespace?: string;
  readonly interface: string;
  readonly member: string;
  readonly arg0?: string;
}

export interface Signal {
  readonly path: string;
  readonly member: string;
  readonly body: readonly unknown[];
}

export interface Clock {
  /** Milliseconds that never go back. */
  nowMs(): number;
  /** Returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Files into which systemd writes what a transient unit prints. */
export interface TaskOutputs {
  /** An empty file of that name, readable by root alone; what an earlier run left there is gone. */
  create(name: string): Promise<TaskOutput>;
}

export interface TaskOutput {
  readonly path: string;
  /** Bytes from `offset` to the end, at most `bytesMax`. */
  read(offset: number, bytesMax: number): Promise<Buffer>;
  remove(): Promise<void>;
}
