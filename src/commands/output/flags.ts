// The flags that say where snapshots go, for all subcommands that have snapshots.

import { flag, UsageError } from "../../command-line/index.ts";

const OUTPUT = "Output";

const FORMATS = ["table", "ndjson", "csv", "prometheus"] as const;
export type PrintedFormat = (typeof FORMATS)[number];

export const OUTPUT_FLAGS = {
  format: flag.choice(FORMATS, {
    group: OUTPUT,
    description: "how to print",
    shownDefault: "table on a terminal, otherwise ndjson",
  }),
  out: flag.parsed(parseOut, {
    group: OUTPUT,
    hint: "FILE",
    completes: "path",
    description: "write to a file: .parquet, .ndjson or .csv; the latter two also with .gz or .zst",
  }),
  outBlock: flag.duration({
    group: OUTPUT,
    description: "close a part of a .parquet file at least so often; a crash loses the open one",
    shownDefault: "50 intervals, from 10s to 5m",
    min: "10ms",
  }),
  force: flag.toggle({ group: OUTPUT, description: "replace the file of --out if it is there" }),
};

/** A file to write to, and how. */
export interface OutFile {
  path: string;
  format: "parquet" | "ndjson" | "csv";
  compression: "none" | "gzip" | "zstd";
}

/** @throws UsageError unless the name's end says how to write it */
function parseOut(path: string, label: string): OutFile {
  const [, format, packed] = /\.(parquet|ndjson|csv)(?:\.(gz|zst))?$/.exec(path) ?? [];
  if (format === undefined) {
    throw new UsageError(
      `${label}: the end of ${path} does not say how to write it`,
      "name it .parquet, .ndjson or .csv, or .ndjson.gz, .csv.zst and so on",
    );
  }
  if (format === "parquet" && packed !== undefined) {
    throw new UsageError(
      `${label}: Parquet is compressed inside`,
      `name it ${path.replace(/\.\w+$/, "")}`,
    );
  }
  const compression = packed === "gz" ? "gzip" : packed === "zst" ? "zstd" : "none";
  return { path, format: format as OutFile["format"], compression };
}
