/** The configuration: the older tool's flat keys and ours, strict. Defaults are those of a Proxmox VE node. */
import * as z from 'zod';
import { AgentError } from './errors.ts';
import { nearest } from './nearest.ts';
import { namingModes } from './naming.ts';
import { parseBridgeName } from './names.ts';
import type { BridgeName } from './names.ts';

const bridge = z.string().transform((name, context) => {
  try {
    return parseBridgeName(name);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});
const absolutePath = z.string().regex(/^\//, 'expected an absolute path');
const ovsdbEndpoint = /^(unix:\/[^,]+|(tcp|ssl):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?)$/;
const markerText = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected 1 to 64 letters, digits, dots, underscores or dashes');

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
  enable_rename: z.boolean().default(false).describe('older key; true warns and means naming_mode = "auto"'),
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
});

export type Config = Omit<z.output<typeof schema>, 'bridges' | 'ledger_path'> & {
  readonly bridges: readonly BridgeName[];
  readonly ledger_path: string;
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

/** Throws `ConfigError` with everything that is wrong at once. */
export function parseConfig(input: unknown): ConfigResult {
  const result = schema.safeParse(input);
  if (!result.success) throw new ConfigError(result.error.issues.flatMap(describeIssue));
  const { data } = result;
  const warnings: string[] = [];
  if (data.enable_rename) {
    warnings.push(
      'enable_rename = true: devices are not renamed, Proxmox VE would lose them; naming_mode = "auto" gives altnames',
    );
  }
  return {
    config: {
      ...data,
      bridges: data.bridges ?? [...new Set([data.bridge_name, data.container_bridge])],
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

/** Keys with their description and default, for the documents. */
export function configKeys(): { key: string; description: string; defaultValue: unknown }[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as {
    properties?: Record<string, { description?: string; default?: unknown }>;
  };
  return Object.entries(properties).map(([key, property]) => ({
    key,
    description: property.description ?? '',
    defaultValue: property.default,
  }));
}

function describeIssue(issue: z.core.$ZodIssue): ConfigIssue[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const near = nearest(key, Object.keys(schema.shape));
      return { key, message: `unknown key${near === null ? '' : `; did you mean ${near}?`}` };
    });
  }
  return [{ key: issue.path.map(String).join('.'), message: issue.message }];
}
