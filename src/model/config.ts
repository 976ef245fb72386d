/** The configuration: the older tool's flat keys and ours, strict. Defaults are those of a Proxmox VE node. */
import * as z from 'zod';
import { AgentError } from './errors.ts';
import { nearest } from './nearest.ts';
import { namingModes } from './naming.ts';
import type { BridgeName } from './names.ts';
import type { Policy } from './policy.ts';
import { policySchema } from './policy-schema.ts';
import { proxmoxSchema } from './proxmox-schema.ts';
import { absolutePath, bridge } from './schema-parts.ts';

const ovsdbEndpoint = /^(unix:\/[^,]+|(tcp|ssl):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?)$/;
const markerText = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected 1 to 64 letters, digits, dots, underscores or dashes');

const ledger = z.strictObject({
  checkpoint_blocks: z.int().min(1).max(1_000_000).default(1000).describe('blocks after which a checkpoint is signed'),
  witness_dir: absolutePath.optional().describe('folder that the nodes of a cluster share, for witnesses'),
  witness_seconds: z.int().min(1).max(86_400).default(600).describe('least time between two writes into that folder'),
  checkpoint_seconds: z.int().min(1).max(86_400).default(60).describe('time in which every block is in a checkpoint'),
  segment_megabytes: z.int().min(1).max(1_000_000).default(256).describe('size of a file above which a new one begins'),
});

const sources = z.strictObject({
  switch: z.boolean().default(true).describe('whether changes of the switch have guests looked at'),
  links: z.boolean().default(true).describe('whether changes of network devices do'),
  units: z.boolean().default(true).describe("whether changes of guests' units in systemd do"),
  cluster: z.boolean().default(true).describe("whether changes of guests' files, by `.version` in pve_dir, do"),
  timer_seconds: z.int().min(1).max(3600).default(60).describe('longest time between two full passes'),
});

/** In words, for the template of the configuration file and the manual page. */
const schema = z.strictObject({
  bridge_name: bridge.prefault('ovsbr0').describe('bridge of devices that no guest configuration places'),
  container_bridge: bridge.prefault('ovsbr1').describe('bridge of containers that belong to Netmaker'),
  bridges: z.array(bridge).min(1).optional().describe('managed bridges; default: bridge_name and container_bridge'),
  ovsdb: z
    .string()
    .refine(
      (text) => text.split(/, ?/).every((endpoint) => ovsdbEndpoint.test(endpoint)),
      'expected "unix:" and an absolute path, "tcp:HOST:PORT" or "ssl:HOST:PORT"; of a cluster several, with commas',
    )
    .default('unix:/var/run/openvswitch/db.sock')
    .describe('where ovsdb-server listens'),
  ovsdb_key: absolutePath.optional().describe('private key of the agent, PEM, for `ssl:`'),
  ovsdb_certificate: absolutePath.optional().describe('certificate of the agent, PEM, for `ssl:`'),
  ovsdb_ca: absolutePath.optional().describe("authority that signed the server's certificate, PEM, for `ssl:`"),
  ovsdb_leader_only: z.boolean().default(false).describe('of a cluster, only talk to the member that leads it'),
  interfaces_path: absolutePath.default('/etc/network/interfaces').describe('file that carries the managed block'),
  managed_block_tag: markerText.default('ovs-port-agent').describe('name in the markers and comments of that block'),
  pve_dir: absolutePath.default('/etc/pve').describe('cluster file system of Proxmox VE'),
  lock_dir: absolutePath.default('/run/lock').describe('where Proxmox VE keeps the locks of guests'),
  lxc_dir: absolutePath.default('/var/lib/lxc').describe('where LXC keeps the configurations of containers'),
  auto_attach: z.boolean().default(false).describe('new guests of this node get the hookscript'),
  drift: z
    .enum(['repair', 'report'])
    .default('repair')
    .describe('what happens to a foreign edit of what the agent set'),
  state_dir: absolutePath.default('/var/lib/ovs-port-agent').describe('bindings, spool and what else must last'),
  ledger_path: absolutePath.optional().describe('the ledger; default: ledger.jsonl in state_dir'),
  bus: z.string().min(1).optional().describe('D-Bus address; default: the system bus'),
  debounce_ms: z.int().min(0).max(60_000).default(500).describe('least time between two full passes, in milliseconds'),
  naming_template: z
    .string()
    .regex(
      /^([A-Za-z0-9_]|\{(container|index|vmid)\})+$/,
      'expected letters, digits, _ and {container}, {index}, {vmid}',
    )
    .default('vi_{container}')
    .describe('port name of a device without a vmid'),
  naming_mode: z.enum(namingModes).default('auto').describe('how ports, rows and devices are named'),
  enable_rename: z
    .boolean()
    .default(false)
    .describe('older key; true means naming_mode = "rename"; on a node of Proxmox VE it warns and means nothing'),
  include_prefixes: z
    .array(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.+@=-]{0,14}$/, 'expected the beginning of a device name'))
    .default([])
    .describe('beginnings of the names of devices that may be of containers; each is looked at before it is taken'),
  container_name_cmd: z
    .string()
    .regex(/\S/, 'expected a command')
    .optional()
    .describe('command that prints the container of the device {ifname}; no shell, 2 s'),
  log_level: z.enum(['error', 'warning', 'info', 'debug']).default('info').describe('what is logged'),
  ledger: ledger.prefault({}).describe('how the ledger is kept'),
  sources: sources.prefault({}).describe('which events have guests looked at before the next full pass'),
  policy: z
    .array(policySchema)
    .prefault([])
    .describe('policies, each a table `[[policy]]`; the first that matches wins'),
  proxmox: proxmoxSchema.optional(),
});
/** Plain data: what may stand where, and the descriptions. */
const jsonSchema = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as SchemaNode;

interface SchemaNode {
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
}

export type Config = Omit<z.output<typeof schema>, 'bridges' | 'ledger_path' | 'policy'> & {
  readonly bridges: readonly BridgeName[];
  readonly ledger_path: string;
  readonly policy: readonly Policy[];
};

export interface ConfigResult {
  readonly config: Config;
  /** One sentence each, for the log. */
  readonly warnings: readonly string[];
}

/** One thing wrong, with the path of its key. */
export interface ConfigIssue {
  readonly key: string;
  readonly message: string;
}

/**
 * Throws `ConfigError` with everything that is wrong at once. `isProxmoxNode` is asked whether this is one, by its
 * `pve_dir`.
 */
export function parseConfig(input: unknown, isProxmoxNode: (pveDir: string) => boolean = () => true): ConfigResult {
  const result = schema.safeParse(input);
  if (!result.success) throw new ConfigError(result.error.issues.flatMap(describeIssue));
  const { data } = result;
  const bridges = data.bridges ?? [...new Set([data.bridge_name, data.container_bridge])];
  const issues = data.policy.flatMap((policy, index) => unmanaged(policy, `policy.${index}`, bridges));
  if (issues.length > 0) throw new ConfigError(issues);
  const isProxmox = isProxmoxNode(data.pve_dir);
  if (isProxmox && data.naming_mode === 'rename') {
    throw new ConfigError([
      {
        key: 'naming_mode',
        message: `"rename" is for hosts without Proxmox VE, which would lose its devices, and there is ${data.pve_dir}; "auto" gives altnames`,
      },
    ]);
  }
  const warnings: string[] = [];
  if (data.enable_rename && isProxmox) {
    warnings.push(
      'enable_rename = true: devices are not renamed, Proxmox VE would lose them; naming_mode = "auto" gives altnames',
    );
  }
  const isRenaming = data.enable_rename && !isProxmox && data.naming_mode === 'auto';
  return {
    config: {
      ...data,
      ...(isRenaming ? { naming_mode: 'rename' } : {}),
      bridges,
      ledger_path: data.ledger_path ?? `${data.state_dir}/ledger.jsonl`,
    },
    warnings,
  };
}

export class ConfigError extends AgentError {
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[]) {
    super('InvalidArgument', issues.map(({ key, message }) => `${key}: ${message}`).join('; '));
    this.issues = issues;
  }
}

/** Keys with their description and default, for the documents; those of a table as TOML's dotted keys. */
export function configKeys(): { key: string; description: string; defaultValue: unknown }[] {
  return keysOf(jsonSchema, '');
}

function keysOf(node: SchemaNode, prefix: string): ReturnType<typeof configKeys> {
  return Object.entries(node.properties ?? {}).flatMap(([name, property]) => {
    const key = prefix + name;
    if (property.properties !== undefined) return keysOf(property, `${key}.`);
    return [{ key, description: property.description ?? '', defaultValue: property.default }];
  });
}

/** A port on a bridge that is not managed would be nobody's. */
function unmanaged(policy: Policy, key: string, bridges: readonly BridgeName[]): ConfigIssue[] {
  return [
    { key: `${key}.match.bridge`, bridge: policy.match.bridge },
    { key: `${key}.bridge`, bridge: policy.bridge },
  ].flatMap(({ key, bridge }) =>
    bridge === null || bridges.includes(bridge)
      ? []
      : [{ key, message: `${bridge} is not a managed bridge; those are ${bridges.join(', ')} (key bridges)` }],
  );
}

function describeIssue(issue: z.core.$ZodIssue): ConfigIssue[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const near = nearest(key, keysAt(path));
      return {
        key: [...path, key].join('.'),
        message: `unknown key${near === null ? '' : `; did you mean ${near}?`}`,
      };
    });
  }
  return [{ key: path.join('.'), message: issue.message }];
}

function keysAt(path: readonly string[]): string[] {
  let node: SchemaNode | undefined = jsonSchema;
  for (const part of path) node = node?.items ?? node?.properties?.[part];
  return Object.keys(node?.properties ?? {});
}
