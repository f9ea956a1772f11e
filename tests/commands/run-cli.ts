// Runs the program as people do, from its sources, and gives back what it said.

import { surroundings } from "../support/surroundings.ts";

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

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
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
