/** The command line as data: completion scripts and the manual page are made from it, and so know every command. */
import type { Argument, Command, Option } from 'commander';

export interface ArgumentDescription {
  readonly name: string;
  readonly required: boolean;
  readonly variadic: boolean;
  readonly choices: readonly string[];
}

export interface OptionDescription {
  /** `--output-format`. */
  readonly long: string;
  /** `-V`. */
  readonly short: string | null;
  /** Name of the value it takes; null for a switch. */
  readonly value: string | null;
  readonly description: string;
  readonly choices: readonly string[];
  readonly defaultValue: string | null;
}

export interface CommandDescription {
  /** The words that call it after the program's name: `ledger`, `list`. */
  readonly path: readonly string[];
  readonly description: string;
  readonly arguments: readonly ArgumentDescription[];
  readonly options: readonly OptionDescription[];
  /** Command lines as `--help` shows them. */
  readonly examples: readonly string[];
  readonly commands: readonly CommandDescription[];
}

/** What `command` and everything below it can be called with; without hidden ones, and without `help`. */
export function describeCommand(command: Command, path: readonly string[] = []): CommandDescription {
  const help = command.createHelp();
  return {
    path,
    description: command.description(),
    arguments: command.registeredArguments.map(describeArgument),
    options: help.visibleOptions(command).flatMap(describeOption),
    examples: examplesOf(command),
    commands: help
      .visibleCommands(command)
      .filter((child) => command.commands.includes(child))
      .map((child) => describeCommand(child, [...path, child.name()])),
  };
}

/** The command and all below it, each before what is below it. */
export function flatten(command: CommandDescription): CommandDescription[] {
  return [command, ...command.commands.flatMap(flatten)];
}

function describeArgument(argument: Argument): ArgumentDescription {
  return {
    name: argument.name(),
    required: argument.required,
    variadic: argument.variadic,
    choices: argument.argChoices ?? [],
  };
}

function describeOption(option: Option): OptionDescription[] {
  if (option.long === undefined) return [];
  return [
    {
      long: option.long,
      short: option.short ?? null,
      value: /[<[]([^\]>.]+)/.exec(option.flags)?.[1] ?? null,
      description: option.description,
      choices: option.argChoices ?? [],
      defaultValue: option.defaultValue === undefined ? null : String(option.defaultValue),
    },
  ];
}

/** commander keeps the text after the help to itself, so that it is read from the help. */
function examplesOf(command: Command): string[] {
  const usual = command.configureOutput();
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  command.configureOutput(usual);
  const [, after = ''] = text.split(/^Examples:$/m);
  return after
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
