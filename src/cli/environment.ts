/** What the command asks of the outside. `src/cli.ts` hands it in. */

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
  /** A ledger file as chunks, for verification without the service. */
  readLedger(path: string): AsyncIterable<Uint8Array>;
  /** A small file, whole. Rejects with `NotFound` or `Unavailable`; also when it is longer than `bytesMax`. */
  readFile(path: string, bytesMax: number): Promise<Uint8Array>;
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
