// Understands the command line up to the subcommand, and ends the process with its exit code.
// Loaded by `src/cli.ts`, which answers `--version` before any of this.

import { runCommand } from "citty";
import {
  CATALOGUE,
  Faults,
  renderCommandHelp,
  renderRootHelp,
  styleFor,
  UsageError,
  unknownFlag,
  visibleCommands,
} from "../command-line/index.ts";
import { nearest } from "../text/index.ts";
import { isCommandName, loadSubcommand, rootCommand } from "./index.ts";

/**
 * Runs the program and sets the exit code: 0, 1 for failure, 2 for wrong usage.
 *
 * @param rawArgs the command line without the program itself
 */
export async function main(rawArgs: readonly string[], version: string): Promise<void> {
  const faults = new Faults(rawArgs.includes("--json-logs"));
  faults.watch();
  try {
    await dispatch(rawArgs, version);
  } catch (error) {
    faults.tell(await asUsage(error));
  }
}

/** To rooms below, what a person has set wrongly is a mistake in a setting; here it is wrong usage. */
async function asUsage(error: unknown): Promise<unknown> {
  const { SettingError } = await import("../settings/index.ts");
  return error instanceof SettingError ? new UsageError(error.message, error.hint) : error;
}

async function dispatch(rawArgs: readonly string[], version: string): Promise<void> {
  const [first, ...rest] = rawArgs;
  const width = Math.min(process.stdout.columns ?? 100, 100);
  if (first === undefined) {
    process.stderr.write(renderRootHelp(version, styleFor(process.stderr), width));
    process.exitCode = 2;
    return;
  }
  const helpAbout = helpTopic(first, rest);
  if (helpAbout === "") {
    process.stdout.write(renderRootHelp(version, styleFor(process.stdout), width));
    return;
  }
  const name = helpAbout ?? first;
  if (name.startsWith("-")) throw unknownFlag(name, ["--help", "--version"]);
  if (!isCommandName(name)) throw unknownCommand(name);
  if (helpAbout !== undefined) {
    const { details } = await loadSubcommand(name);
    const { summary } = CATALOGUE[name];
    const action = rest.find((word) => Object.hasOwn(details.flagsOf ?? {}, word));
    const style = styleFor(process.stdout);
    process.stdout.write(renderCommandHelp(details, summary, style, width, action));
    return;
  }
  await runCommand(rootCommand(version), { rawArgs: [...rawArgs] });
}

/** The subcommand whose help is asked for, "" for the root's, undefined when none is. */
function helpTopic(first: string, rest: readonly string[]): string | undefined {
  if (isHelp(first)) return "";
  if (first === "help") return rest[0] === undefined || isHelp(rest[0]) ? "" : rest[0];
  const end = rest.indexOf("--");
  return (end < 0 ? rest : rest.slice(0, end)).some(isHelp) ? first : undefined;
}

function isHelp(argument: string): boolean {
  return argument === "--help" || argument === "-h";
}

function unknownCommand(name: string): UsageError {
  const meant = nearest(name, visibleCommands());
  return new UsageError(
    `unknown command '${name}'`,
    meant === undefined ? "'microview --help' lists the commands" : `did you mean ${meant}?`,
  );
}
