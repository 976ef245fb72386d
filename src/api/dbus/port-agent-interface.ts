/** The interface `dev.ovs.PortAgent1`. snake_case methods are the older tool's; names and argument order never change. */
import type { InterfaceSpec } from './interface-spec.ts';

export const busName = 'dev.ovs.PortAgent1';
export const objectPath = '/dev/ovs/PortAgent1';

export const portAgentInterface = {
  name: 'dev.ovs.PortAgent1',
  methods: {
    ping: {
      in: [],
      out: [{ name: 'reply', type: 's' }],
      privilege: 'read',
      doc: 'Answers "pong".',
    },
    list_ports: {
      in: [],
      out: [{ name: 'ports', type: 'as' }],
      privilege: 'read',
      doc: 'Names of the ports, sorted by vmid and nic.',
    },
    add_port: {
      in: [{ name: 'netdev', type: 's' }],
      out: [{ name: 'result', type: 's' }],
      privilege: 'ports',
      doc: 'Plugs a network device into the bridge that bridge_name configures.',
    },
    del_port: {
      in: [{ name: 'netdev', type: 's' }],
      out: [{ name: 'result', type: 's' }],
      privilege: 'ports',
      doc: 'Unplugs a network device; never a foreign port.',
    },
    create_container_interface: {
      in: [
        { name: 'netdev', type: 's' },
        { name: 'container', type: 's' },
        { name: 'vmid', type: 'u' },
      ],
      out: [{ name: 'port', type: 's' }],
      privilege: 'ports',
      doc: "Attaches a container's network device as vi<vmid> and answers the port's name.",
    },
    remove_container_interface: {
      in: [{ name: 'port', type: 's' }],
      out: [{ name: 'result', type: 's' }],
      privilege: 'ports',
      doc: 'Removes a port that create_container_interface made.',
    },
    NotifyLifecycle: {
      in: [
        { name: 'vmid', type: 'u' },
        { name: 'phase', type: 's' },
      ],
      out: [{ name: 'result', type: 's' }],
      privilege: 'ports',
      doc: 'What the hookscript reports: pre-start, post-start, pre-stop or post-stop of a guest.',
    },
    Call: {
      in: [
        { name: 'verb', type: 's' },
        { name: 'path', type: 's' },
        { name: 'parameters_json', type: 's' },
      ],
      out: [{ name: 'result_json', type: 's' }],
      // The least any resource asks for; the handler authorises again with the privilege of the resource called.
      privilege: 'read',
      doc: 'Calls an entry of the resource table: get, set, create, delete, ls or usage of a path.',
    },
    Reconcile: {
      in: [],
      out: [{ name: 'result_json', type: 's' }],
      privilege: 'ports',
      doc: 'Compares every guest with the switch now and repairs what differs.',
    },
    QueryState: {
      in: [{ name: 'plugin', type: 's' }],
      out: [{ name: 'state_json', type: 's' }],
      privilege: 'read',
      doc: 'The current state of one plugin, or of all for the empty string.',
    },
    get_blockchain_stats: {
      in: [],
      out: [{ name: 'stats_json', type: 's' }],
      privilege: 'read',
      doc: 'Height, last hash and counts of the ledger.',
    },
    get_blocks_by_category: {
      in: [{ name: 'category', type: 's' }],
      out: [{ name: 'blocks_json', type: 's' }],
      privilege: 'read',
      doc: 'The blocks of one category.',
    },
    get_blocks_by_height: {
      in: [
        { name: 'from', type: 't' },
        { name: 'to', type: 't' },
      ],
      out: [{ name: 'blocks_json', type: 's' }],
      privilege: 'read',
      doc: 'The blocks of a range of heights, both ends included.',
    },
    get_block_by_hash: {
      in: [{ name: 'hash', type: 's' }],
      out: [{ name: 'block_json', type: 's' }],
      privilege: 'read',
      doc: 'The block with this hash.',
    },
    verify_blockchain_integrity: {
      in: [],
      out: [{ name: 'verdict', type: 's' }],
      privilege: 'read',
      doc: 'Verifies the whole ledger; the answer begins with VALID or INVALID.',
    },
    add_blockchain_data: {
      in: [
        { name: 'category', type: 's' },
        { name: 'action', type: 's' },
        { name: 'data_json', type: 's' },
      ],
      out: [{ name: 'hash', type: 's' }],
      privilege: 'ledger',
      doc: 'Records what the caller says it has done, marked as said from outside, and answers the hash of the block.',
    },
    Prove: {
      in: [{ name: 'height', type: 't' }],
      out: [{ name: 'proof', type: 's' }],
      privilege: 'read',
      doc: 'Proof that a block is in the ledger, a C2SP tlog-proof.',
    },
    get_interface_bindings: {
      in: [],
      out: [{ name: 'bindings_json', type: 's' }],
      privilege: 'read',
      doc: 'One row each: vmid, nic, netdev, port, altname, stanza.',
    },
  },
  properties: {
    Version: { type: 's', emits: 'const', doc: 'Version of the service.' },
    OvsdbConnected: { type: 'b', emits: 'true', doc: 'Whether the connection to ovsdb-server is up.' },
    Degraded: { type: 'b', emits: 'false', doc: 'Whether something keeps the service from doing its whole job.' },
    Tampered: { type: 'b', emits: 'false', doc: 'Whether the ledger was altered from outside.' },
    Ports: { type: 'as', emits: 'false', doc: 'The same names as list_ports; the signals tell what changes.' },
  },
  signals: {
    PortAdded: {
      args: [
        { name: 'port', type: 's' },
        { name: 'bridge', type: 's' },
      ],
      doc: 'A port appeared on a managed bridge.',
    },
    PortRemoved: { args: [{ name: 'port', type: 's' }], doc: 'A port is gone.' },
    PortChanged: {
      args: [
        { name: 'port', type: 's' },
        { name: 'columns', type: 'as' },
      ],
      doc: 'Columns of a port changed.',
    },
    Drift: {
      args: [
        { name: 'port', type: 's' },
        { name: 'difference', type: 's' },
      ],
      doc: 'Somebody else changed what the agent had set.',
    },
    GuestProgress: {
      args: [
        { name: 'vmid', type: 'u' },
        { name: 'line', type: 's' },
      ],
      doc: 'What the tool that starts or ends a guest prints while it runs.',
    },
    BlockAppended: {
      args: [
        { name: 'height', type: 't' },
        { name: 'category', type: 's' },
        { name: 'hash', type: 's' },
      ],
      doc: 'The ledger grew by one block.',
    },
  },
} as const satisfies InterfaceSpec;
