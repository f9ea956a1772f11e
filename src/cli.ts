#!/usr/bin/env bun
// The program `microview`. Answers `--version` at once; all else is loaded on demand.

import { version } from "../package.json" with { type: "json" };
import { guardStreams } from "./command-line/streams.ts";

const rawArgs = process.argv.slice(2);
guardStreams();

if (rawArgs.length === 1 && ["--version", "-v"].includes(rawArgs[0]!)) {
  process.stdout.write(`${version}\n`);
} else {
  const { main } = await import("./commands/main.ts");
  await main(rawArgs, version);
}
