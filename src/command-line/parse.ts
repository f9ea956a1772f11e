// Reads a subcommand's arguments strictly. citty's own parser lets unknown flags, bad values and
// repeated flags pass; here each of them is an error that says what was meant.

import { nearest } from "../text/index.ts";
import { UsageError } from "./errors.ts";
import { type Flag, type Flags, flagName, type Options } from "./flags.ts";

/** What a subcommand accepts. */
interface Accepts<Declared extends Flags, Operands> {
  readonly flags: Declared;
  /** The words that are not flags; absent when the subcommand takes none. */
  readonly operands?: Flag<Operands> | undefined;
}

/** What was typed, understood. */
interface Parsed<Declared extends Flags, Operands> {
  readonly options: Options<Declared>;
  readonly operands: Operands;
  /** Keys of the flags that were typed. */
  readonly typed: readonly string[];
}

/**
 * Parses `rawArgs` (without the subcommand's name).
 *
 * @throws UsageError for an unknown flag (naming the nearest one), a missing value, a value of the
 * wrong kind, a flag given twice that takes one value, or an operand where none is taken
 */
export function parseStrictly<Declared extends Flags, Operands>(
  rawArgs: readonly string[],
  accepts: Accepts<Declared, Operands>,
): Parsed<Declared, Operands> {
  const { texts, words } = collect(rawArgs, accepts.flags);
  const options = Object.fromEntries(
    Object.entries(accepts.flags).map(([key, flag]) => {
      return [key, flag.read(texts.get(flagName(key)) ?? [], flagName(key))];
    }),
  ) as Options<Declared>;
  const typed = Object.keys(accepts.flags).filter((key) => texts.has(flagName(key)));
  return { options, operands: readOperands(words, accepts.operands), typed };
}

interface Collected {
  /** Values by flag name, e.g. `--app` → [`a`, `b`]; a switch has one empty value. */
  readonly texts: ReadonlyMap<string, readonly string[]>;
  readonly words: readonly string[];
}

function collect(rawArgs: readonly string[], flags: Flags): Collected {
  const byName = new Map(Object.entries(flags).map(([key, flag]) => [flagName(key), flag]));
  const texts = new Map<string, string[]>();
  const words: string[] = [];
  for (let index = 0; index < rawArgs.length; index++) {
    const argument = rawArgs[index]!;
    if (argument === "--") {
      words.push(...rawArgs.slice(index + 1));
      break;
    }
    // SQL may begin with a comment: what has a space behind its dashes is no flag.
    if (!argument.startsWith("-") || /^-(?:$|-?\s)/.test(argument)) {
      words.push(argument);
      continue;
    }
    const equals = argument.indexOf("=");
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const inline = equals < 0 ? undefined : argument.slice(equals + 1);
    const flag = byName.get(name);
    if (flag === undefined) throw unknownFlag(name, [...byName.keys()]);

    const seen = texts.get(name) ?? [];
    if (flag.kind === "value" && seen.length > 0) {
      throw new UsageError(`${name} is given twice`, "it takes one value");
    }
    if (flag.kind === "switch") {
      if (inline !== undefined)
        throw new UsageError(`${name} takes no value`, `write just ${name}`);
      texts.set(name, [""]);
      continue;
    }
    const value = inline ?? rawArgs[++index];
    if (value === undefined || (inline === undefined && looksLikeFlag(value))) {
      throw new UsageError(`${name} needs a value`, `write ${name} ${flag.hint}`);
    }
    texts.set(name, [...seen, value]);
  }
  return { texts, words };
}

/** A value such as `-5` or `-` is none; write `--app=--odd` for a value that looks like a flag. */
function looksLikeFlag(text: string): boolean {
  return /^-{1,2}[a-z]/i.test(text) || text === "--";
}

function readOperands<Operands>(
  words: readonly string[],
  operands: Flag<Operands> | undefined,
): Operands {
  const limit =
    operands === undefined ? 0 : operands.kind === "list" ? Number.POSITIVE_INFINITY : 1;
  if (words.length > limit) {
    throw new UsageError(
      `unexpected argument '${words[limit]}'`,
      limit === 0 ? "this command takes flags only" : "this command takes one argument",
    );
  }
  // Without a declaration `Operands` is `undefined`.
  return operands === undefined ? (undefined as Operands) : operands.read(words, operands.hint);
}

/** The error for a flag that nobody declared. */
export function unknownFlag(name: string, known: readonly string[]): UsageError {
  const meant = nearest(name.replace(/^-+/, ""), [...known, "--help"].map(withoutDashes));
  return new UsageError(
    `unknown flag ${name}`,
    meant === undefined ? "--help lists the flags" : `did you mean --${meant}?`,
  );
}

function withoutDashes(name: string): string {
  return name.replace(/^-+/, "");
}
