/**
 * The part of every completion script that knows the commands: functions in POSIX sh, which bash and zsh read as they are
 * and fish runs in a child. What follows from the commands and resources is in `case` tables; the walk over the words
 * typed so far is the same text for all.
 */
import { verbs } from '../../resources/table.ts';
import type { ResourceSpec, Verb } from '../../resources/table.ts';
import type { ParameterSpec } from '../../resources/schema.ts';
import { flatten } from '../command-tree.ts';
import type { CommandDescription, OptionDescription } from '../command-tree.ts';
import { shellText } from './shell-text.ts';
import { sourcesOf } from './sources.ts';
import type { Source } from './sources.ts';

/** Shell text whose function `__ovs_port_agent WORD...` prints what may stand for the last of the words. */
export function completionEngine(program: CommandDescription, resources: readonly ResourceSpec[]): string {
  const commands = flatten(program);
  return [
    walk,
    table('commands', 'What may follow the command $1.', commands.flatMap(subcommandArm)),
    table('is_command', 'Whether $1 is a command.', [
      arm(
        commands.slice(1).map(({ path }) => path.join(' ')),
        'return 0',
      ),
      arm(['*'], 'return 1', false),
    ]),
    table('options', 'Options of the command $1.', commands.flatMap(optionsArm)),
    table(
      'option_value',
      'Prints what the value of the option $2 of the command $1 may be; fails when it takes none.',
      [...valueArms(commands), arm(['*'], 'return 1', false)],
      '$1 $2',
    ),
    table(
      'arguments',
      'What the argument number $2 of the command $1 may be.',
      commands.flatMap(argumentArms),
      '$1 $2',
    ),
    table('paths', 'Paths that the verb $1 has; all for any other word.', pathArms(resources)),
    table('parameters', 'Parameters of the verb $1 on the path $2.', parameterArms(resources), '$1 $2'),
    table(
      'parameter_value',
      'As option_value, for the parameter $3 of the verb $1 on the path $2.',
      [...parameterValueArms(resources), arm(['*'], 'return 1', false)],
      '$1 $2 $3',
    ),
    sources,
  ].join('\n');
}

/** A word for the shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function table(name: string, comment: string, arms: readonly string[], subject = '$1'): string {
  return [
    `# ${comment}`,
    `__ovs_port_agent_${name}() {`,
    `    case "${subject}" in`,
    ...arms,
    '    esac',
    '}',
    '',
  ].join('\n');
}

/** `patterns` are words as they are, or glob patterns when they are not to be quoted. */
function arm(patterns: readonly string[], body: string, isLiteral = true): string {
  return `        ${patterns.map((pattern) => (isLiteral ? quoted(pattern) : pattern)).join(' | ')}) ${body} ;;`;
}

function candidates(rows: readonly (readonly [word: string, description: string])[]): string {
  const words = rows.map(([word, description]) => `${quoted(word)} ${quoted(description.replaceAll(/\s+/g, ' '))}`);
  return String.raw`printf '%s\t%s\n' ${words.join(' ')}`;
}

function subcommandArm({ path, commands }: CommandDescription): string[] {
  if (commands.length === 0) return [];
  const rows = commands.map((child) => [child.path.at(-1) ?? '', child.description] as const);
  return [arm([path.join(' ')], candidates(rows))];
}

function optionsArm({ path, options }: CommandDescription): string[] {
  if (options.length === 0) return [];
  return [arm([path.join(' ')], candidates(options.map(({ long, description }) => [long, description])))];
}

function valueArms(commands: readonly CommandDescription[]): string[] {
  return commands.flatMap(({ path, options }) =>
    options.flatMap((option) => {
      if (option.value === null) return [];
      const names = [option.long, ...(option.short === null ? [] : [option.short])];
      return [
        arm(
          names.map((name) => `${path.join(' ')} ${name}`),
          printing(sourcesOfOption(option)),
        ),
      ];
    }),
  );
}

/** `--port <name>`: the option says more than its value's name. */
function sourcesOfOption({ long, value, choices }: OptionDescription): Source[] {
  const byValue = sourcesOf(value ?? '', choices);
  return byValue.length > 0 ? byValue : sourcesOf(long.replace(/^--/, ''));
}

function argumentArms(command: CommandDescription): string[] {
  return command.arguments.flatMap(({ name, choices, variadic }, index) => {
    const found = sourcesOf(name, choices);
    if (found.length === 0) return [];
    const words = command.path.join(' ');
    const last = command.path.at(-1) ?? '';
    const body = printing(found, verbs.includes(last as Verb) ? last : 'any');
    return variadic ? [arm([`${quoted(`${words} `)}*`], body, false)] : [arm([`${words} ${index}`], body)];
  });
}

function printing(found: readonly Source[], verb = 'any'): string {
  if (found.length === 0) return ':';
  return found
    .map((source) => {
      if (source.kind === 'words') return candidates(source.words.map((word) => [word, '']));
      if (source.kind === 'files') return 'echo :files';
      return `__ovs_port_agent_${source.kind}${source.kind === 'paths' ? ` ${verb}` : ''}`;
    })
    .join('; ');
}

function pathArms(resources: readonly ResourceSpec[]): string[] {
  const lines = (verb: Verb | null): string =>
    resources
      .flatMap((resource) => {
        const method = verbs.flatMap((other) =>
          verb === null || verb === other ? (resource.methods[other] ?? []) : [],
        )[0];
        return method === undefined ? [] : pathCandidates(resource.path, method.description);
      })
      .join('\n            ');
  return [...verbs.map((verb) => arm([verb], lines(verb) || ':')), arm(['*'], lines(null), false)];
}

/** A part in braces stands for what the node has of it; only the first can, and only when there is a way to ask. */
function pathCandidates(path: string, description: string): string[] {
  const match = /^([^{]*)\{([^}]+)\}([^{]*)$/.exec(path);
  if (match === null) return path.includes('{') ? [] : [candidates([[path, description]])];
  const [, before = '', name = '', after = ''] = match;
  return sourcesOf(name).flatMap(({ kind }) =>
    kind === 'words' ? [] : [`__ovs_port_agent_${kind} | __ovs_port_agent_around ${quoted(before)} ${quoted(after)}`],
  );
}

function parameterArms(resources: readonly ResourceSpec[]): string[] {
  return methodsOf(resources).flatMap(({ pattern, parameters }) => {
    if (parameters.length === 0) return [];
    return [arm([pattern], candidates(parameters.map(([name, { description }]) => [`--${name}`, description])), false)];
  });
}

function parameterValueArms(resources: readonly ResourceSpec[]): string[] {
  return methodsOf(resources).flatMap(({ pattern, parameters }) =>
    parameters.map(([name, { type, enum: values }]) =>
      arm(
        [`${pattern}${quoted(` --${name}`)}`],
        printing(sourcesOf(name, type === 'boolean' ? ['0', '1'] : values)),
        false,
      ),
    ),
  );
}

/** A glob pattern over `verb path` for each method, literal paths before those with parts in braces. */
function methodsOf(resources: readonly ResourceSpec[]): { pattern: string; parameters: [string, ParameterSpec][] }[] {
  const braces = (path: string): number => path.split('{').length;
  return resources
    .toSorted((a, b) => braces(a.path) - braces(b.path))
    .flatMap(({ path, methods }) =>
      verbs.flatMap((verb) => {
        const method = methods[verb];
        if (method === undefined) return [];
        const pattern = `${verb} ${path}`
          .split(/\{[^}]+\}/)
          .map((part) => (part === '' ? '' : quoted(part)))
          .join('*');
        return [{ pattern, parameters: Object.entries(method.parameters) }];
      }),
    );
}

const walk = shellText`# Prints what may stand for the last of the words given: one a line, then a tab and a description. A line ":files" asks
# for names of files. In parentheses, so that no variable gets out.
__ovs_port_agent() (
    command='' count=0 first=''
    while [ $# -gt 1 ]; do
        case $1 in
            --*=*) ;;
            -?*)
                if values=$(__ovs_port_agent_value "$command" "$first" "$1"); then
                    if [ $# -eq 2 ]; then
                        printf '%s\n' "$values"
                        exit 0
                    fi
                    shift
                fi
                ;;
            *)
                if [ "$count" -eq 0 ] && __ovs_port_agent_is_command "$command@{command:+ }$1"; then
                    command=$command@{command:+ }$1
                else
                    [ "$count" -gt 0 ] || first=$1
                    count=$((count + 1))
                fi
                ;;
        esac
        shift
    done
    case $1 in
        --*=*) __ovs_port_agent_value "$command" "$first" "@{1%%=*}" | __ovs_port_agent_around "@{1%%=*}=" '' ;;
        -*)
            __ovs_port_agent_parameters "$command" "$first"
            __ovs_port_agent_options "$command"
            ;;
        *)
            [ "$count" -gt 0 ] || __ovs_port_agent_commands "$command"
            __ovs_port_agent_arguments "$command" "$count"
            [ "$count" -eq 0 ] || __ovs_port_agent_parameters "$command" "$first"
            ;;
    esac
)

# Prints what the value of the option $3 may be; fails when it takes none.
__ovs_port_agent_value() {
    __ovs_port_agent_parameter_value "$1" "$2" "$3" || __ovs_port_agent_option_value "$1" "$3"
}

# Puts $1 before and $2 behind each word it reads.
__ovs_port_agent_around() {
    while IFS='	' read -r word text; do
        case $word in
            :*) printf '%s\n' "$word" ;;
            *) printf '%s%s%s\t%s\n' "$1" "$word" "$2" "$text" ;;
        esac
    done
}
`;

const sources = shellText`# Each asks the node without starting the service, waits a second at most, and prints nothing when there is no answer.
__ovs_port_agent_ports() {
    busctl --system --auto-start=no --timeout=1 call dev.ovs.PortAgent1 /dev/ovs/PortAgent1 dev.ovs.PortAgent1 list_ports \
        2>/dev/null | tr ' ' '\n' | sed -n 's/^"\(.*\)"$/\1/p'
}
__ovs_port_agent_bridges() {
    ovs-vsctl --timeout=1 list-br 2>/dev/null || :
}
__ovs_port_agent_devices() {
    for device in /sys/class/net/*; do printf '%s\n' "@{device##*/}"; done
}
__ovs_port_agent_vmids() {
    for file in /etc/pve/lxc/*.conf /etc/pve/qemu-server/*.conf; do
        name=@{file##*/}
        [ "$name" = '*.conf' ] || printf '%s\n' "@{name%.conf}"
    done
}
`;
