// Defines a subcommand: a citty command whose arguments are parsed strictly and whose flags, help
// and completion come from one declaration.

import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { CATALOGUE, type CommandName } from "./catalogue.ts";
import { UsageError } from "./errors.ts";
import { type Flag, type Flags, flagName, type Options } from "./flags.ts";
import { parseStrictly } from "./parse.ts";

/** One line of "Examples" in the help. */
export interface Example {
  /** As one would type it, starting with `microview`. */
  readonly command: string;
  /** What it does. */
  readonly does: string;
}

/** What help and completion need to know of a subcommand. */
export interface SubcommandDetails {
  readonly name: CommandName;
  readonly flags: Flags;
  readonly operands?: Flag<unknown> | undefined;
  readonly examples: readonly Example[];
  /** More than the summary, for the help of the subcommand itself. */
  readonly description?: string | undefined;
  readonly flagsOf?: FlagsOf | undefined;
}

/** Flags by the operand that they go with, for subcommands whose operand is an action; "" is for none. */
type FlagsOf<Key = string> = Readonly<Record<string, readonly Key[]>>;

/** A citty command with its details. */
export interface Subcommand extends CommandDef {
  readonly details: SubcommandDetails;
}

/** What a file in `src/commands/` states. */
interface SubcommandDefinition<Declared extends Flags, Operands> {
  readonly flags: Declared;
  /** The words that are not flags: a `flag.list` for many, any other kind for one. */
  readonly operands?: Flag<Operands>;
  readonly examples: readonly [Example, ...Example[]];
  readonly description?: string;
  /** Other flags are refused with that operand, and left out of its help. */
  readonly flagsOf?: FlagsOf<keyof Declared & string>;
  /** Errors thrown here are printed in one place; see `errors.ts`. */
  run(options: Options<Declared>, operands: Operands): Promise<void> | void;
}

/**
 * Defines the subcommand `name`.
 *
 * Import rooms inside `run` (`await import(…)`), not at the head of the file:
 * help and completion load every subcommand's file.
 */
export function defineSubcommand<const Declared extends Flags, Operands = undefined>(
  name: CommandName,
  definition: SubcommandDefinition<Declared, Operands>,
): Subcommand {
  const { flags, operands, examples, description, flagsOf, run } = definition;
  const command = defineCommand({
    meta: { name, description: CATALOGUE[name].summary },
    args: cittyArguments(flags),
    async run({ rawArgs }) {
      const parsed = parseStrictly(rawArgs, { flags, operands });
      if (flagsOf !== undefined) refuseForeign(name, flagsOf, parsed.typed, parsed.operands);
      await run(parsed.options, parsed.operands);
    },
  });
  return { ...command, details: { name, flags, operands, examples, description, flagsOf } };
}

/** @throws UsageError for a flag of another action: it would be ignored */
function refuseForeign(
  name: string,
  flagsOf: FlagsOf,
  typed: readonly string[],
  operand: unknown,
): void {
  const action = operand === undefined ? "" : String(operand);
  const foreign = typed.find((key) => flagsOf[action]?.includes(key) === false);
  if (foreign === undefined) return;
  const others = Object.keys(flagsOf).filter((each) => flagsOf[each]!.includes(foreign));
  throw new UsageError(
    `${flagName(foreign)} does not go with '${called(name, action)}'`,
    `it goes with '${others.map((each) => called(name, each)).join("' and '")}'`,
  );
}

function called(name: string, action: string): string {
  return `${name} ${action}`.trimEnd();
}

/** The flags in citty's terms, as it needs them to tell values from operands. */
function cittyArguments(flags: Flags): ArgsDef {
  return Object.fromEntries(
    Object.entries(flags).map(([key, { kind, description }]) => {
      return [
        flagName(key).slice(2),
        { type: kind === "switch" ? "boolean" : "string", description },
      ];
    }),
  );
}
