/** `dev.ovs.PortAgent1` on a private bus with handlers that answer what they were called with. */
import { authoriseByUid } from '../../src/api/dbus/authorise.ts';
import type { Authorise } from '../../src/api/dbus/authorise.ts';
import type { Caller, IncomingCall } from '../../src/api/dbus/contract.ts';
import { createDispatcher } from '../../src/api/dbus/dispatch.ts';
import type { Emitter } from '../../src/api/dbus/emitter.ts';
import { createEmitter } from '../../src/api/dbus/emitter.ts';
import type { Handlers, PropertyReaders } from '../../src/api/dbus/interface-spec.ts';
import { busName, objectPath, portAgentInterface } from '../../src/api/dbus/port-agent-interface.ts';
import { serveInterface } from '../../src/api/dbus/served-interface.ts';
import { BusConnection } from '../../src/platform/dbus/connection.ts';

type PortAgent = typeof portAgentInterface;

export const machineId = '0123456789abcdef0123456789abcdef';

export interface TestServiceOptions {
  readonly handlers?: Partial<Handlers<PortAgent>>;
  readonly properties?: Partial<PropertyReaders<PortAgent>>;
  readonly authorise?: Authorise;
}

export interface TestService {
  readonly connection: BusConnection;
  readonly emitter: Emitter<PortAgent>;
  /** Who called, in order. */
  readonly callers: Caller[];
  readonly internalErrors: { error: unknown; call: IncomingCall }[];
  /** The dispatcher that answers for it. */
  readonly dispatch: ReturnType<typeof createDispatcher>;
}

export async function startTestService(address: string, options: TestServiceOptions = {}): Promise<TestService> {
  const connection = await BusConnection.connect(address, { deadlineMs: 5000 });
  const callers: Caller[] = [];
  const internalErrors: TestService['internalErrors'] = [];
  const served = serveInterface(portAgentInterface, echoHandlers(callers, options), {
    Version: () => '0.0.0-test',
    OvsdbConnected: () => true,
    Degraded: () => false,
    Tampered: () => false,
    Ports: () => ['vi100', 'vi101'],
    ...options.properties,
  });
  const dispatch = createDispatcher({
    objects: new Map([[objectPath, [served]]]),
    authorise: options.authorise ?? authoriseByUid(process.geteuid?.() ?? 0),
    senderUid: (sender) => connection.senderUid(sender),
    machineId,
    onInternalError: (error, call) => internalErrors.push({ error, call }),
  });
  connection.serve(dispatch);
  await connection.requestName(busName);
  return { connection, emitter: createEmitter(connection, objectPath, served), callers, internalErrors, dispatch };
}

/** String results name the method and its arguments. */
function echoHandlers(callers: Caller[], { handlers = {} }: TestServiceOptions): Handlers<PortAgent> {
  const echo = (name: string) => (args: readonly (string | number | bigint)[], caller: Caller) => {
    callers.push(caller);
    return Promise.resolve([`${name}(${args.join(',')})`] as const);
  };
  return {
    ping: (_args, caller) => {
      callers.push(caller);
      return Promise.resolve(['pong']);
    },
    list_ports: () => Promise.resolve([['vi100', 'vi101']]),
    add_port: echo('add_port'),
    del_port: echo('del_port'),
    create_container_interface: echo('create_container_interface'),
    remove_container_interface: echo('remove_container_interface'),
    NotifyLifecycle: echo('NotifyLifecycle'),
    Call: echo('Call'),
    Reconcile: echo('Reconcile'),
    QueryState: echo('QueryState'),
    get_blockchain_stats: echo('get_blockchain_stats'),
    get_blocks_by_category: echo('get_blocks_by_category'),
    get_blocks_by_height: echo('get_blocks_by_height'),
    get_block_by_hash: echo('get_block_by_hash'),
    verify_blockchain_integrity: echo('verify_blockchain_integrity'),
    add_blockchain_data: echo('add_blockchain_data'),
    Prove: echo('Prove'),
    get_interface_bindings: echo('get_interface_bindings'),
    ...handlers,
  };
}
