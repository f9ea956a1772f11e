// DuckDB alone in a process of its own, as somebody would run it over files: opens a database, then answers one SQL from its
// parent with its rows as JSON and how long that took. For benchmarks.

import { Database } from "../../src/duckdb/index.ts";
import { childOptions, offer, serveParent } from "./child.ts";

export interface DuckDbAnswer {
  ms: number;
  rows: unknown[][];
}

const database = await Database.open(childOptions<{ threads: number; memoryBytes: number }>());
const { connection } = database;
await connection.run("SET TimeZone = 'UTC'");
offer({});
await serveParent(async (message) => {
  const { sql } = message as { sql: string };
  const startMs = performance.now();
  const reader = await connection.runAndReadAll(sql);
  const rows = reader.getRowsJson();
  // As a waiting caller gets it.
  JSON.stringify(rows);
  offer({ ms: performance.now() - startMs, rows } satisfies DuckDbAnswer);
});
process.exit(0);
