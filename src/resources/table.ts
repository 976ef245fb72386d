/**
 * The one table of resources. The command line, the generic D-Bus call and the usage texts read it; a resource is one
 * entry here and one handler in `api`.
 */
import type { ParameterSpec, ResultSpec } from './schema.ts';

export type Verb = 'get' | 'set' | 'create' | 'delete';
export const verbs: readonly Verb[] = ['get', 'set', 'create', 'delete'];
export type Privilege = 'read' | 'ports' | 'state' | 'guests' | 'ledger';

export interface MethodSpec {
  readonly handler: string;
  readonly privilege: Privilege;
  readonly description: string;
  /** Parameters besides those in the path. */
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  readonly returns: ResultSpec;
}

export interface ResourceSpec {
  /** Segments in braces are parameters. */
  readonly path: string;
  readonly pathParameters?: Readonly<Record<string, ParameterSpec>>;
  readonly methods: Readonly<Partial<Record<Verb, MethodSpec>>>;
}

const portName: ParameterSpec = {
  type: 'string',
  description: 'Name of the port (vi100) or of its device (veth100i0).',
};
const portProperties = {
  port: { type: 'string', description: 'Name of the port; also the altname of its device.' },
  bridge: { type: 'string', description: 'Bridge it is on.' },
  netdev: { type: 'string', description: 'Network device on this host.' },
  tag: { type: 'integer', description: 'VLAN of an access port.', optional: true },
  trunks: { type: 'array', description: 'VLANs it trunks.', optional: true },
  ofport: { type: 'integer', description: 'OpenFlow port number.', optional: true },
  owner: { type: 'string', description: 'Guest and card, or container.', optional: true },
  problem: { type: 'string', description: 'What is wrong with it.', optional: true },
} as const;
const bridgeProperties = {
  bridge: { type: 'string', description: 'Name of the bridge.' },
  managed: { type: 'boolean', description: 'Whether the configuration names it.' },
  ports: { type: 'integer', description: 'Port rows on it, whoever made them.' },
  datapath_type: { type: 'string', description: 'system (kernel) or netdev (userspace).' },
} as const;
const guestProperties = {
  vmid: { type: 'integer', description: 'Number of the guest.' },
  kind: { type: 'string', description: 'lxc or qemu; unknown when its file cannot be read.' },
  name: { type: 'string', description: 'Host name of a container, name of a machine.' },
  status: { type: 'string', description: 'running, changing, stopped or unknown.' },
  node: { type: 'string', description: 'Node that has it.' },
  lock: { type: 'string', description: 'Why Proxmox VE keeps others off it.', optional: true },
  pool: { type: 'string', description: 'Pool it is in.', optional: true },
  problem: { type: 'string', description: 'Why less is known of it.', optional: true },
  tags: { type: 'array', description: 'Tags.', optional: true },
  template: { type: 'boolean', description: 'Whether it is a template.', optional: true },
} as const;
const blockProperties = {
  height: { type: 'integer', description: 'Position in the ledger, from 0.' },
  timestamp: { type: 'string', description: 'Clock of the writer, UTC.' },
  category: { type: 'string', description: 'Kind of thing it is about.' },
  action: { type: 'string', description: 'What was about to be done.' },
  hash: { type: 'string', description: 'SHA-256 of the line before its last 75 bytes.' },
  prev_hash: { type: 'string', description: 'Hash of the block before.', optional: true },
  metadata: { type: 'object', description: 'Who, where and why.', optional: true },
  data: { type: 'object', description: 'What.', optional: true },
} as const;

/** In seconds. A caller waits for a minute and a half more, for the tools and for the guest's state. */
export const guestTimeoutDefault = 60;
const guestTimeoutMax = 600;
const controlResult = {
  type: 'object',
  properties: {
    guest: { type: 'string', description: 'Kind and number, such as CT 100.' },
    action: { type: 'string', description: 'start, stop, shutdown or reboot.' },
    state: { type: 'string', description: 'running or stopped, as the guest is now.' },
    changed: { type: 'boolean', description: 'Whether anything had to be done.' },
    way: { type: 'string', description: 'systemd, api, or the tool that did it.', optional: true },
    reasons: { type: 'array', description: 'Why not through systemd.', optional: true },
    ports: { type: 'string', description: 'What became of its ports.', optional: true },
  },
} as const;
const nicProperties = {
  nic: { type: 'string', description: 'net0 to net31.' },
  value: { type: 'string', description: 'All of it, as Proxmox VE has it.' },
  netdev: { type: 'string', description: 'Its network device on the host of the guest.', optional: true },
  bridge: { type: 'string', description: 'Bridge.', optional: true },
  tag: { type: 'integer', description: 'VLAN of an access port.', optional: true },
  trunks: { type: 'array', description: 'VLANs it trunks.', optional: true },
  firewall: { type: 'boolean', description: 'Whether the firewall of Proxmox VE stands before it.', optional: true },
  link_down: { type: 'boolean', description: 'Whether its link is down.', optional: true },
  mac: { type: 'string', description: 'MAC address.', optional: true },
  model: { type: 'string', description: "A machine's: what it emulates.", optional: true },
  name: { type: 'string', description: "A container's: its name inside.", optional: true },
  mtu: { type: 'integer', description: 'In bytes; 1 is that of the bridge.', optional: true },
  rate: { type: 'number', description: 'In megabytes per second.', optional: true },
  queues: { type: 'integer', description: "A machine's: packet queues.", optional: true },
  ip: { type: 'string', description: "A container's: IPv4.", optional: true },
  gw: { type: 'string', description: "A container's: IPv4 gateway.", optional: true },
  ip6: { type: 'string', description: "A container's: IPv6.", optional: true },
  gw6: { type: 'string', description: "A container's: IPv6 gateway.", optional: true },
  host_managed: { type: 'boolean', description: "A container's: the host configures it.", optional: true },
  unknown: { type: 'array', description: 'Options that are not known here.', optional: true },
  problem: { type: 'string', description: 'Why its options cannot be told.', optional: true },
} as const;
const nicChangeResult = {
  type: 'object',
  properties: {
    guest: { type: 'string', description: 'Kind and number, such as CT 100.' },
    nic: { type: 'string', description: 'net0 to net31.' },
    changed: { type: 'boolean', description: 'False when it was so already, or only said.' },
    before: { type: 'string', description: 'All of it, as it was; missing when it is new.', optional: true },
    after: { type: 'string', description: 'All of it, as it is; missing when it is gone.', optional: true },
    way: { type: 'string', description: 'api, or the tool that did it.', optional: true },
  },
} as const;
const vmidInPath = {
  vmid: { type: 'integer', description: 'Number of the guest.', minimum: 100, maximum: 999_999_999 },
} as const;
const guestTimeout = (description: string) =>
  ({
    timeout: {
      type: 'integer',
      description: `${description}, in seconds; ${guestTimeoutDefault} when not given.`,
      minimum: 1,
      maximum: guestTimeoutMax,
      optional: true,
    },
  }) as const;

/** Of whatever changes a nic. */
const nicChangeParameters = {
  dry_run: { type: 'boolean', description: 'Only says what would be done.', optional: true },
  ...guestTimeout('How long Proxmox VE may take'),
} as const;

export const resourceTable = [
  {
    path: '/version',
    methods: {
      get: {
        handler: 'version.get',
        privilege: 'read',
        description: 'Version of the service.',
        parameters: {},
        returns: {
          type: 'object',
          properties: {
            version: { type: 'string', description: 'Version of ovs-port-agent.' },
            ovs_version: { type: 'string', description: 'Version of Open vSwitch.', optional: true },
          },
        },
      },
    },
  },
  {
    path: '/status',
    methods: {
      get: {
        handler: 'status.get',
        privilege: 'read',
        description: 'Whether everything works, and what does not.',
        parameters: {},
        returns: {
          type: 'object',
          properties: {
            state: { type: 'string', description: 'running, degraded, or tampered: the ledger was altered.' },
            version: { type: 'string', description: 'Version of ovs-port-agent.' },
            switch: { type: 'string', description: 'connected, or why not.' },
            ports: { type: 'integer', description: 'Ports on managed bridges.' },
            ledger: { type: 'string', description: 'blocks and state of the ledger.' },
            interfaces: { type: 'string', description: 'State of the managed block.' },
            problems: { type: 'array', description: 'What needs attention, one sentence each.' },
          },
        },
      },
    },
  },
  {
    path: '/bridges',
    methods: {
      get: {
        handler: 'bridges.list',
        privilege: 'read',
        description: 'Bridges of the switch.',
        parameters: {},
        returns: { type: 'array', items: { properties: bridgeProperties } },
      },
    },
  },
  {
    path: '/bridges/{bridge}',
    pathParameters: { bridge: { type: 'string', description: 'Name of the bridge.' } },
    methods: {
      get: {
        handler: 'bridges.get',
        privilege: 'read',
        description: 'One bridge.',
        parameters: {},
        returns: { type: 'object', properties: bridgeProperties },
      },
    },
  },
  {
    path: '/ports',
    methods: {
      get: {
        handler: 'ports.list',
        privilege: 'read',
        description: 'Ports on managed bridges, by vmid and card.',
        parameters: {},
        returns: { type: 'array', items: { properties: portProperties } },
      },
      create: {
        handler: 'ports.create',
        privilege: 'ports',
        description: 'Plugs a device that Proxmox VE does not plug. With a vmid the port is named vi<vmid>.',
        parameters: {
          netdev: { type: 'string', description: 'Network device on this host.' },
          bridge: { type: 'string', description: 'Managed bridge; bridge_name when not given.', optional: true },
          container: { type: 'string', description: 'Name of the container it belongs to.', optional: true },
          vmid: {
            type: 'integer',
            description: 'Number to name the port after.',
            minimum: 100,
            maximum: 999_999_999,
            optional: true,
          },
        },
        returns: { type: 'string' },
      },
    },
  },
  {
    path: '/ports/{port}',
    pathParameters: { port: portName },
    methods: {
      get: {
        handler: 'ports.get',
        privilege: 'read',
        description: 'One port.',
        parameters: {},
        returns: { type: 'object', properties: portProperties },
      },
      delete: {
        handler: 'ports.delete',
        privilege: 'ports',
        description: 'Unplugs a port that was created here; never a foreign one, never that of a running guest.',
        parameters: {},
        returns: { type: 'string' },
      },
    },
  },
  {
    path: '/guests',
    methods: {
      get: {
        handler: 'guests.list',
        privilege: 'read',
        description: 'Guests of this node, and of the cluster when the Proxmox API is configured.',
        parameters: {
          local: { type: 'boolean', description: 'This node alone, from its own files.', optional: true },
        },
        returns: { type: 'array', items: { properties: guestProperties } },
      },
      create: {
        handler: 'guests.create',
        privilege: 'guests',
        description: 'Creates an unprivileged container from a template, by the Proxmox API.',
        parameters: {
          ...vmidInPath,
          template: { type: 'string', description: 'Volume of the template, STORAGE:vztmpl/NAME.' },
          hostname: { type: 'string', description: 'Host name.', optional: true },
          storage: { type: 'string', description: 'Storage of its disk; local when not given.', optional: true },
          size: {
            type: 'integer',
            description: 'Size of its disk in GiB; 4 when not given.',
            minimum: 1,
            maximum: 128 * 1024,
            optional: true,
          },
          memory: { type: 'integer', description: 'In MiB; 512 when not given.', minimum: 16, optional: true },
          cores: {
            type: 'integer',
            description: 'Processor cores; all of the node when not given.',
            minimum: 1,
            maximum: 8192,
            optional: true,
          },
          net0: { type: 'string', description: 'Its network card, such as bridge=ovsbr0,tag=10.', optional: true },
          tags: { type: 'string', description: 'Tags, separated by commas, which policies match.', optional: true },
          pool: { type: 'string', description: 'Pool, which policies match.', optional: true },
          node: { type: 'string', description: 'Node to create it on; this one when not given.', optional: true },
          start: { type: 'boolean', description: 'Starts it when it is there.', optional: true },
          dry_run: { type: 'boolean', description: 'Only says what would be asked.', optional: true },
          ...guestTimeout('How long that may take'),
        },
        returns: {
          type: 'object',
          properties: {
            guest: { type: 'string', description: 'Kind and number, such as CT 100.' },
            node: { type: 'string', description: 'Node that has it.' },
            changed: { type: 'boolean', description: 'False when it was only said.' },
            call: { type: 'string', description: 'What was asked of Proxmox VE, as pvesh would.' },
          },
        },
      },
    },
  },
  {
    path: '/guests/{vmid}',
    pathParameters: vmidInPath,
    methods: {
      get: {
        handler: 'guests.get',
        privilege: 'read',
        description: 'One guest of this node, its file read now.',
        parameters: {},
        returns: {
          type: 'object',
          properties: {
            ...guestProperties,
            config: { type: 'object', description: 'Settings in force, as they stand in its file.' },
            nics: { type: 'array', description: 'Its network cards, with the device on this host.' },
            ports: { type: 'array', description: 'Its ports on managed bridges.' },
            pending: { type: 'boolean', description: 'Whether changes wait for the next start.' },
            description: { type: 'string', description: 'Its notes.', optional: true },
            hookscript: { type: 'string', description: 'Volume of its hookscript.', optional: true },
            parent: { type: 'string', description: 'Snapshot it stands on.', optional: true },
            problems: { type: 'array', description: 'Lines of its file that were passed over.', optional: true },
            snapshots: { type: 'array', description: 'Names of its snapshots.', optional: true },
          },
        },
      },
    },
  },
  {
    path: '/guests/{vmid}/net',
    pathParameters: vmidInPath,
    methods: {
      get: {
        handler: 'guests.nics',
        privilege: 'read',
        description: 'Network cards of a guest, as they are after its next start.',
        parameters: {},
        returns: { type: 'array', items: { properties: nicProperties } },
      },
      create: {
        handler: 'guests.add-nic',
        privilege: 'guests',
        description: 'Gives a guest another network card; a running guest has it at once.',
        parameters: {
          nic: {
            type: 'string',
            description: 'net0 to net31; the lowest that is free when not given.',
            optional: true,
          },
          options: { type: 'string', description: 'As in its file, such as bridge=ovsbr0,tag=10.' },
          ...nicChangeParameters,
        },
        returns: nicChangeResult,
      },
    },
  },
  {
    path: '/guests/{vmid}/net/{nic}',
    pathParameters: { ...vmidInPath, nic: { type: 'string', description: 'net0 to net31.' } },
    methods: {
      get: {
        handler: 'guests.nic',
        privilege: 'read',
        description: 'One network card of a guest.',
        parameters: {},
        returns: { type: 'object', properties: nicProperties },
      },
      set: {
        handler: 'guests.set-nic',
        privilege: 'guests',
        description:
          'Changes options of a network card and leaves the others as they are; a running guest has it at once.',
        parameters: {
          bridge: { type: 'string', description: 'Bridge.', optional: true },
          tag: { type: 'string', description: 'VLAN of an access port, or none.', optional: true },
          trunks: { type: 'string', description: 'VLANs it trunks, such as 10,20,30-32; or none.', optional: true },
          firewall: { type: 'boolean', description: 'Firewall of Proxmox VE.', optional: true },
          link_down: { type: 'boolean', description: 'Takes the link down.', optional: true },
          mtu: { type: 'string', description: 'In bytes, or none.', optional: true },
          ...nicChangeParameters,
        },
        returns: nicChangeResult,
      },
      delete: {
        handler: 'guests.delete-nic',
        privilege: 'guests',
        description: 'Takes a network card away from a guest; a running guest loses it at once.',
        parameters: nicChangeParameters,
        returns: nicChangeResult,
      },
    },
  },
  {
    path: '/guests/{vmid}/status/start',
    pathParameters: vmidInPath,
    methods: {
      create: {
        handler: 'guests.start',
        privilege: 'guests',
        description: 'Starts a guest and waits until it runs and has its ports.',
        parameters: guestTimeout('How long it may take to run'),
        returns: controlResult,
      },
    },
  },
  {
    path: '/guests/{vmid}/status/stop',
    pathParameters: vmidInPath,
    methods: {
      create: {
        handler: 'guests.stop',
        privilege: 'guests',
        description: 'Ends a guest at once, as pulling the plug does.',
        parameters: guestTimeout('How long that may take'),
        returns: controlResult,
      },
    },
  },
  {
    path: '/guests/{vmid}/status/shutdown',
    pathParameters: vmidInPath,
    methods: {
      create: {
        handler: 'guests.shutdown',
        privilege: 'guests',
        description: 'Asks a guest to shut down; one that does not in time goes on running.',
        parameters: guestTimeout('How long it may take'),
        returns: controlResult,
      },
    },
  },
  {
    path: '/guests/{vmid}/status/reboot',
    pathParameters: vmidInPath,
    methods: {
      create: {
        handler: 'guests.reboot',
        privilege: 'guests',
        description: 'Shuts a guest down and starts it again, with its pending changes.',
        parameters: guestTimeout('How long the shutdown may take'),
        returns: controlResult,
      },
    },
  },
  {
    path: '/state',
    methods: {
      get: {
        handler: 'state.get',
        privilege: 'read',
        description: 'Observed state of all plugins.',
        parameters: {},
        returns: { type: 'object', properties: { net: { type: 'object', description: 'Bridges and their ports.' } } },
      },
    },
  },
  {
    path: '/state/{plugin}',
    pathParameters: { plugin: { type: 'string', description: 'Name of the plugin; "network" means net.' } },
    methods: {
      get: {
        handler: 'state.plugin',
        privilege: 'read',
        description: 'Observed state of one plugin.',
        parameters: {},
        returns: { type: 'object', properties: { interfaces: { type: 'array', description: 'Bridges and ports.' } } },
      },
    },
  },
  {
    path: '/ledger',
    methods: {
      get: {
        handler: 'ledger.stats',
        privilege: 'read',
        description: 'Size, period and categories of the ledger.',
        parameters: {},
        returns: {
          type: 'object',
          properties: {
            total_blocks: { type: 'integer', description: 'Number of blocks.' },
            earliest: { type: 'string', description: 'Time of the first block.', optional: true },
            latest: { type: 'string', description: 'Time of the last block.', optional: true },
            categories: { type: 'object', description: 'Blocks by category.' },
            size_bytes: { type: 'integer', description: 'Size of all segments.' },
            archived_blocks: { type: 'integer', description: 'Number of blocks in segments that were moved away.' },
            checkpoint: { type: 'integer', description: 'Blocks that the last checkpoint covers.' },
            tampered: { type: 'boolean', description: 'Whether it was altered from outside.' },
            cosigned: { type: 'integer', description: 'Blocks that enough witnesses have cosigned.', optional: true },
            witnesses: { type: 'array', description: 'Who has cosigned how many blocks, and when.', optional: true },
          },
        },
      },
    },
  },
  {
    path: '/ledger/blocks',
    methods: {
      get: {
        handler: 'ledger.blocks',
        privilege: 'read',
        description: 'Blocks, newest first.',
        parameters: {
          from: { type: 'integer', description: 'Lowest height.', minimum: 0, optional: true },
          to: { type: 'integer', description: 'Highest height.', minimum: 0, optional: true },
          category: {
            type: 'string',
            description: 'Category, or "network" for the five that concern it.',
            optional: true,
          },
          action: { type: 'string', description: 'Action.', optional: true },
          vmid: { type: 'integer', description: 'Guest.', minimum: 100, maximum: 999_999_999, optional: true },
          port: { type: 'string', description: 'Port name or device.', optional: true },
          user: { type: 'string', description: 'Who caused it.', optional: true },
          hash: { type: 'string', description: 'Hash of the block.', optional: true },
          since: { type: 'string', description: 'From this moment on (ISO 8601).', optional: true },
          until: { type: 'string', description: 'Before this moment (ISO 8601).', optional: true },
          limit: {
            type: 'integer',
            description: 'At most this many; 100 when not given.',
            minimum: 1,
            maximum: 10_000,
            optional: true,
          },
          order: { type: 'string', description: 'Order of heights.', enum: ['newest', 'oldest'], optional: true },
        },
        returns: { type: 'array', items: { properties: blockProperties } },
      },
    },
  },
  {
    path: '/ledger/blocks/{height}',
    pathParameters: { height: { type: 'integer', description: 'Height of the block.', minimum: 0 } },
    methods: {
      get: {
        handler: 'ledger.block',
        privilege: 'read',
        description: 'One block.',
        parameters: {},
        returns: { type: 'object', properties: blockProperties },
      },
    },
  },
  {
    path: '/ledger/key',
    methods: {
      get: {
        handler: 'ledger.key',
        privilege: 'read',
        description: 'Public half of the key that signs the ledger.',
        parameters: {},
        returns: {
          type: 'object',
          properties: {
            origin: { type: 'string', description: 'Name of the ledger in its checkpoints.' },
            vkey: { type: 'string', description: 'Verifies its checkpoints; for --key and log lines of a policy.' },
            witness_vkey: { type: 'string', description: 'Verifies its cosignatures; for witness lines of a policy.' },
          },
        },
      },
    },
  },
  {
    path: '/ledger/proof/{height}',
    pathParameters: { height: { type: 'integer', description: 'Height of the block.', minimum: 0 } },
    methods: {
      get: {
        handler: 'ledger.proof',
        privilege: 'read',
        description: 'Proof that a block is in the ledger, a C2SP tlog-proof.',
        parameters: {},
        returns: { type: 'string' },
      },
    },
  },
  {
    path: '/ledger/checkpoint',
    methods: {
      get: {
        handler: 'ledger.checkpoint',
        privilege: 'read',
        description: 'The last checkpoint, a C2SP tlog-checkpoint.',
        parameters: {},
        returns: { type: 'string' },
      },
    },
  },
  {
    path: '/ledger/verify',
    methods: {
      get: {
        handler: 'ledger.verify',
        privilege: 'read',
        description: 'Verifies the chain from the first block to the last, and the tree against the last checkpoint.',
        parameters: {},
        returns: {
          type: 'object',
          properties: {
            valid: { type: 'boolean', description: 'Whether every block is as it was written.' },
            blocks: { type: 'integer', description: 'Blocks that are good.' },
            last_hash: { type: 'string', description: 'Hash of the last good block.' },
            problem: { type: 'string', description: 'First bad height, offset and reason.', optional: true },
            unseen: {
              type: 'array',
              description: 'Heights (`from`, and `to` without it) of segments that are not there.',
              optional: true,
            },
          },
        },
      },
    },
  },
] as const satisfies readonly ResourceSpec[];

type MethodsOf<R> = R extends { methods: infer M } ? M[keyof M] : never;
/** Every handler that `api` has to provide. */
export type HandlerName =
  MethodsOf<(typeof resourceTable)[number]> extends infer M
    ? M extends { handler: infer H extends string }
      ? H
      : never
    : never;
