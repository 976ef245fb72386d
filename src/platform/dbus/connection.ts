/** One connection to a message bus, from handshake to end. It does not come back; `Bus` does. */
import type { Socket } from 'node:net';
import { AgentError } from '../../model/errors.ts';
import { quote } from '../../model/names.ts';
import type { CallHandler, CallReply, OutgoingSignal, ServiceBus } from '../../api/dbus/contract.ts';
import { openBusSocket } from './bus-socket.ts';
import { DbusCallError, dbusCallError } from './call-error.ts';
import type { DecodedMessage, MessageHeader } from './codec.ts';
import { decodeMessage, encodeMessage, messageFlags, messageTypes } from './codec.ts';
import type { WaitOptions } from './deadline.ts';
import { watchDeadline } from './deadline.ts';
import { IncomingCalls } from './incoming-calls.ts';
import { busCallDeadlineMs, outgoingBytesMax, pendingCallsMax } from './limits.ts';
import type { MatchRule, SignalHandler } from './match-rule.ts';
import type { Frame } from './message-splitter.ts';
import { MessageSplitter } from './message-splitter.ts';
import { SenderUids } from './sender-uids.ts';
import { busDriverName, SignalMatches } from './signal-matches.ts';

export interface CallRequest {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Types of `body`; none when left out. Shapes as in values.ts. */
  readonly signature?: string;
  readonly body?: readonly unknown[];
  /** False: do not let the bus start the callee. */
  readonly autoStart?: boolean;
}

/** How a call of ours ended, before it is made a result or an error. */
type Outcome =
  | { readonly kind: 'connection-ended' }
  | { readonly kind: 'reply'; readonly message: DecodedMessage; readonly oversized: number | null }
  | { readonly kind: 'failed'; readonly reason: unknown };

export class BusConnection implements ServiceBus {
  readonly address: string;
  /** Resolves, with the reason, when the connection has ended for whatever cause. Never rejects. */
  readonly closed: Promise<string>;
  readonly #socket: Socket;
  readonly #splitter = new MessageSplitter();
  readonly #pending = new Map<number, (outcome: Outcome) => void>();
  readonly #incoming = new IncomingCalls((call, reply) => {
    this.#reply(call, reply);
  });
  readonly #matches = new SignalMatches((member, argument) => this.#callDriver(member, 's', [argument]));
  readonly #uids = new SenderUids((sender) => this.#querySenderUid(sender));
  #resolveClosed: (reason: string) => void = () => undefined;
  #endReason: string | null = null;
  #uniqueName = '';
  #lastSerial = 0;

  /**
   * Connects, authenticates by uid (EXTERNAL) and says Hello, all within the deadline. Throws `Unavailable` or
   * `AccessDenied` naming the address, `Timeout`, or `InvalidArgument` for a bad address.
   */
  static async connect(address: string, wait: WaitOptions): Promise<BusConnection> {
    const startedMs = performance.now();
    const connection = new BusConnection(address, await openBusSocket(address, wait));
    try {
      const deadlineMs = Math.max(1, wait.deadlineMs - (performance.now() - startedMs));
      const [name] = await connection.#callDriver('Hello', '', [], { deadlineMs, signal: wait.signal });
      connection.#uniqueName = String(name);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  private constructor(address: string, socket: Socket) {
    this.address = address;
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    socket.on('error', (error) => {
      this.#end(error.message);
    });
    socket.on('end', () => {
      this.#end('the bus closed it');
    });
    socket.on('close', () => {
      this.#end('the socket was closed');
    });
    // It may have died between authentication and here; its events are over then.
    if (socket.destroyed) this.#end('the socket was closed');
    socket.resume();
  }

  get isOpen(): boolean {
    return this.#endReason === null;
  }

  /** For example `:1.42`. */
  get uniqueName(): string {
    return this.#uniqueName;
  }

  /**
   * Calls a method and gives the values of its reply, shapes as in values.ts. Throws `DbusCallError` for an error
   * reply, `Timeout` at the deadline, the signal's reason when aborted, `Unavailable` when the connection ends or has
   * ended; what the callee did by then is unknown. A reply that comes later is dropped.
   */
  async call(request: CallRequest, wait: WaitOptions): Promise<readonly unknown[]> {
    const what = `D-Bus call ${request.interface}.${request.member} of ${request.destination}`;
    const outcome = await this.#exchange(request, wait, what);
    // Made here and not where the reply arrived, so that the stack shows the caller.
    if (outcome.kind === 'failed') throw outcome.reason;
    if (outcome.kind === 'connection-ended') {
      const where = `the connection to the D-Bus at ${quote(this.address)} has ended`;
      throw new AgentError('Unavailable', `${what} failed: ${where}: ${this.#endReason ?? ''}`);
    }
    const { header } = outcome.message;
    const body = readReply(what, outcome.message, outcome.oversized);
    if (header.type === messageTypes.methodReturn) return body;
    const text = typeof body[0] === 'string' ? body[0] : '';
    throw dbusCallError(what, header.errorName ?? '', text);
  }

  /** Becomes the owner of `name`. Throws `Conflict` naming the present owner, `AccessDenied` when the policy forbids. */
  async requestName(name: string, wait: WaitOptions = { deadlineMs: busCallDeadlineMs }): Promise<void> {
    const replied = await this.#callDriver('RequestName', 'su', [name, doNotQueue], wait).catch((error: unknown) => {
      if (!(error instanceof AgentError) || error.code !== 'AccessDenied') throw error;
      throw new AgentError(
        'AccessDenied',
        `uid ${process.geteuid?.() ?? 0} may not own the bus name ${name}: the policy of the bus at ${quote(this.address)} forbids it. ` +
          'Install the policy file of the service and reload the bus',
        { cause: error },
      );
    });
    if (replied[0] === nameReply.primaryOwner || replied[0] === nameReply.alreadyOwner) return;
    throw new AgentError(
      'Conflict',
      `the bus name ${name} is taken by ${await this.#describeOwner(name)}. Is the service running already?`,
    );
  }

  /** Calls `handler` for every signal that matches, until the returned function removes it. Equal rules share one. */
  addMatch(rule: MatchRule, handler: SignalHandler): Promise<() => Promise<void>> {
    return this.#matches.add(rule, handler).then((remove) => async () => {
      if (this.isOpen) await remove();
    });
  }

  serve(handler: CallHandler): void {
    this.#incoming.setHandler(handler);
  }

  emitSignal({ signature, body, ...names }: OutgoingSignal): boolean {
    if (!this.isOpen) return false;
    const { path, interface: interfaceName, member } = names;
    this.#send(
      {
        type: messageTypes.signal,
        flags: messageFlags.noReplyExpected,
        path,
        interface: interfaceName,
        member,
        signature,
      },
      body,
    );
    return true;
  }

  senderUid(sender: string): Promise<number> {
    return this.#uids.get(sender);
  }

  /** The process that made the sender's connection. Rejects when the sender has left. */
  async senderPid(sender: string): Promise<number> {
    const [pid] = await this.#callDriver('GetConnectionUnixProcessID', 's', [sender]);
    return Number(pid);
  }

  /** Ends the connection after what was sent has left. */
  close(): void {
    this.#socket.destroySoon();
    this.#end('it was closed on this side');
  }

  #exchange(request: CallRequest, wait: WaitOptions, what: string): Promise<Outcome> {
    const failed = (reason: unknown): Outcome => ({ kind: 'failed', reason });
    if (wait.signal?.aborted === true) return Promise.resolve(failed(wait.signal.reason));
    if (!this.isOpen) return Promise.resolve({ kind: 'connection-ended' });
    if (this.#pending.size >= pendingCallsMax) {
      return Promise.resolve(
        failed(new AgentError('Busy', `${what}: ${pendingCallsMax} calls wait for replies already`)),
      );
    }
    const { destination, path, interface: interfaceName, member, signature = '', body = [], autoStart } = request;
    const serial = this.#send(
      {
        type: messageTypes.methodCall,
        flags: autoStart === false ? messageFlags.noAutoStart : 0,
        destination,
        path,
        interface: interfaceName,
        member,
        signature,
      },
      body,
    );
    // Sending may find that the bus no longer reads.
    if (this.#socket.destroyed) return Promise.resolve({ kind: 'connection-ended' });
    return new Promise((resolve) => {
      const settle = (outcome: Outcome) => {
        stop();
        this.#pending.delete(serial);
        resolve(outcome);
      };
      const stop = watchDeadline(wait, what, (reason) => {
        settle(failed(reason));
      });
      this.#pending.set(serial, settle);
    });
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#splitter.push(chunk)) this.#handleFrame(frame);
    } catch (error) {
      // Framing is lost: nothing after this byte can be understood.
      this.#socket.destroy();
      this.#end(error instanceof Error ? error.message : String(error));
    }
  }

  #handleFrame({ bytes, oversized }: Frame): void {
    let message: DecodedMessage;
    try {
      message = decodeMessage(bytes);
    } catch {
      // Its length was known, so the next message is found: one that nobody can read does not end the connection.
      return;
    }
    const { type, replySerial } = message.header;
    if (type === messageTypes.methodCall) {
      this.#incoming.accept(message, oversized);
    } else if (type === messageTypes.signal) {
      this.#deliverSignal(message);
    } else if (replySerial !== undefined) {
      this.#pending.get(replySerial)?.({ kind: 'reply', message, oversized });
    }
  }

  /** A signal whose body cannot be read, or was skipped for its length, is nobody's: hints may be lost, the connection may not. */
  #deliverSignal(message: DecodedMessage): void {
    try {
      this.#matches.deliver(message);
    } catch {
      return;
    }
  }

  #reply(call: MessageHeader, reply: CallReply): void {
    if (!this.isOpen) return;
    const common = { flags: messageFlags.noReplyExpected, replySerial: call.serial, destination: call.sender };
    const sendError = (errorName: string, text: string) => {
      this.#send({ ...common, type: messageTypes.error, errorName, signature: 's' }, [text]);
    };
    if (reply.kind === 'error') {
      sendError(reply.errorName, reply.message);
      return;
    }
    try {
      this.#send({ ...common, type: messageTypes.methodReturn, signature: reply.signature }, reply.body);
    } catch (error) {
      sendError(
        'org.freedesktop.DBus.Error.Failed',
        `the result of ${call.member ?? ''} cannot be sent: ${String(error)}`,
      );
    }
  }

  /** The serial of the message sent. Throws TypeError or RangeError when the message is not a valid one. */
  #send(header: Omit<MessageHeader, 'serial'>, body: readonly unknown[]): number {
    this.#lastSerial = this.#lastSerial >= serialMax ? 1 : this.#lastSerial + 1;
    const bytes = encodeMessage({ ...header, serial: this.#lastSerial }, body);
    if (this.#socket.writableLength + bytes.length > outgoingBytesMax) {
      this.#socket.destroy();
      this.#end(`the bus does not read: ${outgoingBytesMax} bytes wait to be sent`);
    } else {
      this.#socket.write(bytes);
    }
    return this.#lastSerial;
  }

  #end(reason: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    for (const settle of [...this.#pending.values()]) settle({ kind: 'connection-ended' });
    this.#incoming.abortAll(new AgentError('Unavailable', `the caller's bus is gone: ${reason}`));
    this.#resolveClosed(reason);
  }

  #callDriver(
    member: string,
    signature: string,
    body: readonly unknown[],
    wait: WaitOptions = { deadlineMs: busCallDeadlineMs },
  ): Promise<readonly unknown[]> {
    const path = '/org/freedesktop/DBus';
    return this.call({ destination: busDriverName, path, interface: busDriverName, member, signature, body }, wait);
  }

  async #querySenderUid(sender: string): Promise<number> {
    const [uid] = await this.#callDriver('GetConnectionUnixUser', 's', [sender]);
    if (typeof uid !== 'number') throw new AgentError('Unavailable', `the bus does not say who ${sender} is`);
    return uid;
  }

  /** As much as the bus tells; the owner may leave at any time. */
  async #describeOwner(name: string): Promise<string> {
    try {
      const [owner] = await this.#callDriver('GetNameOwner', 's', [name]);
      const pid = await this.senderPid(String(owner));
      const uid = await this.senderUid(String(owner));
      return `${String(owner)} (pid ${pid}, uid ${uid})`;
    } catch (error) {
      if (!(error instanceof DbusCallError)) throw error;
      return 'another connection';
    }
  }
}

/** The values of a reply, or `Internal` when they cannot be had. */
function readReply(what: string, { readBody }: DecodedMessage, oversized: number | null): readonly unknown[] {
  if (oversized !== null) {
    throw new AgentError('Internal', `${what} failed: the reply of ${oversized} bytes is longer than the maximum`);
  }
  try {
    return readBody();
  } catch (error) {
    throw new AgentError('Internal', `${what} failed: the reply cannot be read: ${String(error)}`, { cause: error });
  }
}

const serialMax = 0xffff_ffff;

/** Flag of `RequestName`. */
const doNotQueue = 4;

/** Replies of `RequestName`. */
const nameReply = { primaryOwner: 1, alreadyOwner: 4 };
