/** Method calls to us: bounded in number and time, each with its own abort signal, each answered at most once. */
import type { AgentError } from '../../model/errors.ts';
import type { CallHandler, CallReply, IncomingCall } from '../../api/dbus/contract.ts';
import type { DecodedMessage, MessageHeader } from './codec.ts';
import { messageFlags } from './codec.ts';
import { watchDeadline } from './deadline.ts';
import { incomingCallDeadlineMs, incomingCallsMax, messageBytesMax } from './limits.ts';

/** Sends an answer; never throws. */
type SendReply = (call: MessageHeader, reply: CallReply) => void;

export class IncomingCalls {
  readonly #send: SendReply;
  readonly #inFlight = new Set<AbortController>();
  #handler: CallHandler | null = null;

  constructor(send: SendReply) {
    this.#send = send;
  }

  setHandler(handler: CallHandler): void {
    this.#handler = handler;
  }

  /** `oversized` is the length of a message whose body was skipped, else null. */
  accept(message: DecodedMessage, oversized: number | null): void {
    const { header } = message;
    const answer = (reply: CallReply) => {
      if ((header.flags & messageFlags.noReplyExpected) === 0) this.#send(header, reply);
    };
    const handler = this.#handler;
    if (handler === null) {
      answer(standardError('UnknownMethod', 'this program serves no D-Bus methods'));
    } else if (oversized !== null) {
      answer(
        standardError('LimitsExceeded', `the call is ${oversized} bytes long, the maximum is ${messageBytesMax} bytes`),
      );
    } else if (this.#inFlight.size >= incomingCallsMax) {
      answer(standardError('LimitsExceeded', `${incomingCallsMax} calls are being handled already; try again later`));
    } else {
      const call = readCall(message);
      if (call === null) {
        answer(standardError('InvalidArgs', `the arguments of signature "${header.signature}" cannot be read`));
      } else {
        void this.#run(handler, call).then(answer);
      }
    }
  }

  /** The connection is gone: nobody hears the answers. */
  abortAll(reason: AgentError): void {
    for (const controller of this.#inFlight) controller.abort(reason);
  }

  /** Never rejects. At the deadline the caller is answered even when the handler ignores its signal. */
  async #run(handler: CallHandler, call: Omit<IncomingCall, 'signal'>): Promise<CallReply> {
    const controller = new AbortController();
    this.#inFlight.add(controller);
    const expired = new Promise<CallReply>((resolve) => {
      controller.signal.addEventListener('abort', () => {
        const { reason } = controller.signal as { reason: unknown };
        resolve(standardError('Timeout', reason instanceof Error ? reason.message : 'the call was aborted'));
      });
    });
    const stop = watchDeadline({ deadlineMs: incomingCallDeadlineMs }, `the call of ${call.member}`, (reason) => {
      controller.abort(reason);
    });
    try {
      return await Promise.race([handler({ ...call, signal: controller.signal }), expired]);
    } catch {
      // CallHandler promises not to reject; what a broken promise says is not for callers.
      return standardError('Failed', `${call.member} failed by an internal error`);
    } finally {
      stop();
      this.#inFlight.delete(controller);
    }
  }
}

/** null when the body cannot be read: a file descriptor in it, for example. */
function readCall({ header, readBody }: DecodedMessage): Omit<IncomingCall, 'signal'> | null {
  const { sender, path, member } = header;
  if (sender === undefined || path === undefined || member === undefined) return null;
  try {
    return {
      sender,
      path,
      interface: header.interface ?? null,
      member,
      signature: header.signature,
      body: readBody(),
      noReplyExpected: (header.flags & messageFlags.noReplyExpected) !== 0,
    };
  } catch {
    return null;
  }
}

function standardError(name: string, message: string): CallReply {
  return { kind: 'error', errorName: `org.freedesktop.DBus.Error.${name}`, message };
}
