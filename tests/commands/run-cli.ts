// Runs the program as people do, from its sources, and gives back what it said.

import { type Outcome, outcomeOf } from "../support/outcome.ts";
import { surroundings } from "../support/surroundings.ts";

const CLI = `${import.meta.dir}/../../src/cli.ts`;

/** `microview ...rawArgs`, without a terminal and with a clean environment. */
export async function runCli(
  rawArgs: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const child = Bun.spawn([process.execPath, CLI, ...rawArgs], {
    env: surroundings(environment),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  return outcomeOf(child);
}
