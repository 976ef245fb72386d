/** The commands that read the ledger's file themselves, without the service: on the node, or on a copy anywhere. */
import { basename, dirname, join } from 'node:path';
import type { Unseen } from '../ledger/chain.ts';
import { exportLedger } from '../ledger/export.ts';
import type { ExportFormat } from '../ledger/export.ts';
import { importedLedgers, isAsCommitted } from '../ledger/imported.ts';
import { parseInstant } from '../ledger/instant.ts';
import { checkAgainstSwitch, parseOwnComment } from '../ledger/switch-check.ts';
import type { SwitchReport } from '../ledger/switch-check.ts';
import { AgentError } from '../model/errors.ts';
import type { Environment } from './environment.ts';

/** Where the configuration has it unless it says otherwise. */
export const ledgerFileDefault = '/var/lib/ovs-port-agent/ledger.jsonl';
/** Where Debian and Proxmox VE keep the database of Open vSwitch. */
export const switchDatabaseDefault = '/etc/openvswitch/conf.db';

const exitGood = 0;
const exitBad = 1;

/** Blocks of a period, to standard output. Exit 1 when the ledger is not valid: then only what stands before is there. */
export async function ledgerExport(
  env: Environment,
  file: string,
  {
    format,
    since,
    until,
  }: { readonly format: ExportFormat; readonly since: string; readonly until: string | undefined },
): Promise<number> {
  const period = {
    sinceMs: parseInstant(since, 'since'),
    untilMs: until === undefined ? Infinity : parseInstant(until, 'until'),
    onUnseen: (unseen: Unseen) => {
      env.complain(`ovs-port-agent: ${movedAway(unseen)}`);
    },
  };
  const { firstBad } = await exportLedger(env.readLedger(file), { format, ...period }, (bytes) => env.write(bytes));
  if (firstBad === undefined || firstBad.torn) return exitGood;
  const { height, offset, reason } = firstBad;
  env.complain(`ovs-port-agent: exported up to block ${height} at byte ${offset}, which is not valid: ${reason}`);
  return exitBad;
}

function movedAway({ from, to }: Unseen): string {
  return `blocks ${from} to ${to - 1} are in segments that were moved away`;
}

/** The ledger against the log of the switch's database, both read as files. */
export async function ledgerVerifySwitch(env: Environment, file: string, database: string): Promise<number> {
  const readLog = () => env.readSwitchLog(database, parseOwnComment);
  // The log first: what it names must be in the ledger by the time that is read.
  const log = await readLog();
  const report = await checkAgainstSwitch(env.readLedger(file), log, readLog);
  const [first] = report.contradictions;
  if (first === undefined) env.print(`VALID: ${report.checked} transactions of the switch are in the ledger`);
  else env.print(`INVALID: ${first}`);
  for (const contradiction of report.contradictions.slice(1)) env.print(`and: ${contradiction}`);
  for (const line of describeSpan(report)) env.print(line);
  return first === undefined ? exitGood : exitBad;
}

function describeSpan({ log, older, unrecorded }: SwitchReport): string[] {
  const { fromMs, toMs, isCompacted, transactions } = log;
  if (fromMs === null || toMs === null) return ['the log of the switch is empty: nothing could be compared'];
  const [from, to] = [fromMs, toMs].map((ms) => new Date(ms).toISOString());
  const why = isCompacted ? 'it was compacted then' : 'it begins there';
  return [
    `the log of the switch has ${transactions} transactions from ${from ?? ''} to ${to ?? ''}; of what was before it tells nothing: ${why}`,
    ...(older === 0 ? [] : [`${older} of the agent are older than this ledger, which says nothing of them`]),
    ...(unrecorded === 0 ? [] : [`${unrecorded} of the agent were made while the ledger took no blocks`]),
  ];
}

/** Ledgers of the older tool that this one commits to, and whether they are still what they were; or the lines of one. */
export async function ledgerImported(env: Environment, file: string, name: string | null): Promise<number> {
  const folder = dirname(file);
  const committed = await importedLedgers(env.readLedger(file), (unseen) => {
    env.complain(`ovs-port-agent: ${movedAway(unseen)}: whether they name another is not known`);
  });
  if (name !== null) {
    const found = committed.find((imported) => imported.file === basename(name));
    if (found === undefined) {
      throw new AgentError(
        'NotFound',
        `the ledger commits to no ${name}; \`ledger imported\` shows what it commits to`,
      );
    }
    for await (const chunk of env.readLedger(join(folder, found.file))) await env.write(chunk);
    return exitGood;
  }
  let isIntact = true;
  for (const imported of committed) {
    const state = await stateOf(env, join(folder, imported.file), imported);
    isIntact &&= state === 'intact';
    const { height, length, sha256 } = imported;
    env.print(`${imported.file} ${state}: ${length} bytes, SHA-256 ${sha256}, says block ${height}`);
  }
  return isIntact ? exitGood : exitBad;
}

async function stateOf(
  env: Environment,
  path: string,
  imported: Parameters<typeof isAsCommitted>[0],
): Promise<'intact' | 'altered' | 'missing'> {
  try {
    return (await isAsCommitted(imported, env.readLedger(path))) ? 'intact' : 'altered';
  } catch (error) {
    if (error instanceof AgentError && error.code === 'NotFound') return 'missing';
    throw error;
  }
}
