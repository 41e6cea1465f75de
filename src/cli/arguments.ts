import { Command, CommanderError, Help, Option } from 'commander';
import { findNearest } from '../inputs/nearest.ts';
import { oneOf, quote } from '../inputs/parsers.ts';
import type { Problem } from '../inputs/rules.ts';
import { modesOf } from '../inputs/schema.ts';
import {
  describeDefault,
  groupNames,
  type InputName,
  infoOf,
  inputNames,
  isInputName,
  type Mode,
  modeNames,
  modeTable,
} from '../inputs/table.ts';

/** What a command line asks for. */
export type Request =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'run';
      /** The inputs as texts; `mode` among them. */
      readonly raw: Record<string, string>;
      readonly output: 'text' | 'json';
      readonly verbose: boolean;
      readonly logFormat: 'text' | 'json';
      readonly problems: readonly Problem[];
    };

const OUTPUT_GROUP = 'Output:';
const SHORT: Readonly<Partial<Record<InputName, string>>> = { namespace: 'n' };
/** A preset for flags given without a value: reaches the validator, which says what is missing. */
const MISSING = '';

/**
 * Reads a command line without judging values: that is the schema's work, so that all problems are told at once.
 *
 * @param width - columns to fold help at
 */
export function readArguments(args: readonly string[], width: number): Request {
  const [first, second] = args;
  if (first === undefined || first === '--help' || first === '-h') return help(overview(), width);
  if (first === '--version' || first === '-V') return { kind: 'version' };
  if (first === 'help') {
    const mode = modeNames.find((name) => name === second);
    return mode === undefined
      ? help(overview(), width)
      : help(
          commandOf(mode, () => {}),
          width,
        );
  }
  const mode = modeNames.find((name) => name === first);
  if (mode === undefined) {
    // A flag before the mode: the schema says which modes there are.
    return {
      kind: 'run',
      raw: first.startsWith('-') ? {} : { mode: first },
      output: 'text',
      verbose: false,
      logFormat: 'text',
      problems: [],
    };
  }
  return readMode(mode, args.slice(1), width);
}

function readMode(mode: Mode, args: readonly string[], width: number): Request {
  const raw: Record<string, string> = { mode };
  const problems: Problem[] = [];
  const settings = new Map<string, string>();
  const command = commandOf(mode, (name, value) => {
    if (!isInputName(name)) settings.set(name, value);
    else if (infoOf(name).cliInstead !== undefined) {
      problems.push({ input: name, message: `is not taken from the command line. ${infoOf(name).cliInstead}` });
    } else if (infoOf(name).list && raw[name] !== undefined) raw[name] = `${raw[name]}\n${value}`;
    else if (raw[name] !== undefined) problems.push({ input: name, message: 'is given twice. Give it once.' });
    else raw[name] = value;
  });
  try {
    command.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError) || error.code !== 'commander.helpDisplayed') throw error;
    return help(command, width);
  }
  problems.push(...findStrangers(command.args, mode));
  const formatOf = (name: string): 'text' | 'json' => {
    const format = settings.get(name) ?? 'text';
    if (format === 'text' || format === 'json') return format;
    problems.push({ input: name, message: `${quote(format)} is not allowed. Give ${oneOf(['text', 'json'])}.` });
    return 'text';
  };
  return {
    kind: 'run',
    raw,
    output: formatOf('output'),
    verbose: settings.has('verbose'),
    logFormat: formatOf('log-format'),
    problems,
  };
}

/** What is left after every known flag took its value. */
function findStrangers(left: readonly string[], mode: Mode): Problem[] {
  const flags = left.filter((arg) => /^-./.test(arg));
  if (flags.length === 0) {
    return left.map((arg) => ({
      input: 'arguments',
      message: `${quote(arg)} is one too many. After the mode come only flags.`,
    }));
  }
  // What follows an unknown flag is taken for its value and not blamed too.
  return flags.map((flag) => {
    const name = flag.replace(/=.*/s, '');
    const nearest = findNearest(name.replace(/^-+/, ''), [...inputNames, 'output', 'log-format', 'verbose', 'help']);
    const advice = nearest === undefined ? `See transship ${mode} --help.` : `Did you mean --${nearest}?`;
    return { input: name, message: `is not a flag. ${advice}` };
  });
}

/** The command of one mode. It also knows the flags of other modes, hidden, so that the schema can say whose they are. */
function commandOf(mode: Mode, give: (name: string, value: string) => void): Command {
  const command = new Command(`transship ${mode}`)
    .description(modeTable[mode].description)
    .usage('[flags]')
    .allowUnknownOption()
    .allowExcessArguments()
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const group of groupNames) {
    for (const name of inputNames.filter((input) => input !== 'mode' && infoOf(input).group === group)) {
      const info = infoOf(name);
      const hidden = info.cliInstead !== undefined || !modesOf(name).includes(mode);
      const option = flag(
        name,
        `${info.cliDescription ?? info.description}${defaultText(name, mode)}`,
        info.placeholder,
        give,
      );
      command.addOption(option.helpGroup(`${group}:`).hideHelp(hidden));
    }
  }
  command.addOption(
    flag('output', 'text, or json on standard output. (default: text)', 'text|json', give, 'o').helpGroup(OUTPUT_GROUP),
  );
  command.addOption(
    flag(
      'log-format',
      'How to tell on standard error what happens: text, or json, an object a line. (default: text)',
      'text|json',
      give,
    ).helpGroup(OUTPUT_GROUP),
  );
  command.addOption(flag('verbose', 'Show what happens in detail.', undefined, give).helpGroup(OUTPUT_GROUP));
  command.helpOption('-h, --help', 'Show this help.').helpGroup(OUTPUT_GROUP);
  command.addHelpText('after', `\nExamples:\n${examplesOf(mode)}`);
  return command;
}

/** A flag whose value may be missing: Commander would stop at the first one. Booleans may be given as `--wait=false`. */
function flag(
  name: string,
  description: string,
  placeholder: string | undefined,
  give: (name: string, value: string) => void,
  short = isInputName(name) ? SHORT[name] : undefined,
): Option {
  const option = new Option(`${short === undefined ? '' : `-${short}, `}--${name} [${placeholder ?? ''}]`, description)
    .preset(placeholder === undefined ? 'true' : MISSING)
    .argParser((value: string) => give(name, value));
  // The input is called no-hooks: it negates no other.
  option.negate = false;
  return option;
}

function defaultText(name: InputName, mode: Mode): string {
  const shown = describeDefault(name, mode)?.replaceAll('`', '');
  // A boolean that is false unless given needs no words.
  return shown === undefined || (infoOf(name).placeholder === undefined && shown === 'false')
    ? ''
    : ` (default: ${shown})`;
}

function overview(): Command {
  const program = new Command('transship')
    .description('Moves what runs in one Kubernetes cluster to another.')
    .usage('MODE [flags]')
    .helpCommand(false)
    .helpOption('-h, --help', 'Show this help; after a mode, that of the mode.')
    .version('', '--version', 'Show the version.');
  for (const mode of modeNames) program.command(mode).description(modeTable[mode].description).usage('[flags]');
  const first = modeNames.map((mode) => `  transship ${modeTable[mode].examples[0]}`).join('\n');
  return program.addHelpText('after', `\nExamples:\n${first}`);
}

function examplesOf(mode: Mode): string {
  return modeTable[mode].examples.map((example) => `  transship ${example}`).join('\n');
}

function help(command: Command, width: number): Request {
  let text = '';
  command
    .configureOutput({
      writeOut: (part) => {
        text += part;
      },
      getOutHelpWidth: () => width,
      getOutHasColors: () => false,
    })
    .configureHelp({
      commandUsage: (shown) => `${shown.name()} ${shown.usage()}`,
      subcommandTerm: (shown) => shown.name(),
      optionTerm: (option) => option.flags.replace(/ \[\]$/, '').replace(/\[(.+)\]$/, '<$1>'),
      optionDescription: (option) => option.description,
      styleTitle: (title) => Help.prototype.styleTitle(title === 'Commands:' ? 'Modes:' : title),
    })
    .outputHelp();
  return { kind: 'help', text };
}
