/** The object `/dev/ovs/PortAgent1`: the declared D-Bus methods, carried out by the handlers of the resource table. */
import type { Category, JsonObject } from '../ledger/block.ts';
import { parsePhase } from '../model/lifecycle.ts';
import { AgentError } from '../model/errors.ts';
import { parseContainerName, parseNetdevName, parseVmid } from '../model/names.ts';
import { portOfChange } from '../ports/change.ts';
import type { Cause } from '../ports/contracts.ts';
import { callResource, parseParameters } from './call.ts';
import type { Authorise } from './dbus/authorise.ts';
import type { Caller } from './dbus/contract.ts';
import { portAgentInterface } from './dbus/port-agent-interface.ts';
import { serveInterface } from './dbus/served-interface.ts';
import type { ServedInterface } from './dbus/served-interface.ts';
import { sayVerdict } from '../ledger/verify.ts';
import type { Service } from './service.ts';
import { statusOf } from './status.ts';

/** Blocks in one answer: a D-Bus message is no place for a whole ledger. */
const blocksMax = 10_000;

export function portAgentObject(service: Service, authorise: Authorise): ServedInterface<typeof portAgentInterface> {
  const { engine, ledger } = service;
  /** Why a change is made, as the ledger will say it. */
  const causeOf = async (caller: Caller, cause: string): Promise<Cause> => {
    const process = await service.processOf(caller.sender);
    return { cause, ...userOf(caller), ...(process === null ? {} : { process }) };
  };
  const read = async (
    path: string,
    caller: Caller,
    signal: AbortSignal,
    input: Record<string, unknown> = {},
  ): Promise<[string]> => [
    JSON.stringify(
      await callResource(service, {
        verb: 'get',
        path,
        input,
        cause: readingCause(caller, path),
        signal,
        // The declared privilege of the method has been checked by the dispatcher.
        authorise: () => Promise.resolve(),
      }),
    ),
  ];

  return serveInterface(
    portAgentInterface,
    {
      ping: () => Promise.resolve(['pong']),
      list_ports: () => Promise.resolve([engine.ports().map(({ port }) => port)]),
      add_port: async ([netdev], caller) => [
        await engine.addPort(parseNetdevName(netdev), null, await causeOf(caller, 'api add_port')),
      ],
      del_port: async ([netdev], caller) => [await engine.removePort(netdev, await causeOf(caller, 'api del_port'))],
      create_container_interface: async ([netdev, container, vmid], caller) => [
        await engine.createContainerInterface(
          parseNetdevName(netdev),
          parseContainerName(container),
          parseVmid(vmid),
          await causeOf(caller, 'api create_container_interface'),
        ),
      ],
      remove_container_interface: async ([port], caller) => [
        await engine.removePort(port, await causeOf(caller, 'api remove_container_interface')),
      ],
      NotifyLifecycle: async ([vmid, phase], caller) => [
        await engine.notifyLifecycle(parseVmid(vmid), parsePhase(phase), await causeOf(caller, 'hook')),
      ],
      Call: async ([verb, path, parameters], caller, signal) => {
        const result = await callResource(service, {
          verb,
          path,
          input: parseParameters(parameters),
          // What only reads leaves no block.
          cause: verb === 'get' ? readingCause(caller, path) : await causeOf(caller, `api ${verb} ${path}`),
          signal,
          authorise: (privilege) => authorise(caller, privilege),
        });
        return [JSON.stringify(result ?? null)];
      },
      Reconcile: async (_args, caller) => {
        const { changes, problems } = await engine.reconcile(await causeOf(caller, 'api Reconcile'));
        return [
          JSON.stringify({
            changes: changes.map((change) => ({
              action: change.kind,
              port: portOfChange(change),
            })),
            problems: Object.fromEntries(problems),
          }),
        ];
      },
      QueryState: ([plugin], caller, signal) =>
        read(plugin === '' ? '/state' : `/state/${oneSegment(plugin)}`, caller, signal),
      get_blockchain_stats: (_args, caller, signal) => read('/ledger', caller, signal),
      get_blocks_by_category: ([category], caller, signal) =>
        read('/ledger/blocks', caller, signal, { category, limit: blocksMax }),
      get_blocks_by_height: ([from, to], caller, signal) =>
        read('/ledger/blocks', caller, signal, {
          from: Number(from),
          to: Number(to),
          limit: blocksMax,
          order: 'oldest',
        }),
      get_block_by_hash: async ([hash]) => {
        const block = await ledger.blockWithHash(hash);
        if (block === null)
          throw new AgentError('NotFound', `the ledger has no block with hash ${JSON.stringify(hash.slice(0, 64))}`);
        return [JSON.stringify(block)];
      },
      verify_blockchain_integrity: async () => [sayVerdict(await ledger.verify()) + cosignedBy(service)],
      add_blockchain_data: async ([category, action, data], caller) => {
        const block = await ledger.append({
          // The ledger refuses what it does not know.
          category: category as Category,
          action,
          metadata: { ...(await causeOf(caller, 'api add_blockchain_data')), host: service.node, plugin: 'external' },
          data: parseParameters(data, 'data_json') as JsonObject,
        });
        return [block.hash];
      },
      Prove: async ([height]) => [(await ledger.prove(Number(height))).toString()],
      get_interface_bindings: () => Promise.resolve([JSON.stringify(engine.interfaceBindings())]),
    },
    {
      Version: () => service.version,
      OvsdbConnected: () => engine.status().switchProblem === null,
      Degraded: () => statusOf(service).state !== 'running',
      Tampered: () => ledger.tampered,
      Ports: () => engine.ports().map(({ port }) => port),
    },
  );
}

/** What other nodes hold of the ledger that was verified. */
function cosignedBy({ witnesses }: Service): string {
  const sights = witnesses?.sights() ?? [];
  if (witnesses === null || sights.length === 0) return '';
  const seen = sights.map(({ name, head }) => `${head.tree_size} by ${name}`).join(', ');
  return `; blocks cosigned: ${seen}; by enough witnesses: ${witnesses.cosignedBlocks}`;
}

function readingCause(caller: Caller, path: string): Cause {
  return { cause: `api get ${path}`, ...userOf(caller) };
}

/** Node cannot ask for the names of other users. */
function userOf({ uid }: Caller): Pick<Cause, 'user' | 'uid'> {
  return { user: uid === 0 ? 'root' : `uid ${uid}`, uid };
}

function oneSegment(name: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
    throw new AgentError('NotFound', `no plugin ${JSON.stringify(name.slice(0, 64))}; there is net`);
  return name;
}
