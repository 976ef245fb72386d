/** What the D-Bus face needs of a bus connection. `platform/dbus` satisfies it; nothing here does I/O. */

/** A D-Bus variant: one value with its type. `value` has the shape that `platform/dbus/values.ts` documents. */
export interface DbusVariant {
  readonly signature: string;
  readonly value: unknown;
}

/** A method call that arrived. `body` always matches `signature`: the codec read it by that signature. */
export interface IncomingCall {
  /** Unique name of the caller, put there by the bus, not by the caller. */
  readonly sender: string;
  readonly path: string;
  /** null when the caller left the interface out, which the D-Bus specification allows. */
  readonly interface: string | null;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
  /** The answer will be thrown away by the connection; the call is carried out all the same. */
  readonly noReplyExpected: boolean;
  /** One per call: aborted at the connection's deadline for incoming calls and when the connection ends. */
  readonly signal: AbortSignal;
}

export type CallReply =
  | { readonly kind: 'return'; readonly signature: string; readonly body: readonly unknown[] }
  | { readonly kind: 'error'; readonly errorName: string; readonly message: string };

/** Answers every call and never rejects. */
export type CallHandler = (call: IncomingCall) => Promise<CallReply>;

export interface OutgoingSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

export interface ServiceBus {
  /** Directs all incoming method calls to `handler`; the last call wins. */
  serve(handler: CallHandler): void;
  /** Broadcasts. False when there is no connection: a signal is a hint and is not kept for later. */
  emitSignal(signal: OutgoingSignal): boolean;
  /** The uid behind a unique name, as the bus knows it. Rejects when the sender has left. */
  senderUid(sender: string): Promise<number>;
}

/** Who calls: known from the bus, never from the message's content. */
export interface Caller {
  readonly sender: string;
  readonly uid: number;
}
