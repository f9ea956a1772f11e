// `microview doctor`: what this host offers and lacks.

import { CliError } from "./support/errors.ts";
import * as flag from "./support/flags.ts";
import { defineSubcommand } from "./support/subcommand.ts";

export default defineSubcommand("doctor", {
  examples: [
    { command: "microview doctor", does: "check this host" },
    { command: "microview doctor --json", does: "the same for programs" },
  ],
  flags: {
    json: flag.toggle({ description: "print one JSON object" }),
    socket: flag.path({
      description: "Unix socket of the agent",
      shownDefault: "agent.sock in the run directory",
    }),
    poolDir: flag.directory({ description: "where the pools are", shownDefault: "/dev/shm" }),
  },
  run() {
    throw new CliError({ message: "doctor is not part of this build yet" });
  },
});
