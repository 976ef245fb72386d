// The manual pages, from what the program itself is made of: commands and their help, resource table, configuration
// schema, D-Bus interface, error table.
import { busName, objectPath, portAgentInterface } from '../src/api/dbus/port-agent-interface.ts';
import { flatten } from '../src/cli/command-tree.ts';
import { configKeys } from '../src/model/config.ts';
import { dbusErrorPrefix, errorTable } from '../src/model/errors.ts';
import { resourceTable, verbs } from '../src/resources/table.ts';
import { display, heading, tagList, text, word } from './mdoc.mjs';

/** So many commands with the same option: it is one of printing results. */
const sharedByMin = 5;

/** File names and texts. `program` is the described command; `date` goes into the head of each page. */
export function manPages(program, date) {
  const page = (title, section, purpose, sections) => [
    `${title}.${section}`,
    [
      String.raw`.\" Generated from the sources by scripts/man-pages.mjs.`,
      `.Dd ${date.toLocaleDateString('en-US', { dateStyle: 'long', timeZone: 'UTC' })}`,
      `.Dt ${title.toUpperCase()} ${section}`,
      '.Os',
      heading('NAME'),
      `.Nm ${title}`,
      `.Nd ${purpose}`,
      ...sections,
      '',
    ].join('\n'),
  ];
  return new Map([
    page('ovs-port-agent', 1, 'Open vSwitch ports of guests, named, listed and recorded', commandPage(program)),
    page('ovs-port-agent.service', 8, 'the service that names and keeps the ports of guests', servicePage()),
    page('ovs-port-agent.toml', 5, 'configuration of ovs-port-agent', configurationPage()),
  ]);
}

function commandPage(program) {
  const commands = flatten(program).filter((command) => command.path.length > 0 && command.commands.length === 0);
  const output = outputOptions(commands);
  return [
    heading('SYNOPSIS'),
    '.Nm',
    '.Op Fl h | Fl \\-help',
    '.Op Fl V | Fl \\-version',
    '.Ar command',
    '.Op Ar argument ...',
    heading('DESCRIPTION'),
    text(program.description),
    'The command asks the service, see',
    '.Xr ovs-port-agent.service 8 ,',
    'over D\\-Bus and prints its answer.',
    'Without the service it says how to start it.',
    '.Pp',
    'A port may be named as the agent does',
    '.Pq Li vi100',
    'or as its network device',
    '.Pq Li veth100i0 .',
    heading('COMMANDS'),
    ...tagList(commands.map((command) => commandItem(command, output))),
    heading('OUTPUT OPTIONS'),
    ...tagList(output.map(optionItem)),
    heading('RESOURCES'),
    'The verbs',
    '.Cm get , set , create , delete',
    'take a path below, and parameters as',
    '.Fl \\-key Ar value .',
    '.Cm ls',
    'and',
    '.Cm usage',
    'say the same at a terminal.',
    ...tagList(resourceTable.flatMap((resource) => verbs.flatMap((verb) => resourceItem(resource, verb)))),
    heading('ENVIRONMENT'),
    ...tagList([
      ['Ev DBUS_SYSTEM_BUS_ADDRESS', 'Address of the bus to call on.'],
      ['Ev LC_ALL , LC_CTYPE , LANG', 'Tables have lines only in a UTF\\-8 locale.'],
      ['Ev NO_COLOR', 'When set, no colours.'],
    ]),
    heading('FILES'),
    ...tagList([
      ['Pa /etc/ovs-port-agent/config.toml', 'Configuration, see', '.Xr ovs-port-agent.toml 5 .'],
      ['Pa /var/lib/ovs-port-agent/ledger.jsonl', 'The ledger.'],
    ]),
    heading('EXIT STATUS'),
    ...tagList([
      ['Li 0', 'Done; of', '.Cm ledger verify', 'and', '.Cm ledger check-proof :', 'VALID.'],
      ...Object.entries(errorTable)
        .toSorted(([, a], [, b]) => a.exit - b.exit)
        .map(([code, { exit, meaning }]) => [
          `Li ${exit}`,
          `${text(meaning.charAt(0).toUpperCase() + meaning.slice(1))}`,
          `.Pq ${word(code)} .`,
        ]),
      ['Li 1 , 2', "A command's own answer; of the same: INVALID, and could not be told."],
      [
        'Li 255',
        'Of the verbs: wrong parameters or an unknown path.',
        'A verb that the path does not have is 1.',
        'Both as',
        '.Xr pvesh 1',
        'does.',
      ],
    ]),
    heading('EXAMPLES'),
    ...display(program.examples),
    heading('SEE ALSO'),
    '.Xr ovs-port-agent.toml 5 ,',
    '.Xr ovs-port-agent.service 8 ,',
    '.Xr ovs-vsctl 8',
  ];
}

/** Options that one command after the other has are explained once. */
function outputOptions(commands) {
  const all = new Map(commands.flatMap(({ options }) => options.map((option) => [JSON.stringify(option), option])));
  const users = (key) =>
    commands.filter(({ options }) => options.some((option) => JSON.stringify(option) === key)).length;
  return [...all]
    .filter(([key, { long }]) => long !== '--help' && users(key) >= sharedByMin)
    .map(([, option]) => option);
}

function commandItem({ path, description, arguments: args, options, examples }, output) {
  const isOutput = ({ long }) => output.some((option) => option.long === long);
  const own = options.filter((option) => option.long !== '--help' && !isOutput(option));
  return [
    [
      `Cm ${path.map(word).join(' ')}`,
      ...args.map((arg) => (arg.required ? `Ar ${argumentName(arg)}` : `Oo Ar ${argumentName(arg)} Oc`)),
      ...own.map(({ long, value }) => `Oo Fl ${optionName(long)}${value === null ? '' : ` Ar ${word(value)}`} Oc`),
      ...(options.some(isOutput) ? ['Oo Ar "output option" ... Oc'] : []),
    ].join(' '),
    text(description),
    ...(own.length === 0 ? [] : tagList(own.map(optionItem))),
    ...(examples.length === 0 ? [] : display(examples)),
  ];
}

function optionItem({ long, value, description, choices, defaultValue }) {
  return [
    `Fl ${optionName(long)}${value === null ? '' : ` Ar ${word(value)}`}`,
    text(sentence(description)),
    ...(choices.length === 0 ? [] : [text(`One of ${choices.join(', ')}.`)]),
    ...(defaultValue === null ? [] : [text(`Default: ${defaultValue}.`)]),
  ];
}

function resourceItem({ path, pathParameters = {}, methods }, verb) {
  const method = methods[verb];
  if (method === undefined) return [];
  const parameters = Object.entries(method.parameters);
  return [
    [
      `Cm ${verb} Pa ${word(path)}`,
      text(method.description),
      text(`Privilege: ${method.privilege}.`),
      ...(parameters.length === 0 && Object.keys(pathParameters).length === 0
        ? []
        : tagList([
            ...Object.entries(pathParameters).map(([name, spec]) => [
              `Ar ${word(`{${name}}`)}`,
              text(spec.description),
            ]),
            ...parameters.map(([name, spec]) => [
              `Fl ${optionName(`--${name}`)} Ar ${word(spec.type)}`,
              text(spec.description),
              ...(spec.enum === undefined ? [] : [text(`One of ${spec.enum.join(', ')}.`)]),
              ...(spec.optional === true ? [] : ['Required.']),
            ]),
          ])),
    ],
  ];
}

function servicePage() {
  const { methods, properties, signals } = portAgentInterface;
  return [
    heading('SYNOPSIS'),
    '.Pa ovs-port-agent.service',
    '.Pp',
    '.Nm ovs-port-agent serve',
    '.Op Fl \\-config Ar file',
    '.Op Fl \\-bus Ar address',
    heading('DESCRIPTION'),
    'The service watches guests, network devices and Open vSwitch, and keeps one port for each network card of a guest:',
    'marked, named, repaired when it is lost, removed when its device is gone, listed in',
    '.Xr interfaces 5 ,',
    'recorded in the ledger.',
    'It is started by',
    '.Xr systemd 1',
    'at boot, and by the first D\\-Bus call.',
    'To keep it off, mask it.',
    '.Pp',
    'Whatever happens to the service, guests start, and traffic of running guests goes on.',
    heading('SIGNALS'),
    ...tagList([
      ['Dv SIGTERM , SIGINT', 'Ends the service.', 'Ports stay as they are.'],
      ['Dv SIGHUP', 'Compares everything with the switch now.'],
    ]),
    heading('D-BUS'),
    'Bus name',
    `.Li ${busName} ,`,
    'object',
    `.Li ${objectPath} ,`,
    'interface',
    `.Li ${portAgentInterface.name} ,`,
    'on the system bus.',
    'Errors are named',
    `.Li ${dbusErrorPrefix}`,
    'and a code of',
    '.Xr ovs-port-agent 1 .',
    '.Ss Methods',
    ...tagList(
      Object.entries(methods).map(([name, method]) => [
        `Fn ${name} ${method.in.map(({ name: arg, type }) => word(`${type} ${arg}`)).join(' ')}`.trimEnd(),
        text(method.doc),
      ]),
    ),
    '.Ss Properties',
    ...tagList(
      Object.entries(properties).map(([name, { type, doc }]) => [`Va ${name} Pq Li ${word(type)}`, text(doc)]),
    ),
    '.Ss Signals',
    ...tagList(
      Object.entries(signals).map(([name, signal]) => [
        `Fn ${name} ${signal.args.map(({ name: arg, type }) => word(`${type} ${arg}`)).join(' ')}`.trimEnd(),
        text(signal.doc),
      ]),
    ),
    heading('FILES'),
    ...tagList([
      [
        'Pa /etc/ovs-port-agent/config.toml',
        'Configuration.',
        'A wrong one is named with line and column, and the service does not start with it.',
      ],
      ['Pa /etc/network/interfaces', 'Carries the managed block.'],
      ['Pa /usr/lib/ovs-port-agent/hook/ovs-port-agent', 'The hook that the snippet of a storage runs.'],
      ['Pa /var/lib/ovs-port-agent', 'Ledger, bindings, and events that hooks could not deliver.'],
    ]),
    heading('EXIT STATUS'),
    'As of',
    '.Xr ovs-port-agent 1 ;',
    `${errorTable.InvalidArgument.exit} is a wrong configuration, which`,
    '.Xr systemd 1',
    'does not try again.',
    heading('SEE ALSO'),
    '.Xr ovs-port-agent 1 ,',
    '.Xr interfaces 5 ,',
    '.Xr ovs-port-agent.toml 5 ,',
    '.Xr ovs-vswitchd 8',
  ];
}

function configurationPage() {
  return [
    heading('SYNOPSIS'),
    '.Pa /etc/ovs-port-agent/config.toml',
    heading('DESCRIPTION'),
    'A file in the language TOML.',
    'Without it all defaults hold.',
    'A key that is not known or a value of a wrong type is an error with line and column, and then the service does not',
    'start.',
    heading('KEYS'),
    ...tagList(
      configKeys().map(({ key, description, defaultValue }) => [
        `Ic ${word(key)}`,
        text(sentence(description)),
        ...(defaultValue === undefined ? [] : [text(`Default: ${JSON.stringify(defaultValue)}`)]),
      ]),
    ),
    heading('EXAMPLES'),
    ...display(['bridges = ["ovsbr0", "ovsbr1"]', 'bridge_name = "ovsbr0"', 'log_level = "debug"']),
    heading('SEE ALSO'),
    '.Xr ovs-port-agent 1 ,',
    '.Xr ovs-port-agent.service 8',
  ];
}

function argumentName({ name, variadic }) {
  return `${word(name)}${variadic ? ' ...' : ''}`;
}

/** `.Fl` writes the first dash. */
function optionName(long) {
  return String.raw`\-` + word(long.slice(2)).replaceAll('"', '');
}

/** A first word that is a name keeps its spelling. */
function sentence(words) {
  const start = /^[a-z]+(?=[ ,;:]|$)/.test(words) ? words.charAt(0).toUpperCase() + words.slice(1) : words;
  return /[.?!]$/.test(start) ? start : `${start}.`;
}
