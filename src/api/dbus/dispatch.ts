/** From a method call on the bus to a handler and back to a reply. */
import { AgentError, dbusErrorName, toAgentError } from '../../model/errors.ts';
import { nearest } from '../../model/nearest.ts';
import type { Authorise } from './authorise.ts';
import type { CallReply, IncomingCall, ServiceBus } from './contract.ts';
import type { MethodSpec } from './interface-spec.ts';
import { signatureOf } from './interface-spec.ts';
import { childNodes, renderIntrospection } from './introspection.ts';
import { serveProperties } from './properties.ts';
import type { ErasedHandler, ServedInterface } from './served-interface.ts';
import { serveInterface } from './served-interface.ts';
import { StandardDbusError } from './standard-errors.ts';
import { introspectableInterface, peerInterface } from './standard-interfaces.ts';
import { fitsWireType } from './wire-types.ts';

/** Longest message of an error reply, in characters; the rest is cut. */
const errorMessageCharsMax = 4096;

export interface DispatcherOptions {
  /** Object path -> its interfaces. Read at every call, so that objects may come and go. */
  readonly objects: ReadonlyMap<string, readonly ServedInterface[]>;
  readonly authorise: Authorise;
  readonly senderUid: ServiceBus['senderUid'];
  /** The 32 hexadecimal digits of /etc/machine-id, without the newline. */
  readonly machineId: string;
  /** Gets every error that is a defect of the service; the caller is told only that there was one. */
  readonly onInternalError: (error: unknown, call: IncomingCall) => void;
}

/**
 * The function to give to `ServiceBus.serve`. Every call passes, in this order: object, interface and member exist;
 * argument signature; sender's uid; privilege; handler; result against the declaration. Never rejects.
 */
export function createDispatcher(options: DispatcherOptions): (call: IncomingCall) => Promise<CallReply> {
  return async (call) => {
    try {
      return await answer(options, call);
    } catch (thrown) {
      return errorReply(
        thrown,
        (error) => {
          options.onInternalError(error, call);
        },
        call.member,
      );
    }
  };
}

async function answer(options: DispatcherOptions, call: IncomingCall): Promise<CallReply> {
  const { method, handler } = findMethod(options, call);
  const expected = signatureOf(method.in);
  if (call.signature !== expected) {
    throw new StandardDbusError(
      'invalidArgs',
      `${call.member} takes the arguments (${describeArgs(method)}), signature "${expected}", not "${call.signature}"`,
    );
  }
  const caller = { sender: call.sender, uid: nobody };
  if (method.privilege !== 'public') {
    caller.uid = await options.senderUid(call.sender);
    await options.authorise(caller, method.privilege);
  }
  const body = await handler(call.body, caller, call.signal);
  if (body.length !== method.out.length || !method.out.every((arg, index) => fitsWireType(arg.type, body[index]))) {
    throw new Error(`the result of ${call.member} does not fit its declaration (${signatureOf(method.out)})`);
  }
  return { kind: 'return', signature: signatureOf(method.out), body };
}

/** The uid that public methods see: they do not look at it. The kernel's overflow uid, no user's. */
const nobody = 65534;

function findMethod(options: DispatcherOptions, call: IncomingCall): { method: MethodSpec; handler: ErasedHandler } {
  const interfaces = interfacesAt(options, call.path);
  const candidates =
    call.interface === null ? interfaces : interfaces.filter((served) => served.spec.name === call.interface);
  if (candidates.length === 0) {
    const names = interfaces.map((served) => served.spec.name).join(', ');
    throw new StandardDbusError(
      'unknownInterface',
      `object ${call.path} has no interface ${call.interface ?? ''}; it has ${names}`,
    );
  }
  for (const { spec, handlers } of candidates) {
    const handler = handlers.get(call.member);
    const method = Object.hasOwn(spec.methods, call.member) ? spec.methods[call.member] : undefined;
    if (handler !== undefined && method !== undefined) return { method, handler };
  }
  const near = nearest(
    call.member,
    candidates.flatMap((served) => [...served.handlers.keys()]),
  );
  const hint = near === null ? '' : `; did you mean ${near}?`;
  throw new StandardDbusError(
    'unknownMethod',
    `${call.interface ?? `object ${call.path}`} has no method ${call.member}${hint}`,
  );
}

/** Own interfaces first: a call without an interface means ours when the names clash. */
function interfacesAt(options: DispatcherOptions, path: string): readonly ServedInterface[] {
  const own = options.objects.get(path);
  const children = () => childNodes(path, options.objects.keys());
  if (own === undefined && children().length === 0) {
    throw new StandardDbusError(
      'unknownObject',
      `there is no object ${path}; the objects are ${[...options.objects.keys()].slice(0, 10).join(', ')}`,
    );
  }
  const peer = serveInterface(
    peerInterface,
    { Ping: () => Promise.resolve([]), GetMachineId: () => Promise.resolve([options.machineId]) },
    {},
  );
  const all: ServedInterface[] = own === undefined ? [] : [...own, serveProperties(path, () => all)];
  const introspectable = serveInterface(
    introspectableInterface,
    {
      Introspect: () =>
        Promise.resolve([
          renderIntrospection(
            all.map((served) => served.spec),
            children(),
          ),
        ]),
    },
    {},
  );
  all.push(introspectable, peer);
  return all;
}

function errorReply(thrown: unknown, onInternal: (error: unknown) => void, member: string): CallReply {
  if (thrown instanceof StandardDbusError) return renderError(thrown.errorName, thrown.message);
  const { code, message } = toAgentError(thrown);
  if (code !== 'Internal') return renderError(dbusErrorName(code), message);
  onInternal(thrown);
  // A defect's own text may name anything; only what an AgentError was written to say goes out.
  const told = thrown instanceof AgentError ? message : `${member} failed by an internal error; see the service's log`;
  return renderError(dbusErrorName(code), told);
}

function renderError(errorName: string, message: string): CallReply {
  const clean = message.replaceAll('\0', '\\0');
  const short = clean.length > errorMessageCharsMax ? `${clean.slice(0, errorMessageCharsMax - 3)}...` : clean;
  return { kind: 'error', errorName, message: short };
}

function describeArgs(method: MethodSpec): string {
  return method.in.map((arg) => `${arg.type} ${arg.name}`).join(', ');
}
