// `microview query`: SQL over a lake's events, once or as a dialogue.

import { defineSubcommand, flag } from "../command-line/index.ts";
import { LAKE_FLAGS, openLake, RANGE_FLAGS, rangeOf } from "./explore/lake-flags.ts";

const OUTPUT = "Output";
const FORMATS = ["table", "ndjson", "csv", "arrow", "parquet"] as const;

export default defineSubcommand("query", {
  description:
    "The tables are log_entries, measures, spans, processes and more; .tables in the dialogue lists them. Without SQL, a terminal gets the dialogue, and anything else is read as SQL.",
  examples: [
    {
      command: `microview query "select level, count(*) from log_entries group by level"`,
      does: "what the last hour was like",
    },
    {
      command: `microview query "select time, service, message from log_entries where level = 'error' order by time" --last 1d`,
      does: "the errors of a day",
    },
    {
      command:
        'microview query "select name, quantile_cont(duration_ms, 0.99) from spans group by name" --format csv',
      does: "the slowest spans, for a spreadsheet",
    },
    {
      command: "microview query --file report.sql --from 2026-01-31T12:00:00Z --out report.parquet",
      does: "a query from a file, its answer as Parquet",
    },
    { command: "microview query", does: "a dialogue, with completion and history" },
  ],
  operands: flag.text({ hint: "SQL", description: "one SELECT; - reads it from standard input" }),
  flags: {
    ...RANGE_FLAGS,
    file: flag.path({ group: OUTPUT, description: "file that has the SQL" }),
    format: flag.choice(FORMATS, {
      group: OUTPUT,
      description: "how to print or write the answer",
      shownDefault: "that of --out, table on a terminal, else ndjson",
    }),
    out: flag.path({
      group: OUTPUT,
      description: "file to write the answer to: .ndjson, .csv, .arrow or .parquet",
    }),
    force: flag.toggle({ group: OUTPUT, description: "replace the file of --out" }),
    ...LAKE_FLAGS,
  },
  async run(options, operand) {
    const { QueryRun } = await import("./explore/query-run.ts");
    const client = await openLake(options);
    const run = new QueryRun(client, { ...options, range: rangeOf(options) });
    const sql = await run.sqlOf(operand);
    if (sql === undefined) await run.dialogue();
    else await run.once(sql);
  },
});
