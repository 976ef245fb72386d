/** A bus connection that comes back: after a loss it connects again and replays match rules and names. */
import { AgentError } from '../../model/errors.ts';
import type { CallHandler, OutgoingSignal, ServiceBus } from '../../api/dbus/contract.ts';
import type { CallRequest } from './connection.ts';
import { BusConnection } from './connection.ts';
import type { WaitOptions } from './deadline.ts';
import { busCallDeadlineMs, reconnectDeadlineMs, reconnectDelayMaxMs, reconnectDelayMinMs } from './limits.ts';
import type { MatchRule, SignalHandler } from './match-rule.ts';

/** `connected` means names and match rules are in place. Signals sent in between are lost: observe afresh. */
export type BusState =
  | { readonly kind: 'connected'; readonly uniqueName: string }
  | { readonly kind: 'disconnected'; readonly reason: string; readonly retryInMs: number }
  | { readonly kind: 'closed' };

interface BusOptions {
  readonly address: string;
  /** Called at every change after the first `connected`. Must not throw. */
  readonly onState?: (state: BusState) => void;
}

interface Subscription {
  readonly rule: MatchRule;
  readonly handler: SignalHandler;
  /** Where the rule is registered now; null on the way there. */
  place: { readonly connection: BusConnection; readonly remove: () => Promise<void> } | null;
}

export class Bus implements ServiceBus {
  readonly #address: string;
  readonly #onState: (state: BusState) => void;
  readonly #subscriptions = new Set<Subscription>();
  readonly #names = new Set<string>();
  readonly #closing = new AbortController();
  #handler: CallHandler | null = null;
  /** null while there is none that is fully set up. */
  #connection: BusConnection | null;

  /** Throws as `BusConnection.connect` does when the first connection fails; later ones are tried for ever. */
  static async connect(options: BusOptions, wait: WaitOptions): Promise<Bus> {
    return new Bus(options, await BusConnection.connect(options.address, wait));
  }

  private constructor({ address, onState = () => undefined }: BusOptions, connection: BusConnection) {
    this.#address = address;
    this.#onState = onState;
    this.#connection = connection;
    void this.#keepAlive(connection);
  }

  /** Owns `name` now and after every reconnect. Throws as `requestName` does, and then does not keep the name. */
  async ownName(name: string, wait: WaitOptions = { deadlineMs: busCallDeadlineMs }): Promise<void> {
    await this.#connected().requestName(name, wait);
    this.#names.add(name);
  }

  call(request: CallRequest, wait: WaitOptions): Promise<readonly unknown[]> {
    return this.#connection === null ? Promise.reject(this.#unavailable()) : this.#connection.call(request, wait);
  }

  /** As `BusConnection.addMatch`; during an outage it resolves at once and the rule is set at the reconnect. */
  async addMatch(rule: MatchRule, handler: SignalHandler): Promise<() => Promise<void>> {
    const subscription: Subscription = { rule, handler, place: null };
    this.#subscriptions.add(subscription);
    const connection = this.#connection;
    if (connection !== null) {
      try {
        await this.#place(subscription, connection);
      } catch (error) {
        // Lost meanwhile: the reconnect will place it. Refused: it will never be.
        if (connection.isOpen) {
          this.#subscriptions.delete(subscription);
          throw error;
        }
      }
    }
    return async () => {
      this.#subscriptions.delete(subscription);
      await subscription.place?.remove();
    };
  }

  serve(handler: CallHandler): void {
    this.#handler = handler;
    this.#connection?.serve(handler);
  }

  emitSignal(signal: OutgoingSignal): boolean {
    return this.#connection?.emitSignal(signal) ?? false;
  }

  senderUid(sender: string): Promise<number> {
    return this.#connection === null ? Promise.reject(this.#unavailable()) : this.#connection.senderUid(sender);
  }

  senderPid(sender: string): Promise<number> {
    return this.#connection === null ? Promise.reject(this.#unavailable()) : this.#connection.senderPid(sender);
  }

  /** Ends the connection and the attempts to bring it back. */
  close(): void {
    this.#closing.abort(new AgentError('Unavailable', 'the bus connection was closed on this side'));
    this.#connection?.close();
  }

  async #keepAlive(first: BusConnection): Promise<void> {
    let reason = await this.#untilLost(first);
    let delayMs = reconnectDelayMinMs;
    for (;;) {
      if (this.#isClosing()) break;
      this.#onState({ kind: 'disconnected', reason, retryInMs: delayMs });
      await delay(delayMs, this.#closing.signal);
      if (this.#isClosing()) break;
      try {
        const connection = await this.#reconnect();
        delayMs = reconnectDelayMinMs;
        this.#onState({ kind: 'connected', uniqueName: connection.uniqueName });
        reason = await this.#untilLost(connection);
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
        delayMs = Math.min(delayMs * 2, reconnectDelayMaxMs);
      }
    }
    this.#onState({ kind: 'closed' });
  }

  async #untilLost(connection: BusConnection): Promise<string> {
    const reason = await connection.closed;
    this.#connection = null;
    return reason;
  }

  /** Handler, rules, names, in this order: who sees the name on the bus finds a service that answers and hears. */
  async #reconnect(): Promise<BusConnection> {
    const wait = { deadlineMs: reconnectDeadlineMs, signal: this.#closing.signal };
    const connection = await BusConnection.connect(this.#address, wait);
    try {
      if (this.#handler !== null) connection.serve(this.#handler);
      for (const subscription of this.#subscriptions) await this.#place(subscription, connection);
      for (const name of this.#names) await connection.requestName(name, wait);
      // Those that came meanwhile. Between the last look and the assignment nothing else can run.
      for (let missing = this.#unplaced(connection); missing !== undefined; missing = this.#unplaced(connection)) {
        await this.#place(missing, connection);
      }
      if (this.#handler !== null) connection.serve(this.#handler);
      this.#connection = connection;
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  #unplaced(connection: BusConnection): Subscription | undefined {
    return [...this.#subscriptions].find((subscription) => subscription.place?.connection !== connection);
  }

  async #place(subscription: Subscription, connection: BusConnection): Promise<void> {
    const remove = await connection.addMatch(subscription.rule, subscription.handler);
    // Removed while the daemon was asked.
    if (this.#subscriptions.has(subscription)) subscription.place = { connection, remove };
    else await remove();
  }

  #isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  #connected(): BusConnection {
    if (this.#connection === null) throw this.#unavailable();
    return this.#connection;
  }

  #unavailable(): AgentError {
    return new AgentError(
      'Unavailable',
      `the connection to the D-Bus at ${this.#address} is down; it is being retried`,
    );
  }
}

/** Resolves after the time or when aborted, whichever is first. */
function delay(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', done);
  });
}
