// DuckDB in this process: loaded when the first database is opened, and shut off from everything that it is not given.
// Used by src/sinks/recording and src/lake. Values go in and out of its vectors as typed arrays, not one by one.

export type { DuckDBConnection } from "@duckdb/node-api";
export { BulkAppender } from "./bulk-appender.ts";
export { Database, DuckDbMissingError } from "./database.ts";
export { type Libraries, unpackLibraries, useLibraries } from "./libraries.ts";
export { TEXT_REFERENCE_BYTES, TextHeap } from "./text-heap.ts";
