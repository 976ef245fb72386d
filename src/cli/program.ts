/** The command line: what there is, how it is called, with examples. Resolves with the exit code, never exits itself. */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { AgentError, errorTable, toAgentError } from '../model/errors.ts';
import { parseVmid } from '../model/names.ts';
import { resourceTable, verbs } from '../resources/table.ts';
import type { Verb } from '../resources/table.ts';
import { describeCommand } from './command-tree.ts';
import * as commands from './commands.ts';
import { completionScript, shells } from './completion/script.ts';
import type { Shell } from './completion/script.ts';
import type { Environment } from './environment.ts';
import { exportFormats } from '../ledger/export.ts';
import type { ExportFormat } from '../ledger/export.ts';
import { showDiagnosis } from './doctor-command.ts';
import { controlGuest, createGuest, guestNet } from './guest-commands.ts';
import type { CreateFlags, GuestVerb, NicFlags } from './guest-commands.ts';
import { changeHooks, showHooks } from './hook-commands.ts';
import type { HookFlags } from './hook-commands.ts';
import * as ledgerFiles from './ledger-file-commands.ts';
import { outputFormats } from './output.ts';
import type { OutputFormat, OutputOptions } from './output.ts';
import { runLs, runUsage, runVerb } from './resource-commands.ts';
import { runSetup } from './setup-command.ts';
import type { SetupFlags } from './setup-command.ts';

interface FormatFlags {
  outputFormat: OutputFormat;
  noborder?: true;
  noheader?: true;
  quiet?: true;
}

interface VerifyFlags {
  key?: string;
  checkpoint?: string;
  switch?: true;
  switchDb?: string;
}

/** Flags of every command that prints a result; the rest of a command's flags are its own. */
const formatFlags: ReadonlySet<string> = new Set(['outputFormat', 'noborder', 'noheader']);

/** Exit code 2 of `ledger verify`, `ledger check-proof` and `doctor`: it could not be told. */
const exitCouldNotTell = 2;

export async function run(env: Environment, argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(env, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : errorTable.InvalidArgument.exit;
    const error = toAgentError(thrown);
    env.complain(`ovs-port-agent: ${error.message}`);
    return errorTable[error.code].exit;
  }
}

/** Everything there is, ready to parse; `finish` is told the exit code. */
export function buildProgram(env: Environment, finish: (code: number) => void): Command {
  const program = new Command('ovs-port-agent')
    .description('Open vSwitch ports of Proxmox VE guests: named, listed in the GUI, recorded in a ledger.')
    .version(env.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        env.print(text.trimEnd());
      },
      writeErr: (text) => {
        env.complain(text.trimEnd());
      },
    })
    .showSuggestionAfterError()
    .addHelpText('after', examples(['list', 'status', 'get /ports --output-format json', 'ledger verify']));

  const add = (name: string, description: string, shown: string[], parent = program): Command =>
    parent.command(name).description(description).addHelpText('after', examples(shown));
  const done = (action: Promise<number>): Promise<void> => action.then(finish);

  withFormat(
    add('list', 'Ports on managed bridges: a table on a terminal, names in a pipe.', [
      'list',
      'list | while read -r port; do ip link show "$port"; done',
    ]),
  ).action((flags: FormatFlags) => done(commands.listPorts(env, outputOptions(env, flags))));
  withFormat(
    add('status', 'Whether everything works, and what does not.', ['status', 'status --output-format json']),
  ).action((flags: FormatFlags) => done(commands.showStatus(env, outputOptions(env, flags))));
  withFormat(
    add(
      'doctor',
      'Looks at everything on this node that could harm ports or guests, with a remedy for each finding. ' +
        'Exit 0, 1 with warnings, 2 with errors.',
      ['doctor', 'doctor --verbose', 'doctor --output-format json'],
    ),
  )
    .option('--verbose', 'also what is all right')
    .option('--config <file>', 'configuration file')
    .action((flags: FormatFlags & { verbose?: true; config?: string }) =>
      verdict(
        env,
        finish,
        showDiagnosis(
          env,
          { config: flags.config ?? null, isVerbose: flags.verbose === true },
          outputOptions(env, flags),
        ),
        'could not look at the node',
      ),
    );
  add('setup', 'Makes this node ready: says every step, asks, does it. What it did can be taken back.', [
    'setup --dry-run',
    'setup --bridge ovsbr0 --attach 100 101',
    'setup --yes --attach all',
    'setup --undo',
  ])
    .option('--yes', 'do not ask')
    .option('--dry-run', 'only say what would be done')
    .option('--undo', 'take back what setup did, the newest first')
    .option('--bridge <name...>', 'make these bridges where they are missing, or have no stanza')
    .option('--attach <vmid...>', 'give these guests our hookscript; all: all but templates')
    .addOption(
      new Option(
        '--api [rights]',
        "make a user, role and token of Proxmox VE's API, and name them in the configuration; manage: one that may change network cards and create containers",
      )
        .choices(['control', 'manage'])
        .preset('control'),
    )
    .option('--config <file>', 'configuration file')
    .action((flags: SetupFlags) => done(runSetup(env, flags)));
  withFormat(
    add('query-state [plugin]', 'Observed state as a document; "network" means net.', [
      'query-state',
      'query-state net',
      'query-state --plugin network',
    ]),
  )
    .addOption(new Option('--plugin <name>', 'the same as the argument'))
    .action((plugin: string | undefined, flags: FormatFlags & { plugin?: string }) =>
      done(commands.queryState(env, plugin ?? flags.plugin ?? null, outputOptions(env, flags))),
    );

  add('add-port <bridge-or-netdev> [netdev]', 'Plugs a device into a managed bridge; without one, into bridge_name.', [
    'add-port dummy0',
    'add-port ovsbr1 dummy0',
  ]).action((first: string, second: string | undefined) =>
    done(commands.addPort(env, second === undefined ? null : first, second ?? first)),
  );
  add('del-port <bridge-or-port> [port]', 'Unplugs a port that was added here; never a foreign one.', [
    'del-port vi_dummy0',
    'del-port ovsbr0 dummy0',
  ]).action((first: string, second: string | undefined) =>
    done(commands.deletePort(env, second === undefined ? null : first, second ?? first)),
  );
  add('create-interface <netdev> <container> <vmid>', "Plugs a container's device as vi<vmid>.", [
    'create-interface veth7 web 107',
  ]).action((netdev: string, container: string, vmid: string) =>
    done(commands.callAndPrint(env, 'create_container_interface', 'ssu', [netdev, container, parseVmid(vmid)])),
  );
  add('remove-interface <port>', 'Unplugs what create-interface plugged.', ['remove-interface vi107']).action(
    (port: string) => done(commands.callAndPrint(env, 'remove_container_interface', 's', [port])),
  );
  add('name <container> <index> [vmid]', 'Prints the name a port would get.', ['name web 0', 'name web 1 107'])
    .addOption(new Option('--template <text>', 'naming_template').default('vi_{container}'))
    .action((container: string, index: string, vmid: string | undefined, flags: { template: string }) => {
      finish(commands.printName(env, container, index, vmid, flags.template));
    });
  add('reconcile', 'Compares every guest with the switch now and repairs what differs.', ['reconcile']).action(() =>
    done(commands.callAndPrint(env, 'Reconcile', '', [])),
  );

  addLedger(
    env,
    add('ledger', 'The tamper-evident record of every change.', ['ledger list --vmid 100', 'ledger verify']),
    done,
    finish,
  );
  addGuest(env, add('guest', 'Lists, shows, starts and ends guests.', ['guest list', 'guest start 100']), done);
  addHook(env, add('hook', 'Our hookscript in guests of this node.', ['hook status', 'hook attach --all']), done);
  addVerbs(env, add, done, finish);

  add('serve', 'Runs the service in the foreground.', [
    'serve',
    'serve --config ./config.toml --bus unix:path=/tmp/bus',
  ])
    .option('--config <file>', 'configuration file')
    .option('--bus <address>', 'D-Bus address instead of the system bus')
    .action((flags: { config?: string; bus?: string }) =>
      done(env.serve({ config: flags.config ?? null, bus: flags.bus ?? null })),
    );
  add('unlist', 'Takes the managed block out of the interfaces file, while the service is stopped.', ['unlist'])
    .option('--config <file>', 'configuration file')
    .action((flags: { config?: string }) => done(env.unlist({ config: flags.config ?? null })));
  add('completion', 'Prints a script that completes commands, paths and ports in a shell.', [
    'completion bash >/etc/bash_completion.d/ovs-port-agent',
    'completion fish | source',
  ])
    .addArgument(new Argument('<shell>', 'the shell').choices([...shells]))
    .action((shell: Shell) => {
      env.print(completionScript(shell, describeCommand(program), resourceTable).trimEnd());
      finish(0);
    });
  return program;
}

/** Of commands whose exit code is an answer: one that could not be given has its own. */
async function verdict(
  env: Environment,
  finish: (code: number) => void,
  action: Promise<number>,
  otherwise: string,
): Promise<void> {
  try {
    finish(await action);
  } catch (error) {
    env.complain(`ovs-port-agent: ${otherwise}: ${toAgentError(error).message}`);
    finish(exitCouldNotTell);
  }
}

const guestVerbs: Readonly<Record<GuestVerb, readonly [description: string, timeout: string, shown: string[]]>> = {
  start: [
    'Starts a guest and waits until it runs and has its ports: through systemd where that is all it takes.',
    'how long it may take to run',
    ['guest start 100', 'guest start 100 --timeout 300 --output-format json'],
  ],
  stop: ['Ends a guest at once, as pulling the plug does.', 'how long that may take', ['guest stop 100']],
  shutdown: [
    'Asks a guest to shut down. One that does not in time goes on running, and the exit code is 11.',
    'how long it may take',
    ['guest shutdown 100', 'guest shutdown 100 --timeout 300 || ovs-port-agent guest stop 100'],
  ],
  reboot: [
    'Shuts a guest down and starts it again, with its pending changes.',
    'how long the shutdown may take',
    ['guest reboot 100 --timeout 120'],
  ],
};

function addGuest(env: Environment, guest: Command, done: (action: Promise<number>) => Promise<void>): void {
  withFormat(guest.command('list').description('Guests: a table on a terminal, vmids in a pipe.'))
    .option('--local', 'this node alone, from its own files')
    .addHelpText('after', examples(['guest list', 'guest list --local --output-format json']))
    .action((flags: FormatFlags & { local?: true }) =>
      done(commands.listGuests(env, flags.local === true, outputOptions(env, flags))),
    );
  withFormat(guest.command('show <vmid>').description('One guest of this node: settings, network cards, ports.'))
    .addHelpText('after', examples(['guest show 100', 'guest show 100 --output-format yaml']))
    .action((vmid: string, flags: FormatFlags) =>
      done(commands.showGuest(env, parseVmid(vmid), outputOptions(env, flags))),
    );
  withFormat(
    guest
      .command('create <vmid>')
      .description(
        'Creates an unprivileged container from a template, by the Proxmox API, and waits until it is there.',
      ),
  )
    .requiredOption('--template <volume>', 'STORAGE:vztmpl/NAME')
    .option('--hostname <name>', 'host name')
    .option('--storage <name>', 'storage of its disk; local when not given')
    .option('--size <gib>', 'size of its disk; 4 when not given', wholeNumber)
    .option('--memory <mib>', '512 when not given', wholeNumber)
    .option('--cores <count>', 'all of the node when not given', wholeNumber)
    .option('--net0 <options>', 'network card, such as bridge=ovsbr0,tag=10')
    .option('--tags <tags>', 'tags, separated by commas, which policies match')
    .option('--pool <name>', 'pool, which policies match')
    .option('--node <name>', 'node to create it on; this one when not given')
    .option('--start', 'start it when it is there')
    .option('--dry-run', 'only say what would be asked of Proxmox VE')
    .option('--timeout <seconds>', 'how long that may take; 60 when not given', wholeNumber)
    .addHelpText(
      'after',
      examples([
        'guest create 102 --template local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst --net0 bridge=ovsbr0,tag=10 --tags web,prod',
        'guest create 103 --template local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst --node pve2 --dry-run',
      ]),
    )
    .action((vmid: string, flags: FormatFlags & CreateFlags) =>
      done(createGuest(env, vmid, withoutFormat(flags), outputOptions(env, flags))),
    );
  withFormat(
    guest
      .command('net <vmid> [nic]')
      .description(
        'Network cards of a guest on any node, or one of them; with an option, changes that and leaves the rest as it is. --add makes one more, --delete takes one away.',
      ),
  )
    .option('--bridge <name>', 'bridge')
    .option('--tag <vlan>', 'VLAN of an access port, or none')
    .option('--trunks <vlans>', 'VLANs it trunks, such as 10,20,30-32; or none')
    .addOption(new Option('--firewall <flag>', 'firewall of Proxmox VE').choices(['0', '1']))
    .addOption(new Option('--link-down <flag>', 'takes the link down').choices(['0', '1']))
    .option('--mtu <bytes>', 'largest packet, or none')
    .option(
      '--add <options>',
      'another card, such as bridge=ovsbr0,tag=10; without a nic the lowest number that is free',
    )
    .option('--delete', 'takes the card away')
    .option('--dry-run', 'only say what would be done')
    .option('--timeout <seconds>', 'how long Proxmox VE may take; 60 when not given', wholeNumber)
    .addHelpText(
      'after',
      examples([
        'guest net 100',
        'guest net 100 net0 --tag 20',
        'guest net 100 net1 --tag none --trunks 10,20',
        'guest net 100 --add bridge=ovsbr0,tag=20',
        'guest net 100 net1 --delete --dry-run',
      ]),
    )
    .action((vmid: string, nic: string | undefined, flags: FormatFlags & NicFlags) =>
      done(guestNet(env, vmid, nic ?? null, withoutFormat(flags), outputOptions(env, flags))),
    );
  for (const [verb, [description, timeout, shown]] of Object.entries(guestVerbs) as [
    GuestVerb,
    (typeof guestVerbs)[GuestVerb],
  ][]) {
    withFormat(guest.command(`${verb} <vmid>`).description(description))
      .option('--timeout <seconds>', `${timeout}; 60 when not given`, wholeNumber)
      .addHelpText('after', examples(shown))
      .action((vmid: string, flags: FormatFlags & { timeout?: number }) =>
        done(controlGuest(env, verb, vmid, flags.timeout ?? null, outputOptions(env, flags))),
      );
  }
}

function addHook(env: Environment, hook: Command, done: (action: Promise<number>) => Promise<void>): void {
  interface Flags extends FormatFlags {
    all?: true;
    dryRun?: true;
    storage?: string;
    config?: string;
  }
  const flagsOf = ({ all, dryRun, storage, config }: Flags): HookFlags => ({
    all: all === true,
    dryRun: dryRun === true,
    storage: storage ?? null,
    config: config ?? null,
  });
  const described = {
    attach: 'Gives guests our hookscript. One that a guest has is kept: it is called after ours from then on.',
    detach: 'Takes our hookscript off guests again; one that a guest had before is put back.',
  } as const;
  withFormat(hook.command('status [vmid...]').description('Hookscripts of guests, and whether Proxmox VE finds them.'))
    .option('--config <file>', 'configuration file')
    .addHelpText('after', examples(['hook status', 'hook status 100 101 --output-format json']))
    .action((vmids: string[], flags: Flags) => done(showHooks(env, vmids, flagsOf(flags), outputOptions(env, flags))));
  for (const verb of ['attach', 'detach'] as const) {
    const command = withFormat(hook.command(`${verb} [vmid...]`).description(described[verb]))
      .option('--all', 'all guests of this node, but templates')
      .option('--dry-run', 'only say what would be done')
      .option('--config <file>', 'configuration file')
      .addHelpText('after', examples([`hook ${verb} 100`, `hook ${verb} --all --dry-run`]));
    if (verb === 'attach')
      command.option('--storage <name>', 'storage for the snippet; the first that allows it when not given');
    command.action((vmids: string[], flags: Flags) =>
      done(changeHooks(env, verb, vmids, flagsOf(flags), outputOptions(env, flags))),
    );
  }
}

function addLedger(
  env: Environment,
  ledger: Command,
  done: (action: Promise<number>) => Promise<void>,
  finish: (code: number) => void,
): void {
  withFormat(ledger.command('stats').description('Number of blocks, period, categories.'))
    .addHelpText('after', examples(['ledger stats', 'ledger stats --output-format json']))
    .action((flags: FormatFlags) => done(commands.ledgerStats(env, outputOptions(env, flags))));
  withFormat(ledger.command('list').description('Blocks, the newest last.'))
    .option('--category <name>', 'category, or "network"')
    .option('--action <name>', 'action')
    .option('--vmid <vmid>', 'guest', wholeNumber)
    .option('--port <name>', 'port or device')
    .option('--user <name>', 'who caused it')
    .option('--since <time>', 'from this moment on: 2025-10-14, or 2025-10-14T12:00:00Z')
    .option('--until <time>', 'before this moment')
    .option('--from <height>', 'lowest height', wholeNumber)
    .option('--to <height>', 'highest height', wholeNumber)
    .option('--limit <n>', 'at most this many', wholeNumber)
    .addHelpText('after', examples(['ledger list --limit 20', 'ledger list --vmid 100 --category port']))
    .action((flags: FormatFlags & Record<string, unknown>) => {
      const filter = Object.fromEntries(Object.entries(flags).filter(([key]) => !formatFlags.has(key)));
      return done(commands.ledgerList(env, filter, outputOptions(env, flags)));
    });
  withFormat(ledger.command('show <height>').description('One block, whole.'))
    .addHelpText('after', examples(['ledger show 0', 'ledger show 7 --output-format yaml']))
    .action((height: string, flags: FormatFlags) => done(commands.ledgerShow(env, height, outputOptions(env, flags))));
  ledger
    .command('verify [file]')
    .description(
      'Verifies chain, blocks and tree: by the service, or offline the file given. ' +
        'Exit 0 VALID, 1 INVALID, 2 could not be told.',
    )
    .option('--key <vkey>', 'with a file: its checkpoint must be signed by this key')
    .option('--checkpoint <file>', 'with a file: hold it against this checkpoint, not the one beside it')
    .option(
      '--switch',
      "hold the file against the log of the switch's database instead, and say how far back that goes",
    )
    .option('--switch-db <file>', `the same with this database; --switch has ${ledgerFiles.switchDatabaseDefault}`)
    .addHelpText(
      'after',
      examples([
        'ledger verify',
        'ledger verify /var/lib/ovs-port-agent/ledger.jsonl',
        'ledger verify ledger.jsonl --checkpoint yesterday --key "$(ssh pve1 ovs-port-agent ledger key)"',
        'ledger verify --switch',
      ]),
    )
    .action((file: string | undefined, { key, checkpoint, switch: isSwitch, switchDb }: VerifyFlags) =>
      verdict(
        env,
        finish,
        isSwitch === true || switchDb !== undefined
          ? ledgerFiles.ledgerVerifySwitch(
              env,
              file ?? ledgerFiles.ledgerFileDefault,
              switchDb ?? ledgerFiles.switchDatabaseDefault,
            )
          : commands.ledgerVerify(env, file ?? null, { key, checkpoint }),
        'could not verify',
      ),
    );
  ledger
    .command('export [file]')
    .description(
      `Writes the blocks of a period to standard output, out of the file, ${ledgerFiles.ledgerFileDefault} when not given: as ` +
        'they stand there, or as a table. Exit 1 when the ledger is not valid; what stands before is written.',
    )
    .requiredOption('--since <time>', 'from this moment on: 2025-10-14, or 2025-10-14T12:00:00Z')
    .option('--until <time>', 'before this moment')
    .addOption(
      new Option('--format <format>', 'lines of JSON, or a table').choices([...exportFormats]).default('jsonl'),
    )
    .addHelpText('after', examples(['ledger export --since 2025-10-01 --until 2025-11-01 --format csv > october.csv']))
    .action(
      (file: string | undefined, { since, until, format }: { since: string; until?: string; format: ExportFormat }) =>
        done(ledgerFiles.ledgerExport(env, file ?? ledgerFiles.ledgerFileDefault, { since, until, format })),
    );
  ledger
    .command('imported [name]')
    .description(
      'Ledgers of the older tool that were moved aside when this one began, and whether they are still as its blocks say; ' +
        'with a name, the lines of that one. Exit 1 when one is not.',
    )
    .option('--ledger <file>', 'the ledger that commits to them', ledgerFiles.ledgerFileDefault)
    .addHelpText('after', examples(['ledger imported', 'ledger imported ledger.imported-0a1b2c3d.jsonl']))
    .action((name: string | undefined, flags: { ledger: string }) =>
      done(ledgerFiles.ledgerImported(env, flags.ledger, name ?? null)),
    );
  ledger
    .command('prove [height]')
    .description(
      'Prints a proof that a block is in the ledger (C2SP tlog-proof), for "ledger check-proof"; or, with --port, what was ' +
        'recorded about a port in a period, gaps included, and by which blocks.',
    )
    .option('--port <name>', 'port or device')
    .option('--since <time>', 'beginning of the period: 2025-10-14, or 2025-10-14T12:00:00Z')
    .option('--until <time>', 'its end')
    .addHelpText(
      'after',
      examples(['ledger prove 7 > block-7.tlog-proof', 'ledger prove --port vi105 --since 2025-10-14']),
    )
    .action((height: string | undefined, { port, ...period }: { port?: string; since?: string; until?: string }) => {
      const { since, until } = period;
      if (port !== undefined && height === undefined)
        return done(commands.ledgerProvePort(env, port, { since, until }));
      if (height !== undefined && port === undefined) return done(commands.ledgerProve(env, height));
      return done(Promise.reject(new AgentError('InvalidArgument', 'give a height, or --port and a period')));
    });
  ledger
    .command('acknowledge')
    .description(
      'Once you know what altered the ledger: moves it aside as evidence, while the service is stopped. The next start ' +
        'begins a new one that commits to it.',
    )
    .option('--config <file>', 'configuration file')
    .addHelpText('after', examples(['ledger acknowledge']))
    .action((flags: { config?: string }) => done(env.acknowledge({ config: flags.config ?? null })));
  ledger
    .command('key')
    .description('Prints the public half of the key that signs the ledger (C2SP vkey).')
    .option('--witness', 'the one of its cosignatures, for witness lines of a policy')
    .addHelpText('after', examples(['ledger key', 'ledger key --witness']))
    .action((flags: { witness?: true }) => done(commands.ledgerKey(env, flags.witness === true)));
  ledger
    .command('check-proof <file>')
    .description(
      'Checks a proof (C2SP tlog-proof) without service and ledger, and prints the block that it proves. ' +
        'Exit 0 VALID, 1 INVALID, 2 could not be told.',
    )
    .option('--key <vkey>', 'key of the ledger, as "ledger key" prints it on its node')
    .option('--policy <file>', 'logs that are trusted and witnesses that must have cosigned (C2SP tlog-policy)')
    .addHelpText(
      'after',
      examples([
        'ledger check-proof block-7.tlog-proof --key "$(ssh pve1 ovs-port-agent ledger key)"',
        'ledger check-proof block-7.tlog-proof --policy policy',
      ]),
    )
    .action((file: string, { key, policy }: { key?: string; policy?: string }) =>
      verdict(env, finish, commands.ledgerCheckProof(env, file, { key, policy }), 'could not check the proof'),
    );
}

function addVerbs(
  env: Environment,
  add: (name: string, description: string, shown: string[]) => Command,
  done: (action: Promise<number>) => Promise<void>,
  finish: (code: number) => void,
): void {
  const shown: Record<Verb, string[]> = {
    get: ['get /ports', 'get /ports/vi100 --output-format yaml'],
    set: ['usage / (shows what can be set)'],
    create: ['create /ports --netdev veth7 --container web --vmid 107'],
    delete: ['delete /ports/vi107'],
  };
  for (const verb of verbs) {
    withFormat(add(`${verb} <path> [parameters...]`, `pvesh-style: ${verb} a resource.`, shown[verb]))
      .allowUnknownOption()
      .option('--quiet', 'print nothing')
      .action((path: string, _words: string[], flags: FormatFlags, command: Command) =>
        done(
          runVerb(env, verb, path, command.args.slice(1), {
            ...outputOptions(env, flags),
            quiet: flags.quiet === true,
          }),
        ),
      );
  }
  add('ls [path]', 'pvesh-style: what lies below a path.', ['ls /', 'ls /ports']).action((path: string | undefined) => {
    finish(runLs(env, path ?? '/'));
  });
  add('usage <path>', 'pvesh-style: how a path is called.', ['usage /ports', 'usage /ports --command create'])
    .addOption(new Option('--command <verb>', 'only this verb').choices([...verbs]))
    .action((path: string, flags: { command?: Verb }) => {
      finish(runUsage(env, path, flags.command ?? null));
    });
}

function withFormat(command: Command): Command {
  return command
    .addOption(
      new Option('--output-format <format>', 'format of the result').choices([...outputFormats]).default('text'),
    )
    .option('--noborder', 'tables without borders')
    .option('--noheader', 'tables without a header');
}

function outputOptions(env: Environment, flags: FormatFlags): OutputOptions {
  return {
    format: flags.outputFormat,
    border: flags.noborder !== true,
    header: flags.noheader !== true,
    unicode: env.unicode,
  };
}

/** A command's own flags. */
function withoutFormat<T extends object>(flags: FormatFlags & T): T {
  return Object.fromEntries(Object.entries(flags).filter(([key]) => !formatFlags.has(key))) as T;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected a whole number');
  return Number(text);
}

function examples(lines: readonly string[]): string {
  return ['', 'Examples:', ...lines.map((line) => `  ovs-port-agent ${line}`)].join('\n');
}
