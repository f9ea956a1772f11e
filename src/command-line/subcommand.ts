// Defines a subcommand: a citty command whose arguments are parsed strictly and whose flags, help
// and completion come from one declaration.

import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { CATALOGUE, type CommandName } from "./catalogue.ts";
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
}

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
  const { flags, operands, examples, description, run } = definition;
  const command = defineCommand({
    meta: { name, description: CATALOGUE[name].summary },
    args: cittyArguments(flags),
    async run({ rawArgs }) {
      const parsed = parseStrictly(rawArgs, { flags, operands });
      await run(parsed.options, parsed.operands);
    },
  });
  return { ...command, details: { name, flags, operands, examples, description } };
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
