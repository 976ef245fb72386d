/** One function for each handler the resource table names. Results are plain JSON values, keys as the table says. */
import { parseBridgeName, parseContainerName, parseNetdevName, parseVmid } from '../model/names.ts';
import { AgentError } from '../model/errors.ts';
import { parseInstant } from '../ledger/instant.ts';
import { sayBad } from '../ledger/verify.ts';
import type { GuestAction } from '../node/contracts.ts';
import { guestTimeoutDefault } from '../resources/table.ts';
import type { HandlerName } from '../resources/table.ts';
import { definedOnly, portEntry } from './entries.ts';
import { addNic, createGuest, deleteNic, listGuests, listNics, setNic, showGuest, showNic } from './guest-handlers.ts';
import type { Handler } from './handler.ts';
import type { Service } from './service.ts';
import { statusOf } from './status.ts';

export const handlers: Readonly<Record<HandlerName, Handler>> = {
  'version.get': (service) =>
    Promise.resolve({ version: service.version, ...definedOnly({ ovs_version: service.engine.status().ovsVersion }) }),
  'status.get': (service) => Promise.resolve(statusOf(service)),

  'bridges.list': (service) => Promise.resolve(service.engine.bridges().map(bridgeEntry)),
  'bridges.get': (service, { parameters }) => {
    const bridge = service.engine.bridges().find(({ name }) => name === parameters['bridge']);
    if (bridge === undefined)
      throw new AgentError('NotFound', `bridge ${String(parameters['bridge'])} does not exist on the switch`);
    return Promise.resolve(bridgeEntry(bridge));
  },

  'ports.list': (service) => Promise.resolve(service.engine.ports().map((view) => portEntry(service, view))),
  'ports.get': (service, { parameters }) =>
    Promise.resolve(portEntry(service, service.engine.port(String(parameters['port'])))),
  'ports.create': (service, { parameters, cause }) => {
    const netdev = parseNetdevName(String(parameters['netdev']));
    const { container, vmid, bridge } = parameters;
    if (vmid === undefined && container === undefined) {
      return service.engine.addPort(netdev, bridge === undefined ? null : parseBridgeName(String(bridge)), cause);
    }
    if (bridge !== undefined) {
      throw new AgentError('InvalidArgument', 'bridge goes without container and vmid: their bridge is configured');
    }
    if (typeof vmid !== 'number' || typeof container !== 'string') {
      throw new AgentError('InvalidArgument', 'container and vmid go together: give both, or neither');
    }
    return service.engine.createContainerInterface(netdev, parseContainerName(container), parseVmid(vmid), cause);
  },
  'ports.delete': (service, { parameters, cause }) => service.engine.removePort(String(parameters['port']), cause),

  'guests.start': controlGuest('start'),
  'guests.stop': controlGuest('stop'),
  'guests.shutdown': controlGuest('shutdown'),
  'guests.reboot': controlGuest('reboot'),
  'guests.list': listGuests,
  'guests.create': createGuest,
  'guests.get': showGuest,
  'guests.nics': listNics,
  'guests.nic': showNic,
  'guests.add-nic': addNic,
  'guests.set-nic': setNic,
  'guests.delete-nic': deleteNic,

  'state.get': (service) => Promise.resolve({ net: netState(service) }),
  'state.plugin': (service, { parameters }) => {
    // The older tool's name for it.
    const plugin = parameters['plugin'] === 'network' ? 'net' : parameters['plugin'];
    if (plugin !== 'net') throw new AgentError('NotFound', `no plugin ${String(plugin)}; there is net`);
    return Promise.resolve(netState(service));
  },

  'ledger.stats': ({ ledger, witnesses }) =>
    Promise.resolve({ ...ledger.stats(), ...(witnesses === null ? {} : describeWitnesses(witnesses)) }),
  'ledger.blocks': ({ ledger }, { parameters: { since, until, ...rest } }) =>
    ledger.query({
      ...rest,
      ...(since !== undefined && { sinceMs: parseInstant(String(since), 'since') }),
      ...(until !== undefined && { untilMs: parseInstant(String(until), 'until') }),
    }),
  'ledger.block': async ({ ledger }, { parameters }) => {
    const block = await ledger.blockAt(Number(parameters['height']));
    if (block === null) throw new AgentError('NotFound', `the ledger has no block ${String(parameters['height'])}`);
    return block;
  },
  'ledger.key': ({ ledgerKey }) => {
    if (ledgerKey === null)
      throw new AgentError('Unavailable', 'the ledger has no key: `ovs-port-agent status` says why');
    const { name, verifierKey, cosignerKey } = ledgerKey;
    return Promise.resolve({ origin: name, vkey: verifierKey.render(), witness_vkey: cosignerKey.render() });
  },
  'ledger.proof': async ({ ledger }, { parameters }) => (await ledger.prove(Number(parameters['height']))).toString(),
  'ledger.checkpoint': ({ ledger }) => {
    if (ledger.checkpoint === null) throw new AgentError('NotFound', 'the ledger has no checkpoint yet');
    return Promise.resolve(ledger.checkpoint.note.toString());
  },
  'ledger.verify': async ({ ledger }) => {
    const report = await ledger.verify();
    return {
      valid: report.valid,
      blocks: report.blocks,
      last_hash: report.lastHash,
      ...(report.firstBad === undefined ? {} : { problem: sayBad(report.firstBad) }),
      ...(report.unseen === undefined ? {} : { unseen: report.unseen }),
    };
  },
};

function describeWitnesses(witnesses: NonNullable<Service['witnesses']>): Record<string, unknown> {
  return {
    cosigned: witnesses.cosignedBlocks,
    witnesses: witnesses.sights().map(({ name, head, timestampS }) => ({
      name,
      blocks: head.tree_size,
      time: new Date(timestampS * 1000).toISOString(),
    })),
  };
}

function controlGuest(action: GuestAction): Handler {
  return async ({ guests }, { parameters, cause, signal }) => {
    const { vmid, timeout = guestTimeoutDefault } = parameters;
    const request = { action, timeoutMs: Number(timeout) * 1000, cause, signal };
    const { guest, state, changed, way, reasons, ports } = await guests.control(parseVmid(Number(vmid)), request);
    return {
      guest,
      action,
      state,
      changed,
      ...definedOnly({ way, reasons, ports }),
    };
  };
}

function bridgeEntry(bridge: ReturnType<Service['engine']['bridges']>[number]): Record<string, unknown> {
  return { bridge: bridge.name, managed: bridge.managed, ports: bridge.ports, datapath_type: bridge.datapathType };
}

/** The part of the declarative document's `net` that the port engine sees. */
function netState(service: Service): Record<string, unknown> {
  const ports = service.engine.ports();
  return {
    interfaces: service.engine.bridges().map(({ name }) => ({
      name,
      type: 'ovs-bridge',
      ports: ports.filter(({ row }) => row.bridge === name).map((view) => portEntry(service, view)),
    })),
  };
}
