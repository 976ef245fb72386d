/** `setup`. */
import { AgentError } from '../model/errors.ts';
import { parseBridgeName, parseVmid } from '../model/names.ts';
import type { Environment } from './environment.ts';

export interface SetupFlags {
  readonly yes?: true;
  readonly dryRun?: true;
  readonly undo?: true;
  readonly api?: 'control' | 'manage';
  readonly bridge?: readonly string[];
  readonly attach?: readonly string[];
  readonly config?: string;
}

export async function runSetup(env: Environment, flags: SetupFlags): Promise<number> {
  const { bridge = [], attach = [] } = flags;
  if (flags.undo === true && (bridge.length > 0 || attach.length > 0 || flags.api !== undefined)) {
    throw new AgentError('InvalidArgument', '--undo takes back all that setup did: it goes with nothing else');
  }
  if (attach.includes('all') && attach.length > 1) {
    throw new AgentError('InvalidArgument', '--attach takes vmids, or the word all');
  }
  const isAsking = flags.yes !== true && flags.dryRun !== true;
  if (isAsking && !env.canAsk) {
    throw new AgentError('InvalidArgument', 'standard input is no terminal: say --yes, or --dry-run');
  }
  await env.setUp({
    config: flags.config ?? null,
    dryRun: flags.dryRun === true,
    undo: flags.undo === true,
    request: {
      bridges: bridge.map(parseBridgeName),
      guests: attach[0] === 'all' ? 'all' : attach.map(parseVmid),
      api: flags.api ?? null,
    },
    dialogue: {
      say: (line) => {
        env.print(line);
      },
      confirm: (question) => (flags.yes === true ? Promise.resolve(true) : env.ask(question)),
    },
  });
  return 0;
}
