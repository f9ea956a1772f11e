// `microview query-process`: the process of one query of a lake, started by `microview lake`. Hidden.

import { defineSubcommand, flag } from "../command-line/index.ts";

export default defineSubcommand("query-process", {
  examples: [
    {
      command: "microview query-process --folder lake",
      does: "waits for a query on standard input",
    },
  ],
  flags: {
    folder: flag.required(flag.path({ description: "folder of the files that it may be given" })),
    confined: flag.toggle({ description: "it has no more rights than it needs" }),
  },
  async run({ folder, confined }) {
    const { beginConfined, serveOneQuery } = await import("../lake/index.ts");
    if (!confined) beginConfined(folder, ["query-process", "--folder", folder, "--confined"]);
    await serveOneQuery();
  },
});
