// `microview inspect`: maps pools read-only and prints what they hold; needs no agent.

import { CliError } from "./support/errors.ts";
import * as flag from "./support/flags.ts";
import { defineSubcommand } from "./support/subcommand.ts";

export default defineSubcommand("inspect", {
  examples: [
    { command: "microview inspect", does: "all applications of this host" },
    { command: "microview inspect --app auth", does: "one application's services and metrics" },
    { command: "microview inspect --app auth --raw", does: "its layout with offsets and bytes" },
    { command: "microview inspect --metric 'http_*' --watch", does: "follow some metrics" },
  ],
  flags: {
    app: flag.list({ hint: "GLOB", description: "only these applications" }),
    service: flag.list({ hint: "GLOB", description: "only these services" }),
    metric: flag.list({ hint: "GLOB", description: "only these metrics" }),
    poolDir: flag.directory({
      description: "where the pools are",
      shownDefault: "/dev/shm",
    }),
    watch: flag.toggle({ description: "print anew each second" }),
    json: flag.toggle({ description: "print one JSON object" }),
    raw: flag.toggle({ description: "print the layout: offsets, records and bytes" }),
  },
  run() {
    throw new CliError({ message: "inspect is not part of this build yet" });
  },
});
