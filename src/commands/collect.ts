// `microview collect`: reads agents at an interval and prints what they hold.

import { parseEndpoint } from "./support/endpoint.ts";
import { CliError } from "./support/errors.ts";
import * as flag from "./support/flags.ts";
import { defineSubcommand } from "./support/subcommand.ts";

const WHAT = "What to read";
const WHEN = "When";
const OUTPUT = "Output";
const CONNECTION = "Connection";

export default defineSubcommand("collect", {
  description:
    "Shows a live table on a terminal and JSON lines otherwise. Missed deadlines and gaps are shown, never hidden.",
  examples: [
    { command: "microview collect", does: "watch the agent of this host" },
    {
      command: "microview collect localhost:7070 --interval 1ms",
      does: "watch an agent every millisecond",
    },
    {
      command: "microview collect a:7070 b:7070 --app shop --metric 'http_*' --format ndjson",
      does: "two agents, one application, some metrics, as JSON lines",
    },
    { command: "microview collect --once --format prometheus", does: "one snapshot as text" },
  ],
  operands: flag.list(
    { hint: "HOST:PORT", description: "agents to read", shownDefault: "the agent of this host" },
    parseEndpoint,
  ),
  flags: {
    app: flag.list({ group: WHAT, hint: "GLOB", description: "only these applications" }),
    service: flag.list({ group: WHAT, hint: "GLOB", description: "only these services" }),
    metric: flag.list({ group: WHAT, hint: "GLOB", description: "only these metrics" }),
    perWriter: flag.toggle({
      group: WHAT,
      description: "show each writer by itself instead of their sum",
    }),

    interval: flag.duration({
      group: WHEN,
      description: "time between two reads, from 1ms",
      default: "1s",
      min: "1ms",
    }),
    once: flag.toggle({ group: WHEN, description: "read once and end" }),
    count: flag.integer({ group: WHEN, min: 1, description: "end after so many reads" }),
    duration: flag.duration({ group: WHEN, description: "end after this time" }),

    format: flag.choice(["table", "ndjson", "csv", "prometheus"], {
      group: OUTPUT,
      description: "how to print",
      shownDefault: "table on a terminal, otherwise ndjson",
    }),
    history: flag.duration({
      group: OUTPUT,
      description: "how much to keep at full resolution for rates and quantiles",
      default: "60s",
    }),

    transport: flag.choice(["auto", "mmap", "tcp"], {
      group: CONNECTION,
      description: "how to read; auto maps the memory of an agent on this host",
      default: "auto",
    }),
    tokenFile: flag.path({ group: CONNECTION, description: "file with the agents' token" }),
    ca: flag.path({
      group: CONNECTION,
      description: "certificates to trust, PEM",
      shownDefault: "the system's",
    }),
  },
  run() {
    throw new CliError({ message: "the collector is not part of this build yet" });
  },
});
