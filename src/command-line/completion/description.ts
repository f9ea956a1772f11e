// What a shell needs to know of the program, taken from the subcommands' own declarations.

import { CATALOGUE, type CommandName, visibleCommands } from "../catalogue.ts";
import { type Completes, type Flag, flagName } from "../flags.ts";
import type { Subcommand } from "../subcommand.ts";

/** What may be typed as the value of a flag or as an operand. */
export interface ValueDescription {
  readonly choices: readonly string[];
  readonly completes: Completes | undefined;
}

export interface FlagDescription extends ValueDescription {
  /** With its dashes. */
  readonly name: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly repeatable: boolean;
}

export interface CommandDescription {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly FlagDescription[];
  readonly operand: ValueDescription | undefined;
}

export type ProgramDescription = readonly CommandDescription[];

const HELP: FlagDescription = {
  name: "--help",
  description: "show help",
  takesValue: false,
  repeatable: false,
  choices: [],
  completes: undefined,
};

/** Loads a subcommand's declaration. */
export type LoadSubcommand = (name: CommandName) => Promise<Subcommand>;

/** Loads every visible subcommand and describes it. */
export async function describeProgram(load: LoadSubcommand): Promise<ProgramDescription> {
  return Promise.all(
    visibleCommands().map(async (name) => {
      const { details } = await load(name);
      return {
        name,
        summary: CATALOGUE[name].summary,
        flags: [...Object.entries(details.flags).map(describeFlag), HELP],
        operand: details.operands && describeValue(details.operands),
      };
    }),
  );
}

function describeFlag([key, flag]: readonly [string, Flag<unknown>]): FlagDescription {
  return {
    name: flagName(key),
    description: flag.description,
    takesValue: flag.kind !== "switch",
    repeatable: flag.kind === "list",
    ...describeValue(flag),
  };
}

function describeValue({ choices = [], completes }: Flag<unknown>): ValueDescription {
  return { choices, completes };
}
