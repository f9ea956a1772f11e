// `microview demo`: an agent, three small services under load, and a live view.

import { CliError } from "./support/errors.ts";
import * as flag from "./support/flags.ts";
import { defineSubcommand } from "./support/subcommand.ts";

export default defineSubcommand("demo", {
  description: "Ctrl-C ends all of it and leaves nothing behind.",
  examples: [
    { command: "microview demo", does: "until Ctrl-C" },
    { command: "microview demo --duration 10s --rate 500", does: "ten seconds, more load" },
  ],
  flags: {
    duration: flag.duration({ description: "end after this time", shownDefault: "at Ctrl-C" }),
    rate: flag.integer({
      min: 1,
      max: 100_000,
      description: "requests per second to the services",
      default: "200",
    }),
    interval: flag.duration({
      description: "time between two reads of the metrics, from 1ms",
      default: "10ms",
      min: "1ms",
    }),
    port: flag.port({ description: "port of the agent", shownDefault: "a free one" }),
  },
  run() {
    throw new CliError({ message: "the demo is not part of this build yet" });
  },
});
