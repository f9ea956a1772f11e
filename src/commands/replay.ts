// `microview replay`: hands a recorded run to whatever a living one goes to.

import { defineSubcommand, flag, stopSignal, UsageError } from "../command-line/index.ts";
import { LISTEN_FLAGS } from "./listen/flags.ts";
import { OUTPUT_FLAGS } from "./output/flags.ts";
import { OTLP_FLAGS, REMOTE_WRITE_FLAGS } from "./push/flags.ts";
import { parseMoment, parseSpeed } from "./replay/flags.ts";

const WHAT = "What to replay";
const WHEN = "When";

export default defineSubcommand("replay", {
  description:
    "Reads what `microview collect --out run.parquet` has recorded. A recording that was interrupted is completed first.",
  examples: [
    { command: "microview replay run.parquet", does: "watch a run again" },
    {
      command: "microview replay run.parquet --speed max --format csv",
      does: "print all of it at once",
    },
    {
      command: "microview replay run.parquet --from 30s --to 1m --speed 0.1",
      does: "half a minute of it, ten times slower",
    },
    {
      command: "microview replay run.parquet --remote-write http://prometheus:9090/api/v1/write",
      does: "push it, with the times at which it was recorded",
    },
    {
      command: "microview replay run.parquet --speed max --metric 'http_*' --out http.parquet",
      does: "make a smaller recording of it",
    },
  ],
  operands: flag.list({
    hint: "FILE",
    completes: "path",
    description: "recordings, replayed one after the other",
  }),
  flags: {
    app: flag.list({ group: WHAT, hint: "GLOB", description: "only these applications" }),
    service: flag.list({ group: WHAT, hint: "GLOB", description: "only these services" }),
    metric: flag.list({ group: WHAT, hint: "GLOB", description: "only these metrics" }),
    perWriter: flag.toggle({
      group: WHAT,
      description: "show each writer by itself, of what was recorded with --per-writer",
    }),
    from: flag.parsed(parseMoment, {
      group: WHAT,
      hint: "TIME",
      description: "leave out what is earlier: 2026-01-31T12:00:00Z, or 30s after the beginning",
    }),
    to: flag.parsed(parseMoment, {
      group: WHAT,
      hint: "TIME",
      description: "leave out what is later, likewise",
    }),

    speed: flag.parsed(parseSpeed, {
      group: WHEN,
      hint: "N|max",
      description: "how many times faster than it was recorded",
      default: "1",
    }),
    now: flag.toggle({
      group: WHEN,
      description: "give snapshots the time at which they are replayed instead of the recorded one",
    }),
    repair: flag.toggle({
      group: WHEN,
      description: "complete what was interrupted, for other readers, and replay nothing",
    }),
    loop: flag.toggle({ group: WHEN, description: "begin again at the end" }),
    ...OUTPUT_FLAGS,
    ...LISTEN_FLAGS,
    ...REMOTE_WRITE_FLAGS,
    ...OTLP_FLAGS,
  },
  async run(options, files) {
    if (files.length === 0) {
      throw new UsageError(
        "FILE is missing",
        "name a recording, e.g. microview replay run.parquet",
      );
    }
    const { ReplayRun } = await import("./replay/run.ts");
    const run = new ReplayRun(options, files, {
      stdout: process.stdout,
      stderr: process.stderr,
      stop: stopSignal(),
    });
    await run.finish();
  },
});
