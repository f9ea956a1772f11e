// Files that flags name, and what is said of one that is not there.

import { expect, test } from "bun:test";
import { runCli } from "./run-cli.ts";

test.each([
  ["agent", "--token-file"],
  ["collect", "--token-file"],
  ["collect", "--ca"],
])("%s %s of a file that is not there is wrong usage", async (command, flag) => {
  const { exitCode, stderr } = await runCli([command, flag, "/nope"]);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 2,
    stderr: `microview: ${flag}: cannot read /nope: there is no such file\n`,
  });
});
