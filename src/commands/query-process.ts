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
    libraries: flag.toggle({ description: "DuckDB's are open, as 3 and 4" }),
    confined: flag.toggle({ description: "it has no more rights than it needs" }),
  },
  async run({ folder, libraries, confined }) {
    const { beginConfined, serveOneQuery } = await import("../lake/index.ts");
    if (!confined) {
      const flags = ["--folder", folder, ...(libraries ? ["--libraries"] : []), "--confined"];
      beginConfined(folder, ["query-process", ...flags], libraries ? 5 : 3);
    }
    await serveOneQuery(libraries ? { library: 3, addon: 4 } : undefined);
  },
});
