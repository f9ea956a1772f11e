// `microview demo-service`: one service of the demo, started by `microview demo`. Hidden.

import { CliError } from "./support/errors.ts";
import * as flag from "./support/flags.ts";
import { defineSubcommand } from "./support/subcommand.ts";

export default defineSubcommand("demo-service", {
  examples: [{ command: "microview demo-service --name auth", does: "the auth service" }],
  flags: {
    name: flag.required(flag.text({ hint: "NAME", description: "which service to be" })),
    port: flag.port({ description: "port of the service", default: "0" }),
    socket: flag.path({ description: "Unix socket of the agent" }),
  },
  run() {
    throw new CliError({ message: "the demo is not part of this build yet" });
  },
});
