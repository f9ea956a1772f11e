// What a shell needs to know of the program, taken from the subcommands' own declarations.

import {
  CATALOGUE,
  type Completes,
  type Flag,
  flagName,
  visibleCommands,
} from "../../command-line/index.ts";
import { loadSubcommand } from "../index.ts";

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

/** Loads every visible subcommand and describes it. */
export async function describeProgram(): Promise<ProgramDescription> {
  return Promise.all(
    visibleCommands().map(async (name) => {
      const { details } = await loadSubcommand(name);
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
